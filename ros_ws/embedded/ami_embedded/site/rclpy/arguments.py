"""The ROS arguments of a command line (design.ros2.org, "ROS Command Line Arguments")."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from ami_embedded.parameter_files import ParameterFileError, matches, parse_value, read_parameter_file

from .logging import get_logging_severity_from_string, set_logger_level


class UnknownROSArgsError(ValueError):
    """Something after --ros-args makes no sense; the message quotes it."""


class Arguments:
    """What `--ros-args ... [--]` holds; `others` is the rest of the command line."""

    def __init__(self, args: list[str] | None) -> None:
        self.others: list[str] = []
        self.remaps: list[tuple[str | None, str, str]] = []  # (node or None, from, to)
        self.parameters: list[tuple[str, str, Any]] = []  # (node name pattern, parameter, value), later ones win
        self.log_levels: list[tuple[str, str]] = []
        words = iter(sys.argv if args is None else args)
        for word in words:
            if word != "--ros-args":
                self.others.append(word)
                continue
            for word in words:
                if word == "--":
                    break
                if word != "--ros-args":
                    self._read(word, words)

    def _read(self, word: str, words: Any) -> None:
        def value() -> str:
            try:
                return next(words)
            except StopIteration:
                raise UnknownROSArgsError(f"{word} needs a value") from None

        if word in ("-r", "--remap"):
            self._remap(value())
        elif word in ("-p", "--param"):
            name, text = self._rule(word, value())
            node, _, name = name.rpartition(":")
            self.parameters.append((node or "/**", name, parse_value(text)))
        elif word == "--params-file":
            self._params_file(Path(value()))
        elif word == "--log-level":
            name, _, level = value().rpartition(":=")
            self.log_levels.append((name, level))
        elif word in ("-e", "--enclave", "--log-config-file", "--log-file-name"):
            value()
        elif re.fullmatch(r"--(en|dis)able-(rosout|stdout|external-lib)-logs?", word) is None:
            if ":=" not in word:
                raise UnknownROSArgsError(
                    f"unknown ROS argument {word!r}; options before --ros-args or after -- are yours"
                )
            self._remap(word)

    @staticmethod
    def _rule(option: str, text: str) -> tuple[str, str]:
        name, separator, value = text.partition(":=")
        if not separator or not name:
            raise UnknownROSArgsError(f"{option} {text!r}: expected name:=value")
        return name, value

    def _remap(self, text: str) -> None:
        source, target = self._rule("--remap", text)
        node, _, source = source.rpartition(":") if not source.startswith("rostopic:") else ("", "", source[9:])
        self.remaps.append((node or None, source, target))

    def _params_file(self, path: Path) -> None:
        try:
            sections = read_parameter_file(path)
        except ParameterFileError as error:
            raise UnknownROSArgsError(str(error)) from error
        self.parameters += [(pattern, key, value) for pattern, values in sections for key, value in values.items()]

    def apply_log_levels(self) -> None:
        """Set the levels that were asked for."""
        for name, level in self.log_levels:
            set_logger_level(name, get_logging_severity_from_string(level))

    def overrides_for(self, fqn: str) -> dict[str, Any]:
        """{parameter: value} for the node with this fully qualified name."""
        return {name: value for pattern, name, value in self.parameters if matches(pattern, fqn)}
