"""The fuzzer finds what raises and what gets through, and the guardrail gives it nothing to find."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ami_robot.safety.guardrail import Guardrail
from benchmarks import fuzz


def test_no_input_raises_or_gets_through():
    shard = fuzz.run_shard(seed=1, inputs=500)
    assert shard["events"] == []
    assert shard["inputs"] >= 500
    assert min(shard["decisions"][decision] for decision in ("accepted", "refused", "brake")) > 0


def test_the_same_seed_feeds_the_same_inputs():
    first, second = (fuzz.run_shard(seed=3, inputs=100) for _ in range(2))
    assert {**first, "seconds": 0} == {**second, "seconds": 0}


def test_an_exception_is_found_and_named(monkeypatch):
    def step(self, *arguments):
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(Guardrail, "step", step)
    events = fuzz.run_shard(seed=1, inputs=5)["events"]
    assert events
    assert all("ZeroDivisionError: on purpose" in event for event in events)


def _not_finite(report):
    return replace(report, sent=replace(report.sent, positions=report.sent.positions * np.nan))


def _never_at_rest(report):
    return replace(report, sent=replace(report.sent, velocities=report.sent.velocities + 0.01))


def _too_far(report):
    return replace(report, sent=replace(report.sent, positions=report.sent.positions + 4.0))


def _by_a_refusal(report):
    return replace(report, decision="refused")


@pytest.mark.parametrize("spoil", [_not_finite, _never_at_rest, _too_far, _by_a_refusal])
def test_an_illegal_motion_is_found(monkeypatch, spoil):
    step = Guardrail.step

    def bad_step(self, *arguments):
        report = step(self, *arguments)
        return report if report is None or report.sent is None else spoil(report)

    monkeypatch.setattr(Guardrail, "step", bad_step)
    assert any("Broken: sent" in event or "Broken: positions" in event for event in fuzz.run_shard(2, 300)["events"])
