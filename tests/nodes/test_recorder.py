"""A graph that is recorded: whole, readable without ROS, with what a player has to offer again."""

import subprocess
import sys
from collections import defaultdict

import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import QosDurability, QosReliability
from rosbags.rosbag2 import Reader

from ami_nodes.graph_client import position_goal
from ami_nodes.qos import matching
from tests.nodes.graph import LAUNCH_FILE, launched

GRAPH = {"arm": "loopback", "vision": "false", "config": "analytic"}


@pytest.fixture(scope="module")
def recorded(client, tmp_path_factory):
    """The folder of a graph in which the arm went to a goal."""
    folder = tmp_path_factory.mktemp("run") / "bag"
    bringup = LAUNCH_FILE.with_name("bringup.launch.xml")
    with launched(bringup, record="true", record_folder=str(folder), **GRAPH) as launch:
        client.wait_until_active()
        client.arm(True)
        result = client.pursue(position_goal(np.array([0.45, 0.1, 0.15])), 2.0)
        assert result.outcome == "done" and result.goal_distance < 0.05  # it moved: a brake would leave no commands
        assert launch.interrupt() == 0, launch.output()
        assert "Traceback" not in launch.output()
    return folder


def test_every_topic_is_there_with_its_type_hash_and_what_its_publishers_offer(recorded):
    with Reader(recorded) as reader:
        by_topic = {connection.topic: connection for connection in reader.connections}
        wanted = {"joint_states", "guardrail_report", "proposed_command", "plan", "rosout"}
        wanted |= {"joint_trajectory_controller/joint_trajectory", "gripper_controller/command"}
        assert {f"/{name}" for name in wanted} <= by_topic.keys()
        assert not any("/_" in topic for topic in by_topic)
        assert by_topic["/joint_states"].digest.startswith("RIHS01_")
        offers = {topic: connection.ext.offered_qos_profiles for topic, connection in by_topic.items()}
        assert all(offers.values())
        assert offers["/joint_states"][0].reliability == QosReliability.RELIABLE
        assert offers["/joint_states"][0].durability == QosDurability.VOLATILE
        assert offers["/rosout"][0].durability == QosDurability.TRANSIENT_LOCAL


def test_nothing_is_lost_on_the_way(recorded):
    """Joint states every 10 ms, each trajectory with its gripper width; but Ctrl-C may come between the last two."""
    heard_s = defaultdict(list)
    with Reader(recorded) as reader:
        for connection, received_ns, _ in reader.messages():
            heard_s[connection.topic].append(received_ns / 1e9)
    joint_states = heard_s["/joint_states"]
    assert len(joint_states) == pytest.approx(100 * np.ptp(joint_states), rel=0.1)
    motions, widths = heard_s["/joint_trajectory_controller/joint_trajectory"], heard_s["/gripper_controller/command"]
    assert len(motions) - len(widths) in (0, 1) and len(widths) > 3
    assert np.abs(np.subtract(motions[: len(widths)], widths)).max() < 0.1  # half of the time between two commands


def test_the_certificate_of_the_run_is_in_it(recorded):
    command = [sys.executable, "-m", "ami_robot.cli.main", "verify-run", str(recorded)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "verified" in done.stdout


def test_what_is_there_is_not_recorded_over(client, recorded):
    bringup = LAUNCH_FILE.with_name("bringup.launch.xml")
    before = (recorded / "metadata.yaml").read_bytes()
    with launched(bringup, record="true", record_folder=str(recorded), **GRAPH) as launch:
        assert launch.popen.wait(30.0) != 0
        assert "exists already" in launch.output()
        assert "Traceback" not in launch.output()
    assert (recorded / "metadata.yaml").read_bytes() == before


RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
LATCHED, VOLATILE = DurabilityPolicy.TRANSIENT_LOCAL, DurabilityPolicy.VOLATILE


@pytest.mark.parametrize(
    ("offers", "asked"),
    [
        ([(RELIABLE, LATCHED)], (RELIABLE, LATCHED)),
        ([(RELIABLE, LATCHED), (RELIABLE, VOLATILE)], (RELIABLE, VOLATILE)),
        ([(BEST_EFFORT, VOLATILE), (RELIABLE, VOLATILE)], (BEST_EFFORT, VOLATILE)),
    ],
)
def test_of_several_publishers_none_is_left_out(offers, asked):
    profiles = [QoSProfile(depth=1, reliability=first, durability=second) for first, second in offers]
    profile = matching(profiles, 1)
    assert (profile.reliability, profile.durability) == asked
