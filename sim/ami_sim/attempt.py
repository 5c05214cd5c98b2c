"""One attempt at a task through the environment and its guardrail, by anything that turns observations into actions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ami_robot.perception.camera import CameraModel
from ami_robot.types import MODEL_STEP_S, Array
from ami_sim.env import Observation, TabletopEnv
from ami_sim.policies import Behaviour, Sight
from ami_sim.tasks import Task, TaskJudge

Actor = Callable[[TabletopEnv, Observation], Array]
"""What gives the next action (4,). One that is to be judged by its pictures looks at the observation alone."""


@dataclass(frozen=True)
class Attempt:
    """How it went."""

    success: bool
    error_m: float  # the greatest in the last second; infinite when there was none
    arrival_s: float  # from when on the task's error stayed within tolerance at the end of each step
    refusals: int  # steps in which the guardrail refused something
    disarmed: bool  # the guardrail ended it early
    errors_m: tuple[float, ...]  # the task's error at the end of each step


def attempt(env: TabletopEnv, task: Task, actor: Actor, camera: CameraModel | None = None) -> Attempt:
    """Let the actor try from the start to the end, seen by the environment's camera or by one that was moved."""
    observation, _ = env.reset(seed=task.scene.seed, options={"scene": task.scene, "camera": camera})
    assert env.arm is not None  # there is one after reset
    judge = TaskJudge(task, env.arm.world)
    env.arm.on_substep = judge.on_substep
    refusals, disarmed = 0, False
    errors_m: list[float] = []
    try:
        while len(errors_m) < task.steps and not disarmed:
            observation, _, disarmed, _, info = env.step(actor(env, observation))
            refusals += info["refusal"] is not None
            errors_m.append(task.error(env.arm.world))
    finally:
        env.arm.on_substep = None
    outside = np.flatnonzero(np.array(errors_m) > task.tolerance_m)
    arrival_s = MODEL_STEP_S * (int(outside[-1]) + 1 if outside.size else 0)
    return Attempt(judge.success, judge.error_m, arrival_s, refusals, disarmed, tuple(errors_m))


def scripted(begin: Callable[[Sight], Behaviour]) -> Actor:
    """An actor that follows a script, which knows where the blocks are."""
    script: Behaviour | None = None

    def act(env: TabletopEnv, _: Observation) -> Array:
        nonlocal script
        assert env.arm is not None
        sight = Sight(env.tool_target, env.arm.world.block_poses()[0])
        if script is None:
            script = begin(sight)
            return next(script)
        return script.send(sight)

    return act
