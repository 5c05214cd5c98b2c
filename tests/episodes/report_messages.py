"""Reports as the messages that the guardrail's node would send, and recordings of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ami_interfaces.msg import GuardrailReport as GuardrailReportMsg

from ami_embedded.interfaces import serialize
from ami_nodes.convert import to_report_msg
from ami_nodes.recording_topics import definition
from ami_robot.episodes.recording import REPORT_TOPIC, REPORT_TYPE, RecordingWriter
from ami_robot.types import GuardrailReport

DEFINITION = definition(GuardrailReportMsg)


def to_cdr(report: GuardrailReport) -> bytes:
    return bytes(serialize(to_report_msg(report)))


def write_recording(folder: Path, reports: Sequence[GuardrailReport]) -> Path:
    write_messages(folder, [to_cdr(report) for report in reports])
    return folder


def write_messages(folder: Path, messages: Sequence[bytes]) -> None:
    with RecordingWriter(folder) as writer:
        writer.add_topic(REPORT_TOPIC, REPORT_TYPE, DEFINITION)
        for number, data in enumerate(messages):
            writer.write(REPORT_TOPIC, data, 1_000_000_000 + number)
