"""Ways of the tool through points, and the steps that follow them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ami_robot.actor.candidates import Rows
from ami_robot.types import ACTION_DIM, Array

AT_M = 0.002
"""From a point, where it counts as reached."""

GAIN, LEAST_STEP_M = 0.6, 0.008
"""A step is at most this share of what is left to a point, or so long: where a way turns sharply, the tool comes to it
slowly, or the joints could not follow.
"""


@dataclass(frozen=True)
class Ways(Rows):
    """N ways through K points each; the fingers take the width of the point that the tool goes to."""

    points: Array  # (N, K, 3), m
    widths: Array  # (N, K), m
    steps_m: Array  # (N, K): the longest step towards each

    def actions(self, tool: Array, horizon: int, longest_m: float) -> tuple[Array, NDArray[np.intp]]:
        """Actions (N, horizon, ACTION_DIM) of a tool (3,) that goes them, and how many points it has passed then.

        At the last point it stays. No step is longer than `longest_m`.
        """
        count, points, _ = self.points.shape
        rows, at, passed = np.arange(count), np.tile(tool, (count, 1)), np.zeros(count, np.intp)
        actions = np.empty((count, horizon, ACTION_DIM))
        for step in range(horizon):
            passed = self._passed(at, passed)
            towards = np.minimum(passed, points - 1)
            gap = self.points[rows, towards] - at
            length = np.linalg.norm(gap, axis=1)
            longest = np.minimum(self.steps_m[rows, towards], np.clip(GAIN * length, LEAST_STEP_M, longest_m))
            share = np.minimum(1.0, longest / np.maximum(length, AT_M))
            actions[:, step, :3] = np.where(passed < points, share, 0.0)[:, None] * gap
            actions[:, step, 3] = self.widths[rows, towards]
            at = at + actions[:, step, :3]
        return actions, self._passed(at, passed)

    def from_now(self, tool: Array, longest_m: float) -> tuple[Ways | None, int]:
        """What is left of a way (N = 1) one step on, and how many points are passed then: they are where the tool is.

        None before its first point, up to where it can still be made anew by a better view, and at its end.
        """
        actions, passed = self.actions(tool, 1, longest_m)
        if passed[0] in (0, self.points.shape[1]):
            return None, 0
        points = self.points.copy()
        points[0, : passed[0]] = tool + actions[0, 0, :3]
        return Ways(points, self.widths, self.steps_m), int(passed[0])

    def _passed(self, at: Array, passed: NDArray[np.intp]) -> NDArray[np.intp]:
        """How many points are behind, where several may lie in one place."""
        last = self.points.shape[1] - 1
        for _ in range(last + 1):
            gap = self.points[np.arange(len(at)), np.minimum(passed, last)] - at
            passed = passed + ((passed <= last) & (np.linalg.norm(gap, axis=1) < AT_M))
        return passed
