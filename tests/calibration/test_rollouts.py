"""The episodes that a model is judged on: of the suites that were asked for, up to where the guardrail disarmed."""

from itertools import islice

import numpy as np
import pytest
import yaml

from ami_calibration.errors import CalibrationError
from ami_calibration.rollouts import FIRST_SCENE, LENGTH, Rollouts
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
    found = list(rollouts.run(6, seed=0))
    assert [rollout.by_agent for rollout in found] == [True, True, False] * 2
    steps = round(LENGTH * PUSH.episode(0, None)[0].steps)
    for rollout in found:
        assert rollout.image_latents.shape == (steps + 1, 32) and rollout.actions.shape == (steps, 4)
    again = next(islice(rollouts.run(1, seed=0), 1))
    np.testing.assert_array_equal(again.image_latents, found[0].image_latents)


def test_the_agent_is_on_its_way_to_the_goal_and_the_other_wanders():
    rollouts = Rollouts(load_checkpoint(), load_task(REACH), [Suite("reach", None)], FEWEST)
    try:
        for number, rollout in enumerate(rollouts.run(3, seed=0)):
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
    assert [len(rollout.actions) for rollout in rollouts.run(3, seed=0)] == [12, 12, 12]


def test_episodes_that_end_too_early_are_said_and_nothing_is_calibrated(rollouts, monkeypatch):
    disarming_after(rollouts, FEWEST - 1, monkeypatch)
    with pytest.raises(CalibrationError, match=f"within {FEWEST} steps in scene 500000 of push"):
        next(rollouts.run(1, seed=0))
