"""The next plan begins where the command in flight will have brought the arm."""

from dataclasses import replace

import numpy as np
import pytest

from ami_robot.memory.command_memory import InFlight
from ami_robot.types import GRIPPER_WIDTH, PROPRIO_DIM, TOOL_POSITION, TOOL_TARGET, TOOL_VELOCITY, Belief, Outcomes
from ami_robot.world_model.kinematic import KinematicModel
from ami_robot.world_model.roll_forward import roll_forward

PROPRIO = np.array([0.5, 0.0, 0.2, 0.1, 0.0, 0.0, 0.52, 0.0, 0.2, 0.03])
BELIEF = Belief(1_000, np.arange(4.0), PROPRIO, np.zeros(7))
IN_FLIGHT = InFlight(np.array([0.0, 0.03, 0.0, 0.05]), np.full(7, 0.5))


class Drifting:
    """Predicts something else for every part, in float32."""

    def predict(self, image_latent, proprio, actions):
        self.asked = (image_latent, proprio, actions)
        return Outcomes(np.full((1, 1, 4), 9, np.float32), np.full((1, 1, PROPRIO_DIM), 7, np.float32))


def test_what_is_seen_is_predicted_and_what_was_commanded_is_known():
    model = Drifting()
    future = roll_forward(model, BELIEF, IN_FLIGHT)
    assert model.asked[2].shape == (1, 1, 4)
    np.testing.assert_array_equal(model.asked[2][0, 0], IN_FLIGHT.action)
    assert np.all(future.image_latent == 9) and np.all(future.proprio[TOOL_VELOCITY] == 7)
    np.testing.assert_array_equal(future.proprio[TOOL_POSITION], 7)
    np.testing.assert_allclose(future.proprio[TOOL_TARGET], [0.52, 0.03, 0.2])
    assert future.proprio[GRIPPER_WIDTH] == 0.05
    np.testing.assert_array_equal(future.target_joint_positions, 0.5)
    assert future.stamp_ns == 1_000 + 200_000_000
    assert future.proprio.dtype == np.float64 and BELIEF.proprio[6] == 0.52


@pytest.mark.parametrize(("delay_s", "ahead_s"), [(0.0, 0.03), (0.03, 0.0), (0.06, -0.03), (0.2, -0.03)])
def test_a_command_earlier_than_the_model_foretells_has_brought_the_tool_further(delay_s, ahead_s):
    future = roll_forward(Drifting(), BELIEF, replace(IN_FLIGHT, delay_s=delay_s))
    np.testing.assert_allclose(future.proprio[TOOL_POSITION], 7 + 7 * ahead_s)
    np.testing.assert_array_equal(future.proprio[TOOL_VELOCITY], 7)


def test_the_kinematic_model_puts_the_tool_at_its_target_and_repeats_the_latent():
    actions = np.zeros((2, 3, 4))
    actions[1, :, 2] = 0.01
    actions[..., 3] = 0.08
    outcomes = KinematicModel().predict(BELIEF.image_latent, PROPRIO, actions)
    np.testing.assert_allclose(outcomes.proprio[0, :, TOOL_POSITION], [[0.52, 0, 0.2]] * 3)
    np.testing.assert_allclose(outcomes.proprio[1, :, TOOL_TARGET][:, 2], [0.21, 0.22, 0.23])
    np.testing.assert_allclose(outcomes.proprio[1, :, TOOL_VELOCITY][:, 2], 0.05)
    assert np.all(outcomes.proprio[..., GRIPPER_WIDTH] == 0.08)
    np.testing.assert_array_equal(outcomes.image_latents[1, 2], BELIEF.image_latent)
