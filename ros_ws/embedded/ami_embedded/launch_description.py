"""What a launch file asks for: the same reading order and scoping as ``ros2 launch`` of Jazzy.

An included file shares the scope of the file that includes it (its lets and arguments stay set after it, as in ROS 2);
only a ``<group>`` has a scope of its own.
"""

from __future__ import annotations

import math
import os
import re
import shlex
import sys
from collections import ChainMap
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

from ami_embedded.launch_document import Element, read_document
from ami_embedded.launch_errors import LaunchError
from ami_embedded.launch_packages import Packages
from ami_embedded.launch_substitutions import Resolver, as_bool, substitute

_NAME = re.compile(r"[A-Za-z_]\w*")
_NAMESPACE = re.compile(r"(/[A-Za-z_]\w*)*")
_OUTPUTS = ("screen", "both", "log")
_MAX_INCLUDE_DEPTH = 16


@dataclass(frozen=True)
class Argument:
    """A launch argument that a user may give."""

    name: str
    default: str | None
    description: str
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Process:
    """One node to run as one operating-system process. ``environment`` holds what is added to the launcher's own."""

    label: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    required: bool  # on_exit="shutdown": its end is the end of the launch, as in ROS 2 even if it has respawn, too
    quiet: bool  # output="log": its standard output is not shown
    respawn: bool  # started again whenever it has ended
    respawn_delay_s: float


@dataclass
class _Scope:
    variables: dict[str, str]
    environment: dict[str, str] = field(default_factory=dict)
    namespace: str = ""
    parameters: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Description:
    """The processes of a launch file, the arguments it declares, and the executables that go by each node name."""

    processes: list[Process] = field(default_factory=list)
    arguments: dict[str, Argument] = field(default_factory=dict)
    executables: dict[str, set[str]] = field(default_factory=dict)


def describe(path: Path, given: Mapping[str, str]) -> Description:
    """Read a launch file with the arguments given on the command line. Raises LaunchError."""
    valid = list_arguments(path, given)
    if unknown := sorted(given.keys() - valid.keys()):
        names = ", ".join(sorted(valid)) or "none"
        raise LaunchError(f"{path.name} has no launch argument '{unknown[0]}'; there are: {names}")
    reader = _Reader(path, strict=True)
    reader.read_file(path, _Scope(dict(given)), frozenset())
    return reader.description


def list_arguments(path: Path, given: Mapping[str, str]) -> dict[str, Argument]:
    """The arguments of a file and of what it includes, whatever the conditions. Raises LaunchError for broken XML."""
    return _everything(path, given).arguments


def list_executables(path: Path, given: Mapping[str, str]) -> dict[str, set[str]]:
    """{node name: executables} of all that a file and what it includes may start, whatever the conditions."""
    return _everything(path, given).executables


def _everything(path: Path, given: Mapping[str, str]) -> Description:
    reader = _Reader(path, strict=False)
    reader.read_file(path, _Scope(dict(given)), frozenset())
    return reader.description


