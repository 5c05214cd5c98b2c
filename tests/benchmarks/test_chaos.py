"""Mischief to a running graph: what counts as a failure, and one round of each kind on the whole graph."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ami_robot.safety.spec import load_spec
from benchmarks import chaos
from benchmarks.safety_faults import motion_bounds_s

ROOT = Path(__file__).parents[2]
WELL = chaos.Round("planner", "kill", float("nan"), 0.5, 1.85, 0.2, 4.0, [])


def test_a_quiet_run_has_not_failed_and_the_closest_round_is_shown():
    document = chaos.summary([WELL, replace(WELL, rest_s=0.4), replace(WELL, mischief="slow", bound_s=None)], [])
    assert document["failed"] is False
    kill, slow = document["rows"]
    assert (kill["rounds"], kill["had_to_rest"], kill["rest_ms"], kill["bound_ms"]) == (2, 2, 400, 1850)
    assert (slow["rounds"], slow["had_to_rest"], slow["rest_ms"]) == (1, 0, None)


@pytest.mark.parametrize(
    ("rounds", "findings"),
    [([replace(WELL, failures=["a limit was broken."])], []), ([WELL], ["chain: missing."]), ([], [])],
    ids=["a round", "the recording", "no round"],
)
def test_a_broken_limit_a_finding_or_no_round_at_all_fail_the_run(rounds, findings):
    document = chaos.summary(rounds, findings) | {"commands_verified": 1, "stalls": 0}
    assert document["failed"] is True
    assert all(sentence in chaos.table(document) for sentence in findings + [f for one in rounds for f in one.failures])


def test_the_loss_of_what_is_seen_is_allowed_a_frame_that_of_the_guardrail_only_the_running_motion():
    bounds_s = motion_bounds_s(load_spec())
    assert bounds_s["tail"] < bounds_s["lost"] < bounds_s["frame"] < 3.0
    assert set(filter(None, chaos.BOUNDS.values())) == set(bounds_s)


@pytest.mark.slow
@pytest.mark.graph
def test_for_a_minute_nodes_come_and_go_and_no_guardrail_is_broken():
    command = [sys.executable, "-m", "benchmarks.chaos", "--minutes", "1", "--seed", "7", "--no-write"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "commands verified again" in done.stdout


def test_the_published_run_is_ten_minutes_long_and_held():
    published = json.loads(chaos.RESULT.read_text())
    assert "--minutes 10" in published["command"] and not published["failed"]
    assert {(row["victim"], row["mischief"]) for row in published["rows"]} == {
        (victim, mischief) for victim in chaos.BOUNDS for mischief in chaos.MISCHIEFS
    }
