"""The message packages and rclpy that the nodes import (the real ones where ROS 2 is), and what graph tests share."""

import time

import numpy as np
import pytest

from ami_nodes import qos
from ami_nodes.convert import as_array, to_ns
from ami_nodes.graph_client import GraphClient
from tests.domains import GRAPHS
from tests.nodes.graph import listening
from tests.untrained import untrained_checkpoint


class Pictures:
    """Hears a camera: (time on the system's clock, ns, message) of its pictures, and the CameraInfo of each."""

    def __init__(self):
        self.heard, self.infos = [], []

    def hear(self, message):
        self.heard.append((time.time_ns(), message))

    def stamps(self):
        return [to_ns(message.header.stamp) for _, message in self.heard]

    def assert_each_has_its_info(self):
        """But at the ends, where one of the two may be heard of first."""
        stamps, told = self.stamps(), [to_ns(info.header.stamp) for info in self.infos]
        both = range(max(stamps[0], told[0]), min(stamps[-1], told[-1]) + 1)
        assert len(told) > len(stamps) // 2
        assert [stamp for stamp in told if stamp in both] == [stamp for stamp in stamps if stamp in both]


class Ear:
    """Keeps the clock, and the joint positions and greatest joint speeds, that were heard."""

    def __init__(self, node):
        from rosgraph_msgs.msg import Clock
        from sensor_msgs.msg import JointState

        self.clock_ns, self.speeds, self.positions = [], [], np.zeros(7)
        node.create_subscription(Clock, "/clock", lambda m: self.clock_ns.append(to_ns(m.clock)), qos.CLOCK)
        node.create_subscription(JointState, "joint_states", self.on_joint_states, qos.SENSOR_IN)

    def on_joint_states(self, message):
        self.positions = as_array(message.position)[:7]
        self.speeds.append((time.monotonic(), np.abs(as_array(message.velocity)[:7]).max()))

    def speed(self):
        """The last one, rad/s, or NaN when nothing was heard for a while."""
        heard_s, speed = self.speeds[-1] if self.speeds else (0.0, 0.0)
        return speed if time.monotonic() - heard_s < 0.3 else float("nan")


@pytest.fixture(scope="session")
def ros():
    import rclpy

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_DOMAIN_ID", GRAPHS)
        rclpy.init()
        yield
        rclpy.try_shutdown()


@pytest.fixture(scope="session")
def client(ros):
    with GraphClient("test_client") as client:
        client.ear = Ear(client.node)
        yield client


@pytest.fixture
def pictures(client):
    from sensor_msgs.msg import CameraInfo, Image

    pictures = Pictures()
    images, infos = (
        (Image, "camera/image_raw", pictures.hear),
        (CameraInfo, "camera/camera_info", pictures.infos.append),
    )
    with listening(client, images, infos):
        yield pictures


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """One that has learned nothing."""
    return str(untrained_checkpoint(tmp_path_factory.mktemp("checkpoint")))
