"""Wherever delays have brought the controller, the next motion begins within what `strays` reckons with."""

from dataclasses import replace

import numpy as np
import pytest
from guardrail_bench import CENTRE, KINEMATICS, SPEC, START, at_rest
from hypothesis import given, settings
from hypothesis import strategies as st

from ami_robot.safety.motion import Spline, move_to_rest
from ami_robot.safety.quintic import bounds, bounds_of_joining, quintic, sample
from ami_robot.safety.strays import strays
from ami_robot.types import JointState

JITTER_S = SPEC.transport.jitter_s
WAYS = [KINEMATICS.inverse(CENTRE + np.array(way))[0] for way in ([0.0, 0.04, 0.0], [0.03, 0.0, 0.03], [0.0, 0.0, 0.0])]
SHARES = st.floats(-1.0, 1.0)


def chain(intervals_s) -> list[Spline]:
    """Motions one after the other, each begun that long after the one before: nominal, with their strays."""
    motions = [Spline(at_rest(START), move_to_rest(at_rest(START), WAYS[0], SPEC))]
    for interval_s, target in zip(intervals_s, WAYS[1:], strict=False):
        before = motions[-1]
        start, also_from = before.sample(interval_s), strays(before, interval_s, JITTER_S, JITTER_S)
        motions.append(Spline(start, move_to_rest(start, target, SPEC), also_from))
    return motions


def executed(motions, intervals_s, shifts_s) -> list[Spline]:
    """The same as a controller follows them that receives each so much later (or earlier) than the one before."""
    followed = [motions[0]]
    for motion, interval_s, shift_s in zip(motions[1:], intervals_s, shifts_s, strict=True):
        start = followed[-1].sample(interval_s + shift_s)
        points = motion.states(np.array([motion.join_s, motion.duration_s]))
        control = motion.joining(type(start)(*(values[None] for values in (
            start.positions, start.velocities, start.accelerations
        ))))  # fmt: skip
        really = Spline.__new__(Spline)
        really.__dict__ |= motion.__dict__ | {"start": start, "control": np.concatenate([control, motion.control[1:]])}
        assert len(points.positions) == 2
        followed.append(really)
    return followed


def start_values(states) -> np.ndarray:
    return np.stack([states.positions, states.velocities, states.accelerations], axis=-2)


@given(first_s=st.floats(0.05, 0.3), second_s=st.floats(0.05, 0.3), shares=st.tuples(SHARES, SHARES))
@settings(max_examples=150, deadline=None)
def test_what_a_controller_executes_stays_within_the_bounds_of_its_strays(first_s, second_s, shares):
    """Whatever the delays, position, velocity, acceleration and jerk up to where it joins."""
    motions = chain((first_s, second_s))
    followed = executed(motions, (first_s, second_s), [share * JITTER_S for share in shares])
    motion, also_from = motions[-1], motions[-1].also_from
    promised = bounds_of_joining(also_from, motion.sample(motion.join_s), motion.lengths_s[:1])
    really = bounds(followed[-1].control[0], motion.lengths_s[0])
    scale = 1e-6 + 0.01 * really.acceleration_rad_per_s2  # half way between two states the way may bend a little more
    assert (really.lower_rad >= promised.lower_rad.min(axis=0) - 1e-5).all()
    assert (really.upper_rad <= promised.upper_rad.max(axis=0) + 1e-5).all()
    assert (really.speed_rad_per_s <= promised.speed_rad_per_s.max(axis=0) + 1e-3).all()
    assert (really.acceleration_rad_per_s2 <= promised.acceleration_rad_per_s2.max(axis=0) + scale).all()


def with_and_without_a_past(after_s):
    """Strays of a motion, so long after its start, that followed another one after 0.1 s; and had it begun at rest."""
    motion = chain((0.1,))[-1]
    alone = Spline(motion.start, move_to_rest(motion.start, WAYS[1], SPEC))
    return (strays(each, after_s, JITTER_S, JITTER_S) for each in (motion, alone))


def test_a_motion_that_has_joined_leaves_nothing_of_its_own_start():
    past, alone = with_and_without_a_past(0.2 + JITTER_S)
    for name in ("states", "corners", "way"):
        np.testing.assert_array_equal(start_values(getattr(past, name)), start_values(getattr(alone, name)))
    np.testing.assert_array_equal(past.blur, alone.blur)
    np.testing.assert_array_equal(past.spread, alone.spread)


def test_a_motion_that_has_not_joined_carries_its_own_start_on():
    """Trial `limits` 218: a command 0.1 s after the one before exceeded what was looked at by 7 %."""
    past, alone = with_and_without_a_past(0.1)
    assert np.ptp(past.states.velocities, axis=0).max() > 1.2 * np.ptp(alone.states.velocities, axis=0).max()
    assert (len(past.corners.positions), len(alone.corners.positions)) == (4, 2)
    moving = alone.spread > 0.0
    assert (past.spread[moving] > alone.spread[moving]).all()


def test_an_arm_at_rest_does_not_stray():
    still = Spline(at_rest(START), move_to_rest(at_rest(START), START, SPEC))
    also_from = strays(still, 1.0, JITTER_S, JITTER_S)
    np.testing.assert_allclose(start_values(also_from.states) - start_values(at_rest(START)), 0.0, atol=1e-12)
    np.testing.assert_allclose([also_from.blur, also_from.spread], 0.0, atol=1e-12)


@pytest.mark.parametrize(("interval_s", "settles"), [(0.22, True), (0.2, True), (0.18, True), (0.1, False)])
def test_a_stream_of_commands_in_which_nothing_ever_joins_is_refused_in_the_end(interval_s, settles):
    """It knows less and less of where the arm is; at one command for each model step that settles."""
    motion, spreads, found = chain(())[0], [], []
    for number in range(14):
        start, also_from = motion.sample(interval_s), strays(motion, interval_s, JITTER_S, JITTER_S)
        spreads.append(also_from.spread[0].max())
        found.append(move_to_rest(start, WAYS[number % 2], SPEC, also_from) is not None)
        motion = Spline(start, move_to_rest(start, WAYS[number % 2], SPEC), also_from)
    assert (spreads[-1] <= 1.01 * spreads[-3]) == settles
    assert found[:3] == [True] * 3
    assert all(found) == settles


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["position", "velocity", "acceleration"])
def test_what_is_left_of_an_unknown_start_is_left_at_every_time_that_may_be(kind):
    """Whatever start in the box the running motion had: how far it is off is within what the next one reckons with."""
    before = chain((0.1,))[-1]
    spread = np.zeros((3, 7))
    spread[kind] = (0.001, 0.02, 0.5)[kind]
    nothing, found = (
        strays(Spline(before.start, move_to_rest(before.start, WAYS[1], SPEC), also_from), 0.06, 0.05, 0.05)
        for also_from in (replace(before.also_from, spread=each) for each in (np.zeros((3, 7)), spread))
    )
    control = quintic(JointState(*spread), JointState(*np.zeros((3, 7))), before.join_s)
    meanwhile, ever = (
        np.abs([states.positions, states.velocities, states.accelerations]).max(axis=1)
        for states in (sample(control, before.join_s, np.linspace(*ends, 90)) for ends in ((0.01, 0.11), (0.0, 0.15)))
    )
    assert (found.blur >= nothing.blur * (1.0 - 1e-9) + 0.99 * meanwhile).all()
    assert (found.blur <= nothing.blur + 1.1 * ever + 1e-9).all()
