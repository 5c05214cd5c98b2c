"""The distributions say the same of themselves everywhere, and carry the files they need."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from catkin_pkg.package import parse_package

import ami_robot

ROOT = Path(__file__).parents[1]
PACKAGES = [ROOT, *(path.parent for path in sorted((ROOT / "ros_ws" / "src").glob("*/package.xml")))]


def manifest(package: Path) -> ElementTree.Element:
    return ElementTree.parse(package / "package.xml").getroot()


def found(pattern: str, path: Path) -> str:
    match = re.search(pattern, path.read_text(), re.MULTILINE)
    assert match, f"{path} has no {pattern}"
    return match.group(1)


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda path: path.name)
def test_manifests_are_those_that_colcon_accepts(folder):
    # colcon silently takes a package whose manifest catkin_pkg refuses for a plain Python or CMake project
    warnings: list[str] = []
    package = parse_package(folder, warnings=warnings)
    assert warnings == []
    assert package.package_format == 3 and package.licenses == ["Apache-2.0"]
    assert not any(depend.name == "ament_python" for depend in package.buildtool_depends)  # there is no such rosdep key
    assert (folder / ("setup.py" if package.get_build_type() == "ament_python" else "CMakeLists.txt")).is_file()


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_the_ament_index_finds_python_packages(package):
    if manifest(package).findtext("export/build_type") == "ament_python":
        assert (package / "resource" / manifest(package).findtext("name")).is_file()


def test_versions_are_equal_everywhere():
    versions = {package.name: manifest(package).findtext("version") for package in PACKAGES}
    versions["ami_robot"] = ami_robot.__version__
    versions["pyproject.toml"] = found(r'^version = "(.+)"', ROOT / "pyproject.toml")
    versions["ami_nodes/setup.py"] = found(r'version="(.+?)"', ROOT / "ros_ws" / "src" / "ami_nodes" / "setup.py")
    versions["embedded"] = found(r'^version = "(.+)"', ROOT / "ros_ws" / "embedded" / "pyproject.toml")
    versions["CHANGELOG.md"] = found(r"^## ([\d.]+)", ROOT / "CHANGELOG.md")
    assert set(versions.values()) == {ami_robot.__version__}, versions


def test_nodes_of_the_launch_file_are_console_scripts():
    text = (ROOT / "ros_ws" / "src" / "ami_nodes" / "setup.py").read_text()
    launched = re.findall(r'exec="(\w+)"', (ROOT / "ros_ws/src/ami_bringup/launch/bringup.launch.xml").read_text())
    assert len(launched) >= 10
    assert all(f'"{name}"' in text for name in launched)


def test_constraints_are_exact_and_name_no_place():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    exact = re.compile(r'[\w.-]+==[\w.]+(; python_version (<|>=) "3\.\d+")?')
    assert [line for line in lines if not exact.fullmatch(line)] == []


def test_every_dependency_is_constrained():
    tomllib = pytest.importorskip("tomllib", reason="part of Python from 3.11 on")
    constrained = {line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    for path in (ROOT / "pyproject.toml", ROOT / "ros_ws" / "embedded" / "pyproject.toml"):
        project = tomllib.loads(path.read_text())["project"]
        lines = [
            *project["dependencies"],
            *(line for extra in project.get("optional-dependencies", {}).values() for line in extra),
        ]
        wanted = {re.match(r"[\w-]+", line).group().lower() for line in lines}
        assert wanted - {"ami-embedded"} <= constrained


def test_packages_are_typed_and_python_is_not_too_new():
    assert (ROOT / "ami_robot" / "py.typed").is_file()
    assert sys.version_info >= (3, 10)


def test_the_licence_is_the_whole_apache_licence():
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
