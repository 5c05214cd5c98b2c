"""The certificate's own arm: against hand calculation and the guardrail's numbers."""

from __future__ import annotations

import numpy as np
import pytest
from certificate_cases import KINEMATICS, RADII, SPEC, TIP, random_joints, somebody, with_row

from ami_robot.safety import distances
from ami_robot.safety.arm_panda import HOME
from ami_robot.safety.certificate_geometry import Arm, Neighbours
from ami_robot.safety.distances import capsule_distance
from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.kinematics import Kinematics
from ami_robot.types import People


def test_its_spheres_axes_and_heights_are_those_of_the_guardrail(arm):
    q = random_joints(20, seed=1)
    seen = arm.sample(q, np.zeros_like(q), np.zeros_like(q), 0.0)
    centers, moving = KINEMATICS.spheres(q), KINEMATICS.sphere_links >= 2
    np.testing.assert_allclose(seen.centers_m, centers, atol=1e-12)
    np.testing.assert_allclose(seen.tool_axes, KINEMATICS.tool_pose(q)[:, :3, :3], atol=1e-12)
    raised = with_row("table", height_m=0.1)
    heights = Arm(raised).sample(q[:1], q[:1], q[:1], 0.0).heights_m
    np.testing.assert_allclose(heights, (centers[:1, :, 2] - RADII - 0.1)[:, moving], atol=1e-12)
    np.testing.assert_allclose(arm.tool_position(q[3]), KINEMATICS.tool_position(q[3]), atol=1e-12)


def test_a_load_is_forgotten_with_the_next_call(arm):
    q = HOME[None]
    bare = arm.sample(q, 0 * q, 0 * q, 0.0).torques_n_m
    assert abs(arm.sample(q, 0 * q, 0 * q, 1.0).torques_n_m - bare).max() > 1.0
    np.testing.assert_array_equal(arm.sample(q, 0 * q, 0 * q, 0.0).torques_n_m, bare)


def test_without_obstacles_they_are_infinitely_far(arm):
    nowhere = Arm(with_row("obstacles", boxes=())).sample(HOME[None], HOME[None], HOME[None], 0.0)
    assert nowhere.clearances_m["obstacles"][0] == np.inf
    assert np.isfinite(nowhere.clearances_m["table"][0])


@pytest.mark.parametrize("changes", [
    {}, {"end_b": np.array([2.0, 0.3, 0.0])}, {"end_b": np.array([2.0, 0.3, -1.0])},
    {"end_b": np.array([-1.0, 1.0, 1.0])}, {"radius_error": 0.0}, {"radius": 0.0},
])  # fmt: skip
def test_people_are_as_far_as_the_guardrail_has_them(arm, changes):
    """Upright, a ball, head down, leaning over; with the tip of the tool, which sticks out of the hand."""
    q, persons = random_joints(25, seed=2), (somebody(**changes), somebody(x_m=-1.5))
    tip = KINEMATICS.tool_position(q) + KINEMATICS.tool_pose(q)[:, :3, :3] @ TIP
    turning = KINEMATICS.sphere_links >= 1
    points = np.concatenate([KINEMATICS.spheres(q)[:, turning], tip[:, None]], axis=1)
    for everybody in (persons, persons[:1], (somebody(x_m=-0.4),)):
        distances = capsule_distance(points, People(0, everybody)) - np.append(RADII[turning], 0.0)[:, None]
        measured = Neighbours("panda", everybody, TIP).distances(arm, q)
        np.testing.assert_allclose(measured, distances.min(axis=(-2, -1)), atol=1e-9)


def test_a_tip_far_from_the_hand_is_measured_too(arm):
    far = np.array([0.9, 0.0, 0.0])
    tip = KINEMATICS.tool_position(HOME) + KINEMATICS.tool_pose(HOME)[:3, :3] @ far
    expected = capsule_distance(tip[None], People(0, (somebody(),)))[0, 0]
    assert Neighbours("panda", (somebody(),), far).distances(arm, HOME[None])[0] == pytest.approx(expected, abs=1e-9)


def test_it_agrees_with_the_gate_to_rounding_on_random_postures():
    """Two descriptions of one arm, two codes for each distance: a mistake would have to be made twice."""
    rng = np.random.default_rng(5)
    kinematics, dynamics = Kinematics(), Dynamics()
    q = rng.uniform(SPEC.joint_position.lower_rad, SPEC.joint_position.upper_rad, (100, 7))
    dq, ddq = rng.normal(size=(2, 100, 7))
    seen = Arm(SPEC).sample(q, dq, ddq, 0.3)
    centers, radii = kinematics.spheres(q), kinematics.sphere_radii
    np.testing.assert_allclose(seen.tool_m, kinematics.tool_position(q), atol=1e-12)
    np.testing.assert_allclose(seen.torques_n_m, dynamics.torques(q, dq, ddq, 0.3), atol=1e-9)
    singular_values = np.linalg.svd(kinematics.jacobian(q), compute_uv=False)
    np.testing.assert_allclose(seen.least_singular_value, singular_values[:, -1], atol=1e-9)
    for row, clearance in (
        ("table", distances.table_clearance),
        ("arm_space", distances.arm_space_clearance),
        ("obstacles", distances.obstacle_clearance),
        ("self_collision", distances.self_clearance),
    ):
        expected = clearance(SPEC, centers, radii).reshape(100, -1).min(axis=-1)
        np.testing.assert_allclose(seen.clearances_m[row], expected, atol=1e-9, err_msg=row)
