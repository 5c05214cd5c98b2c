"""Suites, the table and the summary of an evaluation, and the agent that acts one step late in it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ami_robot.configurator.configurator import REACH, load_task
from ami_robot.perception.camera import load_camera
from ami_robot.types import Plan, Refusal
from ami_sim.agent_actor import AgentActor
from ami_sim.collect import FIRST_SEED
from ami_sim.env import TabletopEnv
from ami_sim.evaluation.suites import EvaluationError, Suite, held_out_seeds, parse_suite, parse_suites
from ami_sim.evaluation.summary import pairs_of, printed, row_of
from ami_sim.evaluation.table import LINES, Table
from ami_sim.evaluation.variants import variants
from ami_sim.scene import Scene
from ami_sim.shifts import SHIFTS
from ami_sim.tasks import TASKS
from ami_sim.world import PHYSICS_HZ

WIDTH_M = 0.031


class Seer:
    """An encoder that sees nothing."""

    checkpoint_sha256, preprocessing_id = "0" * 64, "test"

    def encode(self, image):
        return np.zeros(4)


class Planning:
    """An agent that writes down what it hears, and plans to go 1 cm along x times the number of the plan."""

    def __init__(self, refuses=()):
        self.heard, self.frames_ns, self._refuses = [], [], refuses

    def on_report(self, joints, tool, width, stamp_ns):
        self.heard.append((stamp_ns, tool.copy()))

    def on_latent(self, latent):
        self.frames_ns.append(latent.stamp_ns)

    def act(self, now_ns):
        number = len(self.frames_ns)
        if number in self._refuses:
            return Refusal("not now", "workspace", -1.0)
        action = np.array([0.01 * number, 0.0, 0.0, WIDTH_M])
        return Plan(action[None], np.zeros((1, 7)), np.zeros((1, 3)), 0.0, {}, 1, 0, 1.0)


@pytest.fixture
def env():
    env = TabletopEnv(fast=True, max_command_delay_s=0.0)
    yield env
    env.close()


def acted(env, agent, steps=4):
    """The actor, its actions, when it was asked for them, and where the tool was going then."""
    observation, _ = env.reset(seed=1, options={"scene": Scene.from_seed(1)})
    actor, actions, asked_ns, targets = AgentActor(agent, Seer()), [], [], []
    for _ in range(steps):
        asked_ns.append(env.arm.time_ns)
        targets.append(env.tool_target.copy())
        actions.append(actor(env, observation))
        observation, *_ = env.step(actions[-1])
    return actor, np.array(actions), asked_ns, targets


def test_a_plan_from_a_frame_is_carried_out_one_step_after_it(env):
    agent = Planning()
    actor, actions, asked_ns, targets = acted(env, agent)
    np.testing.assert_allclose(actions[:, 0], [0.0, 0.01, 0.02, 0.03])
    assert agent.frames_ns == asked_ns[:-1]
    assert len(actor.decisions) == 3
    assert [stamp_ns for stamp_ns, _ in agent.heard[:2]] == [asked_ns[0], asked_ns[0] + 1]
    told = [tool for _, tool in agent.heard]
    np.testing.assert_allclose(told[::2], targets[:-1])  # at the frame
    np.testing.assert_allclose(told[1::2], targets[1:])  # after the command that was under way


def test_the_agent_is_told_when_a_command_was_really_accepted():
    env, agent = TabletopEnv(fast=True, max_command_delay_s=0.06), Planning()
    *_, asked_ns, _ = acted(env, agent)
    env.close()
    delays_ns = np.array([stamp_ns for stamp_ns, _ in agent.heard[1::2]]) - asked_ns[:-1]
    assert (delays_ns > 0).all() and delays_ns.max() <= 60e6 + 1e9 / PHYSICS_HZ and np.ptp(delays_ns) > 5e6


def test_the_gripper_does_what_the_plan_says_and_after_a_refusal_all_stays(env):
    actor, actions, _, targets = acted(env, Planning(refuses=(2,)), steps=5)
    assert actions[0, 3] != WIDTH_M
    np.testing.assert_allclose(actions[1:, 3], WIDTH_M)
    np.testing.assert_allclose(actions[2, :3], 0.0)
    assert [isinstance(decision.answer, Refusal) for decision in actor.decisions] == [False, True, False, False]
    np.testing.assert_allclose(targets[3], targets[2])


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_a_suite_under_every_shift_that_is_the_same_each_time(task):
    suites = parse_suites([task, f"{task}:camera"], with_shifts=True)
    assert [suite.name for suite in suites] == [
        task,
        f"{task}:camera",
        *(f"{task}:{s}" for s in SHIFTS if s != "camera"),
    ]
    for suite in suites:
        for seed in range(3):
            asked, camera = suite.episode(seed, load_camera())
            again, _ = suite.episode(seed, load_camera())
            assert asked.name == task and asked.scene.seed == seed
            np.testing.assert_array_equal(asked.scene.light_direction, again.scene.light_direction)
            assert (suite.shift == "camera") == bool(np.any(camera.position != load_camera().position))


@pytest.mark.parametrize(
    ("name", "says"), [("juggle", "no suite 'juggle'"), ("push:fog", "no shift 'fog'"), ("push:", "no shift ''")]
)
def test_a_suite_that_is_not_there_is_named_beside_those_that_are(name, says):
    with pytest.raises(EvaluationError, match=says):
        parse_suite(name)


def test_seeds_that_data_is_collected_from_are_refused():
    assert held_out_seeds(FIRST_SEED - 2, 2) == range(FIRST_SEED - 2, FIRST_SEED)
    with pytest.raises(EvaluationError, match="not held out"):
        held_out_seeds(FIRST_SEED - 2, 3)


def line(seed, suite="push", row="reach", success=True, **more):
    return {
        **{"suite": suite, "row": row, "seed": seed, "success": success, "error_m": 0.01 if success else None},
        **{"arrival_s": 2.0, "guardrail_refusals": 1, "disarmed": False, "errors_m": [0.1, 0.01], "commit": "c"},
        **more,
    }


def test_a_line_that_was_cut_off_is_forgotten_and_the_whole_ones_are_kept(tmp_path):
    table = Table(tmp_path / "out", {"seeds": (0, 3)})
    table.add(line(0))
    table.add(line(1))
    path = tmp_path / "out" / LINES
    path.write_bytes(path.read_bytes() + json.dumps(line(2)).encode()[:40])
    again = Table(tmp_path / "out", {"seeds": (0, 3)})
    assert list(again.episodes) == [("push", "reach", 0), ("push", "reach", 1)]
    again.add(line(2))
    assert [json.loads(text)["seed"] for text in path.read_text().splitlines()] == [0, 1, 2]


def test_a_line_in_the_middle_that_is_none_is_an_error(tmp_path):
    Table(tmp_path / "out", {}).add(line(0))
    path = tmp_path / "out" / LINES
    path.write_text("{}\n" + path.read_text())
    with pytest.raises(EvaluationError, match="line 1 is no episode"):
        Table(tmp_path / "out", {})


def test_another_evaluations_folder_and_one_of_something_else_are_refused_and_left_alone(tmp_path):
    Table(tmp_path / "out", {"seeds": 3, "full": False}).add(line(0))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json*")}
    with pytest.raises(EvaluationError, match=r"another evaluation \(full: False, now True\)"):
        Table(tmp_path / "out", {"seeds": 3, "full": True})
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json*")} == before
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    with pytest.raises(EvaluationError, match="holds no evaluation"):
        Table(tmp_path / "photos", {})
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.jpg"]


def test_a_row_counts_searches_apart_from_other_answers_and_refusals():
    calls = {"search_ms": [10.0, 30.0], "search_cpu_ms": [9.0, 9.0], "unsearched_ms": [1.0]}
    episodes = [
        line(0, **calls, planner_refusals={"table": 2}),
        line(1, success=False, **calls | {"search_ms": [50.0]}, planner_refusals={"table": 1, "workspace": 1}),
    ]
    row = row_of("push", "reach", episodes)
    assert (row["successes"], row["episodes"]) == (1, 2)
    assert row["plan_ms"] == {"p50": 30.0, "p95": 48.0} and row["unsearched_ms"] == {"p50": 1.0, "p95": 1.0}
    assert row["planner_refusals"] == {"table": 3, "workspace": 1}
    assert row["error_m_p50"] is None  # between 1 cm and no distance at all
    assert row["arrival_s_p50"] == 2.0
    json.dumps(row, allow_nan=False)


def test_a_shifted_row_says_how_much_of_the_nominal_rate_is_left():
    nominal = [line(seed, success=seed < 8) for seed in range(10)]
    row = row_of("push:colour", "agent", [line(seed, success=seed < 3) for seed in range(5)], nominal)
    assert row["of_nominal"] == 0.75 and "| 75% |" in printed([row], [])
    never = [line(seed, success=False) for seed in range(10)]
    assert row_of("push:colour", "agent", nominal, never)["of_nominal"] is None
    assert row_of("push", "agent", nominal)["of_nominal"] is None


def test_a_task_is_varied_in_one_number_and_otherwise_the_same(tmp_path):
    made = variants([REACH], "icem.candidates=16,32", tmp_path)
    assert [path.stem for path in made] == ["reach_candidates_16", "reach_candidates_32"]
    tasks, shipped = [load_task(path) for path in made], load_task(REACH)
    assert [task.icem.candidates for task in tasks] == [16, 32]
    assert replace(tasks[1], icem=shipped.icem, sha256="") == replace(shipped, sha256="")


@pytest.mark.parametrize(
    "asked", ["icem.candidates", "icem.candidates=", "icem.candidate=3", "candidates=3", "planner.ice=3", "", "=1"]
)
def test_what_a_task_does_not_have_is_not_varied(asked, tmp_path):
    with pytest.raises(EvaluationError, match=r"reach.yaml has no such value; say SECTION.KEY=VALUE,VALUE"):
        variants([REACH], asked, tmp_path)


def test_agents_are_compared_on_the_episodes_in_which_one_alone_succeeded():
    wins = {"search": [1, 1, 1, 1, 1, 1, 1, 0], "policy": [0, 0, 0, 0, 0, 0, 1, 0], "both": [1] * 8}
    of = {
        name: [line(seed, row=name, success=bool(won)) for seed, won in enumerate(all_)] for name, all_ in wins.items()
    }
    pairs = pairs_of(Suite("push", None).name, of)
    assert [(pair["first"], pair["second"]) for pair in pairs] == [
        ("search", "policy"), ("search", "both"), ("policy", "both")
    ]  # fmt: skip
    assert (pairs[0]["first_only"], pairs[0]["second_only"], pairs[0]["p_value"]) == (6, 0, 0.03125)
    rows = [row_of("push", name, episodes) for name, episodes in of.items()]
    assert "search alone succeeded in 6, policy alone in 0 of 8 paired episodes; exact McNemar p = 0.031" in printed(
        rows, pairs
    )
