from dataclasses import replace
from pathlib import Path

import numpy as np
import pybullet
import pybullet_data
import pytest
from distance_cases import BOXES, CLEARANCES, JOINTS, KINEMATICS, POINTS, RADII, SPEC, with_boxes
from hypothesis import given, settings
from hypothesis import strategies as st

from ami_robot.safety.arm_panda import HOME
from ami_robot.safety.distances import (
    arm_space_clearance,
    capsule_distance,
    obstacle_clearance,
    self_clearance,
    table_clearance,
)
from ami_robot.safety.rows import Box
from ami_robot.types import People, Person

BULLET_LINKS = {-1: 0, **{index: index + 1 for index in range(7)}, 8: 8, 9: 8, 10: 8}  # 8: hand and fingers
MOVING = [index for index, link in BULLET_LINKS.items() if link >= 2]
COLLISION_MARGIN_M = 2e-3  # PyBullet's hulls are rounded by up to a millimetre each
WRIST_M = 3e-3  # and round the wrist one pair of spheres is left out, which tells when there are 20 mm of air
FAR_M = 0.025  # what links that are not looked at keep from each other
LOOKED_AT = [*((base, far) for base in (0, 1, 2) for far in (5, 6, 7, 8)), (5, 7), (5, 8)]


@pytest.fixture(scope="module")
def arm():
    """PyBullet's own Panda in an empty world: an oracle that shares no code with ours."""
    client = pybullet.connect(pybullet.DIRECT)
    urdf = Path(pybullet_data.getDataPath()) / "franka_panda" / "panda.urdf"
    robot = pybullet.loadURDF(str(urdf), useFixedBase=True, physicsClientId=client)
    yield Oracle(client, robot)
    pybullet.disconnect(client)


class Oracle:
    """Distances between collision meshes, by PyBullet."""

    def __init__(self, client: int, robot: int):
        self.client, self.robot = client, robot

    def place(self, q) -> None:
        for joint, angle in enumerate(q):
            pybullet.resetJointState(self.robot, joint, angle, physicsClientId=self.client)

    def between_links(self, one: int, other: int) -> float:
        points = pybullet.getClosestPoints(
            self.robot, self.robot, 0.3, linkIndexA=one, linkIndexB=other, physicsClientId=self.client
        )
        return min((point[8] for point in points), default=0.3)

    def to_shape(self, links, shape: int, position, orientation=(0, 0, 0, 1), **size) -> float:
        made = pybullet.createCollisionShape(shape, physicsClientId=self.client, **size)
        body = pybullet.createMultiBody(0.0, made, -1, position, orientation, physicsClientId=self.client)
        points = [
            point[8]
            for link in links
            for point in pybullet.getClosestPoints(self.robot, body, 5.0, linkIndexA=link, physicsClientId=self.client)
        ]
        pybullet.removeBody(body, physicsClientId=self.client)
        return min(points)


def random_joints(count: int, seed: int, at_stops: float = 0.0) -> np.ndarray:
    """Joint positions (count, 7); a share of the joints stands at an end stop."""
    generator = np.random.default_rng(seed)
    lower, upper = SPEC.joint_position.lower_rad, SPEC.joint_position.upper_rad
    q = generator.uniform(lower, upper, (count, 7))
    stops = np.where(generator.random(q.shape) < 0.5, lower, upper)
    return np.where(generator.random(q.shape) < at_stops, stops, q)


def link_pairs():
    """Pairs of PyBullet's links whose links are not neighbours."""
    items = list(BULLET_LINKS.items())
    return [(a, b) for i, (a, one) in enumerate(items) for b, other in items[i:] if other - one >= 2]


# Against PyBullet


def assert_no_more(promised_m: float, seen_m: float, tolerance_m: float = COLLISION_MARGIN_M) -> None:
    """How deep two bodies overlap is no distance: each library measures it in its own way."""
    assert promised_m <= max(seen_m, 0.0) + tolerance_m


def test_self_clearance_never_promises_more_than_pybullet_sees(arm):
    tightest_m, close = np.inf, 0
    for q in random_joints(250, seed=1, at_stops=0.2):
        arm.place(q)
        seen_m = min(arm.between_links(a, b) for a, b in link_pairs())
        promised_m = self_clearance(SPEC, KINEMATICS.spheres(q), RADII).min() + SPEC.self_collision.clearance_m
        assert_no_more(min(promised_m, FAR_M), seen_m, WRIST_M)
        tightest_m = min(tightest_m, abs(seen_m - promised_m))
        close += seen_m < FAR_M
    assert tightest_m < 0.01
    assert close > 50, "the samples have to meet the case that counts"


