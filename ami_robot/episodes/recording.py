"""Recordings of ROS 2 topics in rosbag2's own layout: a folder with metadata.yaml and an MCAP file, no ROS needed.

A recording describes itself: the definition of its messages lies beside them, so a reader needs no interface packages,
and `ros2 bag`, Foxglove and others open it. What is read back are the records of `ami_robot.types`.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import Reader, ReaderError, StoragePlugin, Writer, WriterError
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from ami_robot.types import NS_PER_S, Array, GuardrailReport, HeldTool, JointTrajectory, People, Person, Refusal

REPORT_TYPE = "ami_interfaces/msg/GuardrailReport"
REPORT_TOPIC = "guardrail_report"


class RecordingError(ValueError):
    """A recording that cannot be written or read; one sentence saying which and why."""


class RecordingWriter:
    """Writes the messages of some topics as they come over the wire. A context manager."""

    def __init__(self, folder: Path):
        """Begin the folder, which must not exist. Raises RecordingError."""
        try:
            self._writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
            self._writer.open()
        except (WriterError, OSError) as error:
            raise RecordingError(f"cannot record into {folder}: {error}") from error
        self._connections: dict[str, Connection] = {}
        self._digests: dict[str, Any] = {}

    def add_topic(self, topic: str, type_name: str, definition: str, offered: Sequence[Qos] = ()) -> None:
        """From now on messages of this topic may be written. Raises RecordingError.

        Args:
            topic: its whole name.
            type_name: package/msg/Name.
            definition: .msg text of the type, then of those it is made of.
            offered: what its publishers offer; a player offers the same.
        """
        try:
            store = _typestore(definition, type_name)
            self._connections[topic] = self._writer.add_connection(
                topic, type_name, typestore=store, offered_qos_profiles=offered
            )
        except (WriterError, TypesysError) as error:
            raise RecordingError(f"cannot record {topic}: {error}") from error
        self._digests[topic] = hashlib.sha256()

    @property
    def topics(self) -> tuple[str, ...]:
        """Those that were added."""
        return tuple(self._connections)

    def write(self, topic: str, data: bytes, received_ns: int) -> None:
        """One encapsulated CDR message of a topic that was added, and when it was received."""
        self._writer.write(self._connections[topic], received_ns, data)
        self._digests[topic].update(_framed(data))

    def close(self) -> None:
        """Finish the recording with the digest of each topic's messages; before that nobody can read it."""
        for topic, digest in self._digests.items():
            self._writer.set_custom_data(_digest_key(topic), digest.hexdigest())
        self._writer.close()

    def __enter__(self) -> RecordingWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_recording(folder: Path) -> Reader:
    """A finished recording, for its user to close. Raises RecordingError."""
    try:
        reader = Reader(folder)
        reader.open()
    except (ReaderError, OSError) as error:
        raise RecordingError(f"{folder} is not a finished recording: {error}") from error
    return reader


def read_messages(reader: Reader, connections: Sequence[Connection]) -> Iterator[tuple[Connection, bytes]]:
    """Encapsulated CDR messages in the order of the recording, a chunk of the file in memory at a time.

    Raises RecordingError where the file is damaged.
    """
    try:
        for connection, _, data in reader.messages(connections) if connections else ():  # to rosbags none means all
            yield connection, bytes(data)
    except (ReaderError, OSError, struct.error) as error:
        raise RecordingError(f"{reader.path}: the recording breaks off: {error}") from error


def read_topic(reader: Reader, topic: str, type_name: str) -> Iterator[Any]:
    """Messages of one topic, decoded by their definition in the recording; their fields are as rosbags gives them.

    Raises RecordingError where there is no such topic, at a malformed message, where the file is damaged, and at the
    end when these are not the messages that were recorded.
    """
    connections = [each for each in reader.connections if (each.topic, each.msgtype) == (topic, type_name)]
    if not connections:
        raise RecordingError(f"{reader.path} has no topic {topic} of {type_name}.")
    try:
        store = _typestore(connections[0].msgdef.data, type_name)
        for data in _read_verified(reader, connections):
            yield store.deserialize_cdr(data, type_name)
    except RecordingError:
        raise
    except (TypesysError, SerdeError, ValueError, IndexError) as error:
        raise RecordingError(f"{reader.path}: a message of {topic} cannot be decoded: {error}") from error


