"""What is shown to the graph is what the agent in one process would pursue, to the bit, or one sentence why not."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from ami_interfaces.msg import ShownGoal as ShownGoalMsg
from geometry_msgs.msg import Point
from hypothesis import given, settings
from hypothesis import strategies as st
from lifecycle_msgs.msg import State
from rclpy.lifecycle import LifecycleState
from rclpy.serialization import serialize_message
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from ami_nodes.convert import from_latent_msg, to_camera_info_msg, to_image_msg, to_latent_msg
from ami_nodes.eye import Eye
from ami_nodes.graph_client import image_goal, position_goal
from ami_nodes.planner import PlannerNode
from ami_nodes.recording_topics import definition
from ami_nodes.shown_goal import goal_of, to_shown_goal_msg
from ami_robot.agent import shown_goal
from ami_robot.episodes.goals import ShownGoal
from ami_robot.perception.camera import load_camera
from ami_robot.perception.checkpoint import load_checkpoint, save_checkpoint
from ami_robot.perception.conv import ConvConfig
from ami_robot.perception.encoder import GoalHead, ImageEncoder, PlaceHead
from ami_robot.perception.view import CLOSE_VIEW, FRONT_VIEW, TrainingView, ViewError, training_camera
from ami_robot.safety.spec import load_spec
from ami_robot.types import Goal, Latent, Refusal
from ami_robot.world_model.mlp import MLPConfig
from ami_robot.world_model.predictor import Predictor

UNCONFIGURED = LifecycleState("unconfigured", State.PRIMARY_STATE_UNCONFIGURED)
METRES = st.floats(-2.0, 2.0)
STEPS = st.integers(1, 4)


@pytest.fixture(scope="module")
def seeing(tmp_path_factory):
    """An eye, and the same encoder in one process: untrained, with a head for the block."""
    encoder, predictor = ConvConfig(32, (8, 8, 8, 8), 32, 16), MLPConfig(width=32, blocks=1)
    modules = {
        "encoder": encoder.build(),
        "goal_head": GoalHead(encoder),
        "block_head": PlaceHead(encoder),
        "predictor": Predictor(predictor, encoder.latent_dim),
    }
    folder = tmp_path_factory.mktemp("with_block_head")
    save_checkpoint(folder, modules, {"encoder": encoder, "predictor": predictor}, {"made": "untrained"})
    checkpoint = load_checkpoint(folder)
    return Eye(checkpoint, load_spec()), ImageEncoder(checkpoint)


@cache
def store(kind):
    """An independent reader of a message's bytes, by its definition as recordings hold it."""
    name, types = f"ami_interfaces/msg/{kind.__name__}", get_typestore(Stores.EMPTY)
    types.register(get_types_from_msg(definition(kind), name))
    return lambda data: types.deserialize_cdr(data, name)


def over_the_wire(message):
    return store(type(message))(serialize_message(message))


def told(eye, message):
    """What comes of a message, with the encoder at its end; of its recording, too."""

    def see(*picture):
        return from_latent_msg(over_the_wire(eye.see_goal(*picture)))

    goal = goal_of(message, see)
    assert_same(goal_of(over_the_wire(message), see), goal)
    return goal


def assert_same(ours: Goal, theirs: Goal):
    for step, other in zip((*ours.way, ours), (*theirs.way, theirs), strict=True):
        for name in ("tool_position", "image_latent", "block_position"):
            one, another = getattr(step, name), getattr(other, name)
            assert (one is None) == (another is None), name
            if one is not None:
                np.testing.assert_array_equal(one, another)


@st.composite
def positions(draw):
    count = draw(STEPS)
    said = draw(st.sampled_from([("tool_positions",), ("block_positions",), ("tool_positions", "block_positions")]))
    row = st.tuples(METRES, METRES, METRES)
    return ShownGoal(**{name: np.array([draw(row) for _ in range(count)]) for name in said})


@st.composite
def pictures(draw):
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return ShownGoal(pictures=random.integers(0, 256, (draw(STEPS), 64, 64, 3), np.uint8), preprocessing_id=FRONT_VIEW)


@given(positions())
def test_positions_arrive_as_they_were_said_and_what_was_not_said_is_absent(shown):
    assert_same(told(None, to_shown_goal_msg(shown)), shown_goal(shown, None))


@settings(max_examples=25, deadline=None)
@given(pictures())
def test_pictures_in_the_training_view_become_the_latents_that_they_are_in_one_process(seeing, shown):
    eye, encoder = seeing
    assert_same(told(eye, to_shown_goal_msg(shown)), shown_goal(shown, encoder))


