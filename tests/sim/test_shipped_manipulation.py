"""The shipped model of blocks, and the tasks that come with it, handle a block that only pictures show."""

import json
import shutil

import pytest

from ami_robot.cli.main import main
from ami_robot.configurator.configurator import CHECKPOINTS, load_task, task_file
from ami_robot.learning.card import CARD_FILE
from ami_robot.perception.checkpoint import load_checkpoint
from ami_robot.safety.model_error import load_model_error

CHECKPOINT = CHECKPOINTS / "manipulation"


@pytest.mark.parametrize("name", ["push", "carry"])
def test_its_error_was_calibrated_for_this_checkpoint(name):
    task = load_task(task_file(name))
    bound = load_model_error(task.model_error)
    assert bound.checkpoint_sha256 == load_checkpoint(CHECKPOINT).sha256
    assert task.block_head == CHECKPOINT.name


@pytest.mark.parametrize(("suite", "name"), [("push", "push"), ("pick_lift", "carry"), ("pick_place", "carry")])
def test_the_agent_that_ships_for_a_suite_reaches_two_of_three_goals(suite, name, tmp_path):
    words = ["eval", suite, "--episodes", "3", "--controls", "--workers", "1", "--films", "0"]
    assert main([*words, "--out", str(tmp_path / "eval")]) == 0
    results = json.loads((tmp_path / "eval" / "results.json").read_text())
    (row,) = results["rows"]
    assert row["name"] == name and results["checkpoint_sha256"] == load_checkpoint(CHECKPOINT).sha256
    assert row["episodes"] == 3 and row["successes"] >= 2


def test_what_an_evaluation_found_goes_into_the_card_beside_what_others_found(tmp_path):
    copy = tmp_path / "checkpoint"
    shutil.copytree(CHECKPOINT, copy)
    weights = load_checkpoint(copy).sha256
    for seed in ("0", "1"):
        words = ["eval", "push" if seed == "0" else "pick_lift", "--seed", seed, "--episodes", "1", "--card", "--task"]
        assert main([*words, "--checkpoint", str(copy), "--controls", "hold", "--out", str(tmp_path / seed)]) == 0
    card = (copy / CARD_FILE).read_text()
    for suite, seed in (("push", "0"), ("pick_lift", "1")):
        assert f"{suite}:\n  command: ami eval {suite} --episodes 1 --seed {seed}" in card
    assert "  hold:\n    successes: 0\n    episodes: 1\n" in card
    assert load_checkpoint(copy).sha256 == weights
