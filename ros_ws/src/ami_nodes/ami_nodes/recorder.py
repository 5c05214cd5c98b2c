"""Records every topic of the graph as rosbag2 does, in MCAP, from before the other nodes are active until the end."""

from __future__ import annotations

import shutil
import sys
import time
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.qos import QoSProfile
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

from ami_nodes import qos
from ami_nodes.common import AmiNode, run_node
from ami_nodes.health import Health, Meter
from ami_nodes.interfaces import interface_class
from ami_nodes.parameters import Param
from ami_nodes.recording_topics import definition
from ami_robot.episodes.recording import RecordingError, RecordingWriter
from ami_robot.types import NS_PER_S

LOOK_ROUND_HZ = 4
LITTLE_GB = 1.0
MATCHED_S = 0.2
"""Two ends of a topic find each other in some tens of ms, on a busy machine in more."""

DEPTH = 1000
"""Messages of one topic that wait while the disk is slow."""


class RecorderNode(AmiNode):
    """All topics -> a folder that `ros2 bag play` and `ami verify-run` read. It asks for what the publishers offer.

    Topics are found while it is active; hidden ones (a name of theirs begins with _) are left out. What its disk
    refuses ends the recording with a sentence, and the node with it: a recording with a gap proves nothing.
    """

    PARAMETERS = (
        Param("folder", "", "to record into, which must not exist; empty is runs/bag_<time>"),
        Param("topics", [""], "to record; none named is all"),
        Param("but", [""], "topics not to record"),
    )

    REHEARSES = False  # its folder would be there; what it reads is what the others offer

    writer: RecordingWriter | None = None

    def build(self) -> None:
        """Begin the folder."""
        folder = Path(self.settings.folder or f"runs/bag_{datetime.now(timezone.utc):%Y-%m-%dT%H-%M-%SZ}")
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.writer = RecordingWriter(folder)
        self.wanted = {self.resolve_topic_name(name) for name in self.settings.topics if name}
        self.unwanted = {self.resolve_topic_name(name) for name in self.settings.but if name}
        self.known: set[str] = set()
        self.folder, self.written = folder, Meter("messages")
        self.get_logger().info(f"recording into {folder}")

    def start(self) -> list[Any]:
        """Look for topics. Those of nodes that are configured are heard from before anything is said on them."""
        self.found: list[Any] = []
        self.look_round()
        time.sleep(MATCHED_S)
        return [self.create_timer(1.0 / LOOK_ROUND_HZ, self.look_round, clock=Clock(clock_type=ClockType.STEADY_TIME))]

    def stop(self) -> None:
        """Listen no more."""
        while self.found:
            self.destroy_subscription(self.found.pop())
        self.known.clear()

    def discard(self) -> None:
        """Finish the recording."""
        writer, self.writer = self.writer, None
        if writer is not None:
            writer.close()

    def destroy_node(self) -> None:
        """Finish the recording, however the node ends."""
        self.discard()
        super().destroy_node()

    def health(self) -> Health:
        """How much is recorded, and how much room is left."""
        free_gb = shutil.disk_usage(self.folder).free / 1e9
        warning = f"only {free_gb:.2f} GB are left on the disk" if free_gb < LITTLE_GB else ""
        return Health(warning, {**self.written.read(), "topics": len(self.known), "free_gb": round(free_gb, 2)})

    def look_round(self) -> None:
        """Record topics that are new and published."""
        for topic, types in self.get_topic_names_and_types():
            wanted = topic in self.wanted if self.wanted else "/_" not in topic
            if not wanted or topic in self.known or topic in self.unwanted:
                continue
            offers = [info.qos_profile for info in self.get_publishers_info_by_topic(topic)]
            if offers:
                self.known.add(topic)
                self.add(topic, types, offers)

    def add(self, topic: str, types: list[str], offers: list[QoSProfile]) -> None:
        """Record one topic from now on, or say why not."""
        assert self.writer is not None
        try:
            if len(types) != 1:
                raise RecordingError(f"it has the types {', '.join(types)}")
            message_class = interface_class(types[0])
            if topic not in self.writer.topics:
                self.writer.add_topic(topic, types[0], definition(message_class), [_offered(offer) for offer in offers])
        except (RecordingError, ImportError, AttributeError) as error:
            self.get_logger().error(f"{topic} is not recorded: {error}")
            return
        asked = qos.matching(offers, DEPTH)
        self.found.append(self.create_subscription(message_class, topic, partial(self.write, topic), asked, raw=True))

    def write(self, topic: str, data: bytes) -> None:
        """One message."""
        if self.writer is None:
            return
        try:
            self.writer.write(topic, bytes(data), time.time_ns())
            self.written.tick()
        except OSError as error:
            self.get_logger().fatal(f"the recording breaks off: {error}")
            self.writer = None
            rclpy.try_shutdown()


def _offered(profile: QoSProfile) -> Qos:
    """As rosbag2 keeps it, for a player to offer the same. Nobody tells others how deep its history is."""
    deadline, lifespan = (_time(duration.nanoseconds) for duration in (profile.deadline, profile.lifespan))
    return Qos(
        QosHistory.UNKNOWN,
        0,
        QosReliability[profile.reliability.name],
        QosDurability[profile.durability.name],
        deadline,
        lifespan,
        QosLiveliness[profile.liveliness.name],
        _time(2**63 - 1),
        False,
    )


def _time(ns: int) -> QosTime:
    return QosTime(ns // NS_PER_S, ns % NS_PER_S)


def main() -> int:
    """Run the node."""
    return run_node("recorder", lambda: RecorderNode("recorder"))


if __name__ == "__main__":
    sys.exit(main())
