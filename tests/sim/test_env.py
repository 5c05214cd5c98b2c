import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from ami_robot.safety.kinematics import Kinematics
from ami_robot.types import GRIPPER_WIDTH, TOOL_POSITION, TOOL_TARGET, TOOL_VELOCITY
from ami_sim.env import EPISODE_STEPS, TabletopEnv
from ami_sim.judge import Judge

DOWN = np.array([0.0, 0.0, -0.04, 0.0])


@pytest.fixture
def env():
    env = TabletopEnv()
    yield env
    env.close()


def rollout(env, seed, actions):
    """Observations and infos after reset(seed) and each action."""
    observation, info = env.reset(seed=seed)
    seen = [(observation, info)]
    for action in actions:
        observation, _, _, _, info = env.step(action)
        seen.append((observation, info))
    return seen


def some_actions(env, count, seed=0):
    env.action_space.seed(seed)
    return [env.action_space.sample() for _ in range(count)]


def assert_same(one, other):
    for (first, _), (second, _) in zip(one, other, strict=True):
        for name in first:
            np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def test_gymnasiums_own_checker_is_content(env):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*not in a normalized range|.*symmetric and normalized.*")
        check_env(env, skip_render_check=True)


def test_it_is_registered_and_ends_after_its_steps():
    env = gymnasium.make("ami_sim.env:ami/Tabletop-v0", render_mode="rgb_array", fast=True)
    env.reset(seed=1)
    truncated = [env.step(np.zeros(4, np.float32))[3] for _ in range(EPISODE_STEPS)]
    assert truncated == [False] * (EPISODE_STEPS - 1) + [True]
    assert env.render().shape == (128, 128, 3)
    env.close()


def test_the_same_seed_gives_the_same_episode_bit_for_bit_whatever_came_before(env):
    actions = some_actions(env, 8)
    first = rollout(env, 5, actions)
    rollout(env, 6, actions[:3])
    again = rollout(env, 5, actions)
    fresh = TabletopEnv()
    assert_same(first, again)
    assert_same(first, rollout(fresh, 5, actions))
    fresh.close()


def test_another_seed_gives_another_scene_and_another_command_delay(env):
    one, other = (rollout(env, seed, [DOWN])[-1][0] for seed in (5, 6))
    assert (one["image"] != other["image"]).any()


def test_the_fast_path_moves_exactly_as_the_guardrail_on_every_joint_state_does(env):
    fast = TabletopEnv(fast=True)
    actions = some_actions(env, 10)
    assert_same(rollout(env, 9, actions), rollout(fast, 9, actions))
    fast.close()


def test_the_arm_follows_the_target_and_proprio_says_so(env):
    observation, _ = env.reset(seed=3)
    start = observation["proprio"][TOOL_TARGET].copy()
    displacement = np.array([0.0, 0.03, 0.02]) * -np.sign([0, start[1], start[2] - 0.2])
    for _ in range(3):
        observation = env.step(np.append(displacement, 0.0))[0]
        moving = np.linalg.norm(observation["proprio"][TOOL_VELOCITY])
        assert 0.1 < moving < 0.4
    np.testing.assert_allclose(observation["proprio"][TOOL_TARGET], start + 3 * displacement, atol=1e-3)
    for _ in range(4):
        observation = env.step(np.zeros(4))[0]
    proprio = observation["proprio"]
    np.testing.assert_allclose(proprio[TOOL_POSITION], proprio[TOOL_TARGET], atol=2e-3)
    assert np.linalg.norm(proprio[TOOL_VELOCITY]) < 0.01
    expected = Kinematics().tool_position(observation["joint_positions"].astype(float))
    np.testing.assert_allclose(proprio[TOOL_POSITION], expected, atol=1e-5)


def test_a_refused_command_says_why_and_leaves_the_target_alone(env):
    observation, info = env.reset(seed=4)
    assert info["refusal"] is None
    refusals = []
    for _ in range(12):
        before = observation["proprio"][TOOL_TARGET].copy()
        observation, _, terminated, _, info = env.step(DOWN)
        assert not terminated
        if info["refusal"]:
            refusals.append(info["refusal"])
            np.testing.assert_array_equal(observation["proprio"][TOOL_TARGET], before)
    assert len(refusals) >= 4
    assert all(refusal.reason.endswith(".") and refusal.guardrail for refusal in refusals)
    assert observation["proprio"][TOOL_POSITION][2] > env.limits.workspace.lower_m[2] - 0.005


def test_a_displacement_longer_than_allowed_is_shortened(env):
    observation, _ = env.reset(seed=3)
    before = observation["proprio"][TOOL_TARGET].copy()
    sideways = np.array([0.0, -0.2 * np.sign(before[1]), 0.0, 0.0])
    after = env.step(sideways)[0]["proprio"][TOOL_TARGET]
    np.testing.assert_allclose(np.linalg.norm(after - before), env.limits.tool_displacement.max_m_per_step, atol=1e-4)


def test_the_gripper_follows_its_command(env):
    env.reset(seed=3)
    for _ in range(4):
        observation = env.step(np.array([0, 0, 0, 0.04]))[0]
    np.testing.assert_allclose(observation["proprio"][GRIPPER_WIDTH], 0.04, atol=2e-3)


def test_random_actions_break_no_limit_in_the_judges_eyes(env):
    env.reset(seed=12)
    judge = Judge(env.scene, env.limits)
    env.arm.controller.on_accept, env.arm.on_substep = judge.on_command, judge.on_substep
    for action in some_actions(env, 40, seed=2):
        env.step(action)
    verdict = judge.verdict()
    assert verdict.violations == []
    assert verdict.checked_commands > 20
    assert len(verdict.times_s) == 40 * 48


@pytest.mark.parametrize("action", [np.full(4, np.nan), np.zeros(3)])
def test_an_action_that_is_no_action_is_refused(env, action):
    env.reset(seed=1)
    with pytest.raises(ValueError, match="4 finite numbers"):
        env.step(action)
