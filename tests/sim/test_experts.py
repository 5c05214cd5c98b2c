"""Each expert at one seed; how often they succeed at more is what `ami eval` counts."""

from dataclasses import replace

import numpy as np
import pybullet
import pytest

from ami_robot.safety.spec import load_spec
from ami_robot.types import MODEL_STEP_S
from ami_sim.attempt import attempt, scripted
from ami_sim.env import TabletopEnv
from ami_sim.experts import EXPERTS, hold
from ami_sim.judge import HOLD_S
from ami_sim.policies import Room
from ami_sim.tasks import TASKS


@pytest.fixture(scope="module")
def env():
    env = TabletopEnv(fast=True)
    yield env
    env.close()


def by_expert(env, task):
    return attempt(env, task, scripted(lambda sight: EXPERTS[task.name](task, Room.of(load_spec()), sight)))


def test_there_is_an_expert_for_each_task():
    assert set(EXPERTS) == set(TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_the_expert_does_what_is_asked(env, name):
    task = TASKS[name](1)
    tried = by_expert(env, task)
    assert tried.success, tried
    assert 0.0 < tried.arrival_s < task.steps * MODEL_STEP_S - HOLD_S


def test_doing_nothing_pushes_nothing(env):
    tried = attempt(env, TASKS["push"](1), scripted(lambda sight: hold(0.0)))
    assert not tried.success
    assert np.isfinite(tried.error_m)


def test_only_friction_lifts_a_block(env):
    task = TASKS["pick_lift"](0)
    slippery = tuple(replace(block, friction=0.01) for block in task.scene.blocks)
    assert not by_expert(env, replace(task, scene=replace(task.scene, blocks=slippery))).success
    assert by_expert(env, task).success
    world = env.arm.world
    assert pybullet.getNumConstraints(world.client) == 0
    assert world.block_poses()[0][0, 2] > 0.1
    for _ in range(5):
        env.step(np.array([0.0, 0.0, 0.0, 0.08]))
    assert world.block_poses()[0][0, 2] < 0.03  # though it rested in the hand for long enough to fall asleep
