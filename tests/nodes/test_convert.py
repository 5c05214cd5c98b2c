"""Records survive the way over the wire, and what is malformed is refused with a sentence."""

import time
from dataclasses import replace

import numpy as np
import pytest

from ami_nodes import convert
from ami_nodes.transforms import quaternion
from ami_robot.perception.camera import load_camera
from ami_robot.types import (
    GuardrailReport,
    HeldTool,
    JointTrajectory,
    Latent,
    People,
    Person,
    Plan,
    Proposal,
    Refusal,
)

NAMES = tuple(f"joint{i}" for i in range(7))
BAD = (float("nan"), float("inf"), float("-inf"))


def trajectory() -> JointTrajectory:
    rng = np.random.default_rng(0)
    return JointTrajectory(NAMES, np.array([0.1, 0.2, 0.4]), *rng.normal(size=(3, 3, 7)))


def assert_same(a: JointTrajectory, b: JointTrajectory) -> None:
    assert a.joint_names == b.joint_names
    for name in ("times_s", "positions", "velocities", "accelerations"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_a_trajectory_survives_exactly_and_starts_now():
    message = convert.to_trajectory_msg(trajectory())
    assert convert.to_ns(message.header.stamp) == 0
    assert_same(convert.from_trajectory_msg(message), trajectory())


def test_a_trajectory_of_positions_only_has_no_velocities():
    message = convert.to_trajectory_msg(trajectory())
    for point in message.points:
        point.velocities = point.accelerations = convert.to_field([])
    assert convert.from_trajectory_msg(message).velocities.size == 0


@pytest.mark.parametrize("field", ["positions", "velocities", "accelerations"])
def test_a_point_with_a_joint_too_few_is_refused(field):
    message = convert.to_trajectory_msg(trajectory())
    setattr(message.points[1], field, convert.to_field(np.zeros(6)))
    with pytest.raises(ValueError, match=f"7 {field}"):
        convert.from_trajectory_msg(message)


@pytest.mark.parametrize("motion", [{"tool_displacement": np.array([0.01, -0.02, 0.03])}, {"trajectory": trajectory()}])
def test_a_proposal_survives_with_the_motion_it_has(motion):
    model = {"model_error_bound_m": 0.02, "checkpoint_sha256": "ab"}
    proposal = Proposal("planner", 7, 1_234_567_890_123, 1_234_500_000_000, 0.2, 0.04, **motion, **model)
    back = convert.from_proposal_msg(convert.to_proposal_msg(proposal))
    assert (back.source, back.sequence, back.stamp_ns) == ("planner", 7, 1_234_567_890_123)
    assert (back.observation_stamp_ns, back.valid_for_s, back.gripper_width) == (1_234_500_000_000, 0.2, 0.04)
    assert (back.model_error_bound_m, back.checkpoint_sha256) == (0.02, "ab")
    if "trajectory" in motion:
        assert back.tool_displacement is None
        assert_same(back.trajectory, motion["trajectory"])
    else:
        assert back.trajectory is None
        np.testing.assert_array_equal(back.tool_displacement, motion["tool_displacement"])


def test_a_proposal_of_unknown_kind_is_refused():
    message = convert.to_proposal_msg(Proposal("x", 1, 0, 0, 0.2, 0.0, tool_displacement=np.zeros(3)))
    message.kind = 9
    with pytest.raises(ValueError, match="kind 9"):
        convert.from_proposal_msg(message)


def test_a_latent_survives_in_float32():
    latent = Latent(5, np.linspace(-1, 1, 128, dtype=np.float32), np.ones(3), np.zeros(3), 0.02, "ab", "id")
    back = convert.from_latent_msg(convert.to_latent_msg(latent, "camera"))
    np.testing.assert_array_equal(back.image_latent, latent.image_latent)
    assert (back.stamp_ns, back.gripper_width, back.checkpoint_sha256, back.preprocessing_id) == (5, 0.02, "ab", "id")


def test_a_report_carries_the_sent_trajectory_verbatim_and_its_reason():
    refusal = Refusal("too fast", "joint_velocity", -0.1)
    report = GuardrailReport(
        3,
        "modified",
        True,
        "planner",
        4,
        2,
        9,
        trajectory(),
        np.arange(7.0),
        np.ones(3),
        0.01,
        refusal,
        {"a": 0.5},
        "ff",
    )
    message = convert.to_report_msg(report)
    assert_same(convert.from_trajectory_msg(message.sent), trajectory())
    assert (message.reason, message.guardrail, message.margin) == ("too fast", "joint_velocity", -0.1)
    assert (list(message.margin_rows), list(message.margins)) == (["a"], [0.5])
    assert not (message.people_known or message.held_tool_known or message.e_stopped)
    assert np.isnan(message.model_error_bound)


def person() -> Person:
    return Person(np.array([0.9, 0.1, 0.2]), np.array([0.9, 0.1, 1.5]), 0.25, np.array([-0.3, 0.0, 0.1]), 0.04)


def test_people_survive_exactly_and_nobody_stays_nobody():
    back = convert.from_people_msg(convert.to_people_msg(People(1_234_567_890_123, (person(), person()))))
    assert back.stamp_ns == 1_234_567_890_123 and len(back.persons) == 2
    for name in ("end_a", "end_b", "radius", "velocity", "radius_error"):
        np.testing.assert_array_equal(getattr(back.persons[1], name), getattr(person(), name))
    assert convert.from_people_msg(convert.to_people_msg(People(5, ()))) == People(5, ())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((f"{point}.{axis}", value) for point in ("end_a", "end_b", "velocity") for axis in "xyz" for value in BAD),
        *(("radius", value) for value in (*BAD, -0.01)),
        *(("radius_error", value) for value in (*BAD, -0.01)),
    ],
)
def test_one_person_that_makes_no_sense_spoils_the_message_and_nobody_is_left_out(field, value):
    message = convert.to_people_msg(People(5, (person(), person())))
    *path, name = field.split(".")
    setattr(getattr(message.persons[1], path[0]) if path else message.persons[1], name, value)
    with pytest.raises(ValueError, match="a person"):
        convert.from_people_msg(message)


