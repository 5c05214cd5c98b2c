"""What the live stories are judged by notices what it has to; no graph is started, joint states are made up."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from ami_interfaces.msg import GuardrailReport

from ami_nodes.convert import to_time
from ami_robot.safety.spec import load_spec
from ami_robot.types import NS_PER_S
from ami_sim.scene import Scene
from ami_sim.stories.story import everywhere
from benchmarks import live_cell
from benchmarks.live_cell import Cell, CellKind, Heard, spec_text
from benchmarks.live_stage import LiveStage
from benchmarks.live_stories import CRATE, LIVE

START_NS, STEP_NS = 7 * NS_PER_S, NS_PER_S // 100


@pytest.fixture
def stage_of():
    """A stage that has heard these joint positions (K, 7), 100 a second, and nothing else."""

    def make(path, kind, seed=0):
        path = np.asarray(path)
        velocities = np.gradient(path, 0.01, axis=0)
        fingers = np.zeros(2)
        report = GuardrailReport(decision="status", armed=True)
        report.header.stamp = to_time(START_NS)
        states = [
            Heard(START_NS + (k + 1) * STEP_NS, np.append(q, fingers), np.append(dq, fingers))
            for k, (q, dq) in enumerate(zip(path, velocities, strict=True))
        ]
        cell = SimpleNamespace(
            kind=kind,
            spec=load_spec(),
            states=states,
            reports=[],
            scene_start_ns=START_NS,
            client=SimpleNamespace(
                select_source=lambda name: None,
                begin_episode=lambda seed: cell.reports.append(report),
                judge=lambda: SimpleNamespace(violations=[]),
            ),
            wait_for=lambda condition, what: condition() or pytest.fail(what),
            log_length=lambda: 0,
            rejected=lambda since: [],
        )
        cell.states, later = [Heard(START_NS, states[0].positions, np.zeros(9))], states
        stage = LiveStage(cell, "test", Scene.from_seed(seed))
        cell.states += later
        return stage

    return make


def swinging(seconds, seed=0):
    """Joint positions (K, 7): the first joint to and fro."""
    times_s = np.arange(0.0, seconds, 0.01)
    q = np.tile(Scene.from_seed(seed).start_joint_positions, (len(times_s), 1))
    q[:, 0] += 0.2 * np.sin(4.0 * times_s)
    return q


def test_an_arm_that_goes_on_when_somebody_comes_is_seen_to_touch_them(stage_of):
    stage = stage_of(swinging(3.0), CellKind(people="intruder"))
    assert {"people", "contact"} <= set(everywhere(stage))


def test_an_arm_that_rests_when_somebody_comes_is_not(stage_of):
    still = np.tile(Scene.from_seed(0).start_joint_positions, (300, 1))
    stage = stage_of(still, CellKind(people="intruder"))
    assert everywhere(stage) == {} and stage.witness.distance_m.min() <= 0.0


def test_an_arm_in_the_table_is_seen_there(stage_of):
    q = np.tile(Scene.from_seed(0).start_joint_positions, (100, 1))
    q[:, 1] += np.linspace(0.0, 0.9, 100)
    assert "table" in everywhere(stage_of(q, CellKind()))


def test_a_box_that_the_guardrail_file_names_is_seen_to_be_touched(stage_of):
    stage = stage_of(swinging(0.5), CellKind(crate=CRATE))
    tool = stage.kinematics.tool_position(Scene.from_seed(0).start_joint_positions)
    stage.add_box(type(CRATE)("crate", tool - 0.05, tool + 0.05))
    assert "obstacle" in everywhere(stage)


def test_the_speed_of_the_tip_is_the_true_one(stage_of):
    witness = stage_of(swinging(0.3), CellKind(people="nobody", held_tool="edge")).witness
    travelled_m = np.linalg.norm(np.diff(witness.tip, axis=0), axis=1)
    np.testing.assert_allclose(
        witness.tip_speed[1:-1], (travelled_m[1:] + travelled_m[:-1]) / 0.02, rtol=0.01, atol=1e-3
    )


def test_what_was_not_heard_is_not_taken_for_rest(stage_of):
    stage = stage_of(swinging(1.0), CellKind())
    assert stage.unseen() == {}
    stage = stage_of(swinging(1.0), CellKind())
    del stage.cell.states[40:50]
    assert "unseen" in stage.unseen()


def test_what_does_not_come_is_not_waited_for_though_joint_states_go_on(monkeypatch):
    """As in a cell whose guardrail was disarmed again before the stage had heard that it was armed."""
    monkeypatch.setattr(live_cell, "PATIENCE_S", 0.2)
    node = SimpleNamespace(create_publisher=lambda *_: None, create_subscription=lambda *_: None)
    cell = Cell(CellKind(), load_spec(), None, None, node, None)
    over = threading.Event()

    def talk():
        while not over.wait(0.01):
            with cell._changed:
                cell._changed.notify_all()

    threading.Thread(target=talk, daemon=True).start()
    began_s = time.monotonic()
    with pytest.raises(RuntimeError, match=r"waited 0\.2 s for an armed guardrail in vain"):
        cell.wait_for(lambda: time.monotonic() - began_s > 30.0, "an armed guardrail")
    over.set()


def test_the_file_of_a_cell_asks_for_people_and_names_the_crate(tmp_path):
    path = tmp_path / "guardrail.yaml"
    path.write_text(spec_text(CellKind(people="nobody", crate=CRATE)))
    spec = load_spec(path)
    assert spec.people.source_of_people == "topic"
    assert [box.name for box in spec.obstacles.boxes] == ["crate", "camera_post"]


@pytest.mark.parametrize("name", LIVE)
def test_seeds_are_different_and_fit(name):
    seeds = LIVE[name].seeds(3)
    assert sorted(seed % 3 for seed in seeds) == [0, 1, 2]
    assert all(LIVE[name].fits(Scene.from_seed(seed)) for seed in seeds)
