"""Recordings that were tampered with, and what the certificate finds in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ami_robot.safety.certificate import Finding, Verifier
from ami_robot.safety.spec import Spec, load_spec
from ami_robot.types import GuardrailReport, People, Person

SPEC = load_spec()
WITH_PEOPLE = replace(SPEC, people=replace(SPEC.people, source_of_people="topic"))
Reports = list[GuardrailReport]


def verify(reports: Reports, spec: Spec = SPEC) -> list[Finding]:
    verifier = Verifier(spec)
    return [finding for report in reports for finding in verifier.verify(report)]


def sent(reports: Reports, decision: str = "accepted") -> list[int]:
    """Where the commands are."""
    return [index for index, report in enumerate(reports) if report.sent is not None and report.decision == decision]


def altered(reports: Reports, index: int, **changes: object) -> Reports:
    return [*reports[:index], replace(reports[index], **changes), *reports[index + 1 :]]


def with_sent(reports: Reports, index: int, name: str, change: Callable[[np.ndarray], None]) -> Reports:
    """One of the sent arrays changed in one place."""
    trajectory = reports[index].sent
    assert trajectory is not None
    values = np.array(getattr(trajectory, name))
    change(values)
    return altered(reports, index, sent=replace(trajectory, **{name: values}))


def assert_found(reports: Reports, *rows: str, spec: Spec = SPEC) -> None:
    """Something is found, in one of these rows if any are named; what follows is not looked at."""
    verifier, found = Verifier(spec), set()
    for report in reports:
        found |= {finding.row for finding in verifier.verify(report)}
        if found and (not rows or found & set(rows)):
            return
    raise AssertionError(f"found only {found or 'nothing'}")


def sentences(reports: Reports, spec: Spec = SPEC) -> str:
    return " ".join(finding.reason for finding in verify(reports, spec))


def person(y_m: float, stamp_ns: int = 0) -> People:
    """Somebody upright beside the arm."""
    return People(stamp_ns, (Person(np.array([0.5, y_m, 0.0]), np.array([0.5, y_m, 1.6]), 0.25, np.zeros(3), 0.02),))
