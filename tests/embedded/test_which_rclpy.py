"""Which rclpy the tests get: `make test-ros` runs them on ROS 2's own or not at all. Here a stand-in plays that one."""

import subprocess
import sys
from pathlib import Path

import pytest
from peers import importing_from

ROOT = Path(__file__).parents[2]
PROBE = """
from ami_embedded import finder

def test_what_is_there_is_taken():
    assert not finder.install()
    import rclpy
    assert rclpy.stand_in
"""


def make_test_ros(folder, files, options=""):
    command = ["make", "-s", "test-ros", f"PYTHON={sys.executable}", f"FILES={files}", f"ARGS={options}"]
    return subprocess.run(command, cwd=ROOT, env=importing_from(folder), capture_output=True, text=True, timeout=60)


@pytest.fixture
def stand_in(tmp_path):
    for module, code in {
        "rclpy/__init__.py": "stand_in = True\n",
        "rclpy/executors.py": "SingleThreadedExecutor = None\n",
        "ami_interfaces/__init__.py": "",
        "launch_testing-3.4.0.dist-info/METADATA": "Name: launch-testing\nVersion: 3.4.0\n",
        "launch_testing-3.4.0.dist-info/entry_points.txt": "[pytest11]\nlaunch_testing = too_old_for_this_pytest\n",
        "too_old_for_this_pytest.py": "def pytest_pycollect_makemodule(path, parent): ...\n",
        "test_probe.py": PROBE,
    }.items():
        path = tmp_path / module
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
    return tmp_path


@pytest.mark.embedded
def test_without_ros_2_one_sentence_says_so(tmp_path):
    done = make_test_ros(tmp_path, "tests/embedded")
    sentence, _ = done.stderr.splitlines()  # the other line is make's own
    assert done.returncode != 0 and done.stdout == ""
    assert "lacks rclpy, ami_interfaces or pytest: source ROS 2" in sentence


def test_an_installed_rclpy_is_taken_for_the_tests(stand_in):
    done = make_test_ros(stand_in, stand_in / "test_probe.py")
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout


def test_what_is_of_the_embedded_layer_alone_is_then_skipped_with_the_reason(stand_in):
    done = make_test_ros(stand_in, "tests/embedded/test_process.py", "-rs -k network_interface")
    assert done.returncode == 0 and "1 skipped" in done.stdout, done.stdout
    assert "of the embedded layer alone; this is ROS 2's own rclpy" in done.stdout
