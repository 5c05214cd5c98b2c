"""With somebody near, the arm is never without a brake that holds: static rows and people, at every step."""

from dataclasses import replace

import numpy as np
import pytest
from guardrail_bench import CENTRE, DYNAMICS, KINEMATICS, MS, REST, START, T0, at_rest
from people_cell import FAR, TOPIC, Cell, person

from ami_robot.safety.gate import check_motion
from ami_robot.safety.motion import Spline
from ami_robot.safety.way_out import WayOut, next_stop, verify
from ami_robot.types import JointTrajectory, Refusal

NEAR = 1.6  # m, along x: there before the motion ends, but not before the arm has stopped
SPEED = TOPIC.people.max_speed_m_per_s


def swerve() -> JointTrajectory:
    """Up to a wall and along it: whoever brakes half way, straight on, is in the wall."""
    via, end = np.array([0.501, 0.086, 0.157]), np.array([0.570, -0.001, 0.125])
    q, ahead = (KINEMATICS.inverse(via + shift)[0] for shift in (np.zeros(3), 1e-4 * np.array([0.08, -0.33, 0.15])))
    points, speeds = np.array([q, KINEMATICS.inverse(end)[0]]), np.array([(ahead - q) / 1e-4, REST])
    return JointTrajectory(TOPIC.joint_names, np.array([0.41, 0.93]), points, speeds, np.zeros((2, 7)))


SWERVE = swerve()
MOTION = Spline(at_rest(START), SWERVE)


def walled():
    """A cell whose walls the motion just keeps off."""
    moving = KINEMATICS.sphere_links >= 2
    centers = KINEMATICS.spheres(MOTION.positions(np.linspace(0.0, MOTION.duration_s, 1000)))[:, moving]
    farthest = (centers + KINEMATICS.sphere_radii[moving, None]).max(axis=(0, 1))
    return replace(TOPIC, arm_space=replace(TOPIC.arm_space, upper_m=farthest + 0.003))


WALLED = walled()


def test_a_motion_that_holds_may_have_no_brake_that_does():
    assert check_motion(WALLED, KINEMATICS, DYNAMICS, Spline(at_rest(START), SWERVE)).refusal is None
    ways = [
        verify(WALLED, KINEMATICS, DYNAMICS, next_stop(WALLED, MOTION, elapsed_s), 0.0, None, T0)
        for elapsed_s in (0.1, 0.2, 0.3)
    ]
    assert [type(way) for way in ways] == [WayOut, Refusal, WayOut]
    assert (ways[1].guardrail, ways[1].margin < 0.0) == ("arm_space", True)


@pytest.mark.parametrize("distance_m", np.arange(0.88, 1.3, 0.02).round(2))
def test_whoever_walks_in_every_stop_is_a_brake_that_holds(distance_m):
    """The arm stops a step before it would be without a brake, and is at rest before anybody is there."""
    cell = Cell(person(CENTRE[0] + distance_m), spec=WALLED)
    cell.guardrail.propose(cell.proposal(tool_displacement=None, trajectory=SWERVE))
    for _ in range(150):
        cell.persons = [person(CENTRE[0] + distance_m)]
        before = cell.state
        report = cell.step()
        if report is not None and report.decision == "brake":
            assert report.sent is not None, report.refusal
            assert check_motion(WALLED, KINEMATICS, DYNAMICS, Spline(before, report.sent)).refusal is None
        if np.any(np.abs(cell.state.velocities) > 1e-6):
            axis_m = np.linalg.norm(
                KINEMATICS.spheres(cell.state.positions)[..., :2] - [CENTRE[0] + distance_m, 0.0], axis=-1
            )
            assert (axis_m - KINEMATICS.sphere_radii).min() > 0.17
        cell.wait(10)
        distance_m -= SPEED * 0.01


def swerving(*persons) -> Cell:
    """A cell 0.2 s into the motion, with these people ever since."""
    cell = Cell(*persons)
    assert cell.propose(tool_displacement=None, trajectory=SWERVE).decision == "accepted"
    for _ in range(20):
        assert cell.wait(10).step() is None
    return cell


