"""Parameter files of ROS 2: sections of node names, with wildcards, and what each says under `ros__parameters`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml


class ParameterFileError(ValueError):
    """A file that is none; one sentence naming it."""


class _Loader(yaml.SafeLoader):
    """As rcl: also 1e-3 is a number (YAML 1.1 wants 1.0e-3)."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def parse_value(text: str) -> Any:
    """The value in `name:=value`: YAML, or the text itself where it is none."""
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError:
        return text


def read_parameter_file(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """[(node name pattern, {parameter: value})] in the order of the file; of two that match a node the later wins.

    Raises ParameterFileError.
    """
    try:
        document = yaml.load(path.read_text(), _Loader) or {}
    except (OSError, yaml.YAMLError) as error:
        raise ParameterFileError(f"cannot read the parameter file {path}: {error}") from error
    return _sections(path, document, "")


def _sections(path: Path, section: Any, prefix: str) -> list[tuple[str, dict[str, Any]]]:
    if not isinstance(section, dict):
        raise ParameterFileError(f"{path}: {prefix or 'the file'} is not a mapping of node names to ros__parameters")
    found = []
    for name, inner in section.items():
        if name != "ros__parameters":
            found += _sections(path, inner, f"{prefix}/{str(name).strip('/')}")
        elif isinstance(inner, dict):
            found.append((prefix, _flat(path, inner)))
        else:
            raise ParameterFileError(f"{path}: ros__parameters of {prefix} is not a mapping")
    return found


def _flat(path: Path, section: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in section.items():
        name = f"{prefix}{key}"
        if isinstance(value, list) and len(types := {type(item).__name__ for item in value}) > 1:
            mixed = " and ".join(sorted(types))  # rcl refuses them: [1, 2.5] has to be [1.0, 2.5]
            raise ParameterFileError(f"{path}: the list {name} has items of types {mixed}; all have to be of one")
        result |= _flat(path, value, f"{name}.") if isinstance(value, dict) else {name: value}
    return result


def matches(pattern: str, fully_qualified_name: str) -> bool:
    """Whether a node name pattern means this node: `/**/arm` in every namespace, `arm` and `/arm` outside of any."""
    expression = re.escape(f"/{pattern.lstrip('/')}").replace(r"/\*\*", "(/.*)?").replace(r"\*", "[^/]+")
    return re.fullmatch(expression, fully_qualified_name) is not None
