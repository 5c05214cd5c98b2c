"""Messages as people read and type them: YAML, with types and ranges checked before rclpy sees a value."""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from ami_nodes.interfaces import fields, interface_class

LONGEST_ARRAY = 64
"""Elements that are still shown one by one."""


class MessageError(ValueError):
    """A text that is no such message: which field, and what it takes."""


class _Dumper(yaml.SafeDumper):
    """Fields one below the other, numbers and words side by side."""

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:
        return super().represent_sequence(tag, sequence, not any(isinstance(each, dict) for each in sequence))


def to_yaml(message: Any) -> str:
    """A line for each field; long arrays are only counted, as in `<uint8 array, 921600 elements>`."""
    return yaml.dump(_plain(message), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=math.inf)


def _plain(message: Any) -> dict[str, Any]:
    return {name: _shown(getattr(message, name), *kind) for name, kind in fields(message).items()}


def _shown(value: Any, base: str, many: str) -> Any:
    if many and len(value) > LONGEST_ARRAY:
        return f"<{base} array, {len(value)} elements>"
    if many:
        return [_shown(each, base, "") for each in (value.tolist() if hasattr(value, "tolist") else value)]
    if isinstance(value, bytes):
        return value[0]
    return _plain(value) if "/" in base else value


def from_yaml(message_class: Any, text: str) -> Any:
    """A message from a mapping such as `{data: true}`; fields that are not named keep their defaults.

    Raises MessageError.
    """
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise MessageError(f"'{text}' is not YAML: {error}") from error
    return _filled(message_class(), {} if values is None else values, "")


def _filled(message: Any, values: Any, where: str) -> Any:
    known = fields(message)
    takes = f"{{{', '.join(f'{name}: {base}{many}' for name, (base, many) in known.items())}}}"
    if not isinstance(values, dict):
        raise MessageError(f"{where or 'the message'} takes {takes}, not {values!r:.60}.")
    for name, value in values.items():
        if name not in known:
            raise MessageError(f"{where or 'the message'} has no field '{name}'; it takes {takes}.")
        setattr(message, name, _value(value, *known[name], f"{where}.{name}".lstrip(".")))
    return message


def _value(value: Any, base: str, many: str, where: str) -> Any:
    if many:
        if not isinstance(value, list) or not _fits(len(value), many):
            raise MessageError(f"{where} takes {base}{many}, a list, not {value!r:.60}.")
        return [_value(each, base, "", f"{where}[{number}]") for number, each in enumerate(value)]
    if "/" in base:
        return _filled(interface_class(base.replace("/", "/msg/"))(), value, where)
    if (checked := _scalar(value, base)) is None:
        raise MessageError(f"{where} takes {base}, not {value!r:.60}.")
    return checked


def _fits(length: int, many: str) -> bool:
    """Whether so many elements go into [], [3] or [<=3]."""
    bound = many.strip("[<=]")
    return not bound or length == int(bound) or ("<" in many and length < int(bound))


def _scalar(value: Any, base: str) -> Any:
    """As the field keeps it, or None."""
    if base == "bool":
        return value if isinstance(value, bool) else None
    if match := re.fullmatch(r"w?string(?:<(\d+)>)?", base):
        return value if isinstance(value, str) and len(value) <= int(match[1] or len(value)) else None
    if base.startswith("float"):
        return _float(value)
    bits = 8 if base == "byte" else int(base.strip("uint"))
    lowest = -(2 ** (bits - 1)) if base.startswith("int") else 0
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value < lowest + 2**bits:
        return None
    return bytes([value]) if base == "byte" else value


def _float(value: Any) -> float | None:
    """YAML 1.1, as PyYAML reads it, takes 1e-3 for a string."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None