def test_a_motion_is_accepted_with_the_brake_that_it_relies_upon():
    cell = Cell(person(NEAR))
    assert cell.propose(tool_displacement=None, trajectory=SWERVE).decision == "accepted"
    relied_upon = cell.guardrail._people.way_out(cell.now_ns)
    cell.persons = [person(0.75)]
    assert cell.wait(10).step().sent is relied_upon.trajectory


@pytest.mark.parametrize("late_ms", [0, 10, 20])
def test_the_brake_that_was_relied_upon_is_the_one_that_is_sent(late_ms):
    cell = swerving(person(NEAR))
    watch = cell.guardrail._people
    relied_upon = watch.way_out(cell.now_ns)
    assert relied_upon is not None, "nobody could be there before it has stopped, but before the motion ends"
    cell.persons = [person(0.75)]
    report = cell.wait(late_ms).step()
    assert report.sent is relied_upon.trajectory
    assert watch.way_out(cell.now_ns) is None


def test_a_brake_is_not_relied_upon_for_longer_than_transport_allows():
    cell = swerving(person(NEAR))
    watch, late_ms = cell.guardrail._people, 1e3 * (TOPIC.people.reaction_s - TOPIC.transport.jitter_s)
    assert watch.way_out(cell.now_ns + round(late_ms * MS)) is not None
    assert watch.way_out(cell.now_ns + round(late_ms * MS) + 1) is None
    assert watch.way_out(cell.now_ns - 1) is None
    old = watch.way_out(cell.now_ns)
    cell.persons = [person(0.75)]
    report = cell.wait(late_ms + 10).step()
    assert report.sent is not None
    assert report.sent is not old.trajectory


def test_who_cannot_be_there_before_the_motion_ends_needs_no_brake():
    cell = swerving(person(FAR))
    assert cell.guardrail._people.way_out(cell.now_ns) is None


def test_the_brake_is_looked_at_from_early_and_late_starts():
    stop = next_stop(TOPIC, MOTION, 0.2)
    starts = stop.motion.also_from.states
    np.testing.assert_allclose(starts.positions[0], MOTION.sample(0.2 - TOPIC.transport.jitter_s).positions)
    np.testing.assert_allclose(starts.positions[-1], MOTION.sample(0.2 + TOPIC.people.reaction_s).positions)
    np.testing.assert_allclose(stop.motion.start.positions, MOTION.sample(0.21).positions)
    np.testing.assert_allclose(stop.positions[-1], stop.trajectory.positions[-1], atol=1e-12)
    np.testing.assert_allclose(stop.early_positions[-1], stop.trajectory.positions[-1], atol=1e-12)
    assert (np.diff(stop.times_s) > 0.0).all()
    assert stop.early_times_s[-1] == stop.times_s[-1] == TOPIC.people.reaction_s + stop.trajectory.times_s[-1]


def test_a_stop_is_the_motion_for_the_reaction_time_and_then_the_brake():
    elapsed_s, reaction_s = 0.2, TOPIC.people.reaction_s
    stop = next_stop(TOPIC, MOTION, elapsed_s)
    on = stop.times_s <= reaction_s
    assert on.sum() >= 3
    np.testing.assert_allclose(stop.positions[on], MOTION.positions(elapsed_s + stop.times_s[on]), atol=1e-12)
    late = Spline(MOTION.sample(elapsed_s + reaction_s), stop.trajectory)
    np.testing.assert_allclose(stop.positions[~on], late.positions(stop.times_s[~on] - reaction_s), atol=1e-12)
    early = Spline(MOTION.sample(elapsed_s - TOPIC.transport.jitter_s), stop.trajectory)
    np.testing.assert_allclose(stop.early_positions, early.positions(stop.early_times_s - reaction_s), atol=1e-12)


def test_a_motion_that_is_about_to_rest_needs_no_brake():
    assert next_stop(TOPIC, MOTION, MOTION.duration_s - 0.1) is None
