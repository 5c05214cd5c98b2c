"""Whether a plan made again is the recorded one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ami_nodes.convert import as_array, to_ns, xyz
from ami_robot.types import ACTION_DIM, Array, Plan, Refusal

ACTION_TOLERANCE_M = PATH_TOLERANCE_M = 1e-6
COST_TOLERANCE = 1e-5
"""On the machine that recorded, a replay is equal to the bit. With the instructions of other processors, which sum
float32 in another order, actions differed by up to 6e-9 m, imagined positions by 6e-8 m and costs by 3e-7 in 154 plans.
Another candidate chosen makes millimetres."""


@dataclass(frozen=True)
class Decided:
    """A recorded plan or refusal beside the one made again; the differences are the largest, None with a refusal."""

    number: int  # of the plan in the recording, from 1
    frame_ns: int  # stamp of the frame it was made from
    refused: bool  # in the recording
    differs: str  # one sentence; empty when both agree
    action_m: float | None = None
    path_m: float | None = None  # of an imagined tool position
    cost: float | None = None


def recorded_actions(message: Any) -> Array:
    """(H, ACTION_DIM), m, of a Plan message."""
    return as_array(message.actions).reshape(-1, ACTION_DIM)


def compare(number: int, message: Any, planned: Plan | Refusal) -> Decided:
    """A recorded Plan message, the `number`th, and what was decided again."""
    frame_ns = to_ns(message.observation_stamp)
    if message.refused or isinstance(planned, Refusal):
        return Decided(number, frame_ns, message.refused, _refusals_differ(message, planned))
    actions, path = recorded_actions(message), np.array([xyz(point) for point in message.imagined_tool_path])
    for what, now, then in (("has", planned.actions, actions), ("imagines", planned.imagined_tool_path, path)):
        if now.shape != then.shape:
            return Decided(number, frame_ns, False, f"it {what} {len(now)} steps now, {len(then)} in the recording")
    action_m = float(np.abs(planned.actions - actions).max())
    path_m = float(np.abs(planned.imagined_tool_path - path).max())
    cost = abs(planned.cost - message.cost)
    wrong = [
        f"{what} differs by {value:.2g}{unit}, more than {tolerance:g}"
        for what, value, unit, tolerance in (
            ("an action", action_m, " m", ACTION_TOLERANCE_M),
            ("an imagined tool position", path_m, " m", PATH_TOLERANCE_M),
            ("the cost", cost, "", COST_TOLERANCE),
        )
        if not value <= tolerance
    ]
    return Decided(number, frame_ns, False, "; ".join(wrong), action_m, path_m, cost)


def _refusals_differ(message: Any, planned: Plan | Refusal) -> str:
    """Reasons hold figures, so it is the guardrail that has to be the same."""
    if not isinstance(planned, Refusal):
        return f"it is planned now, refused in the recording: {message.reason}"
    if not message.refused:
        return f"it is refused now: {planned.reason}"
    same = planned.guardrail == message.guardrail
    return "" if same else f"guardrail {planned.guardrail} refuses it now, {message.guardrail} in the recording"
