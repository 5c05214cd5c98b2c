"""Launching: real processes, none of them left behind."""

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

sys.path.insert(0, os.path.dirname(__file__))

from peers import SUBJECTS, importing_from, unique_namespace

STEADY = """
import signal, subprocess, sys, time
def main():
    print("args", *sys.argv[1:])
    print("ready", file=sys.stderr)
    time.sleep(60)
"""
NODES = {
    "steady": STEADY,
    "failing": "import sys\ndef main():\n    print('the camera is gone', file=sys.stderr)\n    sys.exit(3)\n",
    "killed": "import os, signal\ndef main():\n    os.kill(os.getpid(), signal.SIGKILL)\n",
    "done": "def main():\n    print('all done', end='')\n",
    "long": "def main():\n    print('x' * 200_000)\n",
    "stubborn": "import signal, time\ndef main():\n    signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    print('ready')\n    time.sleep(60)\n",
    "parent": "import subprocess, sys, time\ndef main():\n"
    "    code = 'import signal, time; signal.signal(2, signal.SIG_IGN); print(\"ready\"); time.sleep(60)'\n"
    "    subprocess.Popen([sys.executable, '-c', code])\n    time.sleep(60)\n",
    "chatty": "import time\ndef main():\n    while True:\n        print('hello')\n        time.sleep(0.01)\n",
    "broken": "import nothing_of_that_name\n",
    "headless": "",
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "src" / "zoo"
    (folder / "zoo").mkdir(parents=True)
    (folder / "package.xml").write_text("<package/>")
    (folder / "zoo" / "__init__.py").touch()
    for name, code in NODES.items():
        (folder / "zoo" / f"{name}.py").write_text(code)
    scripts = [f"{name} = zoo.{name}:main" for name in [*NODES, "missing"]]
    (folder / "setup.py").write_text(
        f"from setuptools import setup\nsetup(entry_points={{'console_scripts': {scripts!r}}})\n"
    )
    return folder


def start(package: Path, body: str, *arguments: str) -> subprocess.Popen[str]:
    path = package / "zoo.launch.xml"
    path.write_text(f"<launch>{body}</launch>")
    command = [sys.executable, "-m", "ami_embedded.launch", str(path), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=package)


def launch(package: Path, body: str) -> tuple[int, str]:
    process = start(package, body)
    out, _ = process.communicate(timeout=20)
    return process.returncode, out


def wait_ready(process: subprocess.Popen[str], count: int) -> list[str]:
    """What the launch writes until so many nodes have said that they are ready."""
    assert process.stdout is not None
    lines: list[str] = []
    while sum(line.endswith("ready") for line in lines) < count:
        line = process.stdout.readline()
        assert line, f"the launch ended before its nodes were ready: {lines}"
        lines.append(line.rstrip("\n"))
    return lines


def of_package(package: Path) -> list[psutil.Process]:
    """Every process, of whatever parent, that was started in the package's folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(package) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def node(name: str, more: str = "") -> str:
    return f'<node pkg="zoo" exec="{name}" {more}/>'


REQUIRED = 'on_exit="shutdown"'


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("failing", "exit code 3; its last error line: the camera is gone"),
        ("killed", "signal SIGKILL"),
        ("broken", "exit code 1; its last error line: ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("headless", "exit code 2; its last error line: run: error: module 'zoo.headless' has no function 'main'"),
        ("missing", "exit code 2; its last error line: run: error: there is no Python module 'zoo.missing'"),
    ],
)
def test_a_required_node_that_dies_ends_the_launch_with_its_name_and_reason(package, name, reason):
    code, out = launch(package, node("steady") + node(name, f'name="eye" {REQUIRED}'))
    assert code == 1
    assert f"[eye] ended with {reason}\n[eye] is required, so the launch ends" in out
    assert of_package(package) == []


def test_a_required_node_that_ends_unasked_fails_the_launch_even_with_exit_code_0(package):
    code, out = launch(package, node("steady") + node("done", REQUIRED))
    assert code == 1
    assert "[done] all done" in out and "[done] ended with exit code 0" in out


def test_a_node_that_is_not_required_leaves_the_others_running_but_is_not_forgotten(package):
    process = start(package, node("failing") + node("steady", 'args="now here"'))
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(4)]
    assert "[failing] ended with exit code 3; its last error line: the camera is gone\n" in lines
    assert "[steady] args now here\n" in lines
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 1


def returning(name: str, delay_s: float, more: str = "") -> str:
    return node(name, f'respawn="true" respawn_delay="{delay_s}" {more}')


@pytest.mark.parametrize("name", ["killed", "done"])
def test_a_node_with_respawn_comes_back_after_its_delay_however_it_ended_and_fails_nothing(package, name):
    process = start(package, returning(name, 0.2))
    assert process.stdout is not None
    ends_s: list[float] = []
    while len(ends_s) < 3:
        line = process.stdout.readline()
        assert line, "the launch ended"
        if line == f"[{name}] comes back in 0.2 s\n":
            ends_s.append(time.monotonic())
    assert all(later - earlier >= 0.2 for earlier, later in itertools.pairwise(ends_s))
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 0
    assert of_package(package) == []


def test_ctrl_c_while_a_node_waits_to_come_back_ends_the_launch_at_once(package):
    process = start(package, node("steady") + returning("failing", 60.0))
    assert process.stdout is not None
    waited_for = {"[steady] ready\n", "[failing] comes back in 60 s\n"}
    while waited_for:
        line = process.stdout.readline()
        assert line, "the launch ended"
        waited_for.discard(line)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 0
    assert time.monotonic() - begin < 1.0
    assert of_package(package) == []


def test_a_required_node_ends_the_launch_even_with_respawn_as_in_ros2_launch(package):
    code, out = launch(package, node("steady") + returning("failing", 0.0, REQUIRED))
    assert code == 1
    assert "[failing] is required, so the launch ends" in out and "comes back" not in out


def test_a_long_line_arrives_whole(package):
    code, out = launch(package, node("long"))
    assert code == 0
    assert re.search(r"^\[long\] x{200000}$", out, re.MULTILINE)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_ends_every_node_at_once_and_leaves_no_process(package, signum):
    process = start(package, node("steady") + node("steady") + node("parent"))
    wait_ready(process, 3)
    assert len(of_package(package)) == 5
    begin = time.monotonic()
    process.send_signal(signum)
    assert process.wait(5) == 0
    assert time.monotonic() - begin < 1.0
    assert of_package(package) == []


def test_a_node_that_ignores_every_signal_is_killed_within_two_seconds_and_named(package):
    process = start(package, node("stubborn") + node("steady"))
    wait_ready(process, 2)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=5)
    assert time.monotonic() - begin < 2.5  # 2 s and the interpreter's own end
    assert process.returncode == 1
    assert "[stubborn] ended with signal SIGKILL" in out
    assert of_package(package) == []


def test_a_second_ctrl_c_does_not_wait(package):
    process = start(package, node("stubborn"))
    wait_ready(process, 1)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 1
    assert time.monotonic() - begin < 1.2


def test_a_launch_whose_output_nobody_reads_any_more_ends(package):
    process = start(package, node("chatty") + node("steady"))
    wait_ready(process, 1)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(5) is not None
    assert of_package(package) == []


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_nodes_end_when_the_launcher_is_killed(package):
    process = start(package, node("steady") + node("steady"))
    wait_ready(process, 2)
    process.kill()
    process.wait(5)
    deadline = time.monotonic() + 3
    while of_package(package) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert of_package(package) == []


def test_run_sets_thread_variables_only_when_told(tmp_path):
    (tmp_path / "show.py").write_text("import os\ndef main():\n    print(os.environ.get('OMP_NUM_THREADS'))\n")
    environment = {k: v for k, v in importing_from(tmp_path).items() if k != "OMP_NUM_THREADS"}
    for options, expected in ([], "None\n"), (["--threads", "2"], "2\n"):
        command = [sys.executable, "-m", "ami_embedded.run", *options, "show"]
        assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout == expected


MIRRORS = """
<arg name="rate" default="20"/>
<push_ros_namespace namespace="{namespace}"/>
<set_parameter name="label" value="for all"/>
<group>
  <push_ros_namespace namespace="left"/>
  <node pkg="zoo" exec="mirror" name="one" args="--my flag">
    <param name="rate" value="$(var rate)"/>
    <param name="joints" value="[a, b]"/>
    <param from="$(find-pkg-share zoo)/mirror.yaml"/>
    <remap from="chatter" to="talk"/>
    <env name="WHO" value="one"/>
  </node>
</group>
<node pkg="zoo" exec="mirror" name="two"><remap from="chatter" to="/talk"/></node>
"""


def test_parameters_remaps_names_and_environment_reach_the_nodes_and_ctrl_c_ends_them_well(package):
    shutil.copy(SUBJECTS / "mirror.py", package / "zoo" / "mirror.py")
    (package / "setup.py").write_text(
        "from setuptools import setup\nsetup(entry_points={'console_scripts': ['mirror = zoo.mirror:main']})\n"
    )
    namespace = unique_namespace()
    (package / "mirror.yaml").write_text(
        f"/**:\n  ros__parameters:\n    from_file: 1\n    gain: 0.25\n{namespace}/left/one:\n  ros__parameters:\n"
        "    from_file: 2\n"
    )
    process = start(package, MIRRORS.format(namespace=namespace), "rate:=30")
    lines = wait_ready(process, 2)
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=5)
    assert process.returncode == 0
    assert "Traceback" not in rest
    one = [line.removeprefix("[one] ") for line in lines if line.startswith("[one] ")]
    two = [line.removeprefix("[two] ") for line in lines if line.startswith("[two] ")]
    assert one == [
        *("rate = 30", "gain = 0.25", "label = 'for all'", "joints = ['a', 'b']", "from_file = 2"),
        *(f"topic = {namespace}/left/talk", f"node = {namespace}/left/one", "who = one", "arguments = ['--my']"),
        "ready",
    ]
    assert two == [
        *("rate = 1", "gain = 0.5", "label = 'for all'", "joints = ['']", "from_file = 0"),
        *("topic = /talk", f"node = {namespace}/two", "who = None", "arguments = []", "ready"),
    ]
