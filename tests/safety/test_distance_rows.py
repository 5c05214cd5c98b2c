"""Distances linearised for the filter: which way each of them grows."""

from dataclasses import replace

import numpy as np
import pytest
from distance_cases import BOXES, CLEARANCES, JOINTS, KINEMATICS, RADII, SPEC, with_boxes
from hypothesis import given, settings

from ami_robot.safety.arm_panda import HOME
from ami_robot.safety.distances import _away, distance_rows
from ami_robot.safety.rows import Box


def rows_at(spec, q):
    _, centers, twists = KINEMATICS.points_and_twists(q)
    return distance_rows(spec, centers, RADII, twists)


@given(q=JOINTS, boxes=BOXES)
@settings(max_examples=20, deadline=None)
def test_the_rows_are_the_clearances_and_their_derivatives(q, boxes):
    spec, step = with_boxes(boxes, 0.02), 1e-6
    gradients, slack, names = rows_at(spec, q)
    assert gradients.shape == (len(slack), 7) and len(names) == len(slack)
    ahead, behind = (
        np.stack([rows_at(spec, q + nudge)[1] for nudge in sign * step * np.eye(7)], axis=1) for sign in (1, -1)
    )
    at = slack[:, None]
    one_sided = np.stack([(ahead - at) / step, (at - behind) / step])
    kink = np.abs(one_sided[0] - one_sided[1]) > 1e-3  # inside a box, where the nearest face changes
    np.testing.assert_allclose(np.where(kink, gradients, (ahead - behind) / (2 * step)), gradients, atol=1e-5)
    assert kink.mean() < 0.01
    for row, clearance in CLEARANCES.items():
        least_m = clearance(spec, KINEMATICS.spheres(q), RADII).min()
        assert min(value for value, name in zip(slack, names, strict=True) if name == row) == pytest.approx(least_m)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("side", [-1, 1])
def test_out_of_a_box_leads_the_way_to_its_nearest_face(axis, side):
    """Every sphere in one box that is far wider than the arm on all sides but one."""
    lower, upper = np.full(3, -9.0), np.full(3, 9.0)
    (upper if side > 0 else lower)[axis] = 1.5 * side
    _, centers, twists = KINEMATICS.points_and_twists(HOME)
    gradients, _, names = distance_rows(with_boxes([Box("box", lower, upper)]), centers, RADII, twists)
    found = gradients[np.array(names) == "obstacles"]
    outward = np.cross(centers, side * np.eye(3)[axis]), np.broadcast_to(side * np.eye(3)[axis], centers.shape)
    moved = np.arange(1, 8) <= KINEMATICS.sphere_links[:, None]
    expected = np.concatenate(outward, axis=-1) @ twists * moved
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_rows_of_a_batch_are_those_of_its_members():
    batch = HOME + np.random.default_rng(2).normal(0.0, 0.3, (2, 3, 7))
    gradients, slack, names = rows_at(SPEC, batch)
    for index in np.ndindex(2, 3):
        single = rows_at(SPEC, batch[index])
        np.testing.assert_allclose(gradients[index], single[0], atol=1e-12)
        np.testing.assert_allclose(slack[index], single[1], atol=1e-12)
        assert names == single[2]


@pytest.mark.parametrize("row", list(CLEARANCES))
def test_the_filter_gets_the_row(row):
    """In a cell where this row alone is broken, the rows that are broken bear its name."""
    broken = {
        "table": replace(SPEC, table=replace(SPEC.table, height_m=0.5)),
        "arm_space": replace(SPEC, arm_space=replace(SPEC.arm_space, upper_m=np.array([0.3, 0.75, 1.3]))),
        "obstacles": with_boxes([Box("box", np.array([0.3, -0.1, 0.5]), np.array([0.6, 0.1, 0.7]))]),
        "self_collision": replace(SPEC, self_collision=replace(SPEC.self_collision, clearance_m=0.1)),
    }
    slack, names = rows_at(SPEC, HOME)[1:]
    assert (slack >= 0.0).all()
    slack, names = rows_at(broken[row], HOME)[1:]
    assert {name for value, name in zip(slack, names, strict=True) if value < 0.0} == {row}


def test_two_spheres_in_one_place_leave_the_filter_no_way_out():
    _, centers, twists = KINEMATICS.points_and_twists(HOME)
    gradients, slack, names = distance_rows(SPEC, np.zeros_like(centers), RADII, twists)
    pairs = np.array(names) == "self_collision"
    np.testing.assert_array_equal(gradients[pairs], 0.0)
    assert (slack[pairs] < 0.0).all()


@pytest.mark.parametrize(("point", "expected"), [
    ([0.25, 0.75, 0.5], [-1.0, 1.0, 0.0]), ([0.75, 0.25, 0.5], [1.0, -1.0, 0.0]), ([0.75, 0.75, 0.5], [1.0, 1.0, 0.0]),
    ([0.25, 0.5, 0.25], [-1.0, 0.0, -1.0]), ([0.25, 0.5, 0.5], [-1.0, 0.0, 0.0]), ([2.0, 2.0, 0.5], [1.0, 1.0, 0.0]),
])  # fmt: skip
def test_out_of_a_box_leads_through_all_of_its_nearest_faces_alike(point, expected):
    direction = np.empty(3)
    _away(np.array(point), np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]), direction)
    np.testing.assert_allclose(direction, np.array(expected) / np.linalg.norm(expected), atol=1e-12)