@pytest.mark.parametrize("links", LOOKED_AT)
def test_self_clearance_looks_at_these_links(arm, links):
    """At the deepest overlap of two links that random postures with a folded elbow give, the row is broken."""
    one, other = ([index for index, link in BULLET_LINKS.items() if link == wanted] for wanted in links)
    deepest_m, at = np.inf, None
    for q in random_joints(300, seed=2, at_stops=0.3):
        q[3] = SPEC.joint_position.lower_rad[3] + 0.1 * (q[3] - SPEC.joint_position.lower_rad[3])
        arm.place(q)
        seen_m = min(arm.between_links(a, b) for a in one for b in other)
        if seen_m < deepest_m:
            deepest_m, at = seen_m, q
    assert deepest_m < 0.0
    these_alone = np.where(np.isin(KINEMATICS.sphere_links, links), RADII, -9.0)
    assert self_clearance(SPEC, KINEMATICS.spheres(at), these_alone).min() < 0.0


def test_self_clearance_round_the_wrist_never_promises_more_than_pybullet_sees(arm):
    """Links 5 and 7 turn on joints 6 and 7 alone: these are all their postures."""
    for q6 in np.linspace(SPEC.joint_position.lower_rad[5], SPEC.joint_position.upper_rad[5], 16):
        for q7 in np.linspace(SPEC.joint_position.lower_rad[6], SPEC.joint_position.upper_rad[6], 16):
            q = np.array([*HOME[:5], q6, q7])
            arm.place(q)
            seen_m = min(arm.between_links(4, link) for link in (6, 8, 9, 10))
            promised_m = self_clearance(SPEC, KINEMATICS.spheres(q), RADII).min() + SPEC.self_collision.clearance_m
            assert_no_more(promised_m, seen_m, WRIST_M)


def test_links_that_are_not_looked_at_stay_apart_within_the_joint_limits(arm):
    others = [(a, b) for a, b in link_pairs() if (BULLET_LINKS[a], BULLET_LINKS[b]) not in LOOKED_AT]
    for q in random_joints(400, seed=3, at_stops=0.4):
        arm.place(q)
        for a, b in others:
            assert arm.between_links(a, b) > FAR_M, (BULLET_LINKS[a], BULLET_LINKS[b])


def test_obstacle_clearance_never_promises_more_than_pybullet_sees(arm):
    generator, tightest_m = np.random.default_rng(4), np.inf
    for q in random_joints(60, seed=4):
        lower = generator.uniform([-1, -1, 0], [1, 1, 1])
        box = Box("box", lower, lower + generator.uniform(0.05, 0.5, 3))
        arm.place(q)
        half = (box.upper_m - box.lower_m) / 2.0
        seen_m = arm.to_shape(BULLET_LINKS, pybullet.GEOM_BOX, box.lower_m + half, halfExtents=half)
        promised_m = obstacle_clearance(with_boxes([box]), KINEMATICS.spheres(q), RADII).min()
        assert_no_more(promised_m, seen_m)
        tightest_m = min(tightest_m, abs(seen_m - promised_m))
    assert tightest_m < 0.01


@pytest.mark.parametrize(("axis", "side"), [(axis, side) for axis in range(3) for side in (-1, 1)])
def test_arm_space_clearance_never_promises_more_than_pybullet_sees(arm, axis, side):
    """Against one wall at a time, with the others far away."""
    at_m = {-1: SPEC.arm_space.lower_m[axis], 1: SPEC.arm_space.upper_m[axis]}[side]
    lower, upper = np.full(3, -9.0), np.full(3, 9.0)
    (lower if side < 0 else upper)[axis] = at_m
    spec = replace(SPEC, arm_space=replace(SPEC.arm_space, lower_m=lower, upper_m=upper))
    thickness = 0.5 * np.eye(3)[axis]
    position = at_m * np.eye(3)[axis] + side * thickness
    tightest_m = np.inf
    for q in random_joints(30, seed=5):
        arm.place(q)
        half = np.where(np.arange(3) == axis, 0.5, 5.0)
        seen_m = arm.to_shape(MOVING, pybullet.GEOM_BOX, position, halfExtents=half)
        promised_m = arm_space_clearance(spec, KINEMATICS.spheres(q), RADII).min()
        assert_no_more(promised_m, seen_m)
        tightest_m = min(tightest_m, abs(seen_m - promised_m))
    assert tightest_m < 0.03


