"""Records a topic of the graph as it comes over the wire, with the definition of its messages."""

from __future__ import annotations

import re
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from ami_robot.episodes.recording import RecordingWriter

EVERY_MESSAGE = QoSProfile(
    history=HistoryPolicy.KEEP_ALL, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.VOLATILE
)
"""A recording with a gap proves nothing."""

_PRIMITIVES = {"boolean": "bool", "float": "float32", "double": "float64", "octet": "byte"}


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
        for name, idl_type in current.get_fields_and_field_types().items():
            base, many = _split(idl_type)
            lines.append(f"{_PRIMITIVES.get(base, base)}{many} {name}")
            if "/" in base:
                package, _, stem = base.partition("/")
                waiting.append(getattr(import_module(f"{package}.msg"), stem))
        texts[type_name(current)] = "\n".join(lines)
    (_, first), *others = texts.items()
    return "\n".join([first, *(f"{'=' * 80}\nMSG: {name}\n{text}" for name, text in others)]) + "\n"


def _split(idl_type: str) -> tuple[str, str]:
    """`sequence<double, 3>` as (`double`, `[<=3]`), `double[3]` as (`double`, `[3]`), `double` as (`double`, ``)."""
    if match := re.fullmatch(r"sequence<(.+?)(?:, (\d+))?>", idl_type):
        return match[1], f"[<={match[2]}]" if match[2] else "[]"
    base, bracket, length = idl_type.partition("[")
    return base, bracket + length


def type_name(message_class: Any) -> str:
    """package/msg/Name."""
    package = message_class.__module__.partition(".")[0]
    return f"{package}/msg/{message_class.__name__}"
