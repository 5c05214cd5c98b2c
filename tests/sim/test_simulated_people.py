"""People in the simulator: where they are, how fast they are, what the sensor says, and how near the arm comes."""

import time

import numpy as np
import pybullet
import pytest

from ami_robot.perception.camera import load_camera
from ami_robot.safety.distances import capsule_distance
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.motion import move_to_rest
from ami_robot.safety.separation import separation_margin
from ami_robot.safety.spec import load_spec
from ami_robot.types import People, Person
from ami_sim.arm import SimulatedArm
from ami_sim.body import FLOOR_M, PARTS, REACH_M, TOLD, capsules, right_shoulder
from ami_sim.people import PeopleTruth, quaternions_from_z
from ami_sim.people_sensor import PeopleSensor
from ami_sim.scene import Scene
from ami_sim.walks import Walk, approaching, pacing, reaching, standing, walking, wandering
from ami_sim.world import PHYSICS_HZ, World

SPEC, KINEMATICS = load_spec(), Kinematics()
SCENE = Scene.from_seed(7)
FASTEST_M_PER_S = SPEC.people.max_speed_m_per_s
WALKS = {
    "standing": standing([1.2, 0.3]),
    "walking": walking([1.5, -1.0], [0.4, 0.2], FASTEST_M_PER_S, start_s=0.5),
    "approaching": approaching(2.0, 2.0, FASTEST_M_PER_S),
    "pacing": pacing([1.0, -1.0], [1.0, 1.0], 1.2, 8.0),
    "wandering": wandering(3, [-1.0, -1.5], [1.5, 1.5], 8.0),
    "reaching": reaching([0.5, 0.8], [0.5, 0.25, 0.1], start_s=1.0, stay_s=1.0),
}


@pytest.fixture
def world():
    world = World(SCENE)
    yield world
    world.close()


@pytest.fixture
def arm():
    arm = SimulatedArm(SCENE)
    yield arm
    arm.close()


def send(arm, tool):
    """Send the tool to (3,) m through the controller."""
    target, error_m = KINEMATICS.inverse(np.asarray(tool, float))
    assert error_m < 1e-3
    assert arm.accept(move_to_rest(arm.desired_state(), target, SPEC)) is None


@pytest.mark.parametrize("name", WALKS)
def test_no_part_that_counts_is_faster_than_the_guardrails_reckon_with(name):
    step_s = 1 / PHYSICS_HZ
    ends = np.array([capsules(WALKS[name].at(t_s))[list(TOLD)] for t_s in np.arange(-0.1, 8.0, step_s)])
    speeds = np.linalg.norm(np.diff(ends, axis=0), axis=-1) / step_s
    assert speeds.max() <= FASTEST_M_PER_S + 1e-9


@pytest.mark.parametrize("name", WALKS)
def test_bodies_do_not_stretch(name):
    lengths = [np.diff(capsules(WALKS[name].at(t_s)), axis=1) for t_s in np.arange(0.0, 8.0, 0.05)]
    assert np.ptp(np.linalg.norm(lengths, axis=-1), axis=0).max() < 1e-9


def test_a_person_stands_on_the_floor_and_is_as_tall_as_a_person():
    ends = capsules(standing([1.0, 0.0]).at(0.0))
    radii = np.array([part.radius_m for part in PARTS])
    lowest, highest = (ends[..., 2].T - radii).min(), (ends[..., 2].T + radii).max()
    assert lowest == pytest.approx(FLOOR_M, abs=0.03)
    assert highest == pytest.approx(FLOOR_M + 1.75, abs=0.03)


def test_walking_goes_straight_at_its_speed_and_stops():
    walk = walking([1.0, 1.0], [1.0, -1.0], 1.6, start_s=0.5)
    for t_s, y in ((0.0, 1.0), (0.5, 1.0), (1.0, 0.2), (1.5, -0.6), (1.75, -1.0), (9.0, -1.0)):
        pose = walk.at(t_s)
        np.testing.assert_allclose(pose.position, [1.0, y], atol=1e-12)
        assert pose.heading == pytest.approx(-np.pi / 2)


def test_somebody_comes_from_where_they_were_told_to():
    walk = approaching(np.pi / 2, 2.0, 1.0, goal=[0.4, 0.0])
    np.testing.assert_allclose(walk.at(0.0).position, [0.4, 2.0])
    np.testing.assert_allclose(walk.at(2.0).position, [0.4, 0.0], atol=1e-12)


