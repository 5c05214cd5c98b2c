"""colcon builds our Python packages without ROS 2: they land where `ros2 run` looks, and what is installed starts.

The CMake packages do need ROS 2, ami_interfaces for rosidl and ami_bringup for ament_cmake, and are left out.
"""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from lifecycle_msgs.msg import Transition

from ami_robot.safety.spec import load_spec
from tests.nodes.graph import END_S, ENVIRONMENT, changes

ROOT = Path(__file__).parents[2]
SRC = ROOT / "ros_ws" / "src"
PACKAGES = ("ami_robot", "ami_nodes")
MODULES = ("ami_robot", "ami_sim", "ami_calibration", "ami_nodes")
LEND_RCLPY = (
    "import runpy, sys; from ami_embedded import finder; finder.install(); "
    "sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')"
)


@pytest.fixture(scope="module")
def install(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("colcon")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "colcon", "--log-base", "log", "build", "--base-paths", str(ROOT), str(SRC)),
            *("--packages-ignore", "ami_interfaces", "ami_bringup"),
        ],
        cwd=folder,
        env=os.environ | {"COLCON_HOME": str(folder)},  # no defaults of whoever runs the tests
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return folder / "install"


@pytest.fixture(scope="module")
def sourced(install) -> dict[str, str]:
    """The environment of a shell in which the workspace is sourced."""
    command = ["sh", "-c", f". {install}/setup.sh && env -0"]
    printed = subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, text=True).stdout
    return dict(line.split("=", 1) for line in printed.split("\0") if line)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_in_the_ament_index_with_its_manifest(install, package):
    share = install / package / "share"
    assert (share / "ament_index" / "resource_index" / "packages" / package).is_file()
    assert ElementTree.parse(share / package / "package.xml").findtext("name") == package


def test_every_node_of_the_launch_files_is_where_ros2_launch_starts_it_from(install):
    files = (SRC / "ami_bringup" / "launch").glob("*.launch.xml")
    wanted = {node.get("exec") for file in files for node in ElementTree.parse(file).iter("node")}
    folder = install / "ami_nodes" / "lib" / "ami_nodes"
    assert wanted and wanted <= {path.name for path in folder.iterdir() if os.access(path, os.X_OK)}


def test_a_sourced_shell_imports_what_is_installed(install, sourced, tmp_path):
    code = f"for name in {MODULES}: print(__import__(name).__path__[0])"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, env=sourced, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert [path for path in found.split() if not Path(path).is_relative_to(install)] == []


def test_the_installed_front_door_finds_the_installed_guardrail_file(install, sourced, tmp_path):
    command = [install / "ami_robot" / "bin" / "ami", "guardrails"]
    done = subprocess.run(command, env=sourced, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and load_spec().sha256[:12] in done.stdout, done.stderr


def test_an_installed_node_starts_and_configures(install, sourced, tmp_path, client):
    executable = install / "ami_nodes" / "lib" / "ami_nodes" / "guardrail"
    command = [sys.executable, "-c", LEND_RCLPY, str(executable), "--ros-args", "-r", "__node:=built_guardrail"]
    with (tmp_path / "log").open("w") as log:
        node = subprocess.Popen(command, env=sourced, cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT)
    try:
        assert changes(client, "built_guardrail", Transition.TRANSITION_CONFIGURE), (tmp_path / "log").read_text()
    finally:
        node.terminate()
        node.wait(END_S)
