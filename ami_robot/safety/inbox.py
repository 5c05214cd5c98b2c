"""Proposals on their way to a decision: the newest of the active source waits, nobody else can push it out.

A displacement that only comes too soon after the last command is looked at again until it is too old, or a newer one
came.
"""

from __future__ import annotations

from typing import Any

from ami_robot.safety.checks import check_proposal, is_stamp
from ami_robot.safety.spec import Spec
from ami_robot.types import NS_PER_S, Proposal, Refusal

_UNKNOWN = float("nan")
_LATER_NS = NS_PER_S // 50


class Inbox:
    """Sorts proposals out before anything is computed from them."""

    def __init__(self, spec: Spec):
        self._spec = spec
        self._pending: Proposal | None = None  # the newest of the active source
        self._stray: Any = None  # the last that cannot win, kept to be refused by name
        self._put_back: Proposal | None = None  # it, if it has been looked at and is to be decided later
        self._not_before_ns = 0
        self._last_sequence: int | None = None
        self._last_command_ns: int | None = None

    def clear(self) -> None:
        """Forget all proposals and all that was ever sent: sequences and intervals start anew."""
        self._pending = self._stray = None
        self._last_sequence = self._last_command_ns = None

    def listen_to_another(self) -> None:
        """Drop what the source so far proposed; the next one's sequence numbers may start anywhere."""
        self._pending = self._last_sequence = None

    def put(self, proposal: Any, active: str | None) -> None:
        """Keep it for the next step, if no newer one waits."""
        waiting = self._pending
        if not _is_of(proposal, active) or (waiting is not None and proposal.sequence <= waiting.sequence):
            self._stray = proposal
        else:
            self._pending, self._not_before_ns = proposal, 0

    def take(self, now_ns: Any) -> Any:
        """The one to be decided now; None when there is none."""
        proposal, stray = self._pending, self._stray
        self._stray = None
        if proposal is None or (is_stamp(now_ns) and now_ns < self._not_before_ns):
            return stray
        self._pending = None
        return proposal

    def put_back(self, proposal: Proposal, now_ns: int) -> bool:
        """Decide it a little later; False when it will be too old by then, or begins where the arm is now."""
        later_ns = now_ns + _LATER_NS
        if proposal.trajectory is not None or check_proposal(self._spec, proposal, later_ns) is not None:
            return False
        self._pending = self._put_back = proposal
        self._not_before_ns = later_ns
        return True

    def commanded(self, now_ns: int) -> None:
        """A proposal became a command: the next one keeps its distance."""
        self._last_command_ns = now_ns

    def check(self, proposal: Any, active: str | None, armed: bool, now_ns: Any) -> Refusal | None:
        """Form, source, order, age and pace; its sequence number is used up by being looked at."""
        if not isinstance(proposal, Proposal):
            return Refusal("What was proposed is not a Proposal.", "proposal", _UNKNOWN)
        if not armed:
            return Refusal("The guardrail is not armed.", "arming", _UNKNOWN)
        if not _is_of(proposal, active):
            reason = f"The source {proposal.source!r} is not the selected one, {active!r}, or has no sequence."
            return Refusal(reason, "source", _UNKNOWN)
        if proposal is self._put_back:
            self._put_back = None
        elif (refusal := self._use_up(proposal.sequence)) is not None:
            return refusal
        return check_proposal(self._spec, proposal, now_ns) or self._too_soon(now_ns)

    def _use_up(self, sequence: int) -> Refusal | None:
        last = self._last_sequence
        if last is not None and not sequence > last:
            reason = f"The sequence number {sequence!r} is not greater than the last one, {last}."
            return Refusal(reason, "sequence", _UNKNOWN)
        self._last_sequence = int(sequence)
        return None

    def _too_soon(self, now_ns: int) -> Refusal | None:
        if self._last_command_ns is None:
            return None
        interval_s = (int(now_ns) - self._last_command_ns) / NS_PER_S
        margin = interval_s - self._spec.command_rate.min_interval_s
        if margin >= 0.0:
            return None
        return Refusal(
            f"The proposal comes {interval_s:.3f} s after the last command, too soon.", "command_rate", margin
        )


def _is_of(proposal: Any, source: str | None) -> bool:
    if not isinstance(proposal, Proposal) or not isinstance(proposal.source, str):
        return False
    return proposal.source == source and is_stamp(proposal.sequence)
