"""The belief one model step later: where the next plan begins, because the world does not wait for it."""

from __future__ import annotations

import numpy as np

from ami_robot.memory.command_memory import InFlight
from ami_robot.types import (
    GRIPPER_WIDTH,
    MAX_COMMAND_DELAY_S,
    MODEL_STEP_S,
    TOOL_POSITION,
    TOOL_TARGET,
    TOOL_VELOCITY,
    Belief,
)
from ami_robot.world_model.protocol import WorldModel

_STEP_NS = round(MODEL_STEP_S * 1e9)


def roll_forward(world_model: WorldModel, belief: Belief, in_flight: InFlight) -> Belief:
    """Imagine the step that is already under way.

    The tool target and the gripper width after it are ours to know, so they are set and not predicted. So is how late
    its command was: by as much as that differs from what the model foretells, the tool is behind on its way, or ahead.
    The result holds NaN where the world model returned NaN; the planner refuses to start from that.
    """
    outcomes = world_model.predict(belief.image_latent, belief.proprio, in_flight.action[None, None])
    proprio = np.array(outcomes.proprio[0, 0], dtype=np.float64)
    late_s = min(in_flight.delay_s, MAX_COMMAND_DELAY_S) - MAX_COMMAND_DELAY_S / 2
    proprio[TOOL_POSITION] -= late_s * proprio[TOOL_VELOCITY]
    proprio[TOOL_TARGET] = belief.proprio[TOOL_TARGET] + in_flight.action[:3]
    proprio[GRIPPER_WIDTH] = in_flight.action[3]
    return Belief(
        stamp_ns=belief.stamp_ns + _STEP_NS,
        image_latent=np.array(outcomes.image_latents[0, 0], dtype=np.float64),
        proprio=proprio,
        target_joint_positions=in_flight.target_joint_positions,
    )
