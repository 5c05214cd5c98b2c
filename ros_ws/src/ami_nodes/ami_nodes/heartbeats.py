"""Who is well, by the heartbeats of the nodes: what each says of itself on /diagnostics every second."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue

UP = "up"
SILENT = "silent"  # its process may be stuck, or dead: a killed one stays in the graph for a while
GONE = "gone"  # it is not in the graph
INACTIVE = "not active"  # it speaks: somebody deactivated it, or it is a new process that nobody brought up yet

SURE = 2
"""Heartbeats in a row: the one on its way while a node is activated may still say that it is not active."""


class Heartbeats:
    """The state of each node, in `states`. `put` may be called by any thread, all else by one."""

    def __init__(self, names: Iterable[str], silent_s: float) -> None:
        """A node is silent after silent_s without a heartbeat. Nobody is up yet."""
        self.states = dict.fromkeys(names, INACTIVE)
        self._told = dict(self.states)
        self._silent_s = silent_s
        self._heard: SimpleQueue[tuple[str, bool]] = SimpleQueue()
        self._quiet_s = dict.fromkeys(self.states, 0.0)
        self._inactive = dict.fromkeys(self.states, 0)

    def put(self, name: str, active: bool) -> None:
        """A node was heard, and said whether it is active."""
        self._heard.put((name, active))

    def set_up(self, name: str) -> None:
        """The node was activated; what it said before says nothing any more."""
        self._hear_all()
        self.states[name] = self._told[name] = UP
        self._quiet_s[name], self._inactive[name] = 0.0, 0

    def look(self, elapsed_s: float, is_there: Callable[[str], bool]) -> dict[str, str]:
        """Whose state has changed since the last look, elapsed_s ago; is_there says whether a node is in the graph."""
        for name in self._quiet_s:
            self._quiet_s[name] += elapsed_s
        self._hear_all()
        for name, state in self.states.items():
            if not is_there(name):
                self.states[name] = GONE
            elif self._quiet_s[name] > self._silent_s and state != GONE:
                self.states[name] = SILENT
        changed = {name: state for name, state in self.states.items() if state != self._told[name]}
        self._told.update(changed)
        return changed

    def _hear_all(self) -> None:
        while True:
            try:
                self._hear(*self._heard.get_nowait())
            except Empty:
                return

    def _hear(self, name: str, active: bool) -> None:
        self._quiet_s[name] = 0.0
        self._inactive[name] = 0 if active else self._inactive[name] + 1
        if active:
            self.states[name] = UP
        elif self._inactive[name] >= SURE:
            self.states[name] = INACTIVE
