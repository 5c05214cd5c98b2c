"""Planner against oracle dynamics: one search with the learned world model and again with the simulator in its place.

Both begin in the same state with the same settings, random numbers, cost, goal picture and guardrail masks, without a
plan from before; each plan is then carried out to its end, beside what the expert does from there and holding still.
What is lost with the model and not with the oracle is the model's doing; what is lost with both is that of cost or
search.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ami_robot.agent import Agent
from ami_robot.configurator.configurator import CHECKPOINTS, TaskSettings, build_cost
from ami_robot.cost.cost import Imagined, WeightedSum
from ami_robot.perception.block_head import read_block_head
from ami_robot.perception.camera import CameraModel
from ami_robot.safety.monitor import Monitor
from ami_robot.types import ACTION_DIM, Array, Belief, Outcomes, Plan, Refusal
from ami_sim.agent_actor import latent_of
from ami_sim.env import Observation, TabletopEnv
from ami_sim.evaluation.contestants import Contestants, Entry, entered
from ami_sim.evaluation.run import contestants_of, finite
from ami_sim.evaluation.suites import EvaluationError, Suite
from ami_sim.oracle_model import OracleModel
from ami_sim.tasks import Task

ROWS = {
    "model": "planned with the learned world model",
    "oracle": "planned with the simulator",
    "expert": "a script that is told where everything is",
    "hold": "never moves",
}

DONE_M = 0.002
"""From the least error that the expert comes to: closer than that it has done what it does."""

_DRAW = 11  # of a seed, for how many steps before that a search begins


@dataclass(frozen=True, eq=False)
class Start:
    """A state from which the goal is within the reach of a plan, since an expert gets there in as many steps."""

    observation: Observation  # the environment's, which is there
    step: int  # since the task's start
    done_step: int  # after which the expert is done
    expert: Array  # (H, ACTION_DIM): what it does from here


def contestants_against_oracle(task_file: Path, checkpoint: Path | None) -> Contestants:
    """The one agent that is compared with itself.

    Raises EvaluationError when it would plan nothing, or asks its world model for more than an oracle knows.
    """
    contestants = Contestants(entered([], [task_file], checkpoint, full=False))
    contestants.check()
    task = contestants.tasks[task_file.stem]
    if (task.icem is None and task.mppi is None) or task.policy is not None:
        raise EvaluationError(
            f"{task_file} cannot be held against an oracle: that takes the planner icem or mppi, without a policy, "
            "since the simulator says what comes of actions from one state, and not how that changes with them."
        )
    return contestants


def compare(entry: Entry, suite: Suite, seed: int) -> dict[str, Any]:
    """One episode, as plain values; `left_out` says that the expert fails in it, so nothing is known to be in reach.

    Errors m; costs as the planner weighs them, of what really comes of the actions; `imagined_cost` is what each
    planner thought that its plan would cost.
    """
    contestants = contestants_of(entry)
    (row, settings), env = next(iter(contestants.tasks.items())), contestants.env
    assert settings.search is not None  # nothing else is held against an oracle
    horizon = settings.search.horizon
    task, camera = suite.episode(seed, contestants.camera)
    start = start_of(contestants, task, camera, horizon)
    if start is None:
        return {"seed": seed, "left_out": True}
    assert env.arm is not None  # there is one after reset
    oracle = OracleModel(env, start.observation, task, contestants.encoder)
    episode: dict[str, Any] = {
        "seed": seed,
        "left_out": False,
        "expert_done_step": start.done_step,
        "start_step": start.step,
        "start_error_m": finite(task.error(env.arm.world)),
        **{name: {} for name in ("errors_m", "costs", "imagined_cost", "refused", "search_s")},
    }
    width = env.report.gripper_width
    actions = {"expert": start.expert, "hold": _lasting(np.zeros((0, ACTION_DIM)), horizon, width)}
    agents = {
        name: contestants.pursuing(row, task, camera, world_model)
        for name, world_model in (("model", None), ("oracle", oracle))
    }
    belief = _belief(agents["model"], contestants, start.observation)
    for name, agent in agents.items():
        began = time.perf_counter()
        answer = _plan(agent, belief)
        episode["search_s"][name] = finite(time.perf_counter() - began)
        if isinstance(answer, Refusal):
            episode["refused"][name] = answer.reason
        else:
            episode["imagined_cost"][name] = finite(answer.cost)
        planned = np.zeros((0, ACTION_DIM)) if isinstance(answer, Refusal) else answer.actions
        actions[name] = _lasting(planned, horizon, width)
    goal = agents["model"].goal
    assert goal is not None  # it pursues one
    cost = _cost(settings, contestants.encoder.checkpoint_sha256).for_goal(goal)
    for name in ROWS:
        carried, done = oracle.carry_out(actions[name]), actions[name][None]
        outcomes = Outcomes(carried.image_latents[None], carried.proprio[None], np.zeros(done.shape[:2]))
        episode["errors_m"][name] = finite(float(carried.errors_m[-1]))
        episode["costs"][name] = finite(float(cost.terms(Imagined(belief, goal, done, outcomes)).sum()))
    return episode


def start_of(contestants: Contestants, task: Task, camera: CameraModel, horizon: int) -> Start | None:
    """Bring the environment to 2 to `horizon` steps before the expert is done, or to the task's start if it is later.

    How many is drawn from the seed. With one step to go, what ends the way is under way already and nothing is left to
    plan. None when the expert fails.
    """
    env, expert = contestants.env, contestants.actor("expert", task, camera)
    observation, errors_m, actions = _reset(env, task, camera), [], []
    for _ in range(task.steps + horizon):
        actions.append(np.asarray(expert(env, observation), float))
        observation, *_ = env.step(actions[-1])
        assert env.arm is not None  # there is one after reset
        errors_m.append(task.error(env.arm.world))
    if min(errors_m) > task.tolerance_m:
        return None
    done_step = 1 + int(np.argmax(np.array(errors_m) <= min(errors_m) + DONE_M))
    left = int(np.random.default_rng([task.scene.seed, _DRAW]).integers(min(2, horizon), horizon + 1))
    step = min(max(0, done_step - left), task.steps)
    observation = _reset(env, task, camera)
    for action in actions[:step]:
        observation, *_ = env.step(action)
    return Start(observation, step, done_step, np.stack(actions[step : step + horizon]))


def _reset(env: TabletopEnv, task: Task, camera: CameraModel) -> Observation:
    return env.reset(seed=task.scene.seed, options={"scene": task.scene, "camera": camera})[0]


def _belief(agent: Agent, contestants: Contestants, observation: Observation) -> Belief:
    """What an agent believes whose command is not under way but done: the world waits for this search."""
    env = contestants.env
    assert env.arm is not None  # there is one after reset
    report, now_ns = env.report, env.arm.time_ns
    agent.on_report(report.target_joint_positions, report.target_tool_position, report.gripper_width, now_ns)
    agent.on_latent(latent_of(contestants.encoder, observation, now_ns))
    recalled = agent.memory.recall(now_ns)
    assert not isinstance(recalled, Refusal)  # both were just told
    return recalled[0]


def _plan(agent: Agent, belief: Belief) -> Plan | Refusal:
    """As the agent would, its masks as wide, but without a limit of time."""
    assert isinstance(agent.monitor, Monitor) and agent.goal is not None
    agent.mask.widen_m = agent.monitor.widen_m
    return agent.planner.plan(belief, agent.goal)


def _lasting(actions: Array, horizon: int, width: float) -> Array:
    """(H, ACTION_DIM): the actions, then to hold still with the gripper as it is."""
    held = np.zeros((horizon - len(actions), ACTION_DIM))
    held[:, 3] = actions[-1, 3] if len(actions) else width
    return np.concatenate([actions, held])


def _cost(settings: TaskSettings, checkpoint_sha256: str) -> WeightedSum:
    assert settings.cost is not None  # comes with a world model
    head = read_block_head(CHECKPOINTS / settings.block_head, checkpoint_sha256) if settings.block_head else None
    return build_cost(settings.cost, head)
