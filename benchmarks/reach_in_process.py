"""Does the agent bring the tool to where a goal picture shows it? In one process, faster than real time, no ROS.

    OMP_NUM_THREADS=1 python benchmarks/reach_in_process.py --seeds 100000 100020 --methods all
    OMP_NUM_THREADS=1 python benchmarks/reach_in_process.py --methods icem --set cost.tool_distance=4.0

One step of latency, as in the graph: the plan made from the frame of step k is carried out at step k + 1, and the
planner starts from the belief rolled forward through the command of step k. Success is the judge's: within 3 cm
throughout the last second of eight. `analytic_ik` is told the true goal position; `decoded_goal_ik` and `icem` see the
goal picture only.
`--full` runs the guardrail as the graph does: on every joint state, with the motors' torques.
`--camera-moved-m 0 0.04 0` asks what happens when the camera, for goal and episode alike, is not where it was in
training.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from tqdm import tqdm

from ami_robot.configurator.configurator import ANALYTIC, REACH, TaskSettings, build_agent, load_task, parse_task
from ami_robot.perception.checkpoint import load_checkpoint
from ami_robot.perception.encoder import ImageEncoder
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import load_spec
from ami_robot.statistics import wilson_interval
from ami_robot.strict import read_yaml
from ami_robot.types import MODEL_STEP_S, Goal, Refusal
from ami_robot.world_model.model import LatentWorldModel
from ami_sim.agent_actor import AgentActor, pictured_goal
from ami_sim.attempt import Actor
from ami_sim.env import TabletopEnv
from ami_sim.judge import EPISODE_S, HOLD_S, SUCCESS_DISTANCE_M, Judge, Verdict
from ami_sim.scene import Scene
from ami_sim.world import render_goal_image

METHODS = ("hold", "random", "analytic_ik", "decoded_goal_ik", "icem")
COLUMNS = (
    *("method", "success", "95 %", "final cm, mean", "worst cm in last s, p50 / max", "arrival s, p50"),
    *("violations", "planner refused", "guardrail changed", "plan ms"),
)


class Bench:
    """One environment, one checkpoint, any number of episodes."""

    def __init__(
        self, checkpoint: Path | None, task: TaskSettings, camera_moved_m: Sequence[float], full: bool
    ) -> None:
        loaded = load_checkpoint(checkpoint)
        self.encoder, self.world_model = ImageEncoder(loaded), LatentWorldModel(loaded)
        self.spec, self.kinematics = load_spec(), Kinematics()
        trained = loaded.training_camera
        self.camera = replace(trained, position=trained.position + np.array(camera_moved_m))
        self.env = TabletopEnv(limits=self.spec, fast=not full, camera=self.camera, feels=full)
        self.task = task
        self.straight = load_task(ANALYTIC)

    def episode(self, method: str, seed: int) -> dict[str, Any]:
        """Run one scene to the end and return what the judge and the clock say."""
        observation, _ = self.env.reset(seed=seed)
        scene, arm = self.env.scene, self.env.arm
        assert arm is not None  # there is one after reset
        judge = Judge(scene, self.spec, arm.time_s)
        arm.on_substep, arm.controller.on_accept = judge.on_substep, judge.on_command
        goal = self._goal(method, scene)
        act = self._actor(method, goal, seed)
        stopped = 0
        for _ in range(round(EPISODE_S / MODEL_STEP_S)):
            observation, _, _, _, info = self.env.step(act(self.env, observation))
            stopped += info["refusal"] is not None
        decisions = act.decisions if isinstance(act, AgentActor) else []
        verdict = judge.verdict()
        arm.on_substep = arm.controller.on_accept = None
        return {
            "method": method,
            "seed": seed,
            "success": verdict.success,
            "final_m": verdict.final_distance_m,
            "worst_last_second_m": float(verdict.distances_m[verdict.times_s >= EPISODE_S - HOLD_S].max()),
            "arrival_s": _arrival_s(verdict),
            "decode_error_m": float(np.linalg.norm(goal.tool_position - scene.goal_position)),
            "violations": verdict.violations,
            "refusals": sum(isinstance(decision.answer, Refusal) for decision in decisions),
            "guardrail": stopped,
            "plan_ms": float(np.median([decision.wall_ms for decision in decisions])) if decisions else 0.0,
        }

    def _goal(self, method: str, scene: Scene) -> Goal:
        if method in ("hold", "random", "analytic_ik"):
            return Goal(scene.goal_position)
        goal = pictured_goal(self.encoder, render_goal_image(scene, self.camera))
        if method == "decoded_goal_ik":  # what is read a little outside should not cost this control a refusal
            return Goal(np.clip(goal.tool_position, self.spec.workspace.lower_m, self.spec.workspace.upper_m))
        return goal

    def _actor(self, method: str, goal: Goal, seed: int) -> Actor:
        if method == "hold":
            return lambda *_: np.zeros(4)
        if method == "random":
            rng, reach = np.random.default_rng(seed), self.spec.tool_displacement.max_m_per_step
            return lambda *_: np.append(rng.uniform(-reach, reach, 3) / np.sqrt(3), 0.0)
        task = self.task if method == "icem" else self.straight
        agent = build_agent(task, self.spec, self.kinematics, self.world_model)
        if refusal := agent.pursue(goal):
            raise RuntimeError(refusal.reason)
        return AgentActor(agent, self.encoder)


def _arrival_s(verdict: Verdict) -> float:
    """From when on the tool stays within the judge's distance; NaN when it is outside at the end."""
    outside = np.flatnonzero(verdict.distances_m > SUCCESS_DISTANCE_M)
    stays_from = outside[-1] + 1 if outside.size else 0
    return float(verdict.times_s[stays_from]) if stays_from < verdict.times_s.size else float("nan")


