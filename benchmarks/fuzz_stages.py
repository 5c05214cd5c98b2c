"""Which inputs get as far as the filter and the gates, and what happens when those are handed something spoilt."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any
from unittest import mock

from ami_robot.safety import choice, guardrail
from ami_robot.safety.gate import Verdict
from ami_robot.safety.last_gate import LastGate
from ami_robot.types import Refusal

Arguments = tuple[Any, ...]
_NOT_THIS_WAY = Verdict({}, Refusal("Not this way.", "obstacles", -0.01))


class Stages:
    """Stands before filter and gates while it is entered.

    reached   of `filter`, `gate` (asked for a proposal), `brake` (asked for a brake), `last_gate`; since it was cleared
    spoil     what becomes of the arguments of one stage, once: {"filter": ...}; the gate refuses once before `filter`
    """

    def __init__(self) -> None:
        self.reached: set[str] = set()
        self.spoil: dict[str, Callable[..., Arguments]] = {}
        self._patches = [
            mock.patch.object(choice, "nearest_target", self._before("filter", choice.nearest_target)),
            mock.patch.object(choice, "check_motion", self._before_gate(choice.check_motion)),
            mock.patch.object(guardrail, "check_motion", self._before("brake", guardrail.check_motion)),
            mock.patch.object(LastGate, "release", self._before_last_gate(LastGate.release)),
        ]

    def __enter__(self) -> Stages:
        for patch in self._patches:
            patch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for patch in self._patches:
            patch.stop()

    def clear(self) -> None:
        """The next input comes."""
        self.reached.clear()
        self.spoil.clear()

    def _before(self, stage: str, ask: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*arguments: Any, **named: Any) -> Any:
            self.reached.add(stage)
            spoil = self.spoil.pop(stage, None)
            return ask(*(arguments if spoil is None else spoil(*arguments)), **named)

        return asked

    def _before_gate(self, ask: Callable[..., Any]) -> Callable[..., Any]:
        counted = self._before("gate", ask)
        return lambda *arguments: _NOT_THIS_WAY if "filter" in self.spoil else counted(*arguments)

    def _before_last_gate(self, ask: Callable[..., Any]) -> Callable[..., Any]:
        counted = self._before("last_gate", ask)

        def release(gate: LastGate, *arguments: Any) -> Any:
            return counted(gate, *arguments)

        return release
