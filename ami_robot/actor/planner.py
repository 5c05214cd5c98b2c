"""What every planner does, and the guardrail mask that all of them put their candidates through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.masks import PathCheck, path_margins
from ami_robot.safety.outcomes import outcome_margins
from ami_robot.safety.spec import Spec
from ami_robot.types import TOOL_POSITION, TOOL_TARGET, Array, Belief, Goal, People, Plan, Refusal


class Planner(Protocol):
    """Searches for actions that bring a goal about; never answers with actions that break a guardrail."""

    def reset(self) -> None:
        """Forget the last plan; the next one is for a new goal."""
        ...

    def plan(self, belief: Belief, goal: Goal, deadline_s: float | None = None) -> Plan | Refusal:
        """Plan from where `belief` says the arm will be, within `deadline_s` seconds where that is given."""
        ...


@dataclass(frozen=True)
class CheckedPaths:
    """The joint paths of N candidates and what the guardrails say of them."""

    joint_paths: Array  # (N, H, 7), rad
    feasible: NDArray[np.bool_]  # (N,)
    margin: Array  # (N,), normalised: 0 at a limit, 1 far from all
    row: NDArray[np.object_]  # (N,), str: the guardrail with the least margin


class PathMask:
    """Displacements -> joint path -> guardrails, by analytic kinematics alone; imagined tool paths -> guardrails."""

    people: People | None
    """Who was seen last. Set it with every message; None until then, and where nobody is asked."""

    widen_m: float
    """Bound of the world model's error, m: borders, table, obstacles and people are kept further away by it."""

    step_share: float
    """Of the longest displacement that the guardrail file allows, what planners may use: less makes the arm slower."""

    def __init__(self, spec: Spec, kinematics: Kinematics) -> None:
        self.people = None
        self.widen_m = 0.0
        self.step_share = 1.0
        self._spec = spec
        self._kinematics = kinematics

    @property
    def max_displacement_m(self) -> float:
        """The longest tool displacement of one step."""
        return self.step_share * self._spec.tool_displacement.max_m_per_step

    @property
    def room_m(self) -> tuple[Array, Array]:
        """Least and greatest position (3,) of the tool, in base_link."""
        workspace = self._spec.workspace
        return workspace.lower_m + self.widen_m, workspace.upper_m - self.widen_m

    @property
    def gripper_widths_m(self) -> tuple[float, float]:
        """Closed and open."""
        return self._spec.gripper.lower_m, self._spec.gripper.upper_m

    def check(self, belief: Belief, displacements: Array) -> CheckedPaths:
        """Check (N, H, 3) displacements, m, that begin at the belief's targets."""
        targets = belief.proprio[TOOL_TARGET] + np.cumsum(displacements, axis=1)
        joint_paths, error_m = self._kinematics.inverse(targets)
        missed_m = error_m.max(axis=1)
        start = belief.target_joint_positions
        check = path_margins(self._spec, self._kinematics, joint_paths, start, self.people, self.widen_m)
        tolerance_m = self._spec.inverse_kinematics.max_error_m
        reached = missed_m <= tolerance_m  # what is missed has no joint path, so nothing can be said of its safety
        return CheckedPaths(
            joint_paths,
            np.asarray(check.feasible) & reached,
            np.where(reached, check.margin, 1 - missed_m / tolerance_m),
            np.where(reached, np.asarray(check.row, dtype=object), "inverse_kinematics"),
        )

    def check_outcomes(self, belief: Belief, tool_paths: Array) -> PathCheck:
        """Check (N, H, 3) tool positions, m, that a world model imagines from the belief on."""
        return outcome_margins(self._spec, belief.proprio[TOOL_POSITION], tool_paths, self.widen_m)


def unusable(belief: Belief, goal: Goal) -> Refusal | None:
    """Why no plan can start from this belief towards this goal, or None."""
    for name, values in (
        ("belief's image latent", belief.image_latent),
        ("belief's proprioception", belief.proprio),
        ("belief's target joint positions", belief.target_joint_positions),
        ("goal's tool position", goal.tool_position),
        ("goal's image latent", goal.image_latent),
        ("goal's block position", goal.block_position),
    ):
        if values is not None and not np.isfinite(values).all():
            return Refusal(f"the {name} is not finite; nothing can be planned from it", "unknown_state", float("nan"))
    return None


def clip_norm(vectors: Array, limit: float) -> Array:
    """Shorten the (..., 3) vectors that are longer than `limit`; their direction stays."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors * np.minimum(1.0, limit / np.maximum(length, 1e-12))


def straight_steps(gap: Array, limit_m: float, gain: float, horizon: int) -> Array:
    """(H, 3), m: displacements that close a gap (3,), each `gain` of what is left and at most `limit_m` long."""
    steps = np.empty((horizon, 3))
    left = np.array(gap, dtype=np.float64)
    for step in steps:
        step[:] = clip_norm(gain * left, limit_m)
        left -= step
    return steps
