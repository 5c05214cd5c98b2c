"""A YAML mapping into a frozen dataclass: every key known, every key without a default given, every value typed."""

from __future__ import annotations

import math
import types
from collections.abc import Set
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

T = TypeVar("T")


class ConfigError(ValueError):
    """A task file that cannot be used; the message is one sentence for its author."""


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigError: no such file, not YAML, or not a mapping.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: must be a mapping of keys to values")
    return data


def check_keys(given: Any, wanted: Set[str], where: str, optional: Set[str] = frozenset()) -> None:
    """Refuse unknown and missing keys, naming the valid ones."""
    if not isinstance(given, dict):
        raise ConfigError(f"{where} must be a mapping with the keys {', '.join(sorted(wanted))}")
    valid = f"valid are {', '.join(sorted(wanted))}"
    if optional:
        valid += f", and where wanted {', '.join(sorted(optional))}"
    if unknown := sorted(str(key) for key in set(given) - wanted - optional):
        raise ConfigError(f"{where} has unknown keys {', '.join(unknown)}; {valid}")
    if missing := sorted(wanted - set(given)):
        raise ConfigError(f"{where} lacks the keys {', '.join(missing)}; {valid}")


def build(record: type[T], given: Any, where: str) -> T:
    """Fill the dataclass `record` from a mapping; fields with a default may be left out.

    Raises:
        ConfigError: unknown, missing or mistyped keys, or values that the dataclass itself refuses.
    """
    hints = get_type_hints(record)
    optional = {f.name for f in fields(record) if f.default is not MISSING}  # type: ignore[arg-type]
    check_keys(given, {f.name for f in fields(record)} - optional, where, optional)  # type: ignore[arg-type]
    values = {name: _value(value, hints[name], f"{where}.{name}") for name, value in given.items()}
    try:
        return record(**values)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


def _value(value: Any, kind: type | types.UnionType, where: str) -> Any:
    if kind is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if kind is not float and type(value) is kind:  # exact: YAML's true is no int
        return value
    raise ConfigError(f"{where} is {value!r}; it must be a {'finite number' if kind is float else kind.__name__}")  # type: ignore[union-attr]
