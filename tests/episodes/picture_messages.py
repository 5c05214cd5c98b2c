"""Recordings of pictures as the recorder writes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, Image

from ami_nodes.convert import to_camera_info_msg, to_image_msg
from ami_nodes.recording_topics import definition, type_name
from ami_robot.episodes.recording import RecordingWriter
from ami_robot.perception.camera import load_camera

Pair = tuple[Image, CameraInfo]
IMAGES, INFOS = "/camera/image_raw", "/camera/camera_info"


def noise(stamps_ns: Iterable[int], width: int = 64, height: int = 48) -> Iterator[Pair]:
    """(Image, CameraInfo) of each stamp: no two pictures are equal."""
    rng, camera = np.random.default_rng(0), load_camera().resized(width, height)
    for stamp_ns in stamps_ns:
        picture = rng.integers(0, 256, (height, width, 3), np.uint8)
        yield to_image_msg(picture, stamp_ns, camera.frame_id), to_camera_info_msg(camera, stamp_ns)


def write_pictures(
    folder: Path, pairs: Iterable[Pair], images: Sequence[str] = (IMAGES,), infos: Sequence[str] = (INFOS,)
) -> Path:
    """Each picture before its CameraInfo, as it may well be heard, and among messages of another topic."""
    with RecordingWriter(folder) as writer:
        for topics, kind in ((images, Image), (infos, CameraInfo)):
            for topic in topics:
                writer.add_topic(topic, type_name(kind), definition(kind))
        writer.add_topic("/chatter", "std_msgs/msg/String", "string data\n")
        for number, (image, info) in enumerate(pairs):
            messages = [
                *((topic, serialize_message(image)) for topic in images),
                *((topic, serialize_message(info)) for topic in infos),
            ]
            for topic, data in [*messages, ("/chatter", b"\0\1\0\0\2\0\0\0a\0")]:
                writer.write(topic, data, 10_000_000 * number)
    return folder


def damage(folder: Path, message: Any, length: int) -> None:
    """Let the file claim that this message of it has another length."""
    (mcap,) = folder.glob("*.mcap")
    data = bytearray(mcap.read_bytes())
    length_at = (
        data.index(serialize_message(message)) - 30
    )  # then comes the rest of the head of an MCAP message, then itself
    data[length_at : length_at + 8] = length.to_bytes(8, "little")
    mcap.write_bytes(data)
