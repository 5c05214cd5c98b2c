"""Records a topic of the graph as it comes over the wire, with the definition of its messages."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from ami_nodes.interfaces import fields, interface_class, type_name
from ami_robot.episodes.recording import RecordingWriter

EVERY_MESSAGE = QoSProfile(
    history=HistoryPolicy.KEEP_ALL, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.VOLATILE
)
"""A recording with a gap proves nothing."""


def record(node: Node, message_class: Any, topic: str, folder: Path) -> RecordingWriter:
    """Write every message of the topic into a new folder from now on.

    Close the writer after the node stopped listening. Raises RecordingError.
    """
    writer, name = RecordingWriter(folder), node.resolve_topic_name(topic)
    writer.add_topic(name, type_name(message_class), definition(message_class))
    node.create_subscription(
        message_class, topic, lambda data: writer.write(name, bytes(data), time.time_ns()), EVERY_MESSAGE, raw=True
    )
    return writer


def definition(message_class: Any) -> str:
    """The .msg text of a message class, then of every message it is made of, as rosbag2 stores it.

    From the class alone, since not every installation has the interface files; constants and comments are not in it.
    """
    waiting, texts = [message_class], {}
    while waiting:
        current = waiting.pop(0)
        if type_name(current) in texts:
            continue
        lines = []
        for name, (base, many) in fields(current).items():
            lines.append(f"{base}{many} {name}")
            if "/" in base:
                waiting.append(interface_class(base.replace("/", "/msg/")))
        texts[type_name(current)] = "\n".join(lines)
    (_, first), *others = texts.items()
    return "\n".join([first, *(f"{'=' * 80}\nMSG: {name}\n{text}" for name, text in others)]) + "\n"
