"""The pictures of a recording, to be seen again: as they came over the wire, out of the file one after the other."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rosbags.interfaces import Connection

from ami_robot.episodes.recording import RecordingError, open_recording, read_messages
from ami_robot.types import NS_PER_S

IMAGE_TYPE, INFO_TYPE = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo"

_LITTLE_ENDIAN = b"\x00\x01"
_HEADER_AT, _STAMP, _FRAME_LENGTH = 4, struct.Struct("<iI"), struct.Struct("<I")
"""Both messages begin with their header, behind the encapsulation: seconds and nanoseconds of its stamp, then the
length of its frame_id, the closing zero included."""


@dataclass(frozen=True)
class Picture:
    """A picture and what is known of its camera then, each encapsulated CDR."""

    stamp_ns: int  # of its header: when it was captured
    image: bytes  # of IMAGE_TYPE
    info: bytes  # of INFO_TYPE


class PictureRecording:
    """The pictures of one topic and the CameraInfo beside it, opened for reading."""

    def __init__(self, folder: Path, topic: str = ""):
        """The whole name of the topic may be left out where there is one. Raises RecordingError unless it is playable.

        That is: it has a topic of pictures, two at least, since their interval has to be known, and CameraInfo.
        """
        self.folder, self._reader = folder, open_recording(folder)
        try:
            self._images = self._images_of(topic)
            image_topic = self._images[0].topic
            info_topic = f"{image_topic.rpartition('/')[0]}/camera_info"
            self._infos = self._of(INFO_TYPE, info_topic)
            pictures = sum(connection.msgcount for connection in self._images)
            if pictures < 2:
                raise RecordingError(f"{folder} has {pictures} pictures of {image_topic}; it takes two to play them.")
            _, first = next(read_messages(self._reader, self._images), (None, b""))
            _, self._first_info = next(read_messages(self._reader, self._infos), (None, b""))
            if not self._first_info:
                raise RecordingError(f"{folder} has no {INFO_TYPE} on {info_topic} beside its pictures.")
            _, self.frame_id = _header(first)
        except RecordingError:
            self._reader.close()
            raise

    def close(self) -> None:
        """Let the file go."""
        self._reader.close()

    def pictures(self) -> Iterator[Picture]:
        """Once through. With each the newest CameraInfo that was recorded by then, or else the first one.

        Raises RecordingError where the file is damaged, and at a picture that is not later than the one before it.
        """
        info, before_ns = self._first_info, None
        for connection, data in read_messages(self._reader, [*self._images, *self._infos]):
            if connection.msgtype == INFO_TYPE:
                info = data
                continue
            stamp_ns, _ = _header(data)
            if before_ns is not None and stamp_ns <= before_ns:
                raise RecordingError(f"{self.folder}: a picture's stamp, {stamp_ns} ns, follows {before_ns} ns.")
            yield Picture(stamp_ns, data, info)
            before_ns = stamp_ns
        if before_ns is None:
            raise RecordingError(f"{self.folder} has none of the pictures that its metadata counts.")

    def play(self, loop: bool) -> Iterator[tuple[int, Picture]]:
        """Each picture behind the ns from the one before it, which is 0 for the very first. See `pictures`.

        In a loop the first comes as long after the last as the last came after its predecessor.
        """
        interval_ns = 0
        while True:
            before_ns = None
            for picture in self.pictures():
                if before_ns is not None:
                    interval_ns = picture.stamp_ns - before_ns
                yield interval_ns, picture
                before_ns = picture.stamp_ns
            if not loop:
                return

    def _images_of(self, topic: str) -> list[Connection]:
        topics = {connection.topic for connection in self._of(IMAGE_TYPE)}
        chosen = topics & {topic} if topic else topics
        if len(chosen) != 1:
            raise RecordingError(
                f"{self.folder} must hold {topic or 'one topic'} of {IMAGE_TYPE}, or one of several has to be named; "
                f"it has {', '.join(sorted(topics)) or 'none'}."
            )
        return self._of(IMAGE_TYPE, *chosen)

    def _of(self, type_name: str, topic: str = "") -> list[Connection]:
        return [each for each in self._reader.connections if each.msgtype == type_name and topic in ("", each.topic)]


def restamped(data: bytes, stamp_ns: int) -> bytes:
    """The same message with another stamp in its header."""
    stamp = _STAMP.pack(*divmod(stamp_ns, NS_PER_S))
    return b"".join((data[:_HEADER_AT], stamp, memoryview(data)[_HEADER_AT + _STAMP.size :]))


def _header(data: bytes) -> tuple[int, str]:
    """Stamp, ns, and frame_id of a message."""
    length_at = _HEADER_AT + _STAMP.size
    text_at = length_at + _FRAME_LENGTH.size
    if data[:2] != _LITTLE_ENDIAN or len(data) < text_at:
        raise RecordingError("a message of the recording is not little-endian CDR that begins with a header.")
    seconds, nanoseconds = _STAMP.unpack_from(data, _HEADER_AT)
    (length,) = _FRAME_LENGTH.unpack_from(data, length_at)
    return seconds * NS_PER_S + nanoseconds, data[text_at : text_at + length - 1].decode(errors="replace")
