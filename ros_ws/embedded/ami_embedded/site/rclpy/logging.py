"""Loggers with rclpy's interface: to stderr in rcutils' format, and to /rosout through the node of that name."""

from __future__ import annotations

import inspect
import os
import sys
import time
from collections.abc import Callable
from enum import IntEnum
from typing import Any


class LoggingSeverity(IntEnum):
    """Severities of rcutils."""

    UNSET = 0
    DEBUG = 10
    INFO = 20
    WARN = 30
    ERROR = 40
    FATAL = 50


_levels: dict[str, LoggingSeverity] = {"": LoggingSeverity.INFO}
_loggers: dict[str, RcutilsLogger] = {}
# logger name -> publishes (severity, name, text, file, function, line, time in ns) on /rosout
_rosout: dict[str, Callable[..., None]] = {}
_COLOURS = {10: "\033[32m", 30: "\033[33m", 40: "\033[31m", 50: "\033[31m"}


def _coloured() -> bool:
    wanted = os.environ.get("RCUTILS_COLORIZED_OUTPUT", "")
    return wanted == "1" if wanted else sys.stderr.isatty()


class RcutilsLogger:
    """A named logger; children inherit the level of the longest parent name that has one."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self._contexts: dict[Any, list[float]] = {}  # call site -> [times seen, last time logged]

    def get_child(self, name: str) -> RcutilsLogger:
        """Return the logger `<this name>.<name>`."""
        if not name:
            raise ValueError("Child logger name must not be empty.")
        return get_logger(f"{self.name}.{name}" if self.name else name)

    def get_effective_level(self) -> LoggingSeverity:
        """The level that applies, own or inherited."""
        name = self.name
        while name:
            if _levels.get(name, LoggingSeverity.UNSET):
                return _levels[name]
            name = name.rpartition(".")[0]
        return _levels[""]

    def is_enabled_for(self, severity: LoggingSeverity | int) -> bool:
        """Whether a message of this severity would be shown."""
        return severity >= self.get_effective_level()

    def log(
        self,
        message: str,
        severity: LoggingSeverity | int,
        *,
        throttle_duration_sec: float | None = None,
        skip_first: bool = False,
        once: bool = False,
        **_: Any,
    ) -> bool:
        """Log; the keywords filter repeated calls from one place in the code. Return whether it was shown."""
        if not self.is_enabled_for(severity):
            return False
        frame = inspect.currentframe()
        while frame is not None and frame.f_code.co_filename == __file__:
            frame = frame.f_back
        file, line, function = ("", 0, "") if frame is None else (
            frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name
        )  # fmt: skip
        if throttle_duration_sec is not None or skip_first or once:
            seen = self._contexts.setdefault((file, line), [0, -float("inf")])
            seen[0] += 1
            if (once and seen[0] > 1 + skip_first) or (skip_first and seen[0] == 1):
                return False
            now = time.monotonic()
            if throttle_duration_sec is not None and now - seen[1] < throttle_duration_sec:
                return False
            seen[1] = now
        self._emit(LoggingSeverity(severity), str(message), file, function, line)
        return True

    def _emit(self, severity: LoggingSeverity, text: str, file: str, function: str, line: int) -> None:
        ns = time.time_ns()
        shown = f"[{severity.name}] [{ns // 10**9}.{ns % 10**9:09d}] [{self.name}]: {text}"
        if severity in _COLOURS and _coloured():
            shown = f"{_COLOURS[severity]}{shown}\033[0m"
        if sys.stderr is not None:  # None in a windowed Python
            sys.stderr.write(f"{shown}\n")
            sys.stderr.flush()
        name = self.name
        while name and name not in _rosout:
            name = name.rpartition(".")[0]
        if name:
            _rosout[name](severity, self.name, text, file, function, line, ns)

    def debug(self, message: str, **kwargs: Any) -> bool:
        """Log for developers."""
        return self.log(message, LoggingSeverity.DEBUG, **kwargs)

    def info(self, message: str, **kwargs: Any) -> bool:
        """Log a normal event."""
        return self.log(message, LoggingSeverity.INFO, **kwargs)

    def warning(self, message: str, **kwargs: Any) -> bool:
        """Log something suspicious."""
        return self.log(message, LoggingSeverity.WARN, **kwargs)

    def error(self, message: str, **kwargs: Any) -> bool:
        """Log a failure."""
        return self.log(message, LoggingSeverity.ERROR, **kwargs)

    def fatal(self, message: str, **kwargs: Any) -> bool:
        """Log a failure that ends the process."""
        return self.log(message, LoggingSeverity.FATAL, **kwargs)


def get_logger(name: str) -> RcutilsLogger:
    """Return the logger of that name."""
    return _loggers.setdefault(name, RcutilsLogger(name))


def set_logger_level(name: str, level: LoggingSeverity | int) -> None:
    """Log from this severity up; an empty name sets the default."""
    _levels[name] = LoggingSeverity(level)


def get_logging_severity_from_string(text: str) -> LoggingSeverity:
    """Return the severity named e.g. "debug".

    Raises:
        ValueError: no such severity.
    """
    try:
        return LoggingSeverity[text.upper()]
    except KeyError:
        names = ", ".join(s.name.lower() for s in LoggingSeverity)
        raise ValueError(f"there is no log level {text!r}; there are {names}") from None
