"""A goal file comes back as it was written, or is refused in one sentence."""

import numpy as np
import pytest

from ami_robot.episodes.goals import GoalError, ShownGoal, read_goal, write_goal

PICTURES = np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3), dtype=np.uint8)
POSITIONS = np.array([[0.5, 0.1, 0.2]])


@pytest.mark.parametrize(
    "goal",
    [
        ShownGoal(pictures=PICTURES, preprocessing_id="front"),
        ShownGoal(tool_positions=POSITIONS),
        ShownGoal(block_positions=POSITIONS),
        ShownGoal(tool_positions=POSITIONS, block_positions=-POSITIONS),
    ],
)
def test_a_goal_comes_back_as_it_was_written(tmp_path, goal):
    write_goal(tmp_path / "goal.npz", goal)
    again = read_goal(tmp_path / "goal.npz")
    np.testing.assert_array_equal(again.pictures, goal.pictures)
    np.testing.assert_array_equal(again.tool_positions, goal.tool_positions)
    np.testing.assert_array_equal(again.block_positions, goal.block_positions)
    assert len(again) == len(goal) > 0 and again.preprocessing_id == goal.preprocessing_id
    assert [entry.name for entry in tmp_path.iterdir()] == ["goal.npz"]


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"pictures": PICTURES[:, :32]}, "pictures has shape"),
        ({"pictures": PICTURES.astype(np.float32)}, "have to be uint8"),
        ({"tool_positions": POSITIONS * np.nan}, "positions finite"),
        ({"tool_positions": POSITIONS[:, :2]}, "tool_positions has shape"),
        ({"pictures": PICTURES}, "with the preprocessing_id of their view"),
        ({"tool_positions": POSITIONS, "preprocessing_id": "front"}, "positions without"),
        (
            {"pictures": PICTURES, "tool_positions": POSITIONS, "preprocessing_id": "front"},
            "either pictures or positions",
        ),
        (
            {"pictures": PICTURES, "block_positions": POSITIONS, "preprocessing_id": "front"},
            "either pictures or positions",
        ),
        (
            {"tool_positions": POSITIONS, "block_positions": POSITIONS.repeat(2, axis=0)},
            "as many block_positions as tool_positions",
        ),
        ({"block_positions": POSITIONS * np.inf}, "positions finite"),
        ({}, "either pictures or positions"),
        ({"latents": POSITIONS}, "unknown arrays latents"),
        ({"pictures": np.array([{}], dtype=object)}, "cannot read the goal"),
    ],
)
def test_a_file_that_is_no_goal_is_refused(tmp_path, arrays, sentence):
    np.savez(tmp_path / "goal.npz", allow_pickle=True, **arrays)
    with pytest.raises(GoalError, match=sentence) as caught:
        read_goal(tmp_path / "goal.npz")
    assert "\n" not in str(caught.value) and "goal.npz" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no zip", None])
def test_a_damaged_or_missing_file_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "goal.npz").write_bytes(content)
    with pytest.raises(GoalError, match="make one with `ami goal`"):
        read_goal(tmp_path / "goal.npz")
