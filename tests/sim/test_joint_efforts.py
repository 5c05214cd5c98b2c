"""The simulated motors' torques tell free motion from contact, though the simulated links weigh otherwise."""

from dataclasses import replace

import numpy as np
import pytest

from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.motion import move_to_rest
from ami_robot.safety.spec import load_spec
from ami_robot.types import Array
from ami_sim.arm import SimulatedArm
from ami_sim.scene import Scene

SPEC, KINEMATICS, DYNAMICS = load_spec(), Kinematics(), Dynamics()
CONTACT_N_M = SPEC.contact.max_external_torque_n_m
SCENE = Scene.from_seed(1000)
ABOVE_BLOCK = np.array([0.5, 0.0, 0.15])


@pytest.fixture
def arm():
    block = SCENE.blocks[0]
    block = replace(block, position=np.array([*ABOVE_BLOCK[:2], block.half_extent_m]))
    simulated = SimulatedArm(replace(SCENE, blocks=(block,)))
    yield simulated
    simulated.close()


def greatest_external_torque(arm: SimulatedArm, tools: list[Array]) -> float:
    """Over moves of the tool to each of these points, at 100 Hz, N m."""
    greatest = 0.0
    for tool in tools:
        trajectory = move_to_rest(arm.desired_state(), KINEMATICS.inverse(tool)[0], SPEC)
        assert trajectory is not None and arm.accept(trajectory) is None
        for _ in range(20):
            arm.advance(arm.substeps_to_joint_states())
            positions, velocities = arm.joint_states()
            external = DYNAMICS.external_torque(
                positions[:7], velocities[:7], arm.desired_state().accelerations, arm.joint_efforts()[:7]
            )
            greatest = max(greatest, float(np.abs(external).max()))
    return greatest


def walk(arm: SimulatedArm, to: Array) -> list[Array]:
    """To a point at 0.2 m/s, with the time to get there."""
    begin = KINEMATICS.tool_position(arm.desired_state().positions)
    steps = int(np.ceil(np.linalg.norm(to - begin) / SPEC.tool_displacement.max_m_per_step))
    return [begin + (to - begin) * step / steps for step in [*range(1, steps + 1), steps]]


def test_efforts_come_in_the_order_of_the_joint_names(arm):
    arm.advance(48)
    efforts = arm.joint_efforts()
    assert efforts.shape == (len(arm.joint_names),)
    np.testing.assert_allclose(efforts[:7], DYNAMICS.torques(arm.joint_states()[0][:7], *np.zeros((2, 7))), atol=6.0)
    assert abs(efforts[1]) > 10.0, "the shoulder holds the arm up"


def test_free_motion_at_full_speed_stays_below_half_of_what_counts_as_contact(arm):
    generator = np.random.default_rng(4)
    low = SPEC.workspace.lower_m + np.array([0.0, 0.0, 0.12])
    greatest = 0.0
    for goal in generator.uniform(low, SPEC.workspace.upper_m, (6, 3)):
        greatest = max(greatest, greatest_external_torque(arm, walk(arm, goal)))
    assert 0.5 < greatest < CONTACT_N_M / 2


def test_pressing_a_soft_block_counts_as_contact_and_letting_go_does_not(arm):
    greatest_external_torque(arm, walk(arm, ABOVE_BLOCK))
    on_the_block = np.array([*ABOVE_BLOCK[:2], 2 * arm.world.scene.blocks[0].half_extent_m - 0.01])
    assert greatest_external_torque(arm, walk(arm, on_the_block)) > CONTACT_N_M
    greatest_external_torque(arm, walk(arm, ABOVE_BLOCK))
    assert greatest_external_torque(arm, [ABOVE_BLOCK]) < CONTACT_N_M / 2


def test_the_table_counts_as_contact(arm):
    aside = ABOVE_BLOCK + np.array([0.0, 0.2, 0.0])
    greatest_external_torque(arm, walk(arm, aside))
    assert greatest_external_torque(arm, walk(arm, np.array([*aside[:2], -0.005]))) > 2 * CONTACT_N_M