def with_overrides(task: Path, overrides: list[str]) -> dict[str, Any]:
    """The task file's mapping with `section.key=value` put in."""
    data = read_yaml(task)
    for override in overrides:
        name, value = override.split("=")
        section, key = name.split(".")
        data[section][key] = yaml.safe_load(value)
    return data


def main() -> None:
    """Run the episodes and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs=2, default=(100_000, 100_020), metavar=("FIRST", "END"))
    parser.add_argument("--methods", nargs="+", default=["all"], choices=(*METHODS, "all"))
    parser.add_argument("--checkpoint", type=Path, default=None)
    parser.add_argument("--task", type=Path, default=REACH)
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="SECTION.KEY=VALUE", help="change the task file's values"
    )
    parser.add_argument(
        "--camera-moved-m", type=float, nargs=3, default=(0.0, 0.0, 0.0), help="where it stands, off its training place"
    )
    parser.add_argument("--full", action="store_true", help="the guardrail sees every joint state, and torques")
    parser.add_argument("--out", type=Path, default=None, help="append one JSON line for each episode")
    args = parser.parse_args()

    task = parse_task(with_overrides(args.task, args.set), str(args.task))
    bench = Bench(args.checkpoint, task, args.camera_moved_m, args.full)
    settings = " ".join(args.set) or "as they ship"
    print(f"checkpoint {bench.encoder.checkpoint_sha256[:12]}; seeds {args.seeds[0]}..{args.seeds[1] - 1}; ", end="")
    print(f"camera moved by {list(args.camera_moved_m)} m; settings {settings}\n")
    print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|")
    for method in METHODS if "all" in args.methods else args.methods:
        rows = []
        for seed in tqdm(range(*args.seeds), desc=method, unit="episode", leave=False):
            rows.append(bench.episode(method, seed))
            if args.out:
                with args.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({**rows[-1], "set": args.set}) + "\n")
        print(summary(method, rows), flush=True)


def summary(method: str, rows: list[dict[str, Any]]) -> str:
    """One line of the table."""
    won = sum(row["success"] for row in rows)
    low, high = wilson_interval(won, len(rows))
    column = {key: np.array([row[key] for row in rows]) for key in ("final_m", "worst_last_second_m", "plan_ms")}
    worst_cm = np.percentile(column["worst_last_second_m"], [50, 100]) * 100
    arrivals_s = [row["arrival_s"] for row in rows if np.isfinite(row["arrival_s"])]
    return (
        f"| {method} | {won}/{len(rows)} = {won / len(rows):.0%} | {low:.0%} to {high:.0%} "
        f"| {np.mean(column['final_m']) * 100:.2f} | {worst_cm[0]:.2f} / {worst_cm[1]:.2f} "
        f"| {np.median(arrivals_s) if arrivals_s else float('nan'):.1f} "
        f"| {sum(len(row['violations']) for row in rows)} | {sum(row['refusals'] for row in rows)} "
        f"| {sum(row['guardrail'] for row in rows)} | {np.median(column['plan_ms']):.0f} |"
    )


if __name__ == "__main__":
    main()