class _Reader:
    """Walks the tags in order. Not strict: only looks for arguments, tolerates missing values, takes every branch."""

    def __init__(self, path: Path, strict: bool):
        self.description = Description()
        self._strict = strict
        self._packages = Packages(path)
        self._depth = 0

    def read_file(self, path: Path, scope: _Scope, bound: frozenset[str]) -> None:
        """Read one file; ``bound`` are the arguments that the including file has set."""
        root = read_document(path)
        self._depth += 1
        if self._depth > _MAX_INCLUDE_DEPTH:
            raise LaunchError(f"{path} is included by itself")
        for element in root.children:
            self._act(element, scope, path, bound)
        self._depth -= 1

    def _act(self, element: Element, scope: _Scope, path: Path, bound: frozenset[str]) -> None:
        environment = ChainMap(scope.environment, dict(os.environ))
        resolve = Resolver(scope.variables, environment, str(path.parent), lambda p: str(self._packages.share(p)))
        try:
            if self._strict and not _condition(element, resolve):
                return
            values = {key: substitute(text, resolve) for key, text in _texts(element)}
            if element.tag == "arg":
                self._argument(element, values, scope, resolve, bound)
            elif element.tag == "let":
                scope.variables[values["name"]] = values["value"]
            elif element.tag == "node":
                name = values.get("name", values["exec"])
                self.description.executables.setdefault(name, set()).add(values["exec"])
                if self._strict:
                    self.description.processes.append(self._node(element, values, scope, resolve))
            elif element.tag in ("push_ros_namespace", "push-ros-namespace"):
                scope.namespace = _join(scope.namespace, values["namespace"])
            elif element.tag == "set_parameter":
                scope.parameters.append((values["name"], values["value"]))
            elif element.tag == "set_env":
                scope.environment[values["name"]] = values["value"]
        except LaunchError as error:
            if self._strict:
                raise LaunchError(f"{path}:{element.line}: {error}") from error
            return
        # What reads further tags adds their own places to their errors.
        if element.tag == "include":
            self._include(element, values["file"], scope, path, resolve)
        elif element.tag == "group":
            inner = deepcopy(scope)
            for child in element.children:
                self._act(child, inner, path, bound)

    def _argument(
        self, element: Element, values: dict[str, str], scope: _Scope, resolve: Resolver, bound: frozenset[str]
    ) -> None:
        name, default = values["name"], element.attributes.get("default")
        choices = tuple(choice.attributes["value"] for choice in element.of("choice"))
        if name not in bound:
            shown = Argument(name, default, element.attributes.get("description", ""), choices)
            self.description.arguments.setdefault(name, shown)
        if name not in scope.variables:
            if default is None and self._strict:
                raise LaunchError(f"the launch argument '{name}' has no default: give {name}:=value")
            scope.variables[name] = substitute(default, resolve) if default is not None else ""
        if self._strict and choices and scope.variables[name] not in choices:
            raise LaunchError(f"{name}:={scope.variables[name]} is not one of {', '.join(choices)}")

    def _include(self, element: Element, file: str, scope: _Scope, path: Path, resolve: Resolver) -> None:
        included = path.parent / file
        if not included.is_file():
            if not self._strict:
                return
            raise LaunchError(f"{path}:{element.line}: there is no file {included} to include")
        given: dict[str, str] = {}
        for argument in element.of("arg"):
            try:
                name, value = (substitute(argument.attributes[key], resolve) for key in ("name", "value"))
            except LaunchError as error:
                if self._strict:
                    raise LaunchError(f"{path}:{argument.line}: {error}") from error
                name, value = argument.attributes["name"], ""
            given[name] = value
        if self._strict and (unknown := sorted(given.keys() - (valid := list_arguments(included, given)).keys())):
            names = ", ".join(sorted(valid)) or "none"
            raise LaunchError(f"{path}:{element.line}: {included} has no argument '{unknown[0]}'; there are: {names}")
        scope.variables.update(given)
        self.read_file(included, scope, frozenset(given))

    def _node(self, element: Element, values: dict[str, str], scope: _Scope, resolve: Resolver) -> Process:
        name, namespace = values.get("name"), _join(scope.namespace, values.get("namespace", ""))
        if name is not None and not _NAME.fullmatch(name):
            raise LaunchError(f"the node name '{name}' may only hold letters, digits and _, and not begin with a digit")
        if values.get("output", "screen") not in _OUTPUTS:
            raise LaunchError(f"output is '{values['output']}', it has to be one of {', '.join(_OUTPUTS)}")
        if values.get("on_exit", "shutdown") != "shutdown":
            raise LaunchError(f"on_exit is '{values['on_exit']}', it can only be shutdown")
        respawn = as_bool(values.get("respawn", "false"), "respawn")
        respawn_delay_s = _seconds(element.attributes.get("respawn_delay", "0"), "respawn_delay")
        target, source = self._packages.executable(values["pkg"], values["exec"])
        ros = ["-r", f"__node:={name}"] if name else []
        ros += ["-r", f"__ns:={namespace}"] if namespace else []
        for key, value in scope.parameters:
            ros += _parameter(key, value)
        environment = dict(scope.environment)
        for child in element.children:
            inner = {key: substitute(text, resolve) for key, text in child.attributes.items()}
            if child.tag == "remap":
                ros += ["-r", f"{inner['from']}:={inner['to']}"]
            elif child.tag == "env":
                environment[inner["name"]] = inner["value"]
            elif inner.keys() == {"name", "value"}:
                ros += _parameter(inner["name"], inner["value"])
            elif inner.keys() == {"from"}:
                if not Path(inner["from"]).is_file():
                    raise LaunchError(f"there is no parameter file {inner['from']}")
                ros += ["--params-file", inner["from"]]
            else:
                raise LaunchError("<param> takes either name and value, or from")
        if source is not None:  # runs from the checkout, installed or not
            inherited = environment.get("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
            environment["PYTHONPATH"] = os.pathsep.join(p for p in (str(source), inherited) if p)
        command = (sys.executable, "-m", "ami_embedded.run", target, *shlex.split(values.get("args", "")))
        command += ("--ros-args", *ros) if ros else ()
        label = self._unique_label(name or values["exec"])
        required, quiet = "on_exit" in values, values.get("output") == "log"
        return Process(label, command, environment, required, quiet, respawn, respawn_delay_s)

    def _unique_label(self, wanted: str) -> str:
        taken = {process.label for process in self.description.processes}
        label, count = wanted, 1
        while label in taken:
            count += 1
            label = f"{wanted}-{count}"
        return label


def _texts(element: Element) -> list[tuple[str, str]]:
    """The attributes to substitute at once: not a condition (judged already), not what an <arg> says to people."""
    kept = ("if", "unless", *(("default", "description") if element.tag == "arg" else ()))
    return [(key, text) for key, text in element.attributes.items() if key not in kept]


def _condition(element: Element, resolve: Resolver) -> bool:
    attributes = element.attributes
    if "if" in attributes and "unless" in attributes:
        raise LaunchError(f"<{element.tag}> has both if and unless")
    for key in attributes.keys() & {"if", "unless"}:
        return as_bool(substitute(attributes[key], resolve), key) == (key == "if")
    return True


def _seconds(text: str, attribute: str) -> float:
    """Of an attribute in which ros2 launch substitutes nothing."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.0 <= seconds < math.inf:
        raise LaunchError(f"{attribute} is '{text}', it has to be a number of seconds, 0 or more, without $()")
    return seconds


def _parameter(name: str, value: str) -> list[str]:
    return ["-p", f"{name}:={value}" if value else f"{name}:=''"]


def _join(base: str, namespace: str) -> str:
    """A namespace below ``base``, or in its own right when it begins with a slash; no trailing slash."""
    joined = namespace if namespace.startswith("/") else f"{base}/{namespace}"
    joined = joined.rstrip("/")
    if not _NAMESPACE.fullmatch(joined):
        raise LaunchError(f"'{namespace}' is not a namespace: names of letters, digits and _ with / between them")
    return joined
