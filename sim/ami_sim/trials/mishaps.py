"""What goes wrong around the guardrail in a faulty trial: joint states, switches and clocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ami_robot.types import Array

_BAD_SHARE = 0.02  # of joint states, in trials that have bad ones
_BAD = ("lost", "twice", "old", "late clock", "nan", "huge", "short", "swapped", "unnamed", "future", "back", "offset")


@dataclass(frozen=True, eq=False)
class Heard:
    """Joint states as they arrive: names, positions and velocities of J joints, stamp and clock, ns."""

    names: list[str]
    positions: Array
    velocities: Array
    stamp_ns: int
    now_ns: int


class Mishaps:
    """Draws for each joint state what becomes of it, and which switches are touched."""

    def __init__(self, faulty: bool, rng: np.random.Generator):
        self._rng = rng
        self._share = float(rng.choice([0.0, _BAD_SHARE])) if faulty else 0.0
        self._pressed_s = float(rng.uniform(0.1, 1.0)) if faulty and rng.uniform() < 0.3 else np.inf
        self._held_s = float(rng.uniform(0.1, 0.8)) if faulty and rng.uniform() < 0.2 else np.inf
        self._let_go_s = self._held_s + float(rng.uniform(0.05, 0.4))
        self.e_stops = 0

    def heard(self, right: Heard) -> list[Heard]:
        """What arrives instead of these joint states: nothing, or one or two of them."""
        if not self._rng.uniform() < self._share:
            return [right]
        return _spoilt(str(self._rng.choice(_BAD)), right, self._rng)

    def pressed(self, time_s: float) -> bool:
        """Whether somebody presses the e-stop now, once."""
        if time_s < self._pressed_s:
            return False
        self._pressed_s, self.e_stops = np.inf, self.e_stops + 1
        return True

    def deadman(self, time_s: float) -> bool | None:
        """What the deadman switch says now; None when nobody touches it."""
        if time_s < self._held_s:
            return None
        return time_s < self._let_go_s


def _spoilt(how: str, right: Heard, rng: np.random.Generator) -> list[Heard]:
    names, q, dq, stamp_ns, now_ns = right.names, right.positions, right.velocities, right.stamp_ns, right.now_ns
    joint = int(rng.integers(7))
    if how == "lost":
        return []
    if how == "twice":
        return [right, right]
    if how in ("old", "late clock", "future", "back"):
        away_ns = int(rng.uniform(0.0, 0.2) * 1e9)
        stamps = {
            "old": (stamp_ns - away_ns, now_ns),
            "late clock": (stamp_ns, now_ns + away_ns),
            "future": (stamp_ns + away_ns, now_ns),
            "back": (stamp_ns - away_ns, now_ns - away_ns),
        }[how]
        return [Heard(names, q, dq, *stamps)]
    if how in ("nan", "huge", "offset"):
        q = q.copy()
        q[joint] = {"nan": np.nan, "huge": 1e308, "offset": q[joint] + rng.uniform(-0.3, 0.3)}[how]
        return [Heard(names, q, dq, stamp_ns, now_ns)]
    if how == "short":
        return [Heard(names, q[:-1], dq, stamp_ns, now_ns)]
    if how == "swapped":  # a legal message in another order
        order = rng.permutation(len(names))
        return [Heard([names[k] for k in order], q[order], dq[order], stamp_ns, now_ns)]
    return [Heard(["", *names[1:]], q, dq, stamp_ns, now_ns)]
