"""Recordings come back as they were written, describe themselves, and say what is wrong with them."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from ami_robot.episodes.recording import REPORT_TYPE, RecordingError, RecordingWriter, ReportRecording
from ami_robot.types import GuardrailReport, HeldTool, JointTrajectory, People, Person, Refusal
from tests.episodes.report_messages import DEFINITION, to_cdr, write_messages, write_recording

NAMES = tuple(f"joint{number}" for number in range(7))
RNG = np.random.default_rng(0)
FULL = GuardrailReport(
    stamp_ns=1_234_567_890_123,
    decision="modified",
    armed=True,
    source="planner",
    proposal_sequence=7,
    observation_stamp_ns=1_234_500_000_000,
    sequence=3,
    sent=JointTrajectory(NAMES, np.array([0.2, 0.4]), *RNG.normal(size=(3, 2, 7))),
    target_joint_positions=RNG.normal(size=7),
    target_tool_position=RNG.normal(size=3),
    gripper_width=0.04,
    refusal=Refusal("Stretched.", "joint_velocity", -0.1),
    margins={"table": 0.1, "workspace": 0.02},
    spec_sha256="a" * 64,
    model_error_bound_m=0.01,
    checkpoint_sha256="b" * 64,
    people=People(1_234_567_000_000, (Person(*RNG.normal(size=(2, 3)), 0.2, RNG.normal(size=3), 0.01),)),
    held_tool=HeldTool(1_234_567_000_001, "edge", RNG.normal(size=3), 0.3),
    e_stopped=True,
)
BARE = dataclasses.replace(
    FULL, decision="status", sequence=0, sent=None, refusal=None, margins={}, people=None, held_tool=None,
    e_stopped=False, model_error_bound_m=float("nan"), checkpoint_sha256="",
)  # fmt: skip


def read(folder) -> list[GuardrailReport]:
    with ReportRecording(folder) as recording:
        return [recording.report(data) for data in recording.messages()]


def assert_same(a, b) -> None:
    """Field by field, to the last bit; NaN is NaN."""
    if dataclasses.is_dataclass(a):
        assert type(a) is type(b)
        for item in dataclasses.fields(a):
            assert_same(getattr(a, item.name), getattr(b, item.name))
    elif isinstance(a, tuple):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            assert_same(one, other)
    else:
        np.testing.assert_equal(b, a)


def test_every_field_of_a_report_survives_to_the_last_bit(tmp_path):
    """The wire holds nanoseconds, so these stamps and times are exact."""
    back = read(write_recording(tmp_path / "run", [FULL, BARE]))
    assert len(back) == 2
    assert_same(FULL, back[0])
    assert_same(BARE, back[1])


def test_an_empty_list_of_people_is_not_the_same_as_nothing_heard(tmp_path):
    nobody = dataclasses.replace(FULL, people=People(5, ()))
    back = read(write_recording(tmp_path / "run", [nobody, BARE]))
    assert back[0].people == People(5, ())
    assert back[1].people is None


def test_a_recording_needs_no_interface_packages(tmp_path):
    """What is read is made of the definition in the file alone."""
    folder = write_recording(tmp_path / "run", [FULL])
    (mcap,) = folder.glob("*.mcap")
    assert b"sensor" not in mcap.read_bytes()
    for line in (b"ami_interfaces/PersonArray people", b"trajectory_msgs/JointTrajectory sent"):
        assert line in mcap.read_bytes().replace(b"/msg/", b"/")


@pytest.mark.parametrize("change", ["a bit", "dropped", "swapped", "repeated"])
def test_messages_that_are_not_those_that_were_recorded_are_found(tmp_path, change):
    """The digest of the honest recording beside the messages of another one."""
    messages = [to_cdr(FULL), to_cdr(BARE), to_cdr(FULL)]
    write_messages(tmp_path / "honest", messages)
    if change == "a bit":
        messages[0] = messages[0][:-9] + bytes([messages[0][-9] ^ 1]) + messages[0][-8:]
    elif change == "dropped":
        del messages[1]
    elif change == "swapped":
        messages[0], messages[1] = messages[1], messages[0]
    else:
        messages.append(messages[-1])
    write_messages(tmp_path / "altered", messages)
    honest, false = (read_digest(tmp_path / name) for name in ("honest", "altered"))
    metadata = tmp_path / "altered" / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace(false, honest))
    with (
        pytest.raises(RecordingError, match="not the messages that were recorded"),
        ReportRecording(tmp_path / "altered") as recording,
    ):
        list(recording.messages())


def read_digest(folder) -> str:
    (digest,) = re.findall(r"messages_sha256 of guardrail_report:\s+(\w{64})", (folder / "metadata.yaml").read_text())
    return digest


def test_a_recording_of_another_program_has_no_digest_and_is_read(tmp_path):
    folder = write_recording(tmp_path / "run", [FULL])
    metadata = folder / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("messages_sha256", "recorded_by"))
    assert len(read(folder)) == 1


def test_a_malformed_message_is_named(tmp_path):
    write_messages(tmp_path / "run", [to_cdr(FULL)[:50], to_cdr(BARE)])
    with ReportRecording(tmp_path / "run") as recording:
        first, second = recording.messages()
        with pytest.raises(RecordingError, match="cannot be decoded"):
            recording.report(first)
        assert recording.report(second).decision == "status"


def test_points_of_different_lengths_are_refused(tmp_path):
    from ami_embedded.interfaces import serialize
    from ami_nodes.convert import to_field, to_report_msg

    message = to_report_msg(FULL)
    message.sent.points[0].positions = to_field(np.zeros(6))
    write_messages(tmp_path / "run", [bytes(serialize(message))])
    with ReportRecording(tmp_path / "run") as recording, pytest.raises(RecordingError, match="decoded"):
        recording.report(next(recording.messages()))


def test_what_is_not_a_recording_is_named(tmp_path):
    with pytest.raises(RecordingError, match="not a finished recording"):
        ReportRecording(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordingError, match="not a finished recording"):
        ReportRecording(tmp_path / "empty")


def test_a_recording_that_was_never_finished_is_named(tmp_path):
    writer = RecordingWriter(tmp_path / "run")
    writer.add_topic("guardrail_report", REPORT_TYPE, DEFINITION)
    writer.write("guardrail_report", to_cdr(FULL), 1)
    with pytest.raises(RecordingError, match="not a finished recording"):
        ReportRecording(tmp_path / "run")
    writer.close()
    assert len(read(tmp_path / "run")) == 1


def test_a_recording_of_another_topic_is_refused(tmp_path):
    with RecordingWriter(tmp_path / "run") as writer:
        writer.add_topic("chatter", "std_msgs/msg/String", "string data\n")
        writer.write("chatter", b"\0\1\0\0\2\0\0\0a\0", 1)
    with pytest.raises(RecordingError, match="must hold one topic of ami_interfaces/msg/GuardrailReport"):
        ReportRecording(tmp_path / "run")


def test_a_recording_is_never_written_over(tmp_path):
    write_recording(tmp_path / "run", [FULL])
    with pytest.raises(RecordingError, match="exists already"):
        write_recording(tmp_path / "run", [BARE])


def test_reports_are_read_out_of_a_recording_of_many_topics(tmp_path):
    with RecordingWriter(tmp_path / "run") as writer:
        writer.add_topic("/chatter", "std_msgs/msg/String", "string data\n")
        writer.write("/chatter", b"\0\1\0\0\2\0\0\0a\0", 1)
        writer.add_topic("/guardrail_report", REPORT_TYPE, DEFINITION)
        writer.write("/guardrail_report", to_cdr(FULL), 2)
        writer.write("/chatter", b"\0\1\0\0\2\0\0\0b\0", 3)
        writer.write("/guardrail_report", to_cdr(BARE), 4)
    assert [report.decision for report in read(tmp_path / "run")] == ["modified", "status"]


def test_a_topic_cannot_be_added_twice_nor_with_a_definition_that_is_none(tmp_path):
    with RecordingWriter(tmp_path / "run") as writer:
        writer.add_topic("/chatter", "std_msgs/msg/String", "string data\n")
        for definition in ("string data\n", "strong\n"):
            with pytest.raises(RecordingError, match="cannot record /chatter"):
                writer.add_topic("/chatter", "std_msgs/msg/String", definition)
