"""Parameters with a schema: what a node takes, its defaults and ranges; everything else is refused.

ROS 2 lets a misspelt key of a parameter file pass in silence; a robot that runs with a default instead is worse than
one that does not start.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

RESERVED = ("use_sim_time", "start_type_description_service")
"""Parameters that rclpy declares itself; those below `qos_overrides.` are its own too."""


class ParameterError(ValueError):
    """A parameter that cannot be used: one sentence naming it and what would be right."""


@dataclass(frozen=True)
class Param:
    """One parameter of a node. Its type is that of the default; an integer is taken for a float."""

    name: str
    default: bool | int | float | str | list[str]
    description: str
    minimum: float = -math.inf
    maximum: float = math.inf
    choices: tuple[str, ...] = ()


def checked_parameters(node: Any, schema: Iterable[Param]) -> SimpleNamespace:
    """Declare `schema` on a node made with automatically_declare_parameters_from_overrides=True and read it.

    Raises ParameterError on an unknown key, a wrong type, or a value out of range.
    """
    schema = tuple(schema)
    settings = checked_values(
        {name: node.get_parameter(name).value for name in node.get_parameters_by_prefix("")}, schema
    )
    for param in schema:
        if not node.has_parameter(param.name):
            node.declare_parameter(param.name, param.default)
    return settings


def checked_values(given: Mapping[str, Any], schema: Iterable[Param]) -> SimpleNamespace:
    """All values of `schema`: those given and the defaults. Raises ParameterError like checked_parameters."""
    schema = tuple(schema)
    names = [param.name for param in schema]
    unknown = sorted(
        name for name in given if name not in names and name not in RESERVED and not name.startswith("qos_overrides.")
    )
    if unknown:
        valid = ", ".join(names) or "none of its own"
        raise ParameterError(f"unknown parameter {', '.join(unknown)}; the valid ones are {valid}.")
    return SimpleNamespace(**{param.name: _checked(param, given.get(param.name, param.default)) for param in schema})


def _checked(param: Param, value: Any) -> Any:
    """The value as the type of the default; raises ParameterError."""
    wanted: type = type(param.default)
    if wanted is float and type(value) is int:
        value = float(value)
    if wanted is list and isinstance(value, list | tuple):
        value = list(value) if all(isinstance(item, str) for item in value) else tuple(value)
    if type(value) is not wanted:
        kind = "list of strings" if wanted is list else wanted.__name__
        raise ParameterError(f"parameter {param.name} has to be a {kind} ({param.description}), got {value!r}.")
    if isinstance(value, int | float) and not param.minimum <= value <= param.maximum:
        raise ParameterError(
            f"parameter {param.name} has to be between {param.minimum:g} and {param.maximum:g} ({param.description}), "
            f"got {value!r}."
        )
    if param.choices and value not in param.choices:
        raise ParameterError(f"parameter {param.name} has to be one of {', '.join(param.choices)}, got {value!r}.")
    return value
