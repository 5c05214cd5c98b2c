"""Records survive the way over the wire, and what is malformed is refused with a sentence."""

import numpy as np
import pytest

from ami_nodes import convert
from ami_nodes.transforms import quaternion
from ami_robot.perception.camera import load_camera
from ami_robot.types import GuardrailReport, JointTrajectory, Latent, Plan, Proposal, Refusal

NAMES = tuple(f"joint{i}" for i in range(7))


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
    proposal = Proposal("planner", 7, 1_234_567_890_123, 1_234_500_000_000, 0.2, 0.04, **motion)
    back = convert.from_proposal_msg(convert.to_proposal_msg(proposal))
    assert (back.source, back.sequence, back.stamp_ns) == ("planner", 7, 1_234_567_890_123)
    assert (back.observation_stamp_ns, back.valid_for_s, back.gripper_width) == (1_234_500_000_000, 0.2, 0.04)
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
