"""The belief is what held when the frame was taken; what was accepted later is in flight."""

import numpy as np
import pytest

from ami_robot.memory.command_memory import CommandMemory
from ami_robot.types import MAX_COMMAND_DELAY_S, TOOL_TARGET, Latent, Refusal

MS = 1_000_000
STEP = np.array([0.03, 0.0, -0.01])


def latent(stamp_ms, sha="a" * 64, value=0.0, width=4):
    return Latent(stamp_ms * MS, np.full(width, value), np.array([0.5, 0.0, 0.2]), np.zeros(3), 0.04, sha, "v1")


def memory():
    return CommandMemory(7, max_age_s=0.4, max_future_s=0.05)


def report(mem, stamp_ms, steps_taken, width=0.04):
    return mem.on_report(
        np.full(7, float(steps_taken)), np.array([0.5, 0, 0.2]) + steps_taken * STEP, width, stamp_ms * MS
    )


@pytest.mark.parametrize("latent_first", [True, False])
def test_a_report_after_the_frame_is_in_flight_whichever_arrives_first(latent_first):
    mem = memory()
    assert report(mem, 900, 0) is None
    if latent_first:
        assert mem.on_latent(latent(1000)) is None
        assert report(mem, 1005, 1) is None
    else:
        assert report(mem, 1005, 1) is None
        assert mem.on_latent(latent(1000)) is None
    belief, in_flight = mem.recall(1050 * MS)
    assert belief.stamp_ns == 1000 * MS
    np.testing.assert_allclose(belief.proprio[TOOL_TARGET], [0.5, 0, 0.2])
    np.testing.assert_allclose(belief.target_joint_positions, 0.0)
    np.testing.assert_allclose(in_flight.action, [*STEP, 0.04])
    np.testing.assert_allclose(in_flight.target_joint_positions, 1.0)


def test_a_report_before_the_frame_is_part_of_the_belief_and_nothing_is_in_flight():
    mem = memory()
    report(mem, 900, 0)
    report(mem, 995, 1)
    mem.on_latent(latent(1000))
    belief, in_flight = mem.recall(1050 * MS)
    np.testing.assert_allclose(belief.proprio[TOOL_TARGET], [0.53, 0, 0.19])
    np.testing.assert_allclose(in_flight.action[:3], 0.0)


@pytest.mark.parametrize(("frame_ms", "delay_s"), [(1000, 0.01), (1012, MAX_COMMAND_DELAY_S / 2)])
def test_a_command_is_known_to_be_as_late_as_its_first_report_whatever_heartbeats_follow(frame_ms, delay_s):
    mem = memory()
    for stamp_ms, steps_taken in ((900, 0), (990, 0), (1010, 1), (1030, 1), (1050, 1)):
        report(mem, stamp_ms, steps_taken)
    mem.on_latent(latent(frame_ms))
    assert mem.recall(1060 * MS)[1].delay_s == pytest.approx(delay_s)


def test_two_commands_accepted_since_the_frame_add_up():
    mem = memory()
    report(mem, 900, 0)
    mem.on_latent(latent(1000))
    report(mem, 1010, 1)
    report(mem, 1210, 2, width=0.02)
    _, in_flight = mem.recall(1250 * MS)
    np.testing.assert_allclose(in_flight.action, [*(2 * STEP), 0.02])


def test_heartbeats_of_an_unchanged_target_put_nothing_in_flight():
    mem = memory()
    for stamp in (900, 950, 1001, 1050):
        report(mem, stamp, 1)
    mem.on_latent(latent(1000))
    assert np.all(mem.recall(1060 * MS)[1].action[:3] == 0)


def test_the_held_target_survives_many_later_frames():
    mem = memory()
    for stamp in range(1000, 1400, 67):
        report(mem, stamp - 10, 1)
        mem.on_latent(latent(stamp))
    assert report(mem, 1375, 2) is None
    belief, _ = mem.recall(1380 * MS)
    np.testing.assert_allclose(belief.target_joint_positions, 1.0)


@pytest.mark.parametrize("stamp_ms", [1000, 999])
def test_a_latent_that_is_not_newer_is_refused_and_changes_nothing(stamp_ms):
    mem = memory()
    report(mem, 900, 0)
    mem.on_latent(latent(1000, value=1.0))
    refusal = mem.on_latent(latent(stamp_ms, value=2.0))
    assert isinstance(refusal, Refusal) and "not newer" in refusal.reason
    np.testing.assert_allclose(mem.recall(1050 * MS)[0].image_latent, 1.0)


def test_a_report_older_than_the_last_is_refused_and_changes_nothing():
    mem = memory()
    mem.on_latent(latent(1000))
    report(mem, 990, 2)
    assert "behind" in report(mem, 980, 1).reason
    np.testing.assert_allclose(mem.recall(1050 * MS)[0].target_joint_positions, 2.0)


@pytest.mark.parametrize("field", ["image_latent", "tool_position", "tool_velocity", "gripper_width"])
def test_a_latent_with_nan_anywhere_is_refused(field):
    import dataclasses

    good = latent(1000)
    bad = dataclasses.replace(good, **{field: getattr(good, field) * np.nan})
    mem = memory()
    assert "not finite" in mem.on_latent(bad).reason
    assert mem.latent is None


def test_a_report_with_nan_or_a_wrong_shape_is_refused():
    mem = memory()
    assert "not finite" in mem.on_report(np.full(7, np.nan), np.zeros(3), 0.0, 1).reason
    assert "not finite" in mem.on_report(np.zeros(7), np.zeros(3), np.nan, 1).reason
    assert "shape" in mem.on_report(np.zeros(6), np.zeros(3), 0.0, 1).reason
    assert "shape" in mem.on_report(np.zeros(7), np.zeros((1, 3)), 0.0, 1).reason


def test_a_latent_of_another_checkpoint_or_width_is_refused():
    mem = memory()
    mem.on_latent(latent(1000))
    assert "checkpoint" in mem.on_latent(latent(1100, sha="b" * 64)).reason
    assert "shape" in mem.on_latent(latent(1100, width=5)).reason
    assert "checkpoint" in CommandMemory(7, 0.4, 0.05, "c" * 64).on_latent(latent(1000)).reason


def test_recall_is_refused_while_either_side_is_missing():
    mem = memory()
    assert "no latent" in mem.recall(0).reason
    mem.on_latent(latent(1000))
    assert "no guardrail report" in mem.recall(1000 * MS).reason
    report(mem, 1005, 0)
    assert "older than the first" in mem.recall(1010 * MS).reason


@pytest.mark.parametrize(("latent_ms", "report_ms", "old"), [(1000, 1400, "latent"), (1400, 800, "guardrail report")])
def test_recall_is_refused_when_either_side_is_stale(latent_ms, report_ms, old):
    mem = memory()
    report(mem, 700, 0)
    mem.on_latent(latent(latent_ms))
    report(mem, report_ms, 0)
    refusal = mem.recall(1450 * MS)
    assert isinstance(refusal, Refusal) and f"latest {old} is" in refusal.reason
    assert refusal.guardrail == "staleness" and refusal.margin < 0


def test_recall_is_refused_when_a_stamp_lies_in_the_future():
    mem = memory()
    report(mem, 900, 0)
    mem.on_latent(latent(1000))
    assert "ahead of the clock" in mem.recall(940 * MS).reason
    assert not isinstance(mem.recall(960 * MS), Refusal)
