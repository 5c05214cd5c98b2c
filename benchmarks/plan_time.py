"""How long does one plan take? Percentiles over plans, beside the load of the machine.

    OMP_NUM_THREADS=1 python benchmarks/plan_time.py                        # analytic stand-in: masks and search alone
    OMP_NUM_THREADS=1 python benchmarks/plan_time.py --checkpoint default   # the committed world model
    OMP_NUM_THREADS=1 python benchmarks/plan_time.py --persons 4            # beside four capsules, out of the way
    OMP_NUM_THREADS=1 python benchmarks/plan_time.py --checkpoint default --task ami_robot/configurator/reach_mppi.yaml

Wall time and process CPU time are both given: on a shared machine the first is what the arm waits for, the second what
the work costs. `mask` is kinematics and guardrails, `model` the rollouts (with the one that rolls the belief forward).
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ami_robot.actor.planner import PathMask
from ami_robot.configurator.configurator import REACH, TaskSettings, build_planner, load_task
from ami_robot.memory.command_memory import InFlight
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import Spec, load_spec
from ami_robot.types import ACTION_DIM, Belief, Goal, People, Person, Refusal
from ami_robot.world_model.kinematic import KinematicModel
from ami_robot.world_model.roll_forward import roll_forward

LATENT_DIM = 128


class Timed:
    """Passes one method through and adds up the time inside it."""

    def __init__(self, inner: Any, method: str) -> None:
        self._inner, self._method, self.spent_s = inner, method, 0.0

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if name != self._method:
            return value

        def timed(*args: Any) -> Any:
            begun = time.perf_counter()
            result = value(*args)
            self.spent_s += time.perf_counter() - begun
            return result

        return timed


def main() -> None:
    """Plan towards random goals from random starts and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", default=None, help="a checkpoint folder, or 'default'; without it a stand-in")
    parser.add_argument("--task", type=Path, default=REACH)
    parser.add_argument("--plans", type=int, default=60)
    parser.add_argument("--persons", type=int, default=0, help="capsules that the guardrail file asks for")
    args = parser.parse_args()

    task, spec, kinematics = load_task(args.task), load_spec(), Kinematics()
    if not task.uses_world_model:
        parser.error(f"{args.task} does not plan with a world model")
    model: Any = Timed(_world_model(args.checkpoint), "predict")
    path_mask = PathMask(_with_topic(spec) if args.persons else spec, kinematics)
    path_mask.people = People(0, tuple(_bystander(index) for index in range(args.persons)))
    mask: Any = Timed(path_mask, "check")
    planner, *_ = build_planner(task, mask, model)
    rng = np.random.default_rng(0)
    rows, refused = [], 0
    load_before = os.getloadavg()[0]
    for index in range(args.plans + 5):
        if index % 10 == 0:
            planner.reset()
            belief, goal = _random_start(rng, spec, kinematics), _random_goal(rng, spec)
        model.spent_s = mask.spent_s = 0.0
        wall, cpu = time.perf_counter(), time.process_time()
        in_flight = InFlight(np.array([0, 0, 0, 0.04]), belief.target_joint_positions)
        plan = planner.plan(roll_forward(model, belief, in_flight), goal)
        row = (time.perf_counter() - wall, time.process_time() - cpu, mask.spent_s, model.spent_s)
        if isinstance(plan, Refusal):
            refused += 1
        elif index >= 5:  # the first ones warm caches up
            rows.append(row)
            belief = _moved(belief, plan)
    _print(np.array(rows) * 1e3, refused, args, task, load_before)


def _world_model(checkpoint: str | None) -> Any:
    if checkpoint is None:
        return KinematicModel()
    from ami_robot.perception.checkpoint import load_checkpoint
    from ami_robot.world_model.model import LatentWorldModel

    return LatentWorldModel(load_checkpoint(None if checkpoint == "default" else Path(checkpoint)))


def _with_topic(spec: Spec) -> Spec:
    return replace(spec, people=replace(spec.people, source_of_people="topic"))


def _bystander(index: int) -> Person:
    """Far enough away to forbid nothing."""
    foot = np.array([3.0, float(index), 0.0])
    return Person(foot, foot + np.array([0.0, 0.0, 1.7]), 0.2, np.zeros(3), 0.0)


def _random_goal(rng: np.random.Generator, spec: Any) -> Goal:
    position = rng.uniform(spec.workspace.lower_m + 0.04, spec.workspace.upper_m - 0.04)
    return Goal(position, rng.normal(size=LATENT_DIM))


def _random_start(rng: np.random.Generator, spec: Any, kinematics: Kinematics) -> Belief:
    position = _random_goal(rng, spec).tool_position
    joints, _ = kinematics.inverse(position)
    proprio = np.concatenate([position, np.zeros(3), position, [0.04]])
    return Belief(0, rng.normal(size=LATENT_DIM), proprio, joints)


def _moved(belief: Belief, plan: Any) -> Belief:
    """Where the arm is when the first action of the plan has been carried out."""
    tool = belief.proprio[6:9] + plan.actions[0, :3]
    proprio = np.concatenate([tool, plan.actions[0, :3] / 0.2, tool, plan.actions[0, ACTION_DIM - 1 :]])
    return Belief(belief.stamp_ns, belief.image_latent, proprio, plan.joint_path[0])


def _print(rows_ms: np.ndarray, refused: int, args: Any, task: TaskSettings, load_before: float) -> None:
    model = "stand-in (kinematic)" if args.checkpoint is None else f"checkpoint {args.checkpoint}"
    search = task.search
    if search is not None:
        print(f"{search.candidates} candidates, {search.iterations} iterations, ", end="")
    print(f"{task.judged_steps} judged steps, {args.task.stem}; world model: {model}")
    print(f"{len(rows_ms)} plans, {refused} refused; load {load_before:.1f} before, {os.getloadavg()[0]:.1f} after")
    print("| ms | p50 | p95 | max |\n|---|---|---|---|")
    for name, column in zip(
        ("plan, wall", "plan, cpu", "of it mask, wall", "of it model, wall"), rows_ms.T, strict=True
    ):
        print(f"| {name} | {np.percentile(column, 50):.1f} | {np.percentile(column, 95):.1f} | {column.max():.1f} |")


if __name__ == "__main__":
    main()