def test_capsule_distance_never_promises_more_than_pybullet_sees(arm):
    generator, tightest_m = np.random.default_rng(6), np.inf
    for q in random_joints(40, seed=6):
        middle, axis, half = generator.uniform([-1, -1, 0], [1, 1, 1]), generator.normal(size=3), 0.4
        axis /= np.linalg.norm(axis)
        person = Person(middle - half * axis, middle + half * axis, 0.15, np.zeros(3), 0.0)
        turn = np.array([*np.cross([0, 0, 1], axis), 1.0 + axis[2]])  # quaternion from z to the axis
        arm.place(q)
        orientation = turn / np.linalg.norm(turn)
        seen_m = arm.to_shape(BULLET_LINKS, pybullet.GEOM_CAPSULE, middle, orientation, radius=0.15, height=2 * half)
        promised_m = (capsule_distance(KINEMATICS.spheres(q), People(0, (person,))) - RADII[:, None]).min()
        assert_no_more(promised_m, seen_m)
        tightest_m = min(tightest_m, abs(seen_m - promised_m))
    assert tightest_m < 0.01


# The whole workspace is left to the arm


@pytest.mark.parametrize("row", list(CLEARANCES))
def test_every_point_of_the_workspace_keeps(row):
    """With corners and edges; the gripper straight down, as the planner puts it."""
    axes = [np.linspace(a, b, 13) for a, b in zip(SPEC.workspace.lower_m, SPEC.workspace.upper_m, strict=True)]
    grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 3)
    centers = KINEMATICS.spheres(KINEMATICS.inverse(grid)[0])
    assert CLEARANCES[row](SPEC, centers, RADII).min() >= 0.0


# Each row by itself


def test_a_table_that_rises_comes_nearer_by_as_much():
    centers = KINEMATICS.spheres(HOME)
    higher = replace(SPEC, table=replace(SPEC.table, height_m=0.1))
    wider = replace(SPEC, table=replace(SPEC.table, clearance_m=SPEC.table.clearance_m + 0.1))
    for spec in (higher, wider):
        lost_m = table_clearance(SPEC, centers, RADII).min() - table_clearance(spec, centers, RADII).min()
        assert lost_m == pytest.approx(0.1)


def test_self_clearance_and_obstacles_grow_by_what_their_rows_ask_for():
    centers = KINEMATICS.spheres(HOME)
    for row, clearance in (("self_collision", self_clearance), ("obstacles", obstacle_clearance)):
        wider = replace(getattr(SPEC, row), clearance_m=getattr(SPEC, row).clearance_m + 0.1)
        lost_m = clearance(SPEC, centers, RADII) - clearance(replace(SPEC, **{row: wider}), centers, RADII)
        np.testing.assert_allclose(lost_m, 0.1)


def test_base_and_link_1_are_exempt_from_table_and_arm_space_and_from_nothing_else():
    centers, fixed = KINEMATICS.spheres(HOME), KINEMATICS.sphere_links < 2
    for clearance in (table_clearance, arm_space_clearance):
        np.testing.assert_array_equal(np.isinf(clearance(SPEC, centers, RADII)), fixed)
    assert np.isfinite(obstacle_clearance(SPEC, centers, RADII)).all()


def test_inside_a_box_the_way_out_counts_as_negative():
    spec = with_boxes([Box("box", np.zeros(3), np.array([1.0, 2.0, 3.0]))])
    points = np.array([[0.4, 1.0, 1.0], [0.9, 1.0, 1.0], [0.5, 1.0, 2.8], [2.0, 1.0, 1.0], [4.0, 6.0, 3.0]])
    expected = [-0.4, -0.1, -0.2, 1.0, 5.0]
    np.testing.assert_allclose(obstacle_clearance(spec, points, np.zeros(5))[:, 0], expected)


