"""Proposed trajectories are sent as they are, or not at all."""

from dataclasses import replace

import numpy as np
import pytest
from guardrail_bench import CENTRE, KINEMATICS, REST, SPEC, START, Bench, assert_refused, offer, through, trajectory_to

from ami_robot.safety import choice
from ami_robot.safety.arm_panda import HOME
from ami_robot.safety.dynamics import min_singular_value
from ami_robot.safety.motion import Spline
from ami_robot.safety.rows import Box
from ami_robot.types import JointTrajectory


def test_a_legal_trajectory_is_sent_verbatim():
    trajectory = trajectory_to(CENTRE + np.array([0.05, 0.05, 0.0]))
    report = offer(trajectory)
    assert report.decision == "accepted"
    for name in ("joint_names", "times_s", "positions", "velocities", "accelerations"):
        np.testing.assert_array_equal(getattr(report.sent, name), getattr(trajectory, name))
    np.testing.assert_allclose(report.target_tool_position, CENTRE + np.array([0.05, 0.05, 0.0]), atol=1e-9)


def test_a_trajectory_with_joints_in_another_order_is_the_same_motion():
    trajectory = trajectory_to(CENTRE + np.array([0.05, 0.0, 0.0]))
    turned = replace(
        trajectory,
        joint_names=tuple(reversed(trajectory.joint_names)),
        **{name: getattr(trajectory, name)[:, ::-1] for name in ("positions", "velocities", "accelerations")},
    )
    report = offer(turned)
    assert report.decision == "accepted"
    assert report.sent.joint_names == SPEC.joint_names
    np.testing.assert_array_equal(report.sent.positions, trajectory.positions)


STATES = ("positions", "velocities", "accelerations")


def edited(**changes) -> JointTrajectory:
    return replace(trajectory_to(CENTRE + np.array([0.05, 0.0, 0.0])), **changes)


def with_entry(name: str, index, value) -> JointTrajectory:
    values = np.array(getattr(edited(), name))
    values[index] = value
    return edited(**{name: values})


@pytest.mark.parametrize(
    "trajectory",
    [
        "a trajectory",
        edited(joint_names=SPEC.joint_names[:6]),
        edited(joint_names=("other", *SPEC.joint_names[1:])),
        edited(joint_names=None),
        edited(times_s=None),
        edited(times_s=np.array([[0.2], [0.4]])),
        edited(positions="seven"),
        edited(times_s=np.array([])),
        edited(times_s=np.array([0.2])),
        edited(times_s=np.array([0.0, 0.4])),
        edited(times_s=np.array([0.4, 0.4])),
        edited(times_s=np.array([0.4, 0.2])),
        edited(times_s=np.array([0.2, np.nan])),
        edited(times_s=np.array([0.2, np.inf])),
        edited(times_s=np.array([-0.2, 0.4])),
        edited(times_s=np.array([0.2, 5.01])),
        edited(times_s=np.linspace(0.01, 1.0, 101), **{
            name: np.tile(getattr(edited(), name)[-1], (101, 1)) for name in STATES
        }),
        edited(velocities=np.zeros((2, 6))),
        edited(accelerations=np.zeros((0, 7))),
        with_entry("positions", (0, 3), np.nan),
        with_entry("velocities", (0, 3), np.inf),
        with_entry("accelerations", (0, 3), np.nan),
        with_entry("velocities", (-1, 6), 1e-3),
        with_entry("accelerations", (-1, 0), 1e-3),
    ],
)  # fmt: skip
def test_a_malformed_trajectory_or_one_that_does_not_end_at_rest_is_refused(trajectory):
    assert_refused(offer(trajectory), "trajectory")


def test_a_trajectory_that_starts_elsewhere_is_refused():
    elsewhere = KINEMATICS.inverse(CENTRE + np.array([0.0, 0.1, 0.0]))[0]
    trajectory = trajectory_to(CENTRE + np.array([0.0, 0.14, 0.0]), start=elsewhere)
    assert offer(trajectory).decision == "refused"


@pytest.mark.parametrize(
    ("row", "index", "value"),
    [("joint_velocity", 1, 2.3), ("joint_acceleration", 2, 14.0)],
)
def test_a_trajectory_beyond_a_joint_limit_is_refused(row, index, value):
    name = STATES[index]
    assert_refused(offer(with_entry(name, (0, 3), value)), row)


def test_a_trajectory_that_jerks_is_refused():
    calm = replace(SPEC, joint_jerk=replace(SPEC.joint_jerk, command_fraction=1e-3))
    assert_refused(offer(edited(), Bench(spec=calm)), "joint_jerk")


def test_a_trajectory_beyond_an_end_stop_is_refused():
    wide = replace(SPEC, workspace=replace(SPEC.workspace, lower_m=np.full(3, -2.0), upper_m=np.full(3, 2.0)))
    start = START.copy()
    start[4] = SPEC.joint_position.command_upper_rad[4] - 0.01
    beyond = start.copy()
    beyond[4] += 0.015
    end = JointTrajectory(SPEC.joint_names, np.array([0.8]), beyond[None], REST[None], REST[None])
    assert_refused(offer(end, Bench(q=start, spec=wide)), "joint_position")


def test_a_trajectory_that_ends_outside_the_workspace_is_refused():
    report = offer(trajectory_to([0.5, 0.31, 0.2], KINEMATICS.inverse(np.array([0.5, 0.25, 0.2]))[0]))
    assert_refused(report, "workspace", "tool target")


