"""``$(name argument ...)`` in launch files: a part of the ROS 2 grammar (launch/frontend) that Jazzy is known to read.

Arguments are separated by one space, may hold substitutions, and may be quoted as a whole with ' or ". There is no
``$(eval ...)``: a launch file that computes is a program.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from ami_embedded.launch_errors import LaunchError

Resolve = Callable[[str, list[str]], str]


def substitute(text: str, resolve: Resolve) -> str:
    """Text with every ``$(name arguments)`` replaced by ``resolve(name, arguments)``. Raises LaunchError."""
    if "\\" in text:
        raise LaunchError(f"'{text}' holds a backslash; escapes are not supported in launch files")
    value, end = _template(text, 0, resolve, stop="")
    assert end == len(text)
    return value


def _template(text: str, at: int, resolve: Resolve, stop: str) -> tuple[str, int]:
    """Literal text and substitutions from ``at`` to the first character in ``stop``, or to the end."""
    parts: list[str] = []
    while at < len(text) and text[at] not in stop:
        if text.startswith("$(", at):
            value, at = _substitution(text, at, resolve)
        else:
            value, at = text[at], at + 1
        parts.append(value)
    return "".join(parts), at


def _substitution(text: str, at: int, resolve: Resolve) -> tuple[str, int]:
    name_end = at + 2
    while name_end < len(text) and text[name_end] not in " )":
        name_end += 1
    name, at, arguments = text[at + 2 : name_end], name_end, []
    while at < len(text) and text[at] == " ":
        value, at = _argument(text, at + 1, resolve)
        arguments.append(value)
    if at >= len(text) or text[at] != ")":
        raise LaunchError(f"'{text}' has a $( without its )")
    return resolve(name, arguments), at + 1


def _argument(text: str, at: int, resolve: Resolve) -> tuple[str, int]:
    if at < len(text) and text[at] in "'\"":
        value, end = _template(text, at + 1, resolve, stop=text[at])
        if end >= len(text) or text[end + 1 : end + 2] not in (" ", ")"):
            raise LaunchError(f"'{text}' has a quoted argument that does not end with its quote")
        return value, end + 1
    value, end = _template(text, at, resolve, stop=" )'\"(")
    if end == at:
        raise LaunchError(f"'{text}' has an empty argument: put exactly one space between arguments")
    return value, end


def as_bool(text: str, what: str) -> bool:
    """The truth of an ``if``, ``unless`` or boolean argument: true, false, 1 or 0. Raises LaunchError."""
    word = text.strip().lower()
    if word not in ("true", "false", "1", "0"):
        raise LaunchError(f"{what} is '{text}', it has to be true, false, 1 or 0")
    return word in ("true", "1")


def _equals(left: str, right: str) -> bool:
    booleans = ("true", "false", "1", "0")
    if left.lower() in booleans and right.lower() in booleans:
        return (left.lower() in ("true", "1")) == (right.lower() in ("true", "1"))
    try:
        return math.isclose(float(left), float(right))
    except ValueError:
        return left == right


def _typed_bool(text: str) -> bool:
    # Jazzy's not/and/or read YAML booleans, so that 1 and 0 are refused there.
    if text.lower() not in ("true", "false"):
        raise LaunchError(f"$(not), $(and) and $(or) take true or false, not '{text}'")
    return text.lower() == "true"


def _word(truth: bool) -> str:
    return "true" if truth else "false"


class Resolver:
    """Resolves the known substitutions.

    ``variables`` are the launch arguments and lets, ``environment`` what processes will see, ``directory`` the folder
    of the launch file, ``find_share`` maps a package to its share folder. All are read at each call.
    """

    def __init__(
        self,
        variables: Mapping[str, str],
        environment: Mapping[str, str],
        directory: str,
        find_share: Callable[[str], str],
    ):
        self._table: dict[str, tuple[tuple[int, ...], Callable[..., str]]] = {
            "var": ((1, 2), lambda name, *default: self._look_up("launch argument", variables, name, *default)),
            "env": ((1, 2), lambda name, *default: self._look_up("environment variable", environment, name, *default)),
            "find-pkg-share": ((1,), find_share),
            "dirname": ((0,), lambda: directory),
            "not": ((1,), lambda a: _word(not _typed_bool(a))),
            "and": ((2,), lambda a, b: _word(_typed_bool(a) and _typed_bool(b))),
            "or": ((2,), lambda a, b: _word(_typed_bool(a) or _typed_bool(b))),
            "equals": ((2,), lambda a, b: _word(_equals(a, b))),
            "not-equals": ((2,), lambda a, b: _word(not _equals(a, b))),
        }

    @staticmethod
    def _look_up(kind: str, table: Mapping[str, str], name: str, *default: str) -> str:
        value = table.get(name, *default)
        if value is None:
            raise LaunchError(f"the {kind} '{name}' is not set")
        return value

    def __call__(self, name: str, arguments: list[str]) -> str:
        """The value of ``$(name arguments)``. Raises LaunchError for an unknown name or a wrong number of arguments."""
        if name not in self._table:
            raise LaunchError(f"$({name}) is not supported; there are " + ", ".join(f"$({n})" for n in self._table))
        counts, function = self._table[name]
        if len(arguments) not in counts:
            raise LaunchError(f"$({name}) takes {' or '.join(map(str, counts))} arguments, not {len(arguments)}")
        return function(*arguments)
