"""How close a motion comes to each row of the guardrail file, reckoned anew for `certificate`.

Joint limits are exact, from roots. Everything else is looked at every SAMPLE_S; between two samples a smooth margin
dips below their chord by at most h^2 f'' / 8, which is an eighth of its second difference, and so much is taken off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ami_robot.safety.certificate_geometry import Arm
from ami_robot.safety.certificate_motion import QUANTITIES, Motion
from ami_robot.safety.spec import Spec
from ami_robot.types import Array

SAMPLE_S = 0.005

CAUTION = {
    "torque": 3.0,
    "singularity": 0.05,
    "contact": 1.0,
    "workspace": 0.02,
    "table": 0.02,
    "arm_space": 0.02,
    "obstacles": 0.05,
    "self_collision": 0.05,
    "people": 0.4,
    "power_and_force": 0.1,
    "tool_hazard": 0.1,
}
"""By how much a report may claim less than is found here, in the row's unit, but never more: the gate takes off what
20 ms may hide from it, which grows with the square of the speed, and reckons with a brake that is up to 0.25 s longer,
as it has to hold from early and late starts, too."""

BOUND_SLACK = 0.03
"""The same for joint margins, as a share of the greatest value: the gate's come from bounds, not from roots."""

ROUNDING = 1e-6
"""In a row's unit, or as a share of a margin above 1: nanoseconds in messages, two ways to the same number."""


@dataclass(frozen=True)
class Margin:
    """Least margin of a row along a motion, in the row's unit."""

    least: float  # between samples too
    holds: bool
    greatest_claim: float  # what an honest report may say at most,
    least_claim: float  # and at least

    def agrees(self, reported: float, least: bool = True) -> bool:
        """Whether the report may say so, which is not too little either where `least`; NaN never may."""
        slack = ROUNDING * max(1.0, abs(self.greatest_claim))
        return (self.least_claim - slack if least else -np.inf) <= reported <= self.greatest_claim + slack


def joint_margins(spec: Spec, motion: Motion, whole_limits: bool = False) -> dict[str, Margin]:
    """Exact margins of the four joint rows, to what commands may use of a limit.

    With `whole_limits` to the whole limit, and only up to the first control point.
    """
    extremes, limits = motion.extremes(join_only=whole_limits), _limits(spec, whole_limits)
    margins = {}
    for quantity in QUANTITIES:
        (low, high), (lower, upper) = extremes[quantity], limits[quantity]
        margin = np.minimum(low - lower, upper - high).min()
        greatest = np.maximum(np.abs(low), np.abs(high)).max()
        holds = bool(margin >= -ROUNDING * max(1.0, float(upper.max())))
        margins[f"joint_{quantity}"] = Margin(
            float(margin), holds, float(margin), float(margin - BOUND_SLACK * greatest)
        )
    return margins


def path_margins(
    spec: Spec, arm: Arm, motions: Sequence[tuple[Motion, float]], load_kg: float, tip: Array | None = None
) -> dict[str, Margin]:
    """Margins of the rows that speak of the whole arm: the least of some motions, each up to its time, s.

    The tip (3,), m, of a held tool is in the frame of the tool; None when none is known.
    """
    of_each = [_along(spec, arm, motion, until_s, load_kg, tip) for motion, until_s in motions]
    return {row: _least([margins[row] for margins in of_each]) for row in of_each[0]}


def sample_times(until_s: float) -> Array:
    """Times (n,), s, from 0 to `until_s`, at most SAMPLE_S apart; at least three, which a second difference takes."""
    return np.linspace(0.0, until_s, max(3, int(np.ceil(until_s / SAMPLE_S)) + 1))


