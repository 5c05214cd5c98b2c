"""The switches in people's hands: the e-stop that latches, and who may move the arm, with deadman switches.

Both fail towards standing still: what is not clearly `False` presses an e-stop, what is not clearly `True` lets go of a
deadman switch, and a switch that fell silent counts as pressed and let go.
"""

from __future__ import annotations

from typing import Any

from ami_robot.safety.checks import is_stamp
from ami_robot.safety.spec import Spec
from ami_robot.types import NS_PER_S, Refusal

_UNKNOWN = float("nan")


class EStop:
    """Mirrors the e-stop circuit (ISO 13850): latches when pressed, and only a deliberate reset unlatches it."""

    def __init__(self, spec: Spec):
        self._max_silence_s = spec.e_stop.max_silence_s
        self._pressed = False
        self._heard_ns: int | None = None
        self.latched = False

    def hear(self, pressed: Any, now_ns: Any) -> None:
        """What the line says; anything but False is pressed."""
        self._pressed = pressed is not False
        self.latched |= self._pressed
        self._heard_ns = int(now_ns) if is_stamp(now_ns) else None

    def check(self, now_ns: Any) -> Refusal | None:
        """Why the arm may not move now; latches when the line fell silent."""
        silent = self._silent(now_ns)
        self.latched |= silent
        if not self.latched:
            return None
        reason = f"The e-stop's line was silent for more than {self._max_silence_s} s." if silent else ""
        return Refusal(reason or "The e-stop was pressed; reset it deliberately.", "e_stop", _UNKNOWN)

    def reset(self, now_ns: Any) -> Refusal | None:
        """Unlatch, or say why not; the caller sees to it that the arm does not move."""
        if self._pressed:
            return Refusal("The e-stop is still pressed.", "e_stop", _UNKNOWN)
        if self._silent(now_ns):
            return Refusal("The e-stop's line is silent.", "e_stop", _UNKNOWN)
        self.latched = False
        return None

    def _silent(self, now_ns: Any) -> bool:
        if self._max_silence_s == 0.0:  # a latched line without heartbeat
            return False
        if self._heard_ns is None or not is_stamp(now_ns):
            return True
        return not (int(now_ns) - self._heard_ns) / NS_PER_S <= self._max_silence_s


class Sources:
    """Whose proposals are listened to: the selected source, or the one whose deadman switch is held.

    selected --switch pressed--> held --let go or silent--> nobody --select--> selected. A held switch pre-empts the
    selected source and ends its selection: after letting go, somebody has to select anew.
    """

    def __init__(self, spec: Spec):
        self._row = spec.deadman
        self._selected: str | None = None
        self._holder: str | None = None
        self._held_ns = 0  # when the holder's switch was last heard pressed
        self._let_go = False  # and nobody was selected since

    @property
    def active(self) -> str | None:
        """Who may move the arm. A deadman source that is selected but not held may not."""
        if self._holder is not None:
            return self._holder
        return None if self._selected in self._row.sources else self._selected

    def select(self, name: Any) -> None:
        """Listen to this source from now on. ValueError if it has no name, or while somebody else's switch is held."""
        if not isinstance(name, str) or not name:
            raise ValueError(f"a source is named by a text, got {name!r}.")
        if self._holder not in (None, name):
            raise ValueError(f"{self._holder!r} holds its deadman switch; let go of it before {name!r} is selected.")
        self._selected, self._let_go = name, False

    def hear(self, source: Any, pressed: Any, now_ns: Any) -> None:
        """What a deadman switch says; switches that the guardrail file does not name move nothing."""
        if not isinstance(source, str) or source not in self._row.sources:
            return
        held = pressed is True and is_stamp(now_ns)
        if self._holder == source and not held:
            self._held_ns = -1  # let go: `expire` finds it too old
        elif held and not self._let_go and self._holder in (None, source):
            self._holder, self._held_ns, self._selected = source, int(now_ns), None

    def expire(self, now_ns: Any) -> Refusal | None:
        """Why the arm has to brake now: the held switch was let go or fell silent. Said once."""
        if self._holder is None:
            return None
        if self._held_ns < 0:
            refusal = Refusal(f"The deadman switch of {self._holder!r} was let go.", "deadman", _UNKNOWN)
        else:
            age_s = (int(now_ns) - self._held_ns) / NS_PER_S if is_stamp(now_ns) else _UNKNOWN
            margin = self._row.max_age_s - age_s
            if margin >= 0.0:
                return None
            reason = f"The deadman switch of {self._holder!r} was not heard for {age_s:.3f} s."
            refusal = Refusal(reason, "deadman", margin)
        self._holder, self._selected, self._let_go = None, None, True
        return refusal