def test_pacing_turns_round_and_comes_back():
    walk = pacing([1.0, -1.0], [1.0, 1.0], 1.0, 8.0)
    assert walk.times_s[-1] >= 8.0
    assert {tuple(position) for position in walk.positions} == {(1.0, -1.0), (1.0, 1.0)}
    moving = [walk.at(t_s) for t_s in np.arange(0.0, 8.0, 0.01)]
    assert {round(np.sin(pose.heading), 6) for pose in moving if pose.speed_m_per_s > 0} == {1.0, -1.0}


def test_a_hand_reaches_its_goal_stays_and_goes_back():
    goal = np.array([0.4, 0.4, 0.3])
    walk = reaching([0.5, 0.75], goal, start_s=1.0, stay_s=1.0)
    index = [part.name for part in PARTS].index("right forearm")
    hands = np.array([capsules(walk.at(t_s))[index, 1] for t_s in np.arange(0.0, 8.0, 0.01)])
    distances = np.linalg.norm(hands - goal, axis=1)
    assert np.sum(distances < 1e-9) * 0.01 == pytest.approx(1.0, abs=0.05)
    np.testing.assert_allclose(hands[0], hands[-1])
    assert distances[0] > 0.3


def test_a_hand_gets_no_further_than_the_arm_is_long():
    walk = reaching([0.5, 2.0], [0.5, 0.0, 0.2])
    hand = capsules(walk.at(9.0))[[part.name for part in PARTS].index("right forearm"), 1]
    assert np.linalg.norm(hand - right_shoulder(walk.at(9.0).position, walk.at(9.0).heading)) == pytest.approx(REACH_M)


def test_wanderers_repeat_with_their_seed_and_stay_in_their_rectangle():
    same = [wandering(5, [-1, -1], [1, 1], 10.0) for _ in range(2)]
    np.testing.assert_array_equal(same[0].positions, same[1].positions)
    np.testing.assert_array_equal(same[0].times_s, same[1].times_s)
    assert not np.array_equal(same[0].positions[0], wandering(6, [-1, -1], [1, 1], 10.0).positions[0])
    assert np.abs(same[0].positions).max() <= 1.0
    assert same[0].times_s[-1] >= 10.0


def test_a_walk_with_knots_out_of_order_is_no_walk():
    with pytest.raises(ValueError, match="increasing times"):
        Walk(np.array([1.0, 0.5]), np.zeros((2, 2)), np.zeros(2), np.zeros((2, 3)))


def test_bodies_lie_along_their_axes():
    for direction in np.vstack([np.eye(3), -np.eye(3), np.random.default_rng(0).normal(size=(5, 3))]):
        turned = pybullet.rotateVector(quaternions_from_z(direction).tolist(), (0.0, 0.0, 1.0))
        np.testing.assert_allclose(turned, direction / np.linalg.norm(direction), atol=1e-6)


