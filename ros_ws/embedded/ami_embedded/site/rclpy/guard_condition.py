"""A condition that the program itself triggers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ami_embedded import dds


class GuardCondition:
    """Calls back on an executor after `trigger()`."""

    _inline = False

    def __init__(self, callback: Callable[..., Any] | None, callback_group: Any, context: Any) -> None:
        self.callback, self.callback_group = callback, callback_group
        self._guard = dds.GuardCondition(context.participant)
        self.condition = self._guard.handle

    def trigger(self) -> None:
        """Have the callback called soon; safe from any thread."""
        self._guard.trigger()

    def _take(self) -> Callable[[], Any] | None:
        self._guard.clear()
        return self.callback

    def destroy(self) -> None:
        """Delete it."""
        self._guard.close()
