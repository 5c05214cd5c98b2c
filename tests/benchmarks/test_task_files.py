"""The task files of benchmarks: of the same world model, cost and calibration as what ships, another planner."""

from pathlib import Path

import pytest

from ami_robot.configurator.configurator import CHECKPOINTS, load_task, task_file
from ami_robot.learning.policy_config import load_policy_config
from benchmarks import solvers

FOLDER = Path(solvers.__file__).parent
TASKS = ("push_icem", "push_policy", "push_policy_and_search")


@pytest.mark.parametrize("name", TASKS)
def test_only_the_planner_is_another_than_in_the_task_that_ships(name):
    task, shipped = load_task(FOLDER / f"{name}.yaml"), load_task(task_file("push"))
    assert (task.cost, task.block_head, task.model_error) == (shipped.cost, shipped.block_head, shipped.model_error)


def test_the_policy_comes_from_where_its_training_is_told_to_leave_it():
    load_policy_config(FOLDER / "push_policy_training.yaml")
    for name in TASKS[1:]:
        policy = load_task(FOLDER / f"{name}.yaml").policy.checkpoint
        assert (CHECKPOINTS / policy).resolve() == FOLDER.parent / "runs" / "push_policy"