def test_people_move_with_the_physics_and_are_gone_after_a_reset(world):
    bare = world_bodies(world)
    people = world.add_people([walking([1.5, 0.0], [0.5, 0.0], 1.6)])
    before = people.persons()[0].end_a[0]
    hold(world, PHYSICS_HZ // 4)
    assert before - people.persons()[0].end_a[0] == pytest.approx(0.4)
    np.testing.assert_allclose(people.persons()[0].velocity, [-1.6, 0.0, 0.0], atol=1e-9)
    world.add_people([standing([1.2, 0.0])])
    assert world_bodies(world) == bare + len(PARTS), "the second people replace the first"
    world.hold_tool("edge", np.array([0.15, 0.0, 0.0]))
    world.reset(SCENE)
    assert world_bodies(world) == bare
    assert world.people is None
    assert world.held_tool is None
    assert world.nearest_person() is None


def world_bodies(world):
    return pybullet.getNumBodies(world.client)


def hold(world, substeps):
    for _ in range(substeps):
        world.substep(SCENE.start_joint_positions, np.zeros(7), 0.0)


def test_the_told_capsules_are_the_bodies_that_pybullet_measures(world):
    """The separation margin at zero age is PyBullet's distance less the sphere model's and the row's extra, or less."""
    rng, turning, compared = np.random.default_rng(0), KINEMATICS.sphere_links >= 1, 0
    centers, radii = KINEMATICS.spheres(SCENE.start_joint_positions)[turning], KINEMATICS.sphere_radii[turning]
    for _ in range(30):
        bearing = rng.uniform(-np.pi, np.pi)
        place = rng.uniform(0.5, 1.2) * np.array([np.cos(bearing), np.sin(bearing)]) + [0.3, 0.0]
        people = world.add_people([reaching(place, [0.45, 0.0, 0.3])])
        people.move_to(rng.uniform(0.0, 1.0))
        nearest = world.nearest_person(3.0)
        margin = separation_margin(SPEC, centers[None], radii, np.zeros(1), People(0, people.persons()), 0)
        margin += SPEC.people.measurement_error_m + SPEC.people.intrusion_m
        if nearest.distance_m > 0.0:  # depths of overlap are another thing
            compared += 1
            assert margin <= nearest.distance_m + 2e-3, "PyBullet's distances are up to 1 mm too small"
            assert margin >= nearest.distance_m - 0.12, "spheres stand proud of the meshes, but not that far"
    assert compared > 15


def test_somebody_who_leans_on_the_base_is_as_near_as_what_turns_above_it(world):
    everything = world.add_people([standing([-0.28, 0.0])]).persons()
    base = KINEMATICS.sphere_links == 0
    centers = KINEMATICS.spheres(SCENE.start_joint_positions)[base]
    leaning_m = (capsule_distance(centers, People(0, everything)) - KINEMATICS.sphere_radii[base, None]).min()
    nearest = world.nearest_person(0.5)
    assert leaning_m < 0.01
    assert nearest.link >= 0
    assert nearest.distance_m > leaning_m + 0.03


def test_a_person_walks_through_the_resting_arm_and_does_not_push_it(arm):
    arm.world.add_people([approaching(0.0, 1.5, 1.6, goal=arm.world.tool_position()[:2])])
    truth = PeopleTruth(arm.world)
    start = arm.joint_states()[0][:7]
    for _ in range(PHYSICS_HZ):
        arm.advance(1)
        truth.watch(arm.time_s)
    assert truth.contacts > 0
    assert truth.least.distance_m < 0.0
    assert truth.contact_speed_m_per_s < 0.02
    assert np.abs(arm.joint_states()[0][:7] - start).max() < 1e-3


def test_solid_people_push_the_arm(arm):
    arm.world.add_people([approaching(0.0, 1.5, 1.6, goal=arm.world.tool_position()[:2])], solid=True)
    start = arm.joint_states()[0][:7]
    arm.advance(PHYSICS_HZ)
    assert np.abs(arm.joint_states()[0][:7] - start).max() > 0.05


def test_an_arm_that_moves_into_somebody_is_measured_as_it_does(arm):
    tool = arm.world.tool_position()
    aside = np.array([tool[0], -0.2 if tool[1] > 0 else 0.2, 0.2])
    arm.world.add_people([standing(aside[:2] * [1.0, 1.5])])
    truth, speeds = PeopleTruth(arm.world, within_m=1.0), []
    send(arm, aside)
    for _ in range(PHYSICS_HZ * 2):
        before = arm.world.tip()[0]
        arm.advance(1)
        truth.watch(arm.time_s)
        speeds.append(np.linalg.norm(arm.world.tip()[0] - before) * PHYSICS_HZ)
    assert truth.contacts > 0
    assert truth.contact_speed_m_per_s > 0.1
    assert truth.tip_speed_m_per_s == pytest.approx(max(speeds), abs=0.01)
    assert 0.0 < truth.least_s <= 2.0


def test_nobody_near_is_nobody(arm):
    arm.world.add_people([standing([1.5, 1.5])])
    truth = PeopleTruth(arm.world, within_m=0.3)
    assert truth.watch(0.0) is None
    assert truth.least is None


@pytest.mark.parametrize("hazard", ["edge", "point", "blunt"])
def test_the_tip_of_a_held_tool_is_where_the_message_says(arm, hazard):
    """HeldTool.tip is in the frame of `tool`, which the agent computes by itself."""
    tip, kinematics = np.array([0.12, 0.03, 0.05]), Kinematics()
    arm.world.hold_tool(hazard, tip)
    send(arm, [0.5, 0.1, 0.3])
    arm.advance(PHYSICS_HZ)
    pose = kinematics.tool_pose(arm.joint_states()[0][:7])
    position, velocity = arm.world.tip()
    np.testing.assert_allclose(position, pose[:3, 3] + pose[:3, :3] @ tip, atol=1e-5)
    assert np.linalg.norm(velocity) < 0.01
    arm.world.add_people([standing(np.add(position[:2], [0.4, 0.0]))])
    nearest = arm.world.nearest_person(1.0)
    assert nearest.held_tool
    trunk = arm.world.people.persons()[0]
    if nearest.part == "trunk":
        gap = np.linalg.norm(position[:2] - trunk.end_a[:2]) - trunk.radius
        assert nearest.distance_m == pytest.approx(gap, abs=5e-3)


@pytest.mark.parametrize("tip", [[0.0, 0.0, 0.01], [0.1, 0.0], [np.nan, 0.0, 0.1]])
def test_a_tool_without_a_tip_cannot_be_held(world, tip):
    with pytest.raises(ValueError, match="tip of a held tool"):
        world.hold_tool("edge", tip)


def test_messages_arrive_late_at_their_rate_and_cover_the_truth(world):
    people = world.add_people([WALKS["walking"], WALKS["reaching"]])
    sensor, truths, arrived = PeopleSensor(delay_s=0.1, noise_m=0.03, rate_hz=20.0, seed=1), {}, []
    for substep in range(2 * PHYSICS_HZ):
        now_ns = round(substep * 1e9 / PHYSICS_HZ)
        people.move_to(now_ns * 1e-9)
        truths[now_ns] = people.persons()
        for message in sensor.update(now_ns, people.persons):
            assert 0.1 <= (now_ns - message.stamp_ns) * 1e-9 <= 0.1 + 1.01 / PHYSICS_HZ
            arrived.append(message)
    assert len(arrived) == pytest.approx(20 * 1.9, abs=1)
    errors = []
    for message in arrived:
        for told, true in zip(message.persons, truths[message.stamp_ns], strict=True):
            assert told.radius == true.radius
            assert told.radius_error == 0.03
            errors += [np.linalg.norm(told.end_a - true.end_a), np.linalg.norm(told.end_b - true.end_b)]
    assert 0.025 < max(errors) <= 0.03


def test_the_sensor_repeats_with_its_seed_and_says_when_nobody_is_there():
    def persons(seed):
        return PeopleSensor(delay_s=0.0, seed=seed).update(0, lambda: true)[0].persons[0].end_a

    true = (Person(np.zeros(3), np.ones(3), 0.1, np.zeros(3), 0.0),)
    np.testing.assert_array_equal(persons(1), persons(1))
    assert not np.array_equal(persons(1), persons(2))
    assert PeopleSensor(delay_s=0.0).update(0, tuple) == [People(0, ())]


@pytest.mark.parametrize("wrong", [{"delay_s": -0.1}, {"noise_m": -0.1}, {"rate_hz": 0.0}, {"delay_s": np.nan}])
def test_a_sensor_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="cannot be negative"):
        PeopleSensor(**wrong)


def test_people_are_seen_in_pictures(world):
    camera = load_camera()
    empty = world.render(camera)
    world.add_people([reaching([0.4, 0.75], [0.45, 0.1, 0.15])])
    world.people.move_to(5.0)
    hand = world.render(camera)
    assert 100 < (np.abs(hand.astype(int) - empty).max(axis=-1) > 30).sum() < 2000
    world.hold_tool("edge", np.array([0.15, 0.0, 0.0]))
    knife = world.render(camera)
    assert 10 < (np.abs(knife.astype(int) - hand).max(axis=-1) > 30).sum() < 2000
    world.furnish()
    assert (world.render(camera) != knife).any()


@pytest.mark.alone
def test_people_cost_little(arm):
    """Three people who walk cost less than 1 ms of CPU time a substep, an empty world nothing."""
    arm.world.add_people([WALKS["pacing"], WALKS["wandering"], WALKS["walking"]])
    begin = time.thread_time()
    for substep in range(100):
        arm.world.people.move_to(substep / PHYSICS_HZ)
    assert (time.thread_time() - begin) / 100 < 1e-3
