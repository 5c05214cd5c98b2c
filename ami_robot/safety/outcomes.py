"""Which imagined outcomes a planner may choose: the guardrails on the tool positions that the world model predicts."""

from __future__ import annotations

import numpy as np

from ami_robot.safety.distances import obstacle_clearance
from ami_robot.safety.masks import PathCheck
from ami_robot.safety.motion import ROUNDING
from ami_robot.safety.spec import Spec
from ami_robot.types import Array


def outcome_margins(spec: Spec, start: Array, tool_paths: Array, widen_m: float) -> PathCheck:
    """Check imagined tool positions (N, H, 3), m, against workspace, table and obstacles, all `widen_m` closer.

    Where the tool at `start` (3,), m, is closer to a limit than `widen_m`, it may stay as close but come no closer:
    else nothing could lead out of there. What is not finite is not feasible.
    """
    positions = np.concatenate([np.broadcast_to(start, (len(tool_paths), 1, 3)), tool_paths], axis=1)
    lower, upper = spec.workspace.lower_m, spec.workspace.upper_m
    clearances_m = {
        "workspace": np.minimum(positions - lower, upper - positions).min(axis=-1),
        "table": positions[..., 2] - spec.table.height_m - spec.table.clearance_m,
        "obstacles": obstacle_clearance(spec, positions[..., None, :], np.zeros(1)).min(axis=(-1, -2), initial=np.inf),
    }
    extent_m = float((upper - lower).min()) / 2.0
    margins = []
    for clearance_m in clearances_m.values():
        needed_m = np.minimum(widen_m, np.maximum(clearance_m[:, :1], 0.0))
        margins.append((clearance_m - needed_m)[:, 1:].min(axis=1) / extent_m)
    least = np.min(margins, axis=0)
    row = np.array(list(clearances_m))[np.argmin(margins, axis=0)]
    return PathCheck(least >= -ROUNDING, least, row)
