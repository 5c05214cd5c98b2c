"""Ctrl-C and SIGTERM while the process sleeps in the waitset.

Python runs its handlers only between bytecodes of the main thread, and a wait in C does not end for a signal. So the
interpreter's wake-up descriptor is read by a small thread, which wakes the executors; then the handlers run.
"""

from __future__ import annotations

import signal
import socket
import threading
from enum import IntEnum
from types import FrameType
from typing import Any

from . import context as _context


class SignalHandlerOptions(IntEnum):
    """Which signals rclpy handles."""

    NO = 0
    SIGINT = 1
    SIGTERM = 2
    ALL = 3


_previous: dict[int, Any] = {}
_sockets: tuple[socket.socket, socket.socket] | None = None


def _shut_down_all() -> None:
    for context in tuple(_context._all):
        context.try_shutdown()


def _on_signal(number: int, frame: FrameType | None) -> None:
    _shut_down_all()
    previous = _previous.get(number)
    if callable(previous):
        previous(number, frame)  # for SIGINT Python's own: KeyboardInterrupt


def _watch(reader: socket.socket) -> None:
    while reader.recv(64):
        for context in tuple(_context._all):
            context._wake()


def install_signal_handlers(options: SignalHandlerOptions) -> None:
    """Handle the given signals from now on. Does nothing outside the main thread, as Python demands."""
    global _sockets
    if options == SignalHandlerOptions.NO or threading.current_thread() is not threading.main_thread():
        return
    if _sockets is None:
        _sockets = socket.socketpair()
        _sockets[1].setblocking(False)
        signal.set_wakeup_fd(_sockets[1].fileno(), warn_on_full_buffer=False)
        threading.Thread(target=_watch, args=(_sockets[0],), name="rclpy signals", daemon=True).start()
    for number, bit in ((signal.SIGINT, 1), (signal.SIGTERM, 2)):
        if options & bit and number not in _previous:
            _previous[number] = signal.signal(number, _on_signal)


def uninstall_signal_handlers() -> None:
    """Give the signals back."""
    if threading.current_thread() is threading.main_thread():
        while _previous:
            number, handler = _previous.popitem()
            signal.signal(number, handler)
