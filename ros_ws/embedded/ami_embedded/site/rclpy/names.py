"""Expanding, checking and remapping names (design.ros2.org, "Topic and Service name mapping to DDS")."""

from __future__ import annotations

import re

from .arguments import Arguments
from .exceptions import InvalidNodeNameException, InvalidServiceNameException, InvalidTopicNameException


def check_node_name(name: str) -> None:
    """Refuse a node name that is not letters, digits and underscores.

    Raises:
        InvalidNodeNameException: it is not.
    """
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) is None:
        raise InvalidNodeNameException("node name", name, "it has to be letters, digits and underscores")


def normal_namespace(namespace: str) -> str:
    """Return `/`, or `/a/b` without a slash at the end.

    Raises:
        InvalidNodeNameException: a part of it is not letters, digits and underscores.
    """
    parts = [p for p in namespace.split("/") if p]
    for part in parts:
        check_node_name(part)
    return "/" + "/".join(parts)


def expand(name: str, node: str, namespace: str, *, is_service: bool = False) -> str:
    """Return the fully qualified name of a topic or service.

    Raises:
        InvalidTopicNameException, InvalidServiceNameException: it is not a valid name.
    """
    base = "" if namespace == "/" else namespace
    full = name.replace("{node}", node).replace("{ns}", base).replace("{namespace}", base)
    if full == "~" or full.startswith("~/"):
        full = f"{base}/{node}{full[1:]}"
    elif not full.startswith("/"):
        full = f"{base}/{full}"
    if re.fullmatch(r"(/[A-Za-z_][A-Za-z0-9_]*)+", full) is None:
        kind = InvalidServiceNameException if is_service else InvalidTopicNameException
        raise kind("service name" if is_service else "topic name", name, "it is not a valid ROS 2 name")
    return full


def remap_node(arguments: list[Arguments], name: str, namespace: str) -> tuple[str, str]:
    """Apply the rules __node, __name and __ns; the first that fits wins."""
    rules = [r for a in arguments for r in a.remaps if r[0] in (None, name)]
    new_name = next((to for _, source, to in rules if source in ("__node", "__name")), name)
    return new_name, next((to for _, source, to in rules if source == "__ns"), namespace)


def remap(arguments: list[Arguments], full: str, node: str, namespace: str, *, is_service: bool = False) -> str:
    """Apply the remapping rules to a fully qualified name; the first that fits wins."""
    for rules in arguments:
        for rule_node, source, target in rules.remaps:
            if source.startswith("__") or rule_node not in (None, node, f"{namespace.rstrip('/')}/{node}"):
                continue
            if expand(source, node, namespace, is_service=is_service) == full:
                return expand(target, node, namespace, is_service=is_service)
    return full
