"""The episodes that a model is judged on: of the suites that were asked for, up to where the guardrail disarmed."""

import numpy as np
import pytest
import yaml

from ami_calibration.errors import CalibrationError
from ami_calibration.rollouts import FIRST_SCENE, LENGTH, Rollouts, Source, collect_rollouts
from ami_robot.configurator.configurator import REACH, load_task, parse_task
from ami_robot.perception.checkpoint import load_checkpoint
from ami_robot.perception.view import CLOSE_VIEW
from ami_sim.evaluation.suites import Suite
from tests.untrained import untrained_checkpoint

FEWEST = 10
PUSH, LIFT = Suite("push", None), Suite("pick_lift", None)


@pytest.fixture
def rollouts(tmp_path):
    """Of an agent that has learned nothing, on two suites that the close camera sees."""
    task = yaml.safe_load(REACH.read_text())
    task["model_error"] = "not_yet_there.yaml"
    task["icem"] |= {"candidates": 8, "iterations": 1, "elites": 2, "kept_elites": 1}
    checkpoint = load_checkpoint(untrained_checkpoint(tmp_path / "untrained", preprocessing_id=CLOSE_VIEW))
    made = Rollouts(checkpoint, parse_task(task, "short"), [PUSH, LIFT], FEWEST)
    yield made
    made.close()


def test_the_suites_take_turns_each_with_two_episodes_by_the_agent_to_one_at_random(rollouts):
    found = [rollouts.episode(number, seed=0) for number in range(6)]
    assert [rollout.by_agent for rollout in found] == [True, True, False] * 2
    steps = round(LENGTH * PUSH.episode(0, None)[0].steps)
    for rollout in found:
        assert rollout.image_latents.shape == (steps + 1, 32) and rollout.actions.shape == (steps, 4)
    again = rollouts.episode(0, seed=0)
    np.testing.assert_array_equal(again.image_latents, found[0].image_latents)
    assert not np.array_equal(rollouts.episode(0, seed=1).proprio, again.proprio)


def test_workers_make_them_in_the_same_order_as_one():
    source = Source(None, REACH, ("reach",), FEWEST)
    alone, shared = (collect_rollouts(source, 3, seed=0, workers=workers) for workers in (1, 2))
    assert [rollout.by_agent for rollout in shared] == [True, True, False]
    for one, other in zip(alone, shared, strict=True):
        np.testing.assert_array_equal(one.image_latents, other.image_latents)
        np.testing.assert_array_equal(one.actions, other.actions)


@pytest.mark.parametrize(("episodes", "seed"), [(0, 0), (10_001, 0), (1, -1), (1, 50)])
def test_scenes_that_are_others_are_refused(episodes, seed):
    with pytest.raises(CalibrationError, match=r"seed must lie in 0\.\.49 and episodes in 1\.\.10000"):
        collect_rollouts(Source(None, REACH, ("reach",), FEWEST), episodes, seed, workers=1)


def test_the_agent_is_on_its_way_to_the_goal_and_the_other_wanders():
    rollouts = Rollouts(load_checkpoint(), load_task(REACH), [Suite("reach", None)], FEWEST)
    try:
        for number in range(3):
            rollout = rollouts.episode(number, seed=0)
            goal = Suite("reach", None).episode(FIRST_SCENE + number, rollouts._camera)[0].scene.goal_position
            there = np.linalg.norm(rollout.proprio[:, :3] - goal, axis=-1)
            assert np.ptp(rollout.proprio[:, :3], axis=0).max() > 0.05
            assert (there[-1] < 0.03 < 0.1 < there[0]) == rollout.by_agent
    finally:
        rollouts.close()


def disarming_after(rollouts, steps, monkeypatch):
    whole, taken = rollouts._env.step, 0

    def step(action):
        nonlocal taken
        taken += 1
        observation, reward, _, truncated, info = whole(action)
        return observation, reward, taken % (steps + 1) == 0, truncated, info

    monkeypatch.setattr(rollouts._env, "step", step)


def test_an_episode_counts_up_to_where_the_guardrail_disarmed(rollouts, monkeypatch):
    disarming_after(rollouts, 12, monkeypatch)
    assert [len(rollouts.episode(number, seed=0).actions) for number in range(3)] == [12, 12, 12]


def test_episodes_that_end_too_early_are_said_and_nothing_is_calibrated(rollouts, monkeypatch):
    disarming_after(rollouts, FEWEST - 1, monkeypatch)
    with pytest.raises(CalibrationError, match=f"within {FEWEST} steps in scene 500000 of push"):
        rollouts.episode(0, seed=0)
