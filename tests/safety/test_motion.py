from dataclasses import replace

import numpy as np
import pytest
from guardrail_bench import beginning
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ami_robot.safety.arm_panda import HOME
from ami_robot.safety.motion import (
    BRAKE_DURATIONS_S,
    CONTROL_POINT_SPACING_S,
    MOVE_DURATIONS_S,
    Spline,
    brake,
    excess,
    limit_margins,
    move_to_rest,
)
from ami_robot.safety.quintic import Extremes, bounds, quintic
from ami_robot.safety.spec import load_spec
from ami_robot.safety.strays import strays
from ami_robot.types import MODEL_STEP_S, JointState, JointTrajectory

SPEC = load_spec()
REST = np.zeros(7)


def seven(bound: float):
    return arrays(np.float64, 7, elements=st.floats(-bound, bound))


STATES = st.builds(JointState, seven(0.5).map(lambda offset: HOME + offset), seven(0.8), seven(3.0))
TARGETS = seven(0.5).map(lambda offset: HOME + offset)


def densely(spline: Spline) -> tuple[np.ndarray, ...]:
    """Times, positions, velocities, accelerations, jerks at 1000 samples; the jerk by differences."""
    times_s = np.linspace(0.0, spline.duration_s * (1 - 1e-12), 1001)
    states = [spline.sample(t_s) for t_s in times_s]
    q, v, a = (np.array([getattr(s, name) for s in states]) for name in ("positions", "velocities", "accelerations"))
    return times_s, q, v, a, np.diff(a, axis=0) / np.diff(times_s)[:, None]


def assert_within_limits(spline: Spline, whole: bool) -> None:
    share = 1.0 if whole else SPEC.joint_velocity.command_fraction
    stop = 0.0 if whole else SPEC.joint_position.margin_rad
    _, q, v, a, j = densely(spline)
    assert (q >= SPEC.joint_position.lower_rad + stop - 1e-9).all()
    assert (q <= SPEC.joint_position.upper_rad - stop + 1e-9).all()
    assert (np.abs(v) <= share * SPEC.joint_velocity.limit_rad_per_s + 1e-6).all()
    assert (np.abs(a) <= share * SPEC.joint_acceleration.limit_rad_per_s2 + 1e-6).all()
    assert (np.abs(j) <= share * SPEC.joint_jerk.limit_rad_per_s3 + 1e-3).all()


@given(start=STATES, target=TARGETS)
@settings(max_examples=60, deadline=None)
def test_a_move_keeps_every_limit_from_start_to_rest(start, target):
    trajectory = move_to_rest(start, target, SPEC)
    assume(trajectory is not None)
    assert_within_limits(Spline(start, trajectory), whole=False)


@given(start=STATES, target=TARGETS)
@settings(max_examples=60, deadline=None)
def test_a_move_ends_exactly_at_rest_at_its_target(start, target):
    trajectory = move_to_rest(start, target, SPEC)
    assume(trajectory is not None)
    np.testing.assert_array_equal(trajectory.positions[-1], target)
    np.testing.assert_array_equal(trajectory.velocities[-1], REST)
    np.testing.assert_array_equal(trajectory.accelerations[-1], REST)
    assert trajectory.joint_names == SPEC.joint_names
    assert trajectory.times_s[-1] in MOVE_DURATIONS_S
    assert trajectory.times_s[0] >= 0.1
    assert (np.diff(trajectory.times_s) > 0.05).all()
    end = Spline(start, trajectory).sample(trajectory.times_s[-1] + 5.0)
    np.testing.assert_array_equal(end.positions, target)
    np.testing.assert_array_equal(end.velocities, REST)


@given(start=STATES, target=TARGETS)
@settings(max_examples=60, deadline=None)
def test_control_points_lie_on_one_quintic(start, target):
    """Cutting the quintic into pieces must not change it, or the limits were checked on another motion."""
    trajectory = move_to_rest(start, target, SPEC)
    assume(trajectory is not None)
    last = slice(-1, None)
    only_the_end = JointTrajectory(
        trajectory.joint_names,
        trajectory.times_s[last],
        trajectory.positions[last],
        trajectory.velocities[last],
        trajectory.accelerations[last],
    )
    whole, pieces = Spline(start, only_the_end), Spline(start, trajectory)
    for t_s in np.linspace(0.0, whole.duration_s, 37):
        np.testing.assert_allclose(pieces.sample(t_s).positions, whole.sample(t_s).positions, atol=1e-12)
        np.testing.assert_allclose(pieces.sample(t_s).velocities, whole.sample(t_s).velocities, atol=1e-10)
        np.testing.assert_allclose(pieces.sample(t_s).accelerations, whole.sample(t_s).accelerations, atol=1e-8)