def _along(
    spec: Spec, arm: Arm, motion: Motion, until_s: float, load_kg: float, tip: Array | None
) -> dict[str, Margin]:
    times_s = sample_times(until_s)
    seen = arm.sample(*motion.sample(times_s), load_kg)
    inside = np.minimum(seen.tool_m - spec.workspace.lower_m, spec.workspace.upper_m - seen.tool_m).min(axis=1)
    inside += spec.workspace.path_tolerance_m
    rows = {
        "torque": (spec.torque.command_limit_n_m - np.abs(seen.torques_n_m)).min(axis=1),
        "singularity": seen.least_singular_value - spec.singularity.min_singular_value,
        **seen.clearances_m,
    }
    if tip is not None:
        of_tip = _of_tip(spec, seen.tool_m + seen.tool_axes @ tip)
        rows |= {row: np.minimum(rows[row], of_tip[row]) for row in of_tip}
    margins = {row: _of_samples(row, values, 0.0, _dip(values)) for row, values in rows.items()}
    slower_by, dip = _contact(spec, seen.heights_m, times_s)
    margins["contact"] = _of_samples("contact", slower_by, 0.0, dip)
    back_inside = min(0.0, float(inside[0]))  # a motion that begins outside may lead back, never further out
    return margins | {"workspace": _of_samples("workspace", inside, back_inside, _dip(inside))}


def _of_tip(spec: Spec, tips: Array) -> dict[str, Array]:
    """By how much (n,) a tool's tip (n, 3), m, keeps off table, walls and boxes, m."""
    walls, free = spec.arm_space, np.full(len(tips), np.inf)
    for box in spec.obstacles.boxes:
        away = np.linalg.norm(tips - np.clip(tips, box.lower_m, box.upper_m), axis=-1)
        free = np.minimum(free, away)  # 0 inside: broken, however deep
    return {
        "table": tips[:, 2] - spec.table.height_m - spec.table.clearance_m,
        "arm_space": np.minimum(tips - walls.lower_m, walls.upper_m - tips).min(axis=-1),
        "obstacles": free - spec.obstacles.clearance_m,
    }


def _contact(spec: Spec, heights_m: Array, times_s: Array) -> tuple[Array, float]:
    """By how much (n,) every sphere close to the table comes down slower than it may, m/s, and its dip.

    It is the speeds that dip: the margin itself jumps where a sphere gets close.
    """
    down = -np.gradient(heights_m, times_s, axis=0)
    near = heights_m < spec.contact.approach_height_m
    slower_by = spec.contact.approach_speed_m_per_s - np.where(near, down, 0.0).max(axis=1)
    return slower_by, _dip(np.where(near.any(axis=0), -down, 0.0))


def _dip(values: Array) -> float:
    """How far values (n, ...) of smooth curves may dip below the chord between two of them."""
    return 0.0 if np.isinf(values).any() else max(0.0, float(np.diff(values, n=2, axis=0).max())) / 8.0


def _of_samples(row: str, values: Array, least_allowed: float, dip: float) -> Margin:
    """A margin (n,) every SAMPLE_S, and what it may dip between two of them."""
    lowest = float(values.min())
    holds = bool(lowest - dip >= least_allowed - ROUNDING - dip * (least_allowed < 0.0))
    return Margin(lowest - dip, holds, lowest, lowest - CAUTION[row])


def _least(margins: Sequence[Margin]) -> Margin:
    columns = zip(*((m.least, m.holds, m.greatest_claim, m.least_claim) for m in margins), strict=True)
    least, holds, greatest, smallest = (min(column) for column in columns)
    return Margin(least, bool(holds), greatest, smallest)


def _limits(spec: Spec, whole: bool) -> dict[str, tuple[Array, Array]]:
    position = spec.joint_position
    stops = (
        (position.lower_rad, position.upper_rad) if whole else (position.command_lower_rad, position.command_upper_rad)
    )
    rows = (spec.joint_velocity, spec.joint_acceleration, spec.joint_jerk)
    greatest = (rows[0].limit_rad_per_s, rows[1].limit_rad_per_s2, rows[2].limit_rad_per_s3)
    shares = [1.0 if whole else row.command_fraction for row in rows]
    symmetric = [(-limit * share, limit * share) for limit, share in zip(greatest, shares, strict=True)]
    return dict(zip(QUANTITIES, (stops, *symmetric), strict=True))
