"""The oracle of the stories: what it must not overlook."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ami_robot.safety.rows import Box
from ami_sim.scene import Scene
from ami_sim.stories.film import Tape, write
from ami_sim.stories.intruder import Intruder
from ami_sim.stories.scripts import Patrol, leap
from ami_sim.stories.stage import Stage, spec_with_people
from ami_sim.stories.story import everywhere, play
from ami_sim.stories.studio import at_position, stand_off
from ami_sim.stories.witness import self_distance_m
from ami_sim.walks import standing
from ami_sim.world import World

SPEC = spec_with_people()
START = np.array([0.5, -0.1, 0.25])
AHEAD = np.array([0.5, 0.15, 0.25])
SCENE = at_position(3, START, AHEAD)


@pytest.fixture
def stage():
    """Nothing guards this one, so that what the oracle has to see does happen."""
    stage = Stage(SCENE, SPEC, guarded=False, watched_m=1.2)
    yield stage
    stage.close()


def play_patrol(stage, points, seconds):
    patrol = Patrol(stage, points)
    while stage.t_s < seconds:
        patrol.act()
        stage.tick()


def test_a_quiet_arm_breaks_nothing(stage):
    while stage.t_s < 0.5:
        stage.tick()
    assert everywhere(stage) == {}
    assert not stage.witness.moves.any()


def test_moving_near_somebody_and_touching_them_is_seen(stage):
    stage.arm.world.add_people([standing(np.array([0.5, 0.25]))])
    play_patrol(stage, [AHEAD, START], 2.0)
    assert {"people", "contact"} <= set(everywhere(stage))
    assert stage.witness.distance_m.min() < 0.0


def test_an_arm_that_rests_may_be_touched(stage):
    stage.arm.world.add_people([standing(START[:2])])
    while stage.t_s < 0.5:
        stage.tick()
    assert stage.witness.distance_m.min() < 0.0
    assert everywhere(stage) == {}


def test_the_distance_that_is_needed_grows_with_the_speed(stage):
    play_patrol(stage, [AHEAD, START], 1.5)
    witness = stage.witness
    fast, slow = witness.arm_speed.argmax(), witness.arm_speed.argmin()
    errors_m = SPEC.people.measurement_error_m + SPEC.people.intrusion_m
    assert witness.needed_m[slow] == pytest.approx(errors_m, abs=0.002)
    assert witness.needed_m[fast] > errors_m + 0.02


def test_the_speed_of_the_arm_is_no_less_than_that_of_its_tip(stage):
    play_patrol(stage, [AHEAD, START], 1.0)
    assert stage.witness.tip_speed.max() > 0.15
    assert (stage.witness.arm_speed >= stage.witness.tip_speed - 1e-9).all()


def test_an_obstacle_that_is_driven_into_is_seen(stage):
    middle = (START + 2.0 * AHEAD) / 3.0
    stage.add_box(Box("crate", middle - 0.04, middle + 0.04))
    play_patrol(stage, [AHEAD, START], 1.5)
    assert "obstacle" in everywhere(stage)


def test_the_table_is_seen(stage):
    play_patrol(stage, [np.array([0.5, -0.1, -0.05]), START], 2.5)
    assert {"table", "limits"} <= set(everywhere(stage))


def test_limits_of_the_joints_are_seen(stage):
    stage.propose(trajectory=leap(stage, stage.joints + np.eye(7)[0], share=1.5))
    while stage.t_s < 1.0:
        stage.tick()
    assert "limits" in everywhere(stage)


def test_links_in_one_another_are_seen():
    world = World(SCENE)
    try:
        begin = world.snapshot()
        assert self_distance_m(world) == np.inf
        folded = np.array([0.0, 0.0, 0.0, -3.0, 0.0, 0.0, 0.0, 0.0, 0.0])
        world.mirror(replace(begin, joint_positions=folded))
        assert self_distance_m(world) <= 0.0
    finally:
        world.close()


def test_a_blade_that_points_at_somebody_is_seen(stage):
    stage.arm.world.add_people([standing(np.array([1.1, -0.1]))])
    cosines = {}
    for name, tip in (("at them", [0.15, 0.0, 0.0]), ("away", [-0.15, 0.0, 0.0]), ("down", [0.0, 0.0, 0.15])):
        stage.pick_up("edge", np.array(tip))
        stage.tick()
        cosines[name] = stage.witness.facing[-1]
    assert cosines["at them"] > 0.9
    assert cosines["away"] < -0.7
    assert abs(cosines["down"]) < 0.5


def test_somebody_stands_as_far_off_as_was_asked_for():
    place = stand_off(SCENE, 0.7, 0.75)
    stage = Stage(SCENE, SPEC, [standing(place)], watched_m=1.2)
    try:
        assert stage.witness.distance_m[-1] == pytest.approx(0.75, abs=0.005)
    finally:
        stage.close()


def test_an_arm_that_never_moved_shows_nothing():
    story = Intruder(1)
    story.act = lambda: None  # nobody proposes anything
    assert "vacuous" in play(story).broken


def test_a_story_is_filmed_with_the_people_in_it(tmp_path):
    import av

    tape, story = Tape(), Intruder(1)
    story.duration_s = 0.5
    outcome = play(story, tape.record)
    write(tape, outcome, tmp_path / "film.mp4")
    with av.open(str(tmp_path / "film.mp4")) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(frames) > 20
    assert frames[0].std() > 20
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


def test_scenes_begin_where_they_are_told_to():
    from ami_robot.safety.kinematics import Kinematics

    assert isinstance(SCENE, Scene)
    np.testing.assert_allclose(Kinematics().tool_position(SCENE.start_joint_positions), START, atol=1e-6)
    assert len(SCENE.blocks) == 3
