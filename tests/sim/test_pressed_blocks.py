"""The hand comes down on a block at a random place and drags it: the worst a reaching arm does to its joints here."""

import numpy as np
import pytest

from ami_robot.safety.spec import load_spec
from ami_sim.env import TabletopEnv
from ami_sim.judge import Judge
from ami_sim.scene import Scene
from ami_sim.tasks import TASKS

SPEC = load_spec()


@pytest.fixture(scope="module")
def env():
    env = TabletopEnv(limits=SPEC)
    yield env
    env.close()


def towards(env, point, steps):
    """Move the tool to a point (3,) of the workspace; says whether the guardrail stayed armed."""
    room = SPEC.tool_displacement.max_m_per_step
    for _ in range(steps):
        gap = np.clip(point, SPEC.workspace.lower_m, SPEC.workspace.upper_m) - env.tool_target
        gap *= min(1.0, room / max(np.linalg.norm(gap), 1e-9))
        if env.step(np.append(gap, 0.0))[2]:
            return False
    return True


def pressed_and_dragged(env, scene, seed):
    """The judge of a hand that comes down on a random block of the scene and drags it; whether the block moved."""
    env.reset(seed=seed, options={"scene": scene})
    judge = Judge(scene, SPEC, env.arm.time_s)
    env.arm.on_substep, env.arm.controller.on_accept = judge.on_substep, judge.on_command
    rng = np.random.default_rng(seed)
    block = env.arm.world.block_poses()[0][rng.integers(len(scene.blocks))]
    low = np.append(block[:2] + rng.uniform(-0.03, 0.03, 2), rng.uniform(0.03, 0.06))
    heading = rng.uniform(-np.pi, np.pi)
    aside = low + 0.15 * np.array([np.cos(heading), np.sin(heading), 0.0])
    touched = False
    for point, steps in ((low + np.array([0.0, 0.0, 0.06]), 9), (low, 3), (aside, 5)):
        if not towards(env, point, steps):
            break
        touched |= np.linalg.norm(env.arm.world.block_poses()[0] - [b.position for b in scene.blocks]) > 1e-3
    return judge, touched


# With drives of unlimited speed and hard blocks 5 of these 20 seeds fail: joint 6 moves beyond its limit.
@pytest.mark.parametrize("seed", range(20))
def test_a_block_wedged_under_the_hand_never_drives_a_joint_beyond_its_speed(env, seed):
    judge, touched = pressed_and_dragged(env, Scene.from_seed(seed), seed)
    assert judge.verdict().violations == []
    assert touched or not env.report.armed


@pytest.mark.parametrize("seed", range(10))
def test_nor_does_a_stiffer_block_that_can_be_gripped(env, seed):
    judge, touched = pressed_and_dragged(env, TASKS["push"](seed).scene, seed)
    assert judge.verdict().violations == []
    assert touched or not env.report.armed