@given(start=STATES, target=TARGETS)
@settings(max_examples=60, deadline=None)
def test_extremes_are_never_too_small_and_hardly_too_large(start, target):
    trajectory = move_to_rest(start, target, SPEC)
    assume(trajectory is not None)
    spline = Spline(start, trajectory)
    extremes = spline.extremes()
    _, q, v, a, j = densely(spline)
    assert (extremes.lower_rad <= q.min(axis=0) + 1e-12).all()
    assert (extremes.upper_rad >= q.max(axis=0) - 1e-12).all()
    np.testing.assert_allclose(extremes.lower_rad, q.min(axis=0), atol=2e-3)
    np.testing.assert_allclose(extremes.upper_rad, q.max(axis=0), atol=2e-3)
    for bound, values in (
        (extremes.speed_rad_per_s, v),
        (extremes.acceleration_rad_per_s2, a),
        (extremes.jerk_rad_per_s3, j),
    ):
        peak = np.abs(values).max(axis=0)
        assert (bound >= peak - 1e-6 * (1 + peak)).all()
        assert (bound <= 1.02 * peak + 0.02 * np.abs(values).max() + 1e-9).all()


@given(start=STATES, target=TARGETS)
@settings(max_examples=40, deadline=None)
def test_samples_are_derivatives_of_each_other(start, target):
    trajectory = move_to_rest(start, target, SPEC)
    assume(trajectory is not None)
    spline, step_s = Spline(start, trajectory), 1e-6
    for t_s in (0.05, 0.27, 0.38):
        before, now, after = spline.sample(t_s - step_s), spline.sample(t_s), spline.sample(t_s + step_s)
        np.testing.assert_allclose((after.positions - before.positions) / (2 * step_s), now.velocities, atol=1e-5)
        np.testing.assert_allclose((after.velocities - before.velocities) / (2 * step_s), now.accelerations, atol=1e-3)


@given(start=STATES, target=TARGETS)
@settings(max_examples=40, deadline=None)
def test_positions_in_bulk_are_those_of_single_samples(start, target):
    trajectory = move_to_rest(start, target, SPEC)
    assume(trajectory is not None)
    spline = Spline(start, trajectory)
    times_s = np.linspace(0.0, spline.duration_s, 23)
    np.testing.assert_allclose(spline.positions(times_s), [spline.sample(t_s).positions for t_s in times_s], atol=1e-12)


def test_a_spline_starts_in_its_start_state_and_keeps_it_before():
    start = JointState(HOME, np.full(7, 0.1), np.full(7, 0.2))
    spline = Spline(start, move_to_rest(start, HOME + 0.05, SPEC))
    for t_s in (-1.0, 0.0):
        assert spline.sample(t_s) is start


@given(
    before=STATES,
    target=TARGETS,
    then=seven(0.06),
    jitter_s=st.floats(-SPEC.transport.jitter_s, SPEC.transport.jitter_s),
)
@settings(max_examples=30, deadline=None)
def test_a_trajectory_that_arrives_early_or_late_still_keeps_the_whole_limits(before, target, then, jitter_s):
    """Stamp 0: the controller begins from what it desires when the trajectory arrives."""
    first = move_to_rest(before, target, SPEC)
    assume(first is not None)
    running, limit_s = Spline(before, first), SPEC.transport.jitter_s
    second = move_to_rest(running.sample(0.2), target + then, SPEC, strays(running, 0.2, limit_s, limit_s))
    assume(second is not None)
    assert_within_limits(Spline(running.sample(0.2 + jitter_s), second), whole=True)


