"""`ami verify-run`: verify every command of a recorded run again, from the guardrail's reports alone."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ami_robot.cli.arguments import add_verb

if TYPE_CHECKING:
    from ami_robot.episodes.recording import ReportRecording
    from ami_robot.safety.certificate import Finding, Verifier

EXAMPLES = """examples:
  ami verify-run runs/latest                         the last demonstration
  ami verify-run runs/latest/guardrail_report        a recording of `ros2 bag record` will do as well
  ami verify-run runs/latest --guardrail-file my_robot.yaml --json

Exit status: 0 every command verified, 1 some are not, 2 there is no such recording."""

SHOWN = 20


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Declare `ami verify-run`."""
    parser = add_verb(
        subparsers, "verify-run", "verify a recorded run again, command by command, with separate code", EXAMPLES
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run, or a recording of guardrail_report")
    parser.add_argument(
        "--guardrail-file", default="panda", metavar="F", help="the run's: a robot's, or a YAML (default %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


@dataclass(frozen=True)
class Result:
    """What came out."""

    recording: str
    spec_sha256: str
    reports: int
    commands: int
    restarts: int
    ms_per_command: float
    least_margins: dict[str, tuple[float, int]]  # row -> margin in the row's unit, sequence of the command
    findings: list[Finding]

    @property
    def verified(self) -> bool:
        """Whether nothing is wrong; a recording without any report proves nothing."""
        return not self.findings and self.reports > 0


def run(args: argparse.Namespace) -> int:
    """Read the recording through and print what was seen."""
    from ami_robot.safety.certificate import Verifier
    from ami_robot.safety.spec import load_spec, spec_file

    spec = load_spec(spec_file(args.guardrail_file))
    verifier = Verifier(spec)
    began_s = time.process_time()
    folder, findings = _verify(args.run, verifier)
    spent_ms = 1000.0 * (time.process_time() - began_s)
    result = Result(
        recording=str(folder),
        spec_sha256=spec.sha256,
        reports=verifier.reports,
        commands=verifier.commands,
        restarts=verifier.restarts,
        ms_per_command=spent_ms / max(1, verifier.commands),
        least_margins=verifier.least,
        findings=findings,
    )
    print(json.dumps(_document(result), indent=2) if args.json else _text(result))
    return 0 if result.verified else 1


def _verify(run_folder: Path, verifier: Verifier) -> tuple[Path, list[Finding]]:
    """The recording's folder, and what is wrong with its reports."""
    from tqdm import tqdm

    from ami_robot.episodes.recording import REPORT_TOPIC, RecordingError, ReportRecording

    inside = run_folder / REPORT_TOPIC
    folder = inside if inside.is_dir() else run_folder
    findings: list[Finding] = []
    with ReportRecording(folder) as recording:
        interval_s = 0.2 if sys.stderr.isatty() else 2.0
        bar = tqdm(recording.messages(), total=len(recording), unit="report", mininterval=interval_s)
        try:
            for data in bar:
                findings += _verify_message(recording, data, verifier)
        except RecordingError as error:
            findings.append(verifier.skip(str(error)))
    return folder, findings


def _verify_message(recording: ReportRecording, data: bytes, verifier: Verifier) -> list[Finding]:
    from ami_robot.episodes.recording import RecordingError

    try:
        report = recording.report(data)
    except RecordingError as error:
        return [verifier.skip(str(error))]
    return verifier.verify(report)


def _document(result: Result) -> dict[str, Any]:
    least = {row: {"margin": margin, "sequence": number} for row, (margin, number) in result.least_margins.items()}
    return {"verified": result.verified, **asdict(result), "least_margins": least}


def _text(result: Result) -> str:
    """A table of the rows, the first findings, and the outcome."""
    from ami_robot.safety.table import TABLE

    units = {entry.row: entry.unit for entry in TABLE}
    width = max(map(len, ["row", *result.least_margins]))
    lines = [f"{'row':<{width}}  least margin  {'unit':<10}  command"]
    for row, (margin, number) in sorted(result.least_margins.items()):
        lines.append(f"{row:<{width}}  {margin:12.5g}  {units.get(row, ''):<10}  {number:7d}")
    lines.append("")
    for finding in result.findings[:SHOWN]:
        which = f"command {finding.sequence}" if finding.sequence else f"report {finding.report}"
        lines.append(f"{which}: {finding.row}: {finding.reason}")
    if len(result.findings) > SHOWN:
        lines.append(f"... and {len(result.findings) - SHOWN} more.")
    if result.restarts:
        lines.append(f"The guardrail was started anew {result.restarts} times; what it sent unreported is not known.")
    wrong = len({finding.report for finding in result.findings})
    outcome = "verified" if result.verified else f"NOT verified, {wrong} reports do not hold"
    lines.append(
        f"{result.recording}: {result.commands} commands in {result.reports} reports {outcome}"
        f" ({result.ms_per_command:.1f} ms of CPU a command, guardrail file {result.spec_sha256[:12]})"
    )
    return "\n".join(lines)
