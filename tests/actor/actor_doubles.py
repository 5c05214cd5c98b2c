"""Test doubles: a linear world and a mask made of a box."""

import numpy as np

from ami_robot.actor.planner import CheckedPaths
from ami_robot.safety.masks import PathCheck
from ami_robot.types import PROPRIO_DIM, TOOL_POSITION, TOOL_TARGET, Outcomes

START = np.array([0.5, 0.0, 0.2])


class LinearWorld:
    """Tool and latent both integrate the displacement: z = (x, y, z) of the tool. Records what it is asked."""

    def __init__(self):
        self.seen = []

    def predict(self, image_latent, proprio, actions):
        self.seen.append(actions.copy())
        moved = np.cumsum(actions[..., :3], axis=1)
        predicted = np.zeros((*actions.shape[:2], PROPRIO_DIM))
        predicted[..., TOOL_POSITION] = proprio[TOOL_POSITION] + moved
        predicted[..., TOOL_TARGET] = proprio[TOOL_TARGET] + moved
        return Outcomes(image_latent + moved, predicted)

    def step(self, image_latents, proprio, actions):
        following = np.zeros((len(actions), PROPRIO_DIM))
        following[:, TOOL_POSITION] = proprio[:, TOOL_POSITION] + actions[:, :3]
        following[:, TOOL_TARGET] = proprio[:, TOOL_TARGET] + actions[:, :3]
        return image_latents + actions[:, :3], following


class BoxMask:
    """Feasible while target and imagined tool each stay inside a box; the joint path is the target itself, padded."""

    max_displacement_m = 0.04
    gripper_widths_m = (0.0, 0.08)

    def __init__(self, lower=(-9, -9, -9), upper=(9, 9, 9), imagined=(-9, 9)):
        self.lower, self.upper = np.array(lower), np.array(upper)
        self.imagined_lower, self.imagined_upper = imagined
        self.checked = 0

    def check(self, belief, displacements):
        self.checked += len(displacements)
        targets = belief.proprio[TOOL_TARGET] + np.cumsum(displacements, axis=1)
        margin = np.minimum(targets - self.lower, self.upper - targets).min(axis=(1, 2))
        paths = np.concatenate([targets, np.zeros((*targets.shape[:2], 4))], axis=-1)
        return CheckedPaths(paths, margin >= 0, margin, np.full(len(targets), "workspace", dtype=object))

    def check_outcomes(self, belief, tool_paths):
        margin = np.minimum(tool_paths - self.imagined_lower, self.imagined_upper - tool_paths).min(axis=(1, 2))
        return PathCheck(margin >= 0, margin, np.full(len(margin), "workspace"))
