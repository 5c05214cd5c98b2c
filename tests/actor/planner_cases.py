"""Every planner with a world model, small, over any mask and world."""

from __future__ import annotations

import numpy as np
from actor_doubles import BoxMask, LinearWorld

from ami_robot.actor.gradient import Gradient, GradientSettings
from ami_robot.actor.icem import ICEM, ICEMSettings
from ami_robot.actor.mppi import MPPI, MPPISettings
from ami_robot.configurator.configurator import CostSettings, build_cost
from ami_robot.types import TOOL_POSITION, TOOL_TARGET, Outcomes

COMMON = {
    "horizon": 6,
    "noise_beta": 2.0,
    "initial_std": 0.5,
    "approach_gain": 0.5,
    "min_step_limit_m": 0.004,
    "straight_line_candidate": False,
    "gripper": "hold",
    "seed": 0,
}
KINDS = {
    "icem": (
        ICEM,
        ICEMSettings,
        {"candidates": 64, "iterations": 3, "elites": 8, "kept_elites": 3, "momentum": 0.1, "std_floor": 0.05},
    ),
    "mppi": (MPPI, MPPISettings, {"candidates": 64, "iterations": 3, "temperature": 0.3, "fewest": 8}),
    "gradient": (Gradient, GradientSettings, {"candidates": 8, "iterations": 12, "learning_rate": 0.3}),
}
COST = CostSettings(0.3, 1.0, 1.0, 0.0, 0.0)


class SlopingWorld(LinearWorld):
    """The linear world with its derivatives."""

    def differentiate(self, image_latent, proprio, actions):
        def pull_back(on_latents, on_proprio):
            on_moved = on_latents + on_proprio[..., TOOL_POSITION] + on_proprio[..., TOOL_TARGET]
            back = np.zeros_like(actions)
            back[..., :3] = np.flip(np.cumsum(np.flip(on_moved, 1), 1), 1)
            return back

        return LinearWorld().predict(image_latent, proprio, actions), pull_back


def make(kind, world=None, mask=None, cost=None, guide=None, max_spread=np.inf, **changes):
    planner, settings, own = KINDS[kind]
    return planner(
        settings(**{**COMMON, **own, **changes}),
        mask or BoxMask(),
        world or SlopingWorld(),
        build_cost(cost or COST),
        guide,
        max_spread,
    )


class GraspingWorld(SlopingWorld):
    """A block lies at the tool: its height, the latent's third number, follows the hand once the fingers are closed."""

    def predict(self, image_latent, proprio, actions):
        outcomes = super().predict(image_latent, proprio, actions)
        closed = actions[..., 3] < 0.02
        lifted = np.where(closed, actions[..., 2], 0.0)
        latents = np.broadcast_to(image_latent, (*actions.shape[:2], len(image_latent))).copy()
        latents[..., 2] += np.cumsum(lifted, axis=1)
        return Outcomes(latents, outcomes.proprio)


class DoubtfulWorld(SlopingWorld):
    """Its opinions differ the more, the further the tool is from where it began."""

    def predict(self, image_latent, proprio, actions):
        outcomes = super().predict(image_latent, proprio, actions)
        away = np.linalg.norm(outcomes.proprio[..., TOOL_POSITION] - proprio[TOOL_POSITION], axis=-1)
        return Outcomes(outcomes.image_latents, outcomes.proprio, spread=away)
