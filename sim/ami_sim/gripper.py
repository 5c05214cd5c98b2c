"""A gripper that opens and closes to a width at one speed."""

from __future__ import annotations

SPEED_M_PER_S = 0.1
"""Of the width; Franka Hand datasheet: 50 mm/s for each finger."""


class Gripper:
    """Its width, m, between the fingers; closed at first."""

    def __init__(self, max_width_m: float):
        self._max_width_m = max_width_m
        self.width_m = self._target_m = 0.0

    def go_to(self, width_m: float) -> None:
        """Open or close to a width, m, from now on. Raises ValueError outside the fingers' travel."""
        if not 0.0 <= width_m <= self._max_width_m:
            raise ValueError(f"the gripper width has to be within 0..{self._max_width_m} m, got {width_m}.")
        self._target_m = float(width_m)

    def advance(self, seconds: float) -> None:
        """Let this time pass."""
        slew_m = SPEED_M_PER_S * seconds
        self.width_m += min(max(self._target_m - self.width_m, -slew_m), slew_m)
