"""``python -m ami_embedded.launch FILE.launch.xml [name:=value ...]``: ``ros2 launch`` for our launch files."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from ami_embedded.launch_description import Argument, describe, list_arguments
from ami_embedded.launch_errors import LaunchError
from ami_embedded.launch_packages import Packages
from ami_embedded.launch_run import run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a launch file; the exit code: 0 ended well, 1 a node failed, 2 the launch file or an argument is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m ami_embedded.launch", description="Run a launch file as ros2 launch would, without ROS 2."
    )
    parser.add_argument("words", nargs="+", metavar="WORD", help="FILE or PACKAGE FILE, then name:=value ...")
    parser.add_argument("-s", "--show-args", action="store_true", help="list the launch arguments and stop")
    parser.add_argument("-p", "--print", action="store_true", help="print the commands of the nodes, start nothing")
    options = parser.parse_args(arguments)
    try:
        path = _find([word for word in options.words if ":=" not in word])
        given = read_given([word for word in options.words if ":=" in word])
        if options.show_args:
            _show(path, list_arguments(path, given))
            return 0
        processes = describe(path, given).processes
        if not processes:
            raise LaunchError(f"{path} starts no node with these arguments")
    except LaunchError as error:
        print(f"launch: error: {error}", file=sys.stderr)
        return 2
    if options.print:
        for process in processes:
            added = [f"{key}={shlex.quote(value)}" for key, value in process.environment.items()]
            print(f"[{process.label}]", *added, shlex.join(process.command))
        return 0
    return run(processes)


def _find(words: list[str]) -> Path:
    """A launch file by its path, or by its package and its name there."""
    if len(words) == 1:
        return Path(words[0]).resolve()
    if len(words) != 2:
        raise LaunchError("give a launch file, or a package and the name of a launch file in it, then name:=value ...")
    share = Packages().share(words[0])
    found = sorted(share.rglob(words[1]))
    if not found:
        names = ", ".join(sorted(p.name for p in share.rglob("*.launch.xml"))) or "none"
        raise LaunchError(f"package '{words[0]}' has no launch file '{words[1]}'; there are: {names}")
    return found[0]


def read_given(words: Sequence[str]) -> dict[str, str]:
    """{name: value} of words `name:=value`. Raises LaunchError."""
    given: dict[str, str] = {}
    for name, assigned, value in (word.partition(":=") for word in words):
        if not (name and assigned):
            raise LaunchError(f"'{name + assigned + value}' is no launch argument; write name:=value")
        if name in given:
            raise LaunchError(f"the launch argument '{name}' is given twice")
        given[name] = value
    return given


def _show(path: Path, arguments: dict[str, Argument]) -> None:
    print(f"Arguments of {path.name} (pass them as name:=value):" if arguments else f"{path.name} has no arguments.")
    for argument in arguments.values():
        default = "required" if argument.default is None else f"default {argument.default}"
        choices = f", one of {', '.join(argument.choices)}" if argument.choices else ""
        description = " ".join(argument.description.split())
        print(f"  {argument.name} ({default}{choices})" + (f": {description}" if description else ""))


if __name__ == "__main__":
    sys.exit(main())