def _read_verified(reader: Reader, connections: Sequence[Connection]) -> Iterator[bytes]:
    """Messages of one topic. Raises RecordingError after the last one when they are not those of their digest."""
    digest = hashlib.sha256()
    for _, data in read_messages(reader, connections):
        digest.update(_framed(data))
        yield data
    written = (reader.storage.metadata.custom or {}).get(_digest_key(connections[0].topic))
    if written not in (None, digest.hexdigest()):
        raise RecordingError(f"{reader.path}: these are not the messages that were recorded; their digest differs.")


class ReportRecording:
    """The guardrail's reports of a run, opened for reading. A context manager."""

    def __init__(self, folder: Path):
        """Raises RecordingError when there is no recording of reports, or not exactly one."""
        self.folder, self._reader = folder, open_recording(folder)
        found = [each for each in self._reader.connections if each.msgtype == REPORT_TYPE]
        topics = sorted({each.topic for each in found})
        if len(topics) != 1:
            self._reader.close()
            raise RecordingError(
                f"{folder} must hold one topic of {REPORT_TYPE}, it has {', '.join(topics) or 'none'}."
            )
        self._connections = found
        try:
            self._store = _typestore(found[0].msgdef.data, REPORT_TYPE)
        except TypesysError as error:
            self._reader.close()
            raise RecordingError(f"{folder}: the definition of {REPORT_TYPE} cannot be read: {error}") from error

    def __len__(self) -> int:
        return sum(connection.msgcount for connection in self._connections)

    def messages(self) -> Iterator[bytes]:
        """Encapsulated CDR messages in the order of the recording.

        Raises RecordingError where the file is damaged, and after the last one when they are not those whose digest
        `RecordingWriter` left. A recording of another program has no digest.
        """
        return _read_verified(self._reader, self._connections)

    def report(self, data: bytes) -> GuardrailReport:
        """One message as a record; RecordingError when it is malformed."""
        try:
            return _report(self._store.deserialize_cdr(data, REPORT_TYPE))
        except (SerdeError, ValueError, AttributeError, IndexError) as error:
            raise RecordingError(f"a message cannot be decoded: {error}") from error

    def __enter__(self) -> ReportRecording:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()


def _typestore(definition: str, type_name: str) -> Typestore:
    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg(definition, type_name))
    return store


def _digest_key(topic: str) -> str:
    return f"messages_sha256 of {topic}"


def _framed(data: bytes | memoryview) -> bytes:
    """A message behind its length, so that no two lists of messages look the same."""
    return len(data).to_bytes(8, "little") + bytes(data)


def _report(message: Any) -> GuardrailReport:
    if len(message.margin_rows) != len(message.margins):
        raise ValueError(f"{len(message.margin_rows)} rows have {len(message.margins)} margins.")
    refused = message.reason or message.guardrail
    return GuardrailReport(
        stamp_ns=_ns(message.header.stamp),
        decision=message.decision,
        armed=message.armed,
        source=message.source,
        proposal_sequence=message.proposal_sequence,
        observation_stamp_ns=_ns(message.observation_stamp),
        sequence=message.sequence,
        sent=_trajectory(message.sent) if message.sent.points else None,
        target_joint_positions=message.target_joint_positions,
        target_tool_position=_vector(message.target_tool_position),
        gripper_width=message.gripper_width,
        refusal=Refusal(message.reason, message.guardrail, message.margin) if refused else None,
        margins=dict(zip(message.margin_rows, message.margins.tolist(), strict=True)),
        spec_sha256=message.spec_sha256,
        model_error_bound_m=message.model_error_bound,
        checkpoint_sha256=message.checkpoint_sha256,
        people=_people(message.people) if message.people_known else None,
        held_tool=_held_tool(message.held_tool) if message.held_tool_known else None,
        e_stopped=message.e_stopped,
    )


def _trajectory(message: Any) -> JointTrajectory:
    points = message.points
    columns = (np.array([getattr(p, name) for p in points]) for name in ("positions", "velocities", "accelerations"))
    times_s = np.array([_ns(point.time_from_start) / NS_PER_S for point in points])
    return JointTrajectory(tuple(message.joint_names), times_s, *columns)


def _people(message: Any) -> People:
    return People(
        _ns(message.header.stamp),
        tuple(
            Person(_vector(one.end_a), _vector(one.end_b), one.radius, _vector(one.velocity), one.radius_error)
            for one in message.persons
        ),
    )


def _held_tool(message: Any) -> HeldTool:
    return HeldTool(_ns(message.header.stamp), message.hazard, _vector(message.tip), message.mass)


def _vector(message: Any) -> Array:
    return np.array([message.x, message.y, message.z])


def _ns(stamp: Any) -> int:
    return int(stamp.sec) * NS_PER_S + int(stamp.nanosec)
