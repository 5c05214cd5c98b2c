"""When the gripper opens or closes within a plan: a choice among a few schedules, not a width.

A smooth fourth dimension is wasted on a gripper: whatever lies between open and closed does the same until the fingers
touch, and a grasp, once there, is the same for every width asked for below it (the force is limited). So a cost has no
slope in the width, only a cliff in time: *when* the fingers move. With two widths and at most one change within the
horizon there are 2 H + 1 schedules, few enough to try them all in one draw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ami_robot.types import Array

HOLD = 0
"""The schedule that leaves the gripper as it is. Schedule 1 + 2 k + o goes at step k to closed (o = 0) or open (1)."""

CHOICES = ("hold", "search")

_HOLD_SHARE = 0.5  # of what is drawn before anything has been learnt: most steps of a task move the arm alone

Schedules = NDArray[np.intp]


@dataclass(frozen=True)
class Gripper:
    """The schedules of one planner."""

    choice: str  # one of CHOICES
    widths_m: tuple[float, float]  # closed, open
    horizon: int

    @property
    def searched(self) -> bool:
        """Whether there is more than one schedule."""
        return self.choice == "search"

    @property
    def at_once(self) -> tuple[int, ...]:
        """The schedules that begin with a change: what can be tried while the arm holds still."""
        return (1, 2) if self.searched else ()

    def shares(self) -> Array:
        """(number of schedules,): how often each is drawn before anything has been learnt."""
        if not self.searched:
            return np.ones(1)
        changes = 2 * self.horizon
        return np.array([_HOLD_SHARE, *[(1 - _HOLD_SHARE) / changes] * changes])

    def draw(self, rng: np.random.Generator, shares: Array, count: int) -> Schedules:
        """(count,): schedules drawn by their shares. One that is not searched costs no random number."""
        return rng.choice(len(shares), count, p=shares) if self.searched else np.zeros(count, np.intp)

    def refit(self, shares: Array, chosen: Schedules, weights: Array, keep: float, floor: float) -> Array:
        """New shares: those of the chosen (N,) with their weights, `keep` of the old, and a `floor` of the first."""
        new = np.bincount(chosen, weights, len(shares)) / weights.sum()
        return floor * self.shares() + (1 - floor) * (keep * shares + (1 - keep) * new)

    def widths(self, schedules: Schedules, present_m: float) -> Array:
        """(N,) -> (N, H), m, with a gripper that is asked for `present_m` now."""
        change, level = np.divmod(schedules - 1, 2)
        after = np.asarray(self.widths_m)[level]
        changed = (np.arange(self.horizon) >= change[:, None]) & (schedules != HOLD)[:, None]
        return np.where(changed, after[:, None], present_m)

    def later(self, schedule: int) -> int:
        """The same schedule one step on; a change that has been made is no longer one."""
        return max(HOLD, schedule - 2)

    def nearest(self, widths: Array, present_m: float) -> Schedules:
        """The schedules of widths (N, H), m: they change where one first is nearer to a level than to the present."""
        if not self.searched:
            return np.zeros(len(widths), np.intp)
        choices = np.abs(widths[..., None] - np.array([present_m, *self.widths_m])).argmin(axis=-1)
        first = (choices > 0).argmax(axis=1)
        level = choices[np.arange(len(widths)), first] - 1
        return np.where(level < 0, HOLD, 1 + 2 * first + level)
