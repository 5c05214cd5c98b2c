import numpy as np
import pytest

from ami_robot.types import JointTrajectory
from ami_sim.controller import JointTrajectoryController

NAMES = tuple(f"joint{number}" for number in range(1, 8))
NOTHING = np.empty((0, 7))


def trajectory(times, positions, velocities=NOTHING, accelerations=NOTHING, names=NAMES):
    return JointTrajectory(names, np.array(times, float), np.array(positions, float), velocities, accelerations)


def quintic(target=0.3, duration=0.4):
    rest = np.zeros((1, 7))
    return trajectory([duration], np.full((1, 7), target), rest, rest)


@pytest.fixture
def controller():
    controller = JointTrajectoryController(NAMES)
    controller.hold(np.zeros(7), 0.0)
    return controller


def test_a_quintic_follows_the_minimum_jerk_curve_and_rests_at_its_end(controller):
    assert controller.accept(quintic(), 1.0) is None
    half = controller.sample(1.2)
    np.testing.assert_allclose(half.positions, 0.15, atol=1e-12)
    np.testing.assert_allclose(half.velocities, 0.3 / 0.4 * 1.875)
    end = controller.sample(9.0)
    np.testing.assert_allclose(end.positions, 0.3)
    assert not end.velocities.any()
    assert not end.accelerations.any()


def test_replacement_starts_from_the_desired_state_not_from_a_measurement(controller):
    controller.accept(quintic(), 0.0)
    before = controller.sample(0.13)
    seen = []
    controller.on_accept = lambda trajectory, start, now_s: seen.append((trajectory, start, now_s))
    controller.accept(quintic(-0.2), 0.13)
    after = controller.sample(0.13)
    for name in ("positions", "velocities", "accelerations"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), atol=1e-12)
        np.testing.assert_allclose(getattr(seen[0][1], name), getattr(before, name), atol=1e-12)
    assert seen[0][2] == 0.13


def test_joints_are_matched_by_name_in_any_order(controller):
    positions = np.arange(7.0)[None] / 10
    shuffled = trajectory([0.5], positions[:, ::-1], names=NAMES[::-1])
    assert controller.accept(shuffled, 0.0) is None
    np.testing.assert_allclose(controller.sample(1.0).positions, positions[0])


def test_positions_alone_are_joined_by_straight_lines(controller):
    controller.accept(trajectory([1.0, 2.0], [np.full(7, 0.1), np.full(7, 0.3)]), 0.0)
    np.testing.assert_allclose(controller.sample(1.5).positions, 0.2)
    np.testing.assert_allclose(controller.sample(1.5).velocities, 0.2)


def test_positions_and_velocities_are_joined_by_cubics(controller):
    velocities = np.array([np.full(7, 0.1), np.zeros(7)])
    controller.accept(trajectory([1.0, 2.0], [np.full(7, 0.1), np.full(7, 0.2)], velocities), 0.0)
    np.testing.assert_allclose(controller.sample(1.0 - 1e-9).velocities, 0.1, atol=1e-6)
    np.testing.assert_allclose(controller.sample(1.0 + 1e-9).velocities, 0.1, atol=1e-6)
    step_s = 1e-5
    slope = (controller.sample(0.4 + step_s).positions - controller.sample(0.4 - step_s).positions) / (2 * step_s)
    np.testing.assert_allclose(controller.sample(0.4).velocities, slope, rtol=1e-6)
    assert not controller.sample(2.0).velocities.any()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (trajectory([0.4], np.zeros((1, 6)), names=NAMES[:6]), "lacks the joints joint7"),
        (trajectory([0.4], np.zeros((1, 7)), names=(*NAMES[:6], "elbow")), "unknown joints elbow"),
        (trajectory([0.4], np.zeros((1, 8)), names=(*NAMES, "joint7")), "a joint twice"),
        (trajectory([], NOTHING), "no points"),
        (trajectory([0.4, 0.4], np.zeros((2, 7))), "strictly increasing"),
        (trajectory([0.0, 0.4], np.zeros((2, 7))), "positive"),
        (trajectory([0.4], np.zeros((1, 7)), np.full((1, 7), 0.1)), "has to be at rest"),
        (trajectory([0.4], np.zeros((2, 7))), "positions have the shape"),
        (trajectory([0.4], np.zeros((1, 7)), np.zeros((2, 7))), "velocities have the shape"),
        (trajectory([0.4], np.zeros((1, 7)), NOTHING, np.zeros((1, 7))), "no velocities"),
        (trajectory([0.4], np.full((1, 7), np.nan)), "not all finite"),
        (trajectory([np.nan], np.zeros((1, 7))), "not all finite"),
    ],
)
def test_what_the_stock_controller_rejects_is_rejected_with_a_sentence_and_changes_nothing(controller, wrong, said):
    controller.accept(quintic(), 0.0)
    controller.on_accept = lambda *accepted: pytest.fail("told of a rejected trajectory")
    reason = controller.accept(wrong, 0.1)
    assert reason is not None
    assert said in reason
    assert reason.endswith(".")
    np.testing.assert_allclose(controller.sample(0.4).positions, 0.3)