def test_a_jump_of_the_desired_state_stretches_or_refuses_the_move():
    start = JointState(HOME, np.full(7, 0.3), REST)
    target = HOME + 0.1
    assert move_to_rest(start, target, SPEC) is not None
    assert (
        move_to_rest(start, target, SPEC, also_from=beginning(JointState(HOME + 0.3, start.velocities, REST))) is None
    )


def test_moves_take_two_model_steps_to_a_second_and_a_half_and_brakes_a_tenth_to_one():
    moves, brakes = (MOVE_DURATIONS_S, 2 * MODEL_STEP_S, 1.52), (BRAKE_DURATIONS_S, 0.1, 1.0)
    for durations_s, shortest_s, longest_s in (moves, brakes):
        assert (durations_s[0], durations_s[-1]) == (shortest_s, pytest.approx(longest_s))
        assert (np.diff(durations_s) > 0.0).all()


def test_a_longer_way_takes_longer_until_none_is_long_enough():
    start, durations_s = JointState(HOME, REST, REST), []
    for distance_rad in (0.05, 0.4, 0.8, 1.2):
        trajectory = move_to_rest(start, HOME + np.eye(7)[0] * distance_rad, SPEC)
        durations_s.append(trajectory.times_s[-1])
    assert durations_s[0] == MOVE_DURATIONS_S[0]
    assert durations_s == sorted(set(durations_s)), "each takes longer than the one before"
    assert move_to_rest(start, HOME + np.eye(7)[0] * 2.5, SPEC) is None


def test_a_move_takes_the_shortest_of_its_durations_that_keeps_the_limits():
    start, taken_s = JointState(HOME, REST, REST), []
    for distance_rad in np.linspace(0.02, 2.5, 250):
        target = HOME + np.eye(7)[0] * distance_rad
        trajectory = move_to_rest(start, target, SPEC)
        if trajectory is None:
            break
        controls = quintic(start, JointState(target, REST, REST), MOVE_DURATIONS_S)
        holds = excess(bounds(controls, MOVE_DURATIONS_S), SPEC) <= 1e-9
        assert trajectory.times_s[-1] == MOVE_DURATIONS_S[np.argmax(holds)]
        taken_s.append(trajectory.times_s[-1])
    assert set(taken_s) == set(MOVE_DURATIONS_S)


def test_by_how_much_a_limit_is_broken_is_a_share_of_the_whole_limit():
    whole, used = SPEC.joint_velocity.limit_rad_per_s, SPEC.joint_velocity.command_limit_rad_per_s
    row = SPEC.joint_position
    middle = (row.lower_rad + row.upper_rad) / 2.0
    fast = Extremes(np.array([middle, middle, used + 0.3 * np.eye(7)[2] * whole, REST, REST]))
    assert excess(fast, SPEC) == pytest.approx(0.3)
    out = np.array([middle, row.command_upper_rad, REST, REST, REST])
    out[1, 4] += 0.2 * (row.upper_rad - row.lower_rad)[4]
    assert excess(Extremes(out), SPEC) == pytest.approx(0.2)


@pytest.mark.parametrize("row", ["joint_velocity", "joint_acceleration", "joint_jerk"])
def test_each_tightened_limit_alone_makes_a_move_slower_or_impossible(row):
    start, target = JointState(HOME, REST, REST), HOME + 0.08
    usual = move_to_rest(start, target, SPEC)
    tight = replace(SPEC, **{row: replace(getattr(SPEC, row), command_fraction={"joint_jerk": 0.005}.get(row, 0.1))})
    slower = move_to_rest(start, target, tight)
    assert slower is None or slower.times_s[-1] > usual.times_s[-1]
    spline = Spline(start, usual)
    assert limit_margins(spline.extremes(), tight)[row].min() < 0
    assert excess(spline.extremes(), tight) > 0


@pytest.mark.parametrize("joint", range(7))
@pytest.mark.parametrize("side", [-1, 1])
def test_no_move_leads_beyond_a_joint_limit(joint, side):
    row = SPEC.joint_position
    limit = (row.command_upper_rad if side > 0 else row.command_lower_rad)[joint]
    start, at_limit, beyond = HOME.copy(), HOME.copy(), HOME.copy()
    start[joint], at_limit[joint], beyond[joint] = limit - side * 0.02, limit, limit + side * 1e-6
    assert move_to_rest(JointState(start, REST, REST), at_limit, SPEC) is not None
    assert move_to_rest(JointState(start, REST, REST), beyond, SPEC) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e308])