@pytest.mark.parametrize("frame_id", ["", "camera_optical_frame"])
def test_people_and_tools_in_another_frame_are_refused(frame_id):
    people, tool = convert.to_people_msg(People(5, ())), convert.to_held_tool_msg(HeldTool(5, "none", np.zeros(3)))
    people.header.frame_id = tool.header.frame_id = frame_id
    with pytest.raises(ValueError, match="'base_link'"):
        convert.from_people_msg(people)
    with pytest.raises(ValueError, match="'tool'"):
        convert.from_held_tool_msg(tool)


def test_a_held_tool_survives_and_an_unknown_hazard_is_passed_on_for_the_guardrail_to_fear():
    tool = HeldTool(7, "chainsaw", np.array([0.0, 0.01, 0.15]), 0.3)
    back = convert.from_held_tool_msg(convert.to_held_tool_msg(tool))
    assert (back.stamp_ns, back.hazard, back.mass_kg) == (7, "chainsaw", 0.3)
    np.testing.assert_array_equal(back.tip, tool.tip)


@pytest.mark.parametrize(("field", "value"), [*(("tip", value) for value in BAD), *(("mass", v) for v in (*BAD, -1.0))])
def test_a_held_tool_that_makes_no_sense_is_refused(field, value):
    message = convert.to_held_tool_msg(HeldTool(7, "none", np.zeros(3)))
    if field == "tip":
        message.tip.z = value
    else:
        message.mass = value
    with pytest.raises(ValueError, match="held tool"):
        convert.from_held_tool_msg(message)


