"""Plain YAML values as frozen dataclasses and back, strictly: nothing missing, unknown, or of another type.

A field is a whole number or a number (neither negative: no quantity of any file may be), true or false, a text, a word
out of a few (`Literal`), a tuple of whole numbers, a dataclass, or one of several dataclasses (a union). Each of those
has a class variable `kind`, and the mapping says which one it is by the key of that name; without the key it is the
first. Fields with a default may be left out. What else a value has to be, the dataclass says itself by a ValueError of
its `__post_init__`.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import yaml

Record = TypeVar("Record")

_COUNTS = {2: "two", 3: "three", 4: "four"}


class StrictError(ValueError):
    """Values that are no such dataclass; one sentence saying what, where, and what would be right."""


def read_yaml(path: Path | str) -> dict[Any, Any]:
    """The mapping in a YAML file; raises StrictError when it cannot be read, is not YAML, or holds no mapping."""
    try:
        data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise StrictError(f"cannot read {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise StrictError(f"{path} is not YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(data, dict):
        raise StrictError(f"{path} has to be a mapping of keys to values.")
    return data


def check_keys(data: Any, known: Collection[str], where: str, optional: Collection[str] = ()) -> None:
    """Raise StrictError unless `data` is a mapping with the keys `known`; those in `optional` may be absent."""
    if not isinstance(data, dict):
        raise StrictError(f"{where} has to be a mapping with the keys {', '.join(known)}.")
    if missing := [name for name in known if name not in data and name not in optional]:
        raise StrictError(f"{where} lacks {', '.join(missing)}.")
    if unknown := [str(key) for key in data if key not in known]:
        raise StrictError(f"{where} has unknown keys {', '.join(unknown)}; known are {', '.join(known)}.")


def read(data: Any, kind: Any, where: str) -> Any:
    """`data` as the dataclass, or the union of dataclasses, `kind`; raises StrictError naming `where`."""
    if isinstance(kind, UnionType):
        kind, data = _chosen(data, kind, where)
    hints = get_type_hints(kind)
    known = {entry.name: entry for entry in fields(kind) if entry.init}
    optional = [e.name for e in known.values() if e.default is not MISSING or e.default_factory is not MISSING]
    check_keys(data, known, where, optional)
    values = {name: _value(data[name], hints[name], f"{where}: {name}") for name in known if name in data}
    try:
        return kind(**values)
    except ValueError as error:  # of the dataclass itself, which does not know where it stands
        raise StrictError(f"{where}: {error}") from error


def read_file(path: Path | str, kind: type[Record]) -> Record:
    """A YAML file as the dataclass `kind`; raises StrictError as `read_yaml` and `read` do."""
    return read(read_yaml(path), kind, str(path))


def plain(record: Any) -> dict[str, Any]:
    """The dataclass as values that `read` takes: its kind first, if it has one, and lists for tuples."""
    values = {"kind": record.kind} if hasattr(record, "kind") else {}
    for entry in fields(record):
        value = getattr(record, entry.name)
        values[entry.name] = plain(value) if is_dataclass(value) else list(value) if isinstance(value, tuple) else value
    return values


def _chosen(data: Any, union: UnionType, where: str) -> tuple[Any, Any]:
    """The dataclass that the key `kind` names, and the mapping without that key."""
    kinds = {kind.kind: kind for kind in get_args(union)}
    if not isinstance(data, dict) or "kind" not in data:
        return next(iter(kinds.values())), data
    if str(data["kind"]) not in kinds:
        raise StrictError(f"{where}: kind has to be one of {', '.join(kinds)}, got {data['kind']!r}.")
    return kinds[data["kind"]], {key: value for key, value in data.items() if key != "kind"}


def _value(value: Any, kind: Any, where: str) -> Any:
    if is_dataclass(kind) or isinstance(kind, UnionType):
        return read(value, kind, where)
    if kind is int and type(value) is int and value >= 0:
        return value
    if kind is float and type(value) in (int, float) and math.isfinite(value) and value >= 0:
        return float(value)
    if get_origin(kind) is tuple and isinstance(value, (list, tuple)) and len(value) == len(get_args(kind)):
        return tuple(_value(entry, int, where) for entry in value)
    if get_origin(kind) is Literal and value in get_args(kind):
        return value
    if (kind is str and isinstance(value, str) and value) or (kind is bool and type(value) is bool):
        return value
    raise StrictError(f"{where} has to be {_wanted(kind)}, got {value!r}.")


def _wanted(kind: Any) -> str:
    if get_origin(kind) is tuple:
        return f"{_COUNTS[len(get_args(kind))]} whole numbers"
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    number = "a number >= 0, written with a point"
    return {int: "a whole number >= 0", float: number, bool: "true or false", str: "a text"}[kind]