def test_no_move_is_made_of_numbers_that_are_not_finite(bad):
    state, target = JointState(HOME, REST, REST), HOME.copy()
    target[3] = bad
    with np.errstate(all="ignore"):
        assert move_to_rest(state, target, SPEC) is None
        for name in ("positions", "velocities", "accelerations"):
            values = getattr(state, name).copy()
            values[2] = bad
            assert move_to_rest(replace(state, **{name: values}), HOME, SPEC) is None


@given(start=STATES)
@settings(max_examples=60, deadline=None)
def test_a_brake_follows_the_cubic_hermite_velocity_to_rest(start):
    trajectory = brake(start, SPEC)
    duration_s = trajectory.times_s[-1]
    assert duration_s in BRAKE_DURATIONS_S
    displacement = start.velocities * duration_s / 2 + start.accelerations * duration_s**2 / 12
    np.testing.assert_allclose(trajectory.positions[-1] - start.positions, displacement, atol=1e-12)
    np.testing.assert_array_equal(trajectory.velocities[-1], REST)
    np.testing.assert_array_equal(trajectory.accelerations[-1], REST)
    spline = Spline(start, trajectory)
    for s in (0.3, 0.8):
        hermite = (2 * s**3 - 3 * s**2 + 1) * start.velocities + (
            s**3 - 2 * s**2 + s
        ) * duration_s * start.accelerations
        np.testing.assert_allclose(spline.sample(s * duration_s).velocities, hermite, atol=1e-9)


@given(start=STATES)
@settings(max_examples=60, deadline=None)
def test_a_brake_is_the_shortest_one_that_keeps_the_limits(start):
    trajectory = brake(start, SPEC)
    spline = Spline(start, trajectory)
    assume(excess(spline.extremes(), SPEC) <= 1e-9)
    assert_within_limits(spline, whole=False)
    shorter = [duration_s for duration_s in BRAKE_DURATIONS_S if duration_s < trajectory.times_s[-1] - 1e-9]
    for duration_s in shorter[-1:]:
        end = start.positions + start.velocities * duration_s / 2 + start.accelerations * duration_s**2 / 12
        quick = JointTrajectory(SPEC.joint_names, np.array([duration_s]), end[None], REST[None], REST[None])
        assert (
            excess(Spline(start, quick).extremes(), SPEC) > -0.01
        )  # pieces are bounded a little closer than the whole


def test_a_brake_that_cannot_keep_the_limits_exceeds_them_least():
    runaway = JointState(HOME, np.full(7, 6.0), REST)
    trajectory = brake(runaway, SPEC)
    assert np.isfinite(trajectory.positions).all()
    np.testing.assert_array_equal(trajectory.velocities[-1], REST)
    assert trajectory.times_s[-1] > CONTROL_POINT_SPACING_S


def test_of_brakes_that_exceed_the_limits_alike_the_shortest_is_taken():
    """From a start that is too fast the speed there is the worst of most of them, but for rounding."""
    start = JointState(HOME, np.eye(7)[0] * 2.5, REST)
    worst = []
    for duration_s in BRAKE_DURATIONS_S:
        end = start.positions + start.velocities * duration_s / 2
        alone = JointTrajectory(SPEC.joint_names, np.array([duration_s]), end[None], REST[None], REST[None])
        worst.append(excess(Spline(start, alone).extremes(), SPEC))
    alike = np.array(worst) <= min(worst) + 1e-9
    assert alike.sum() > 10
    assert brake(start, SPEC).times_s[-1] == BRAKE_DURATIONS_S[np.argmax(alike)]


def test_positions_in_bulk_before_and_after_the_motion_are_those_of_its_start_and_its_rest():
    start = JointState(HOME, np.full(7, 0.2), np.zeros(7))
    trajectory = move_to_rest(start, HOME + 0.05, SPEC)
    spline = Spline(start, trajectory)
    found = spline.positions(np.array([-0.5, 0.0, spline.duration_s, spline.duration_s + 0.5]))
    np.testing.assert_allclose(found, [HOME, HOME, HOME + 0.05, HOME + 0.05], rtol=0, atol=1e-12)
