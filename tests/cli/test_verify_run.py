"""`ami verify-run` on recordings of an honest run, and of the same run altered on disk."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from ami_robot.cli.main import main
from ami_robot.safety.spec import DEFAULT_SPEC, load_spec
from tests.episodes.report_messages import to_cdr, write_messages, write_recording
from tests.safety.recorded_run import whole_run


@pytest.fixture(scope="module")
def honest():
    return whole_run(load_spec(), commands=4)


@pytest.fixture(scope="module")
def run_folder(honest, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    write_recording(folder / "guardrail_report", honest)
    return folder


def verify(capsys, *words) -> tuple[int, str]:
    status = main(["verify-run", *map(str, words)])
    return status, capsys.readouterr().out


def commands(reports) -> list[int]:
    return [index for index, report in enumerate(reports) if report.sent is not None]


def test_an_honest_run_is_verified_with_a_table_of_rows(run_folder, honest, capsys):
    status, out = verify(capsys, run_folder)
    assert status == 0
    for row in ("table", "joint_jerk", "self_collision", "gripper"):
        assert any(line.startswith(f"{row} ") for line in out.splitlines())
    last = out.splitlines()[-1]
    assert f"{len(commands(honest))} commands in {len(honest)} reports verified" in last
    assert load_spec().sha256[:12] in last


def test_the_recording_itself_may_be_given(run_folder, capsys):
    assert verify(capsys, run_folder / "guardrail_report")[0] == 0


def test_json_says_the_same(run_folder, honest, capsys):
    status, out = verify(capsys, run_folder, "--json")
    document = json.loads(out)
    assert status == 0
    assert document["verified"] is True
    assert document["findings"] == []
    assert document["reports"] == len(honest)
    assert document["commands"] == len(commands(honest))
    assert document["least_margins"]["table"]["margin"] > 0.0
    assert document["spec_sha256"] == load_spec().sha256
    assert document["ms_per_command"] > 0.0


def test_each_altered_command_is_named_with_a_sentence(honest, tmp_path, capsys):
    index = commands(honest)[2]
    positions = np.array(honest[index].sent.positions)
    positions[-1, 3] += 1e-3
    altered = list(honest)
    altered[index] = replace(honest[index], sent=replace(honest[index].sent, positions=positions))
    status, out = verify(capsys, write_recording(tmp_path / "run", altered))
    assert status == 1
    assert f"command {honest[index].sequence}: chain: " in out
    assert "NOT verified" in out.splitlines()[-1]


def test_only_the_first_findings_are_printed_and_the_rest_counted(honest, tmp_path, capsys):
    altered = [replace(report, spec_sha256="0" * 64) for report in honest]
    status, out = verify(capsys, write_recording(tmp_path / "run", altered))
    assert status == 1
    assert sum(": certificate: " in line for line in out.splitlines()) == 20
    assert f"... and {len(honest) - 20} more." in out


def test_a_single_bit_of_a_recording_is_found(honest, run_folder, tmp_path, capsys):
    """In a control point between start and end, where the motion stays as safe as its report says."""
    messages = [to_cdr(report) for report in honest]
    index = commands(honest)[2]
    place = messages[index].index(np.float64(honest[index].sent.positions[0, 4]).tobytes())
    changed = bytearray(messages[index])
    changed[place + 5] ^= 1
    messages[index] = bytes(changed)
    write_messages(tmp_path / "guardrail_report", messages)
    metadata = tmp_path / "guardrail_report" / "metadata.yaml"
    metadata.write_text((run_folder / "guardrail_report" / "metadata.yaml").read_text())
    status, out = verify(capsys, tmp_path)
    assert status == 1
    assert "their digest differs" in out


def test_a_message_that_cannot_be_decoded_is_found_and_the_rest_still_read(honest, tmp_path, capsys):
    messages = [to_cdr(report) for report in honest]
    messages[1] = messages[1][:40]
    write_messages(tmp_path / "run", messages)
    status, out = verify(capsys, tmp_path / "run", "--json")
    document = json.loads(out)
    assert status == 1
    assert document["reports"] == len(honest)
    assert any("cannot be decoded" in finding["reason"] for finding in document["findings"])


def test_another_guardrail_file_verifies_nothing(run_folder, tmp_path, capsys):
    other = tmp_path / "other.yaml"
    other.write_text(DEFAULT_SPEC.read_text() + "\n")
    status, out = verify(capsys, run_folder, "--guardrail-file", other)
    assert status == 1
    assert "another guardrail file" in out


def test_a_recording_without_reports_proves_nothing(tmp_path, capsys):
    status, out = verify(capsys, write_recording(tmp_path / "run", []))
    assert status == 1
    assert "0 commands in 0 reports NOT verified" in out


def test_a_folder_without_a_recording_is_an_error_in_one_line(tmp_path, capsys):
    assert main(["verify-run", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ami: error: ")
    assert error.count("\n") == 1


def test_it_needs_neither_rclpy_nor_the_code_that_decided(run_folder):
    """In a fresh process: what verifies loads nothing of the filter, the gates or the graph."""
    script = (
        "import sys\nfrom ami_robot.cli.main import main\n"
        f"status = main(['verify-run', {str(run_folder)!r}])\n"
        "deciding = ('guardrail', 'gate', 'last_gate', 'filter', 'choice', 'motion', 'kinematics', 'distances',"
        " 'separation', 'dynamics')\n"
        "wrong = [name for name in sys.modules if name in {f'ami_robot.safety.{each}' for each in deciding}"
        " or name.split('.')[0] in ('rclpy', 'ami_nodes', 'ami_interfaces', 'torch', 'pybullet')]\n"
        "print(status, wrong, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr.splitlines()[-1] == "0 []"
