"""The table that `ami preflight` prints, and what tests expect of it. `domain` is a fixture: import it."""

from __future__ import annotations

import os

import pytest

from ami_robot.cli.main import main
from tests.domains import PREFLIGHT

BLIND = ("arm:=loopback", "vision:=false", "config:=analytic")
SLOW = pytest.mark.slow
"""More of a kind; what is left plants a fault for each check, and two setups are clean."""


@pytest.fixture(autouse=True)
def domain(monkeypatch):
    """One in which nobody is: a tag of our own keeps graphs of other tests out that have drawn the same number."""
    for name in ("ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ROS_DOMAIN_ID", PREFLIGHT)
    monkeypatch.setenv("CYCLONEDDS_URI", f"<Discovery><Tag>preflight_tests_{os.getpid()}</Tag></Discovery>")


def preflight(capsys, *words):
    """(exit status, rows of the table)."""
    capsys.readouterr()
    status = main(["preflight", *map(str, words)])
    return status, rows_of(capsys.readouterr().out)


def rows_of(table):
    """[(check, verdict, sentence)]."""
    head, *lines = table.splitlines()
    sentence, verdict = head.index("sentence"), head.index("verdict")
    rows = [(line[:verdict].strip(), line[verdict:sentence].strip(), line[sentence:]) for line in lines[:-2]]
    assert {row[1] for row in rows} <= {"ok", "fail", "skipped"}
    return rows


def assert_found(outcome, check, *culprits, beside_it=()):
    """The fault is in `check`, told with the culprits, and no other check fails but those that it is seen in, too."""
    status, rows = outcome
    failed = {row[0] for row in rows if row[1] == "fail"}
    assert status == 1
    assert {check} <= failed <= {check, *beside_it}, rows
    told = " ".join(row[2] for row in rows if row[:2] == (check, "fail"))
    for culprit in culprits:
        assert str(culprit) in told


def assert_clean(outcome, *looked_at):
    status, rows = outcome
    assert status == 0, [row for row in rows if row[1] == "fail"]
    assert {check for check, verdict, _ in rows if verdict == "ok"} >= {"launch", "parameters", "topics", *looked_at}
