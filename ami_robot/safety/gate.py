"""The last gate: does this very trajectory, as it will be sent, keep every guardrail from start to rest?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ami_robot.safety.distances import table_clearance
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.motion import ROUNDING, Spline, limit_margins
from ami_robot.safety.spec import Spec
from ami_robot.types import Array, JointState, JointTrajectory, Refusal

_SAMPLE_S = 0.02  # at 0.2 m/s and 2 m/s^2 the tool strays less than 0.2 mm from the chord between two samples


@dataclass(frozen=True)
class Verdict:
    """Least margin of a motion for each row, in the row's unit, and the row it breaks."""

    margins: dict[str, float]
    refusal: Refusal | None


def check_motion(
    spec: Spec,
    kinematics: Kinematics,
    start: JointState,
    trajectory: JointTrajectory,
    also_from: Sequence[JointState] = (),
) -> Verdict:
    """Check `trajectory` as the controller will execute it from `start`, and from states a little earlier or later.

    Joint limits hold everywhere in between; the tool and the arm's spheres are looked at every 20 ms. A motion that
    begins outside the workspace may lead back into it, never further out. Margins are those from `start`.
    """
    spline = Spline(start, trajectory)
    others = [Spline(state, trajectory) for state in also_from]
    least = {row: float(margin.min()) for row, margin in limit_margins(spline.extremes(), spec).items()}
    for row, margin in least.items():
        if not margin >= -ROUNDING:
            return Verdict(least, Refusal(f"The motion would exceed the limits of the row {row}.", row, margin))
    for other in others:
        for row, margins in limit_margins(other.extremes(), spec, whole_limits=True).items():
            if not (margin := float(margins.min())) >= -ROUNDING:
                reason = f"Arriving {spec.transport.jitter_s} s early or late the motion would exceed the row {row}."
                return Verdict(least, Refusal(reason, row, margin))
    times_s = np.linspace(0.0, spline.duration_s, int(np.ceil(spline.duration_s / _SAMPLE_S)) + 1)
    paths = np.concatenate([each.positions(times_s) for each in (spline, *others)])
    box = workspace_margin(spec, kinematics.tool_position(paths)) + spec.workspace.path_tolerance_m
    clearance = table_clearance(spec, kinematics.spheres(paths), kinematics.sphere_radii).min(axis=-1)
    least |= {"workspace": float(box[: len(times_s)].min()), "table": float(clearance[: len(times_s)].min())}
    if not box.min() >= min(0.0, box[0]) - ROUNDING:
        reason = f"On its way the tool would leave the workspace by {-box.min():.4f} m more than the path tolerance."
        return Verdict(least, Refusal(reason, "workspace", float(box.min())))
    if not clearance.min() >= -ROUNDING:
        reason = f"On its way the arm would come {-clearance.min():.4f} m too close to the table."
        return Verdict(least, Refusal(reason, "table", float(clearance.min())))
    return Verdict(least, None)


def workspace_margin(spec: Spec, position: Array) -> Array:
    """Distance (...,) of positions (..., 3) to the nearest face of the workspace, m; negative outside."""
    return np.minimum(position - spec.workspace.lower_m, spec.workspace.upper_m - position).min(axis=-1)


def table_margin(spec: Spec, kinematics: Kinematics, q: Array) -> float:
    """By how much the arm at joint positions (7,) is further from the table than it has to be, m."""
    return float(table_clearance(spec, kinematics.spheres(q), kinematics.sphere_radii).min())
