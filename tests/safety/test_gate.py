"""Each static row of the gate says no, and what it says of the time between samples is true."""

from dataclasses import replace

import numpy as np
import pytest
from guardrail_bench import (
    CENTRE,
    DYNAMICS,
    KINEMATICS,
    SPEC,
    START,
    UP,
    Bench,
    at_rest,
    beginning,
    offer,
    through,
    trajectory_to,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ami_robot.safety.arm_panda import HOME
from ami_robot.safety.distances import obstacle_clearance, self_clearance, table_clearance
from ami_robot.safety.dynamics import min_singular_value
from ami_robot.safety.gate import FINE_SAMPLE_S, SAMPLE_S, _least_of_curves, _nearest, check_motion, times_until
from ami_robot.safety.motion import Spline, move_to_rest
from ami_robot.safety.rows import Box
from ami_robot.types import JointState

AHEAD = trajectory_to(CENTRE + np.array([0.1, 0.0, 0.0]))


def check(trajectory, spec=SPEC, start=START, load_kg=0.0, tip=None):
    return check_motion(spec, KINEMATICS, DYNAMICS, Spline(at_rest(start), trajectory), load_kg=load_kg, tip=tip)


def with_box(lower, upper):
    box = Box("box", np.array(lower), np.array(upper))
    return replace(SPEC, obstacles=replace(SPEC.obstacles, boxes=(box,)))


TIGHT = {
    "table": replace(SPEC, table=replace(SPEC.table, height_m=0.18)),
    "arm_space": replace(SPEC, arm_space=replace(SPEC.arm_space, upper_m=np.array([0.63, 0.75, 1.3]))),
    "obstacles": with_box([0.66, -0.1, 0.2], [0.7, 0.1, 0.3]),
    "self_collision": replace(SPEC, self_collision=replace(SPEC.self_collision, clearance_m=0.03)),
    "singularity": replace(SPEC, singularity=replace(SPEC.singularity, min_singular_value=0.3)),
    "torque": replace(SPEC, torque=replace(SPEC.torque, command_fraction=0.3)),
}


@pytest.mark.parametrize("row", TIGHT)
def test_a_motion_that_breaks_a_static_row_is_refused_by_its_name(row):
    assert check(AHEAD).refusal is None
    verdict = check(AHEAD, TIGHT[row])
    assert verdict.refusal.guardrail == row
    assert verdict.refusal.margin == verdict.margins[row] < 0


@pytest.mark.parametrize("row", TIGHT)
def test_a_trajectory_that_breaks_a_static_row_is_not_sent(row):
    bench = Bench()
    bench.guardrail._chooser._spec = TIGHT[row]
    report = offer(AHEAD, bench)
    assert (report.decision, report.refusal.guardrail, report.sent) == ("refused", row, None)


@pytest.mark.parametrize("row", ["table", "self_collision", "singularity", "torque"])
def test_an_arm_that_breaks_a_static_row_where_it_stands_cannot_be_armed(row):
    bench = Bench(armed=False)
    bench.guardrail._spec = (
        replace(TIGHT[row], table=replace(SPEC.table, height_m=0.3)) if row == "table" else TIGHT[row]
    )
    assert bench.guardrail.arm(at_rest(START), bench.now_ns, bench.now_ns).guardrail == row


def test_a_motion_through_an_obstacle_between_two_free_ends_is_refused():
    wall = with_box([0.45, 0.10, 0.0], [0.65, 0.12, 0.5])
    across = through([0.5, 0.25, 0.2], [0.5, 0.25, 0.2])
    assert check(across).refusal is None
    assert check(across, wall).refusal.guardrail == "obstacles"


def test_a_load_in_the_gripper_counts_as_torque():
    light, heavy = check(AHEAD), check(AHEAD, load_kg=5.0)
    assert heavy.margins["torque"] < light.margins["torque"] - 5.0
    assert check(AHEAD, load_kg=12.0).refusal.guardrail == "torque"
    assert check(AHEAD, load_kg=np.nan).refusal.guardrail == "torque"


def test_a_fast_motion_is_refused_for_what_it_does_and_not_for_what_its_samples_hide():
    sideways = move_to_rest(at_rest(START), KINEMATICS.inverse(CENTRE + np.array([0.0, 0.2, 0.0]))[0], SPEC)
    assert sideways.times_s[-1] < 0.6
    verdict = check(sideways)
    assert verdict.refusal is None
    spline = Spline(at_rest(START), sideways)
    finely = KINEMATICS.spheres(spline.positions(np.linspace(0.0, spline.duration_s, 2001)))
    truth = float(self_clearance(SPEC, finely, KINEMATICS.sphere_radii).min())
    assert 0.0 <= verdict.margins["self_collision"] <= truth
    nearer = replace(SPEC.self_collision, clearance_m=SPEC.self_collision.clearance_m + truth - 0.002)
    fine = check(sideways, replace(SPEC, self_collision=nearer))
    assert fine.refusal is None, "2 mm are enough when it is looked at closely"
    nearer = replace(SPEC.self_collision, clearance_m=SPEC.self_collision.clearance_m + truth + 1e-4)
    assert check(sideways, replace(SPEC, self_collision=nearer)).refusal.guardrail == "self_collision"


@pytest.mark.parametrize(
    ("row", "tip", "spec"),
    [
        ("table", [0.0, 0.0, -0.195], SPEC),
        ("arm_space", [0.45, 0.0, 0.0], SPEC),
        ("obstacles", [0.12, 0.0, 0.0], with_box([0.58, -0.1, 0.0], [0.62, 0.1, 0.18])),
    ],
)
def test_the_tip_of_a_held_tool_keeps_off_like_the_arm(row, tip, spec):
    up, to_base = trajectory_to(CENTRE + UP), KINEMATICS.tool_pose(START)[:3, :3]
    verdict = check(up, spec, tip=to_base.T @ tip)
    assert verdict.refusal.guardrail == row
    assert check(up, spec).refusal is None
    assert check(up, spec, tip=-to_base.T @ tip).refusal is None, "it points the other way"


def test_near_the_table_the_arm_comes_down_slowly_and_goes_up_as_it_likes():
    low, high = KINEMATICS.inverse(np.array([0.5, 0.0, 0.045]))[0], KINEMATICS.inverse(np.array([0.5, 0.0, 0.15]))[0]
    down, up = move_to_rest(at_rest(high), low, SPEC), move_to_rest(at_rest(low), high, SPEC)
    verdict = check(down, start=high)
    assert verdict.refusal.guardrail == "contact"
    assert check(up, start=low).refusal is None
    slow = move_to_rest(at_rest(high), low, SPEC, at_least_s=1.2)
    assert check(slow, start=high).refusal is None
    far = replace(SPEC, contact=replace(SPEC.contact, approach_height_m=0.001))
    assert check(down, far, start=high).refusal is None


def test_a_motion_that_holds_only_in_time_is_refused_for_what_it_does_early_or_late():
    """The commanded motion keeps off the box; one that begins from beside it would not."""
    beside = KINEMATICS.inverse(CENTRE + np.array([0.0, 0.02, 0.0]))[0]
    box = with_box([0.45, 0.17, 0.1], [0.55, 0.3, 0.4])
    assert check_motion(box, KINEMATICS, DYNAMICS, Spline(at_rest(START), AHEAD)).refusal is None
    verdict = check_motion(box, KINEMATICS, DYNAMICS, Spline(at_rest(START), AHEAD, beginning(at_rest(beside))))
    assert verdict.refusal.guardrail == "obstacles"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["positions", "velocities", "accelerations"])