def test_a_report_says_what_the_decision_was_taken_on():
    report = GuardrailReport(
        *(3, "refused", True, "planner", 4, 2, 0, None, np.zeros(7), np.zeros(3), 0.01, None),
        model_error_bound_m=0.02,
        checkpoint_sha256="ab",
        people=People(2, (person(),)),
        held_tool=HeldTool(1, "edge", np.ones(3), 0.1),
        e_stopped=True,
    )
    message = convert.to_report_msg(report)
    assert (message.model_error_bound, message.checkpoint_sha256, message.e_stopped) == (0.02, "ab", True)
    assert message.people_known and len(convert.from_people_msg(message.people).persons) == 1
    assert message.held_tool_known and convert.from_held_tool_msg(message.held_tool).hazard == "edge"


def test_a_report_of_nobody_is_not_a_report_of_nothing_heard():
    report = GuardrailReport(*(3, "status", True, "", 0, 0, 0, None, np.zeros(7), np.zeros(3), 0.0, None))
    assert not convert.to_report_msg(report).people_known
    assert convert.to_report_msg(replace(report, people=People(1, ()))).people_known


def test_a_refusal_without_a_measure_is_a_plan_message_with_nan():
    message = convert.to_plan_msg(Refusal("stale", "staleness", float("nan")), 0)
    assert message.refused and message.reason == "stale" and np.isnan(message.margin)


def test_a_plan_lies_row_by_row():
    plan = Plan(np.arange(8.0).reshape(2, 4), np.zeros((2, 7)), np.ones((2, 3)), 1.5, {"tool": 1.5}, 10, 3, 0.2)
    message = convert.to_plan_msg(plan, 0)
    assert list(message.actions) == list(range(8)) and message.masked == 3 and len(message.imagined_tool_path) == 2


def test_a_picture_survives_and_padding_is_cut():
    image = np.random.default_rng(0).integers(0, 255, (4, 5, 3), dtype=np.uint8)
    message = convert.to_image_msg(image, 1, "camera")
    np.testing.assert_array_equal(convert.from_image_msg(message), image)
    padded = np.pad(image.reshape(4, 15), ((0, 0), (0, 1)))
    message.step, message.data = 16, convert.to_field(padded, "B")
    np.testing.assert_array_equal(convert.from_image_msg(message), image)


def test_a_picture_crosses_as_a_whole_and_not_byte_by_byte():
    """There and back in less CPU time than a single look at each of its bytes takes."""
    image = np.zeros((480, 640, 3), np.uint8)

    def cpu_s(action):
        began_s = time.thread_time()
        action()
        return time.thread_time() - began_s

    whole = min(cpu_s(lambda: convert.from_image_msg(convert.to_image_msg(image, 0, "camera"))) for _ in range(5))
    by_byte = min(cpu_s(lambda: [byte for byte in image.tobytes()]) for _ in range(5))
    assert whole < by_byte / 2


def test_a_picture_with_bytes_missing_is_refused():
    message = convert.to_image_msg(np.zeros((4, 5, 3), np.uint8), 1, "camera")
    message.data = convert.to_field(np.zeros(59, np.uint8), "B")
    with pytest.raises(ValueError, match="59 bytes"):
        convert.from_image_msg(message)


def test_camera_info_gives_the_intrinsics_back():
    camera = load_camera()
    back = convert.from_camera_info_msg(convert.to_camera_info_msg(camera, 0))
    np.testing.assert_array_equal(back.matrix, camera.matrix)
    assert back.size == camera.size


def test_an_uncalibrated_camera_info_is_refused():
    message = convert.to_camera_info_msg(load_camera(), 0)
    message.k = np.zeros(9)
    with pytest.raises(ValueError):
        convert.from_camera_info_msg(message)


def test_a_quaternion_turns_vectors_as_its_matrix_does():
    rotation = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    rotation *= np.linalg.det(rotation)
    q = quaternion(rotation)
    v = np.array([q.x, q.y, q.z])
    cross = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    np.testing.assert_allclose(np.eye(3) + 2 * q.w * cross + 2 * cross @ cross, rotation, atol=1e-12)
