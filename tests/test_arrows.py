"""Who may import whom: what lies above knows what lies below, never the other way round."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ARROWS = {
    "configurator": {"agent"},
    "agent": {"actor", "episodes"},
    "actor": {"world_model", "cost", "safety"},
    "world_model": {"perception", "memory"},
    "cost": {"perception", "memory", "safety"},
    "perception": {"types", "strict"},
    "memory": {"types"},
    "safety": {"types"},
    "learning": {"actor", "statistics"},
    "episodes": {"types"},
    "pool": set(),
    "provenance": set(),
    "statistics": set(),
    "strict": set(),
    "types": set(),
}
"""Inside ami_robot; an arrow leads to everything below its head, too. Only `cli`, the front door, has none."""

DISTRIBUTIONS = {
    "ami_robot": set(),
    "sim/ami_sim": {"ami_robot"},
    "calibration/ami_calibration": {"ami_robot", "ami_sim"},
    "ros_ws/embedded/ami_embedded": set(),
    "ros_ws/src/ami_nodes/ami_nodes": {"ami_robot", "ami_sim", "ami_calibration"},
}


def imported(file: Path) -> Iterator[str]:
    """Full names of the modules, and of what is taken from them; also inside functions and type checking."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def below(part: str) -> set[str]:
    """Everything that can be reached by arrows."""
    return ARROWS[part].union(*(below(lower) for lower in ARROWS[part]))


def parts() -> dict[str, list[Path]]:
    """The files of each part of ami_robot."""
    files: dict[str, list[Path]] = {}
    for file in sorted((ROOT / "ami_robot").rglob("*.py")):
        files.setdefault(file.relative_to(ROOT / "ami_robot").parts[0].removesuffix(".py"), []).append(file)
    return files


PARTS = parts()


def test_every_part_has_its_arrows():
    assert set(PARTS) == {*ARROWS, "cli", "__init__"}


@pytest.mark.parametrize("part", ARROWS)
def test_a_part_imports_only_what_lies_below_it(part):
    for file in PARTS[part]:
        names = list(imported(file))
        assert not any(name.startswith(".") for name in names), f"{file} does not say whence"
        assert {name.split(".")[1] for name in names if name.startswith("ami_robot.")} <= below(part) | {part}, file


@pytest.mark.parametrize("folder", DISTRIBUTIONS)
def test_a_distribution_imports_only_those_below_it(folder):
    mine = Path(folder).name
    for file in sorted((ROOT / folder).rglob("*.py")):
        if file.is_relative_to(ROOT / "ami_robot" / "cli"):
            continue
        names = {name.split(".")[0] for name in imported(file) if name.startswith("ami_")}
        assert names - {mine, "ami_interfaces"} <= DISTRIBUTIONS[folder], file


@pytest.mark.parametrize("folder", DISTRIBUTIONS)
def test_nobody_imports_the_front_door(folder):
    for file in sorted((ROOT / folder).rglob("*.py")):
        inside = file.is_relative_to(ROOT / "ami_robot" / "cli")
        assert inside or not any(name.startswith("ami_robot.cli") for name in imported(file)), file