def test_a_trajectory_that_leaves_the_workspace_on_its_way_is_refused():
    assert_refused(offer(through([0.5, 0.32, 0.2])), "workspace", "On its way")
    assert offer(through([0.5, 0.305, 0.2])).decision == "accepted"


def test_a_trajectory_that_dips_towards_the_table_is_refused():
    assert_refused(offer(through([0.5, 0.0, 0.021])), "table", "On its way")


def test_an_arm_armed_outside_the_workspace_may_come_in_but_not_go_further_out():
    inwards = trajectory_to([0.34, 0.0, 0.36], HOME)
    assert offer(inwards, Bench(q=HOME)).decision == "accepted"
    outwards_first = JointTrajectory(
        SPEC.joint_names,
        np.array([2.0, 4.0]),
        np.array([KINEMATICS.inverse(np.array([0.34, 0.0, 0.55]))[0], KINEMATICS.inverse(CENTRE)[0]]),
        np.zeros((2, 7)),
        np.zeros((2, 7)),
    )
    assert_refused(offer(outwards_first, Bench(q=HOME)), "workspace", "On its way")


def test_a_trajectory_that_only_holds_when_it_arrives_in_time_is_refused():
    """Its first point is so near in time that 30 ms of delay would need more than the joints can do."""
    bench = Bench().moving()
    state = bench.state
    late = bench.spline.sample(0.201)
    points = (np.array([late.positions, bench.spline.sample(9.0).positions]),)
    hurried = JointTrajectory(
        SPEC.joint_names,
        np.array([0.001, 0.4]),
        *points,
        np.array([late.velocities, REST]),
        np.array([late.accelerations, REST]),
    )
    assert Spline(state, hurried).duration_s == 0.4
    report = offer(hurried, bench)
    assert report.decision == "refused"
    assert "early or late" in report.refusal.reason


@pytest.mark.parametrize("wall_y_m", [0.17, 0.18, 0.19, 0.20, 0.21, 0.22])
@pytest.mark.parametrize("way", [[0.0, 0.04, 0.0], [0.01, 0.038, 0.0], [-0.01, 0.03, 0.02], [0.0, 0.035, -0.015]])
def test_whoever_drives_into_a_wall_slides_along_it(wall_y_m, way):
    """The filter looks at two poses, the gate at the whole motion: what that misses is given to the filter again."""
    wall = Box("wall", np.array([0.3, wall_y_m, 0.0]), np.array([0.8, wall_y_m + 0.05, 0.5]))
    bench = Bench(spec=replace(SPEC, obstacles=replace(SPEC.obstacles, boxes=(wall,))))
    reports = [bench.wait(200).propose(tool_displacement=np.array(way)) for _ in range(4)]
    assert {report.decision for report in reports} <= {"accepted", "modified"}
    assert reports[-1].refusal.guardrail == "obstacles"
    assert "Bent by" in reports[-1].refusal.reason
    assert reports[-1].margins["obstacles"] >= 0.0


def test_a_singular_posture_is_approached_by_half_the_way():
    tool, ahead = np.array([0.6, 0.0, 0.38]), np.array([0.04, 0.0, 0.0])
    half, full = (min_singular_value(KINEMATICS, KINEMATICS.inverse(tool + ahead * part)[0]) for part in (0.5, 1.0))
    row = replace(SPEC.singularity, min_singular_value=float(half + full) / 2.0)
    report = Bench(spec=replace(SPEC, singularity=row), q=KINEMATICS.inverse(tool)[0]).propose(tool_displacement=ahead)
    assert report.decision == "modified"
    assert report.refusal.guardrail == "singularity"
    assert report.refusal.reason == "Half the way to keep the row singularity."
    np.testing.assert_allclose(report.target_tool_position, tool + ahead / 2.0, atol=1e-9)
    row = replace(row, min_singular_value=float(half) + 1e-3)
    bench = Bench(spec=replace(SPEC, singularity=row), q=KINEMATICS.inverse(tool)[0])
    assert_refused(bench.propose(tool_displacement=ahead), "singularity")


def test_coming_down_to_the_table_is_slowed_to_the_speed_that_is_allowed():
    spec = replace(SPEC, contact=replace(SPEC.contact, approach_speed_m_per_s=0.08))
    bench = Bench(spec=spec, q=KINEMATICS.inverse(np.array([*CENTRE[:2], 0.09]))[0])
    report = bench.propose(tool_displacement=np.array([0.0, 0.0, -0.03]))
    assert report.decision == "modified"
    assert report.refusal.guardrail == "contact"
    assert report.target_tool_position[2] == pytest.approx(0.06)
    assert 0.0 <= report.margins["contact"] <= 0.03


def test_what_slowness_does_not_mend_is_not_tried_again_more_slowly(monkeypatch):
    tried, really = [], choice.check_motion

    def look(*parts):
        tried.append(parts[3])
        return really(*parts)

    wall = Box("wall", np.array([0.3, 0.17, 0.0]), np.array([0.8, 0.22, 0.5]))
    bench = Bench(spec=replace(SPEC, obstacles=replace(SPEC.obstacles, boxes=(wall,))))
    monkeypatch.setattr(choice, "check_motion", look)
    for _ in range(4):
        tried.clear()
        report = bench.wait(200).propose(tool_displacement=np.array([0.0, 0.04, 0.0]))
        ends = [tuple(motion.sample(9.0).positions.round(9)) for motion in tried]
        assert len(ends) == len(set(ends))
    assert report.refusal.guardrail == "obstacles" and len(ends) > 1