@given(q=JOINTS, boxes=BOXES, order=st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_the_order_of_obstacles_says_nothing(q, boxes, order):
    shuffled = list(boxes)
    order.shuffle(shuffled)
    centers = KINEMATICS.spheres(q)
    one, other = (obstacle_clearance(with_boxes(each), centers, RADII).min() for each in (boxes, shuffled))
    assert one == other


@given(q=JOINTS, boxes=BOXES, added=BOXES)
@settings(max_examples=50, deadline=None)
def test_one_more_obstacle_never_loosens(q, boxes, added):
    centers = KINEMATICS.spheres(q)
    before, after = (obstacle_clearance(with_boxes(each), centers, RADII).min() for each in (boxes, [*boxes, *added]))
    assert after <= before
    far = Box("far", np.array([50.0, 50.0, 50.0]), np.array([51.0, 51.0, 51.0]))
    assert obstacle_clearance(with_boxes([*boxes, far]), centers, RADII).min() == before


def test_without_obstacles_there_is_no_column():
    assert obstacle_clearance(with_boxes([]), KINEMATICS.spheres(HOME), RADII).shape == (len(RADII), 0)


@pytest.mark.parametrize("row", list(CLEARANCES))
def test_batches_give_what_single_postures_give(row):
    joints = random_joints(6, seed=8).reshape(2, 3, 7)
    batch = CLEARANCES[row](SPEC, KINEMATICS.spheres(joints), RADII)
    for index in np.ndindex(2, 3):
        np.testing.assert_allclose(batch[index], CLEARANCES[row](SPEC, KINEMATICS.spheres(joints[index]), RADII))


@pytest.mark.parametrize("row", list(CLEARANCES))
def test_an_unknown_joint_makes_the_least_clearance_unknown(row):
    q = HOME.copy()
    q[1] = np.nan
    assert np.isnan(CLEARANCES[row](SPEC, KINEMATICS.spheres(q), RADII).min())


# People


PERSONS = st.builds(
    lambda a, b, r, e: Person(a, b, r, np.zeros(3), e), POINTS, POINTS, st.floats(0, 0.3), st.floats(0, 0.3)
)


@given(person=PERSONS, point=POINTS)
@settings(max_examples=100, deadline=None)
def test_capsule_distance_is_that_to_the_nearest_of_many_points_of_the_axis(person, point):
    share = np.linspace(0.0, 1.0, 2001)[:, None]
    axis = (1.0 - share) * person.end_a + share * person.end_b
    nearest_m = np.linalg.norm(axis - point, axis=-1).min()
    distance_m = capsule_distance(point[None], People(0, (person,)))[0, 0] + person.radius + person.radius_error
    assert nearest_m - np.linalg.norm(person.end_b - person.end_a) / 2000 - 1e-9 <= distance_m <= nearest_m + 1e-9


@given(persons=st.lists(PERSONS, min_size=1, max_size=3), one_more=PERSONS, q=JOINTS)
@settings(max_examples=50, deadline=None)
def test_one_more_person_never_loosens(persons, one_more, q):
    centers = KINEMATICS.spheres(q)
    before, after = (
        capsule_distance(centers, People(0, tuple(each))).min() for each in (persons, [one_more, *persons])
    )
    assert after <= before


def test_a_capsule_with_one_point_is_a_sphere_and_nobody_is_no_column():
    person = Person(np.array([1.0, 0, 0]), np.array([1.0, 0, 0]), 0.2, np.zeros(3), 0.1)
    assert capsule_distance(np.zeros((4, 5, 3)), People(0, (person,))) == pytest.approx(np.full((4, 5, 1), 0.7))
    assert capsule_distance(np.zeros((4, 5, 3)), People(0, ())).shape == (4, 5, 0)


@pytest.mark.parametrize("field", ["end_a", "end_b", "radius", "radius_error"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e308])
def test_a_person_that_is_not_known_is_never_far(field, bad):
    """One end at home and one nowhere may pass through the arm; an endless radius holds it inside."""
    person = Person(np.array([0.5, 0.0, 0.0]), np.array([0.5, 0.0, 0.5]), 0.1, np.zeros(3), 0.0)
    value = bad if field.startswith("radius") else np.full(3, bad)
    distance = capsule_distance(KINEMATICS.spheres(HOME), People(0, (replace(person, **{field: value}),))).min()
    if not (field.startswith("radius") and bad == -np.inf):  # a negative radius is refused where messages are checked
        assert not distance > 0.0
