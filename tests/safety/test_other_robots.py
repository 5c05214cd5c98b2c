"""Robots beside the Panda: what their guardrail files promise holds for their own kinematics, weights and limits."""

import numpy as np
import pytest
from recorded_run import whole_run

from ami_robot.safety.arms import ARMS
from ami_robot.safety.certificate import Verifier
from ami_robot.safety.certificate_geometry import Arm
from ami_robot.safety.distances import self_clearance
from ami_robot.safety.dynamics import Dynamics, min_singular_value
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import load_spec, spec_file

OTHERS = ("fr3", "ur5e")


@pytest.fixture(params=ARMS)
def robot(request):
    return request.param


@pytest.fixture(params=OTHERS)
def other(request):
    return request.param


def workspace(spec, points=13):
    """Positions (n, n, n, 3), m, from one end of the workspace to the other."""
    lower, upper = spec.workspace.lower_m, spec.workspace.upper_m
    edges = [np.linspace(low, high, points) for low, high in zip(lower, upper, strict=True)]
    return np.stack(np.meshgrid(*edges, indexing="ij"), axis=-1)


def test_nothing_is_farther_from_a_joints_axis_than_its_lever(robot):
    spec, kinematics = load_spec(spec_file(robot)), Kinematics(robot)
    row = spec.joint_position
    q = np.random.default_rng(3).uniform(row.lower_rad, row.upper_rad, (2000, len(spec.joint_names)))
    tools, centers, twists = kinematics.points_and_twists(q)
    for joint, lever_m in enumerate(kinematics.levers_m):
        axes, moments = twists[:, None, :3, joint], twists[:, None, 3:, joint]
        moved = centers[:, kinematics.sphere_links > joint]
        points = np.concatenate([moved, tools[:, None]], axis=1)
        away_m = np.linalg.norm(np.cross(axes, points) + moments, axis=-1).max()
        assert away_m <= lever_m + 1e-9, joint


def test_the_certificates_own_arm_is_that_of_the_guardrail(robot):
    """Two descriptions of one arm: which spheres may meet, where they are, how heavy all is."""
    spec, kinematics, dynamics = load_spec(spec_file(robot)), Kinematics(robot), Dynamics(robot)
    rng, joints = np.random.default_rng(5), len(spec.joint_names)
    q = rng.uniform(spec.joint_position.lower_rad, spec.joint_position.upper_rad, (300, joints))
    dq, ddq = rng.normal(size=(2, 300, joints))
    seen = Arm(spec).sample(q, dq, ddq, 0.3)
    np.testing.assert_allclose(seen.tool_m, kinematics.tool_position(q), atol=1e-12)
    np.testing.assert_allclose(seen.torques_n_m, dynamics.torques(q, dq, ddq, 0.3), atol=1e-9)
    expected = self_clearance(spec, kinematics.spheres(q), kinematics.sphere_radii).min(axis=-1)
    np.testing.assert_allclose(seen.clearances_m["self_collision"], expected, atol=1e-9)


def test_the_whole_workspace_is_within_reach_and_far_from_limits_and_singularities(robot):
    spec, kinematics = load_spec(spec_file(robot)), Kinematics(robot)
    positions = workspace(spec)
    q, missed_m = kinematics.inverse(positions)
    assert missed_m.max() < 1e-9
    poses = kinematics.tool_pose(q)
    np.testing.assert_allclose(poses[..., :3, 3], positions, atol=1e-9)
    down = np.broadcast_to(np.diag([1.0, -1.0, -1.0]), poses[..., :3, :3].shape)
    np.testing.assert_allclose(poses[..., :3, :3], down, atol=1e-9)
    assert np.all((q > spec.joint_position.command_lower_rad) & (q < spec.joint_position.command_upper_rad))
    regular = min_singular_value(kinematics, q) > spec.singularity.min_singular_value
    assert regular.mean() > 0.999  # of a Panda's, the far upper corners are out
    rest = np.zeros_like(q)
    assert np.all(np.abs(Dynamics(robot).torques(q, rest, rest)) < spec.torque.command_limit_n_m)


def test_inverse_kinematics_of_the_ready_posture_are_that_posture(robot):
    kinematics, ready = Kinematics(robot), np.array(ARMS[robot].ready)
    np.testing.assert_allclose(kinematics.inverse(kinematics.tool_position(ready))[0], ready, atol=1e-12)


def test_a_run_is_verified_with_its_own_file_and_not_with_the_pandas(other):
    """By code that shares neither frames nor distances with the guardrail."""
    reports = whole_run(load_spec(spec_file(other)))
    assert {report.decision for report in reports} >= {"accepted", "refused", "brake", "status"}
    for name, verified in ((other, True), ("panda", False)):
        verifier = Verifier(load_spec(spec_file(name)))
        assert (not [finding for report in reports for finding in verifier.verify(report)]) == verified
        assert verifier.commands > 10
