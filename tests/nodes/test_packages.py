"""What colcon and `ros2 launch` read of the packages agrees with what is there."""

import re
import runpy
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from unittest import mock

import pytest

from ami_embedded.launch_description import describe

SRC = Path(__file__).parents[2] / "ros_ws" / "src"


def setup_arguments(monkeypatch) -> dict:
    monkeypatch.chdir(SRC / "ami_nodes")
    with mock.patch("setuptools.setup") as setup:
        runpy.run_path("setup.py")
    return setup.call_args.kwargs


def test_every_interface_file_is_generated():
    files = {str(path.relative_to(SRC / "ami_interfaces")) for path in (SRC / "ami_interfaces").glob("*/*.*")}
    cmake = (SRC / "ami_interfaces" / "CMakeLists.txt").read_text()
    assert files and {file for file in files if f'"{file}"' in cmake} == files
    assert cmake.count('.msg"') + cmake.count('.srv"') + cmake.count('.action"') == len(files)


def test_every_console_script_is_a_main_that_exists(monkeypatch):
    arguments = setup_arguments(monkeypatch)
    for script in arguments["entry_points"]["console_scripts"]:
        name, target = script.split(" = ")
        module, function = target.split(":")
        source = (SRC / "ami_nodes" / Path(*module.split("."))).with_suffix(".py").read_text()
        assert module == f"ami_nodes.{name}" and f"def {function}()" in source


def test_the_resource_marker_and_the_manifest_are_installed(monkeypatch):
    installed = dict(setup_arguments(monkeypatch)["data_files"])
    assert installed["share/ament_index/resource_index/packages"] == ["resource/ami_nodes"]
    assert all((SRC / "ami_nodes" / file).is_file() for files in installed.values() for file in files)


def test_the_manifest_names_every_interface_package_that_is_imported():
    imported = set()
    for path in (SRC / "ami_nodes" / "ami_nodes").glob("*.py"):
        for line in path.read_text().splitlines():
            if line.startswith("from ") and line.split()[1].endswith((".msg", ".srv", ".action")):
                imported.add(line.split()[1].partition(".")[0])
    imported.discard("rclpy")
    declared = {element.text for element in ElementTree.parse(SRC / "ami_nodes" / "package.xml").iter("depend")}
    assert imported and imported <= declared


LAUNCH = sorted((SRC / "ami_bringup" / "launch").glob("*.launch.xml"))
TAGS = {"launch", "arg", "choice", "let", "node", "param", "env", "group", "include", "push_ros_namespace", "remap"}
SUBSTITUTIONS = {"var", "find-pkg-share", "equals"}
"""Seen to work on Jazzy; `set_use_sim_time`, for one, crashes there."""


@pytest.mark.parametrize("path", LAUNCH, ids=lambda path: path.name)
def test_a_launch_file_uses_only_what_is_seen_to_work_on_jazzy(path):
    root = ElementTree.parse(path).getroot()
    assert {element.tag for element in root.iter()} <= TAGS
    attributes = [value for element in root.iter() for value in element.attrib.values()]
    assert {name for value in attributes for name in re.findall(r"\$\(([\w-]+)", value)} <= SUBSTITUTIONS


@pytest.mark.parametrize("path", LAUNCH, ids=lambda path: path.name)
def test_a_launch_file_parses_with_its_defaults_and_with_every_choice(path):
    choices = [
        {argument.get("name"): choice.get("value")}
        for argument in ElementTree.parse(path).iter("arg")
        for choice in argument.iter("choice")
    ]
    for given in [{}, *choices]:
        assert describe(path, given).processes, given


def test_the_end_of_the_arm_ends_the_launch_that_of_the_manager_where_none_comes_back_and_others_may_come_back():
    root = ElementTree.parse(SRC / "ami_bringup" / "launch" / "bringup.launch.xml").getroot()
    nodes = list(root.iter("node"))
    ends, returns = {"on_exit": "shutdown"}, {"respawn": "$(var respawn)", "respawn_delay": "1.0"}
    managers = [ends | {"unless": "$(var respawn)"}, returns | {"respawn": "true", "if": "$(var respawn)"}]
    assert len(nodes) == 15
    for node in nodes:
        wanted = managers.pop(0) if node.get("name") == "lifecycle_manager" else None
        kept = {key: value for key, value in node.attrib.items() if key in (*ends, *returns, *(wanted or ()))}
        assert kept == (wanted or (ends if node.get("name") == "arm" else returns)), node.attrib
    assert not managers


def test_every_node_of_the_bringup_has_one_thread_for_numbers_and_every_argument_is_described():
    root = ElementTree.parse(SRC / "ami_bringup" / "launch" / "bringup.launch.xml").getroot()
    assert all(node.find("env[@name='OMP_NUM_THREADS']") is not None for node in root.iter("node"))
    assert all(argument.get("description") for argument in root.findall("arg"))
