"""Message and service classes from their names, and what rosidl says of their fields, with any rclpy."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

_PRIMITIVES = {"boolean": "bool", "float": "float32", "double": "float64", "octet": "byte"}


def interface_class(name: str) -> Any:
    """The class of package/msg/Name or package/srv/Name, or of an action's feedback as it travels.

    Raises ImportError or AttributeError where this machine does not have it.
    """
    package, kind, stem = name.split("/")
    stem, feedback, _ = stem.partition("_FeedbackMessage")
    found = getattr(import_module(f"{package}.{kind}"), stem)
    return found.Impl.FeedbackMessage if feedback else found


def type_name(message_class: Any) -> str:
    """package/msg/Name."""
    package = message_class.__module__.partition(".")[0]
    return f"{package}/msg/{message_class.__name__}"


def fields(message: Any) -> dict[str, tuple[str, str]]:
    """{field: (type, `[]` and the like)} of a message or its class, in the words of a .msg file."""
    return {name: _split(idl_type) for name, idl_type in message.get_fields_and_field_types().items()}


def _split(idl_type: str) -> tuple[str, str]:
    """`sequence<double, 3>` as (`float64`, `[<=3]`), `double[3]` as (`float64`, `[3]`), `double` as (`float64`, ``)."""
    if match := re.fullmatch(r"sequence<(.+?)(?:, (\d+))?>", idl_type):
        base, many = match[1], f"[<={match[2]}]" if match[2] else "[]"
    else:
        base, bracket, length = idl_type.partition("[")
        many = bracket + length
    return _PRIMITIVES.get(base, base), many
