"""The certificate's own motions: their states and their extremes."""

from __future__ import annotations

import numpy as np
from certificate_cases import SPEC, move

from ami_robot.safety.arm_panda import HOME
from ami_robot.safety.certificate_motion import QUANTITIES, Motion
from ami_robot.safety.certificate_people import _brake
from ami_robot.types import JointState, JointTrajectory


def test_extremes_are_those_of_numpys_own_roots():
    rng = np.random.default_rng(3)
    for _ in range(20):
        start = JointState(*rng.normal(size=(3, 7)))
        points = rng.normal(size=(3, 3, 7))
        points[1:, -1] = 0.0
        motion = Motion(start, JointTrajectory(SPEC.joint_names, np.array([0.2, 0.5, 0.9]), *points))
        dense = motion.sample(np.linspace(0.0, 0.9, 40_001))
        for quantity, values in zip(QUANTITIES, dense, strict=False):
            low, high = motion.extremes()[quantity]
            assert (low <= values.min(axis=0) + 1e-9).all()
            assert (high >= values.max(axis=0) - 1e-9).all()
            np.testing.assert_allclose(low, values.min(axis=0), atol=1e-4)
            np.testing.assert_allclose(high, values.max(axis=0), atol=1e-4)


def test_extremes_of_a_brake_whose_leading_coefficients_are_rounding_are_those_of_a_dense_look():
    generator = np.random.default_rng(7)
    for _ in range(20):
        stop = _brake(JointState(*generator.normal(size=(3, 7))), 0.4)
        for quantity, values in zip(QUANTITIES, stop.sample(np.linspace(0.0, 0.4, 4001)), strict=False):
            low, high = stop.extremes()[quantity]
            np.testing.assert_allclose(low, values.min(axis=0), atol=1e-5)
            np.testing.assert_allclose(high, values.max(axis=0), atol=1e-5)


def test_a_motion_passes_through_its_control_points_and_ends_at_rest():
    rng = np.random.default_rng(4)
    points = rng.normal(size=(3, 2, 7))
    points[1:, -1] = 0.0
    start = JointState(*rng.normal(size=(3, 7)))
    motion = Motion(start, JointTrajectory(SPEC.joint_names, np.array([0.2, 0.4]), *points))
    for t_s, expected in ((0.0, start), (0.2, JointState(*points[:, 0])), (0.4, JointState(*points[:, 1]))):
        state = motion.state(t_s)
        for name in ("positions", "velocities", "accelerations"):
            np.testing.assert_allclose(getattr(state, name), getattr(expected, name), atol=1e-9)
    assert motion.extremes()["jerk"][1].shape == (7,)


def test_a_motion_at_rest_has_no_extremes_but_its_place():
    extremes = Motion.at_rest(HOME).extremes()
    np.testing.assert_array_equal(extremes["position"], [HOME, HOME])
    for quantity in QUANTITIES[1:]:
        np.testing.assert_array_equal(extremes[quantity], np.zeros((2, 7)))


def test_before_it_begins_a_motion_is_where_it_begins_and_after_it_ends_it_rests():
    motion = move([0.45, -0.1, 0.2], [0.45, -0.07, 0.22])
    before, begin = motion.state(-0.1), motion.state(0.0)
    np.testing.assert_array_equal(before.positions, begin.positions)
    for t_s in (motion.duration_s, motion.duration_s + 1.0):
        state = motion.state(t_s)
        np.testing.assert_array_equal(state.positions, motion.end)
        assert not state.velocities.any() and not state.accelerations.any()
    assert motion.state(0.5 * motion.duration_s).velocities.any()


def test_up_to_the_first_point_only_the_first_piece_counts():
    still, fast = np.zeros(7), np.full(7, 5.0)
    points = np.stack([HOME, HOME])
    trajectory = JointTrajectory((), np.array([0.2, 0.4]), points, np.stack([fast, still]), np.zeros((2, 7)))
    motion = Motion(JointState(HOME, still, still), trajectory)
    whole, joined = motion.extremes(), motion.extremes(join_only=True)
    assert motion.join_s == 0.2
    assert (whole["position"][1] > joined["position"][1] + 0.1).all()
    np.testing.assert_allclose(joined["velocity"][1], 5.0)
