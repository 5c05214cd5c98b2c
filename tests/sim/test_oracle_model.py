"""The oracle is one: what it says of actions is what the environment then does, to the last bit."""

import numpy as np
import pytest

from ami_robot.configurator.configurator import REACH, build_agent, parse_task
from ami_robot.perception.checkpoint import load_checkpoint
from ami_robot.perception.encoder import ImageEncoder
from ami_robot.strict import read_yaml
from ami_robot.types import ACTION_DIM, TOOL_POSITION, Belief, Plan
from ami_sim.agent_actor import pictured_goal
from ami_sim.attempt import scripted
from ami_sim.env import TabletopEnv
from ami_sim.experts import EXPERTS
from ami_sim.oracle_model import OracleModel
from ami_sim.policies import Room
from ami_sim.tasks import TASKS

STEPS = 4
CONTACTS = {"reach": 6, "push": 14, "pick_place": 24}
"""After so many steps of the expert: blocks that come to rest, a block that is pushed, one that is carried."""


@pytest.fixture(scope="module")
def encoder():
    return ImageEncoder(load_checkpoint())


@pytest.fixture
def env():
    env = TabletopEnv(fast=True)
    yield env
    env.close()


def begun(env, name, encoder, seed=0):
    """The oracle of a state in the middle of a task, and what the expert does from there."""
    task = TASKS[name](seed)
    observation, _ = env.reset(seed=seed, options={"scene": task.scene})
    expert = scripted(lambda sight: EXPERTS[name](task, Room.of(env.limits), sight))
    for _ in range(CONTACTS[name]):
        observation, *_ = env.step(expert(env, observation))
    action = expert(env, observation)
    return OracleModel(env, observation, task, encoder), observation, np.tile(action, (STEPS, 1)), task


def belief_of(observation, encoder):
    return encoder.encode(observation["image"]), observation["proprio"].astype(np.float64)


@pytest.mark.parametrize("name", CONTACTS)
def test_what_the_oracle_says_of_actions_is_what_the_environment_then_does(name, env, encoder):
    oracle, observation, actions, task = begun(env, name, encoder)
    others = np.random.default_rng(0).uniform(-0.02, 0.02, (2, STEPS, ACTION_DIM))
    others[..., 3] = 0.04
    said = oracle.predict(*belief_of(observation, encoder), np.concatenate([others, actions[None]]))
    errors_m = oracle.carry_out(actions).errors_m
    assert said.image_latents.shape == (3, STEPS, encoder.latent_dim) and not said.spread.any()
    for step, action in enumerate(actions):
        seen, *_ = env.step(action)  # not in a fork
        np.testing.assert_array_equal(said.image_latents[2, step], encoder.encode(seen["image"]))
        np.testing.assert_array_equal(said.proprio[2, step], seen["proprio"])
        assert errors_m[step] == task.error(env.arm.world)
    assert np.abs(said.proprio[0] - said.proprio[2]).max() > 0.01


def test_the_same_actions_from_the_same_state_come_to_the_same_whatever_was_tried_between(env, encoder):
    oracle, _, actions, _ = begun(env, "push", encoder)
    first = oracle.carry_out(actions)
    for heading in (-0.04, 0.04):
        oracle.carry_out(np.tile([heading, heading, 0.0, 0.08], (STEPS, 1)))
    again = oracle.carry_out(actions)
    for name in ("image_latents", "proprio", "errors_m"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))


def test_asking_leaves_the_environment_where_it_is(env, encoder):
    oracle, observation, actions, _ = begun(env, "push", encoder)
    blocks, sent, drawn = env.arm.world.block_poses(), env.report, env.np_random.bit_generator.state
    oracle.predict(*belief_of(observation, encoder), actions[None])
    np.testing.assert_array_equal(env.arm.world.block_poses()[0], blocks[0])
    assert env.report is sent and env.np_random.bit_generator.state == drawn


def test_a_belief_of_another_state_is_refused(env, encoder):
    oracle, observation, actions, _ = begun(env, "reach", encoder)
    latent, proprio = belief_of(observation, encoder)
    with pytest.raises(ValueError, match="one state only"):
        oracle.predict(latent + np.float32(1e-3), proprio, actions[None])
    with pytest.raises(ValueError, match="one state only"):
        oracle.predict(latent, proprio + 1e-3, actions[None])


def test_a_simulation_that_dies_is_told_and_not_waited_for(env, encoder, capfd):
    oracle, *_ = begun(env, "reach", encoder)
    with pytest.raises(RuntimeError, match="died with exit status 1"):
        oracle.carry_out(np.full((1, ACTION_DIM), np.nan))
    assert "4 finite numbers" in capfd.readouterr().err


def test_a_plan_made_with_the_oracle_goes_where_it_was_imagined_to_go(env, encoder):
    oracle, observation, _, task = begun(env, "reach", encoder)
    data = read_yaml(REACH)
    data["icem"] |= {"candidates": 6, "iterations": 2, "elites": 3, "kept_elites": 1, "horizon": STEPS}
    settings = parse_task(data, "test")
    agent = build_agent(settings, env.limits, env.kinematics, oracle, encoder.checkpoint_sha256)
    assert agent.pursue(pictured_goal(encoder, task.goal_image(env._camera))) is None
    belief = Belief(env.arm.time_ns, *belief_of(observation, encoder), env.report.target_joint_positions)
    plan = agent.planner.plan(belief, agent.goal)
    assert isinstance(plan, Plan) and plan.searched and np.abs(plan.actions[:, :3]).max() > 1e-3
    for action, imagined in zip(plan.actions, plan.imagined_tool_path, strict=True):
        seen, *_ = env.step(action)
        np.testing.assert_array_equal(seen["proprio"][TOOL_POSITION], imagined)