def test_what_a_camera_took_becomes_the_latent_of_the_view_that_it_is_mapped_to(seeing):
    eye, encoder = seeing
    camera = load_camera().resized(256, 256)
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    view = TrainingView(camera, training_camera(FRONT_VIEW))(image)
    wanted = shown_goal(ShownGoal(pictures=view[None], preprocessing_id=FRONT_VIEW), encoder)
    assert wanted.block_position is not None
    assert_same(told(eye, image_goal(image, camera).shown), wanted)


def test_a_goal_in_another_view_is_refused_by_name_though_its_optics_would_fit(seeing):
    eye, _ = seeing
    picture = np.zeros((1, 64, 64, 3), np.uint8)
    message = to_shown_goal_msg(ShownGoal(pictures=picture, preprocessing_id=CLOSE_VIEW))
    front = training_camera(FRONT_VIEW).resized(64, 64)
    for info in (message.camera_info, to_camera_info_msg(front, 0)):
        message.camera_info = info
        with pytest.raises(ValueError, match=r"shown in the view 'close-.*the encoder takes 'front-"):
            told(eye, message)
    with pytest.raises(ViewError, match="there is no view 'wrist-96'"):
        to_shown_goal_msg(ShownGoal(pictures=picture, preprocessing_id="wrist-96"))


def point(*values):
    return Point(**dict(zip("xyz", values, strict=True)))


HERE = point(0.5, 0.0, 0.2)
CAMERA = load_camera()
INFO = to_camera_info_msg(CAMERA, 0)


def picture(side=CAMERA.width):
    return to_image_msg(np.zeros((side, side, 3), np.uint8), 0, "camera")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "a goal has either pictures or positions, at least one"),
        ({"pictures": [picture()], "camera_info": INFO, "tool_positions": [HERE]}, "it has pictures and positions"),
        ({"tool_positions": [HERE, HERE], "block_positions": [HERE]}, "as many block_positions as tool_positions"),
        ({"tool_positions": [HERE, point(0.5, float("nan"), 0.2)]}, "positions finite"),
        ({"block_positions": [point(float("inf"), 0.0, 0.2)]}, "positions finite"),
        (
            {"pictures": [picture(), picture(64)], "camera_info": INFO},
            "picture 2 of 2 is 64x64, camera_info says 128x128; all pictures of a goal are of one camera",
        ),
        ({"pictures": [picture()]}, "picture 1 of 1 is 128x128, camera_info says 0x0"),
    ],
)
def test_what_makes_no_sense_is_one_sentence_and_no_picture_of_it_is_looked_at(fields, sentence):
    def see(*_):
        raise AssertionError("the encoder was asked")

    refusal = goal_of(ShownGoalMsg(**fields), see)
    assert isinstance(refusal, Refusal) and refusal.guardrail == "goal"
    assert refusal.reason.startswith("the goal cannot be read: ") and sentence in refusal.reason


def test_a_picture_that_cannot_be_seen_is_named_and_those_after_it_are_not_tried():
    asked = []

    def see(image, *_):
        asked.append(image)
        latent = Latent(0, np.zeros(2), np.zeros(3), np.zeros(3), 0.0, "", "")
        return latent if len(asked) < 2 else Refusal("it is dark.", "encoder", -1.0)

    refusal = goal_of(ShownGoalMsg(pictures=[picture()] * 3, camera_info=INFO), see)
    assert refusal == Refusal("picture 2 of 3: it is dark.", "encoder", -1.0) and len(asked) == 2


@pytest.mark.parametrize("block", [None, np.array([0.5, 0.1, 0.02])])
def test_a_latent_says_where_the_block_is_or_that_nobody_knows(block):
    latent = Latent(7, np.array([0.5, 1.0]), np.ones(3), np.zeros(3), 0.04, "a" * 64, FRONT_VIEW)
    message = to_latent_msg(replace(latent, block_position=block), "camera")
    found = from_latent_msg(over_the_wire(message)).block_position
    assert found is None if block is None else found.tolist() == block.tolist()


def test_without_an_encoder_a_picture_is_refused_and_a_position_is_not(ros):
    node = PlannerNode("planner")
    node.settings.config = "analytic"
    node.on_configure(UNCONFIGURED)
    refusal = node.goal_of(image_goal(np.zeros((128, 128, 3), np.uint8), CAMERA))
    assert isinstance(refusal, Refusal) and "is the encoder active?" in refusal.reason
    assert node.goal_of(position_goal([0.5, 0.0, 0.2])).tool_position.tolist() == [0.5, 0.0, 0.2]
    node.destroy_node()
