"""Is the world model still as good as when it was calibrated? Each step compares what it said of now with what is seen.

*Gross*: the tool is further from where it was imagined than the bound, in `trips` of the last `window` steps; that
stops planning. *Drift*: the errors in latent space have grown (see drift.py); then the bound grows by as much, and if
that is more than may be planned with, planning stops too. The tool's own error, a few mm and mostly due to the delay of
commands, could not show a growth by half within a few steps. Either trip stays until reset.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from ami_robot.safety.drift import SHIFT, find_drift, steps_kept
from ami_robot.safety.model_error import GUARDRAIL, ModelErrorBound
from ami_robot.types import TOOL_POSITION, TOOL_TARGET, Array, Belief, Latent, Refusal

_STAMP_TOLERANCE_NS = 1_000_000
_TARGET_TOLERANCE_M = 1e-6  # the command under way is known exactly; more means that it was changed


@dataclass(frozen=True)
class _Expectation:
    before: Belief  # that the step began with
    imagined: Belief  # one model step later


class Monitor:
    """Told of each imagined step and of each latent seen; says by how much to widen, and when to stop."""

    def __init__(self, bound: ModelErrorBound, window: int, trips: int) -> None:
        """Watch for errors beyond `bound`: `trips` gross ones, or a drift, in the last `window` steps."""
        self.bound = bound
        self._window, self._trips = window, trips
        self.reset()

    def reset(self) -> None:
        """Forget what was seen and the trips; a deliberate act of whoever sets a goal."""
        self._errors_m: deque[float] = deque(maxlen=self._window)
        self._excess: deque[float] = deque(maxlen=steps_kept(self._window))
        self._seen: deque[Array] = deque(maxlen=steps_kept(self._window))
        self._expected: _Expectation | None = None
        self._uncompared = 0
        self._growth = 1.0
        self._tripped: Refusal | None = None

    def expect(self, before: Belief, imagined: Belief) -> None:
        """Remember what the step under way, begun at `before`, is imagined to lead to."""
        if self._expected is not None and imagined.stamp_ns > self._expected.imagined.stamp_ns:
            self._uncompared += 1
        self._expected = _Expectation(before, imagined)

    def observe(self, latent: Latent, tool_target: Array | None) -> None:
        """Compare what is seen with what was expected of this time.

        Args:
            latent: seen now; other times than the expected one are passed over.
            tool_target: (3,), m, that was in force when it was seen; None when unknown. If it is not the one that was
                imagined, the step was not carried out as imagined and says nothing of the model.
        """
        expected = self._expected
        if expected is None or latent.stamp_ns < expected.imagined.stamp_ns - _STAMP_TOLERANCE_NS:
            return
        imagined = expected.imagined
        late = latent.stamp_ns > imagined.stamp_ns + _STAMP_TOLERANCE_NS
        changed = tool_target is None or not np.allclose(
            tool_target, imagined.proprio[TOOL_TARGET], rtol=0.0, atol=_TARGET_TOLERANCE_M
        )
        self._expected = None
        if late or changed:
            self._uncompared += 1
            return
        self._uncompared = 0
        self._errors_m.append(float(np.linalg.norm(imagined.proprio[TOOL_POSITION] - latent.tool_position)))
        self._look_for_drift(expected, latent)
        self._tripped = self._tripped or self._judge()

    @property
    def growth(self) -> float:
        """By how much the model's errors have grown, as far as that was seen: 1 until a drift is seen; inf for NaN."""
        return self._growth

    @property
    def widen_m(self) -> float:
        """By how much margins widen, m: the bound, grown as the errors have, or the greatest error in the window."""
        return float(np.max([self.bound.bound_m * self._growth, *self._errors_m]))  # NaN stays NaN

    def refusal(self) -> Refusal | None:
        """Why nothing may be planned now, or None."""
        if self._tripped is not None:
            return self._tripped
        if self._uncompared >= self._window:
            reason = f"for {self._uncompared} steps no frame came when the world model had imagined one"
            return Refusal(f"{reason}; its error is not known", GUARDRAIL, float("nan"))
        return None

    def _look_for_drift(self, expected: _Expectation, latent: Latent) -> None:
        test, before, imagined = self.bound.drift, expected.before, expected.imagined
        to_go_m = float(np.linalg.norm(imagined.proprio[TOOL_TARGET] - before.proprio[TOOL_POSITION]))
        excess = test.log_excess(before.image_latent, to_go_m, imagined.image_latent, latent.image_latent)
        self._excess.append(float(excess))
        self._seen.append(latent.image_latent)
        drift = find_drift(np.array(self._excess), np.array(self._seen), self._window)
        if not drift.evidence <= test.limit:
            self._growth = max(self._growth, SHIFT, drift.scale if np.isfinite(drift.scale) else np.inf)

    def _judge(self) -> Refusal | None:
        bound_m = self.bound.bound_m
        gross = [error_m for error_m in self._errors_m if not error_m <= bound_m]
        if len(gross) < self._trips:
            return None
        reason = (
            f"the tool was further from where the world model had it than {bound_m:.3f} m "
            f"in {len(gross)} of {len(self._errors_m)} steps"
        )
        return Refusal(f"{reason}; set the goal again to go on", GUARDRAIL, bound_m - max(gross))
