"""What the figures are compared with: ways to act without a world model, on the same scenes.

They run in process, through the environment's guardrail and controller, as fast as the machine allows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ami_robot.actor.planner import straight_steps
from ami_robot.configurator.configurator import ANALYTIC, load_task
from ami_robot.types import MODEL_STEP_S, Array
from ami_sim.attempt import attempt
from ami_sim.env import TabletopEnv
from ami_sim.evaluation.contestants import Contestants, entered
from ami_sim.judge import EPISODE_S, Judge
from ami_sim.scene import Scene
from ami_sim.tasks import TASKS, Task

CONTROLS = {
    "hold": "never moves",
    "random": "the longest step allowed, in a random direction, each time",
    "analytic_ik": "straight to the true goal, which it is told",
    "decoded_goal_ik": "straight to the position that the trained head reads from the goal picture, no world model",
    "expert": "a script that is told where everything is",
}

Policy = Callable[[Array], Array]
"""Tool target (3,), m -> displacement (3,), m."""


@dataclass(frozen=True)
class ControlResult:
    """One episode of one control."""

    control: str
    seed: int
    success: bool
    final_distance_m: float
    violations: tuple[str, ...]


def run_controls(task: str, seed: int, decoded_goal: Array | None) -> list[ControlResult]:
    """All controls on one scene of a task, of TASKS; decoded_goal_ik is left out where no goal position (3,) m was
    decoded.
    """
    return _reach(seed, decoded_goal) if task == "reach" else _handle(TASKS[task](seed))


def _handle(task: Task) -> list[ControlResult]:
    """Those of an evaluation: the tool alone brings no block to its place."""
    contestants = Contestants(entered(None, (), None, full=False))
    try:
        played = {
            name: attempt(contestants.env, task, contestants.actor(name, task, contestants.camera))
            for name in contestants.entry.controls
        }
    finally:
        contestants.env.close()
    return [ControlResult(name, task.scene.seed, each.success, each.errors_m[-1], ()) for name, each in played.items()]


def _reach(seed: int, decoded_goal: Array | None) -> list[ControlResult]:
    env = TabletopEnv(fast=True)
    scene = Scene.from_seed(seed)
    try:
        return [run_control(name, policy, env, scene) for name, policy in _policies(env, scene, decoded_goal).items()]
    finally:
        env.close()


def run_control(name: str, policy: Policy, env: TabletopEnv, scene: Scene) -> ControlResult:
    """One episode of EPISODE_S."""
    env.reset(seed=scene.seed, options={"scene": scene})
    assert env.arm is not None
    judge = Judge(scene, env.limits, env.arm.time_s)
    env.arm.controller.on_accept, env.arm.on_substep = judge.on_command, judge.on_substep
    for _ in range(round(EPISODE_S / MODEL_STEP_S)):
        env.step(np.append(policy(env.tool_target), 0.0))  # once disarmed, the arm stays where it braked
    verdict = judge.verdict()
    return ControlResult(name, scene.seed, verdict.success, verdict.final_distance_m, tuple(verdict.violations))


def success_counts(results: Sequence[ControlResult]) -> dict[str, tuple[int, int]]:
    """Successes and episodes of each control."""
    counts: dict[str, tuple[int, int]] = {}
    for name in CONTROLS:
        outcomes = [result.success for result in results if result.control == name]
        if outcomes:
            counts[name] = sum(outcomes), len(outcomes)
    return counts


def _policies(env: TabletopEnv, scene: Scene, decoded_goal: Array | None) -> dict[str, Policy]:
    settings = load_task(ANALYTIC).straight_line
    assert settings is not None
    limit_m = min(settings.max_step_m, env.limits.tool_displacement.max_m_per_step)
    rng = np.random.default_rng(scene.seed)

    def random_step(_: Array) -> Array:
        direction = rng.normal(size=3)
        return limit_m * direction / np.linalg.norm(direction)

    def straight_to(goal: Array) -> Policy:
        return lambda target: straight_steps(goal - target, limit_m, settings.gain, 1)[0]

    policies: dict[str, Policy] = {
        "hold": lambda _: np.zeros(3),
        "random": random_step,
        "analytic_ik": straight_to(scene.goal_position),
    }
    if decoded_goal is not None:
        # what a picture is read as may lie a little outside; this control should not lose by a refusal
        inside = np.clip(decoded_goal, env.limits.workspace.lower_m, env.limits.workspace.upper_m)
        policies["decoded_goal_ik"] = straight_to(inside)
    return policies
