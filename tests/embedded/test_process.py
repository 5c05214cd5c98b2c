"""The life of a process: signals, missing networks, domains, the finder."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from core import companion

from ami_embedded import domain
from ami_embedded.dds import DDSError
from ami_embedded.libddsc import self_test

PROBE = "from ami_embedded import finder; finder.install(); import rclpy; "


def python(code, environment=None, prefix=()):
    environment = os.environ | (environment or {})
    command = [*prefix, sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20)


@pytest.mark.parametrize(
    ("number", "said"), [(signal.SIGINT, "KeyboardInterrupt"), (signal.SIGTERM, "ExternalShutdown")]
)
def test_a_signal_ends_a_spinning_node_at_once(number, said):
    with companion("/signals", "-p", "quiet:=true") as (process, _):  # no timer: it sleeps in the waitset
        time.sleep(0.1)
        begin = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate(timeout=5.0)
        assert time.monotonic() - begin < 1.0
        assert process.returncode == 0 and said in errors and "False" in errors


def test_ctrl_c_that_nobody_catches_ends_as_python_does():
    with companion("/signals", "-p", "bare:=true", "-p", "quiet:=true") as (process, _):
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=5.0)
        assert process.returncode in (-signal.SIGINT, 130)


@pytest.mark.embedded
def test_without_a_network_interface_one_sentence_says_so():
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rn", "true"], capture_output=True).returncode:
        pytest.skip("no right to make a network namespace")
    done = python(PROBE + "rclpy.init()", prefix=[unshare, "-rn"])
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and last.startswith("ami_embedded.libddsc.DDSError: cannot join DDS domain")
    assert "bring the loopback device up" in last
    assert "cannot join" not in "".join(done.stderr.splitlines()[:-1])


@pytest.mark.embedded
def test_with_the_loopback_device_alone_every_range_works():
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rn", "true"], capture_output=True).returncode:
        pytest.skip("no right to make a network namespace")
    if shutil.which("ip") is None:
        pytest.skip("no ip command")
    for discovery_range in ("LOCALHOST", "SUBNET", "OFF"):
        code = f"ip link set lo up && exec {sys.executable} -c '{PROBE} rclpy.init()'"
        environment = os.environ | {"ROS_AUTOMATIC_DISCOVERY_RANGE": discovery_range}
        done = subprocess.run([unshare, "-rn", "sh", "-c", code], env=environment, capture_output=True, timeout=20)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, ("LOCALHOST", 0)),
        ({"ROS_DOMAIN_ID": "42", "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}, ("SUBNET", 42)),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET", "ROS_LOCALHOST_ONLY": "1"}, ("LOCALHOST", 0)),
    ],
)
def test_the_environment_chooses_domain_and_range(environment, wanted):
    assert (domain.discovery_range(environment), domain.domain_id(environment)) == wanted


@pytest.mark.parametrize("environment", [{"ROS_DOMAIN_ID": "two"}, {"ROS_DOMAIN_ID": "233"}])
def test_a_wrong_domain_is_refused(environment):
    with pytest.raises(ValueError, match="0 to 232"):
        domain.domain_id(environment)


def test_a_wrong_range_is_refused():
    with pytest.raises(ValueError, match="LOCALHOST, SUBNET"):
        domain.configurations({"ROS_AUTOMATIC_DISCOVERY_RANGE": "EVERYWHERE"})


@pytest.mark.embedded
def test_a_domain_that_this_process_has_joined_otherwise_is_refused():
    """Its participants would be discovered as the first one is, and hear nobody without a word."""
    code = "from ami_embedded import domain\nfirst, second = domain.join(7, {}), domain.join(7, {})\nprint('twice')\n"
    done = python(code + "domain.join(7, {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'OFF'})")
    assert (done.returncode, done.stdout) == (1, "twice\n")
    assert "joined DDS domain 7 before with another configuration" in done.stderr.splitlines()[-1]


def test_our_configuration_comes_before_the_users_so_that_theirs_wins():
    (config,) = domain.configurations({"CYCLONEDDS_URI": "<CycloneDDS/>"})
    assert config.endswith(",<CycloneDDS/>") and 'name="lo"' in config


def test_another_library_is_refused_before_memory_is_read(monkeypatch):
    monkeypatch.setattr("ami_embedded.libddsc.lib", type("Library", (), {"_name": "/usr/lib/libddsc.so.0.10.5"}))
    with pytest.raises(DDSError, match="not Cyclone DDS 11"):
        self_test()


@pytest.mark.embedded
def test_beside_a_real_rclpy_nothing_is_provided(tmp_path):
    (tmp_path / "rclpy").mkdir()
    (tmp_path / "rclpy" / "__init__.py").write_text("real = True\n")
    code = (
        "from ami_embedded import finder\nassert not finder.install()\nimport rclpy\nassert rclpy.real\n"
        "try:\n import std_msgs.msg\nexcept ModuleNotFoundError: pass\nelse: raise SystemExit('provided')\n"
        "import ami_interfaces.msg\n"
    )
    done = python(code, {"PYTHONPATH": str(tmp_path)})
    assert "colcon build" in done.stderr.splitlines()[-1] and "ImportError" in done.stderr.splitlines()[-1]


@pytest.mark.embedded
def test_an_interpreter_that_forgets_the_shutdown_still_ends():
    code = PROBE + (
        "import threading; rclpy.init(); n = rclpy.create_node('forgetful'); e = rclpy.get_global_executor(); "
        "e.add_node(n); threading.Thread(target=e.spin, daemon=True).start()"
    )
    assert python(code).returncode == 0


def test_log_lines_and_levels_are_rclpys():
    code = PROBE + (
        "rclpy.init(args=['x', '--ros-args', '--log-level', 'talker:=debug']); n = rclpy.create_node('talker')\n"
        "n.get_logger().debug('small'); n.get_logger().error('big')\n"
        "[n.get_logger().info('often', throttle_duration_sec=10) for _ in range(5)]\n"
        "[n.get_logger().info('first', once=True) for _ in range(5)]\n"
        "rclpy.logging.get_logger('other').debug('hidden')"
    )
    lines = python(code, {"RCUTILS_COLORIZED_OUTPUT": "0"}).stderr.splitlines()
    assert [(line.split()[0], line.split("]: ")[1]) for line in lines] == [
        ("[DEBUG]", "small"),
        ("[ERROR]", "big"),
        ("[INFO]", "often"),
        ("[INFO]", "first"),
    ]
    assert all("[talker]: " in line for line in lines)
