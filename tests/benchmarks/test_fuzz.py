"""The fuzzer finds what raises and what gets through, and the guardrail gives it nothing to find."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ami_robot.safety.guardrail import Guardrail
from ami_robot.safety.last_gate import LastGate
from ami_robot.types import JointTrajectory
from benchmarks import fuzz
from benchmarks.fuzz import Shard
from benchmarks.fuzz_episode import OUTCOMES, SHARES


@pytest.fixture(scope="module")
def shard():
    return fuzz.run_shard(Shard(seed=1, inputs=600))


def test_no_input_raises_or_gets_through(shard):
    assert shard["exceptions"] == shard["illegal_motions"] == []
    assert shard["inputs"] == sum(shard["kinds"].values()) == sum(shard["outcomes"].values()) == 600
    assert set(shard["outcomes"]) <= set(OUTCOMES)


def test_every_kind_of_input_is_fed_and_a_stated_share_reaches_each_stage(shard):
    assert sum(SHARES.values()) == pytest.approx(1.0)
    assert set(shard["kinds"]) == set(SHARES)
    least = {"filter": 0.04, "gate": 0.2, "brake": 0.15, "last_gate": 0.25}
    assert {stage: shard["reached"][stage] / 600 >= share for stage, share in least.items()} == dict.fromkeys(
        least, True
    )


def test_efforts_are_given_right_wrong_and_not_at_all(monkeypatch):
    step, seen = Guardrail.step, []

    def heard(self, names, positions, velocities, stamp_ns, now_ns, efforts=None):
        seen.append(efforts)
        return step(self, names, positions, velocities, stamp_ns, now_ns, efforts)

    monkeypatch.setattr(Guardrail, "step", heard)
    fuzz.run_shard(Shard(seed=5, inputs=300))
    right = [np.shape(efforts) == (7,) and np.isfinite(np.asarray(efforts, dtype=float)).all() for efforts in seen]
    assert any(right)
    assert any(efforts is None for efforts in seen)
    assert any(efforts is not None and not good for efforts, good in zip(seen, right, strict=True))


def test_the_same_seed_feeds_the_same_inputs():
    first, second = (fuzz.run_shard(Shard(seed=3, inputs=100)) for _ in range(2))
    assert {**first, "seconds": 0} == {**second, "seconds": 0}


def test_an_exception_is_found_and_named(monkeypatch):
    def step(self, *arguments):
        if self.armed:
            raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(Guardrail, "step", step)
    found = fuzz.run_shard(Shard(seed=1, inputs=5))
    assert len(found["exceptions"]) == 5
    assert all("ZeroDivisionError: on purpose" in event for event in found["exceptions"])
    assert found["illegal_motions"] == []


def _not_finite(report):
    return replace(report, sent=replace(report.sent, positions=report.sent.positions * np.nan))


def _never_at_rest(report):
    return replace(report, sent=replace(report.sent, velocities=report.sent.velocities + 0.01))


def _too_far(report):
    return replace(report, sent=replace(report.sent, positions=report.sent.positions + 4.0))


def _too_fast(report):
    return replace(report, sent=replace(report.sent, times_s=report.sent.times_s / 10.0))


def _out_of_the_workspace(report):
    """Slowly, to where the arm is folded up; the margins say that all is well."""
    if report.decision == "brake":
        return report
    sent = report.sent
    ends = [values[-1:] for values in (sent.positions, sent.velocities, sent.accelerations)]
    ends[0] = ends[0] + np.array([0.0, -0.6, 0.0, 0.0, 0.0, 0.0, 0.0])
    return replace(report, sent=JointTrajectory(sent.joint_names, np.array([2.0]), *ends))


def _by_a_refusal(report):
    return replace(report, decision="refused")


def _twice(report):
    return replace(report, sequence=1)


def _too_wide(report):
    return replace(report, gripper_width=0.09)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_not_finite, "not finite"),
        (_never_at_rest, "not end at rest"),
        (_too_far, "position limit"),
        (_too_fast, "velocity limit"),
        (_out_of_the_workspace, "out of the workspace"),
        (_by_a_refusal, "with the decision 'refused'"),
        (_twice, "sequence number 1 after 1"),
        (_too_wide, "gripper width 0.09"),
    ],
)
def test_an_illegal_motion_is_found(monkeypatch, spoil, said):
    step = Guardrail.step

    def bad_step(self, *arguments):
        report = step(self, *arguments)
        return report if report is None or report.sent is None else spoil(report)

    monkeypatch.setattr(Guardrail, "step", bad_step)
    assert any(said in event for event in fuzz.run_shard(Shard(2, 200))["illegal_motions"])


def test_a_motion_of_a_guardrail_that_is_not_armed_is_found(monkeypatch):
    step, sent = Guardrail.step, []

    def after_all(self, *arguments):
        armed = self.armed
        report = step(self, *arguments)
        if report is not None and report.sent is not None:
            sent[:] = [report.sent]
        return report if armed or report is None or not sent else replace(report, decision="brake", sent=sent[0])

    monkeypatch.setattr(Guardrail, "step", after_all)
    found = fuzz.run_shard(Shard(2, 300))["illegal_motions"]
    assert any("sent by a guardrail that was not armed" in event for event in found)


def test_what_a_last_gate_lets_through_that_believes_everybody_is_not_sent_unseen(monkeypatch):
    """It is the motion that was chosen which is sent, not the one that the gate was shown."""
    monkeypatch.setattr(LastGate, "release", lambda *_: None)
    assert fuzz.run_shard(Shard(1, 150))["illegal_motions"] == []


def nothing_to_do(_work, shards, _workers):
    assert shards == []
    yield from ()


def test_a_shard_is_kept_whole_and_not_run_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fuzz, "RESULT", tmp_path / "fuzz.json")
    monkeypatch.setattr(
        "sys.argv", ["fuzz", "--inputs", "60", "--seed", "1", "--workers", "1", "--kept", str(tmp_path)]
    )
    assert fuzz.main() == 0
    first = (tmp_path / "fuzz.json").read_text()
    monkeypatch.setattr(fuzz, "results", nothing_to_do)
    assert fuzz.main() == 0
    assert (tmp_path / "fuzz.json").read_text() == first
    assert "60 inputs in 1 episodes: 0 exceptions, 0 illegal motions." in capsys.readouterr().out