def test_what_is_not_finite_is_refused(name, bad):
    values = getattr(AHEAD, name).copy()
    values[0, 3] = bad
    with np.errstate(all="ignore"):
        assert check(replace(AHEAD, **{name: values})).refusal is not None


seven = arrays(np.float64, 7, elements=st.floats(-0.6, 0.6))


@given(start=seven, way=seven, speed=seven)
@settings(max_examples=40, deadline=None)
def test_no_margin_is_greater_than_what_a_hundred_times_finer_look_finds(start, way, speed):
    state = JointState(HOME + start, speed, np.zeros(7))
    trajectory = move_to_rest(state, HOME + start + way, SPEC)
    assume(trajectory is not None)
    box = with_box([0.5, 0.0, 0.2], [0.55, 0.05, 0.25])
    verdict = check_motion(box, KINEMATICS, DYNAMICS, Spline(state, trajectory))
    spline = Spline(state, trajectory)
    finely = spline.states(np.linspace(0.0, spline.duration_s, 2001))
    centers, radii = KINEMATICS.spheres(finely.positions), KINEMATICS.sphere_radii
    torques = np.abs(DYNAMICS.torques(finely.positions[::20], finely.velocities[::20], finely.accelerations[::20]))
    least = min_singular_value(KINEMATICS, finely.positions[::20]).min()
    truth = {
        "table": table_clearance(box, centers, radii).min(),
        "obstacles": obstacle_clearance(box, centers, radii).min(),
        "self_collision": self_clearance(box, centers, radii).min(),
        "singularity": least - box.singularity.min_singular_value,
        "torque": (box.torque.command_limit_n_m - torques).min(),
    }
    for row, margin in truth.items():
        assert verdict.margins[row] <= margin + 1e-9 or margin < 0, row
        assert verdict.margins[row] >= margin - (5.0 if row == "torque" else 0.05), row


@pytest.mark.parametrize("until_s", [0.005, 0.05, 0.4, 0.41, 1.52])
@pytest.mark.parametrize("step_s", [SAMPLE_S, FINE_SAMPLE_S])
def test_samples_go_from_beginning_to_end_no_further_apart_than_asked_for(until_s, step_s):
    times_s = times_until(until_s, step_s)
    assert (times_s[0], times_s[-1]) == (0.0, until_s)
    assert 0.0 < np.diff(times_s).min() <= np.diff(times_s).max() <= step_s * (1 + 1e-9)
    assert len(times_s) == 2 or until_s / (len(times_s) - 2) > step_s * (1 - 1e-9), "and no more of them than needed"


def test_a_motion_within_everything_tells_its_margins():
    verdict = check(trajectory_to(CENTRE + UP))
    assert verdict.refusal is None
    assert all(np.isfinite(margin) and margin > 0 for margin in verdict.margins.values())


def test_the_worst_sample_is_the_one_that_is_worst_with_what_it_hides():
    assert _nearest(np.array([0.02, 0.03, 0.05]), np.array([0.0, 0.02, 0.01])) == (0.03, 0.02)


def test_between_samples_a_curve_may_be_less_by_half_of_its_greatest_step():
    values = np.array([[3.0, 1.0], [1.0, 1.0], [2.0, 1.5], [5.0, 0.5], [4.0, 0.5]])
    assert _least_of_curves(values, np.array([0, 3, 5])) == (0.5, 0.0)
    assert _least_of_curves(values[:, :1].copy(), np.array([0, 3, 5])) == (1.0, 0.0)
    assert _least_of_curves(values[:, 1:].copy(), np.array([0, 3, 5])) == (0.5, 0.5)
