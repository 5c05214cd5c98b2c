"""Runs the episodes of an evaluation in worker processes. What is done stays done, however the process ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from ami_robot.pool import ONE_THREAD, results
from ami_robot.types import Array, Plan, Refusal
from ami_sim.agent_actor import AgentActor, Decision
from ami_sim.attempt import Actor, Attempt, attempt
from ami_sim.env import Observation, TabletopEnv
from ami_sim.evaluation.contestants import Contestants, Entry
from ami_sim.evaluation.states import FAILURES, save_states, state_file
from ami_sim.evaluation.suites import Key, parse_suite
from ami_sim.evaluation.table import Table
from ami_sim.world import Snapshot


def run_missing(
    table: Table, entry: Entry, episodes: Iterable[Key], commit: str, workers: int, on_episode: Callable[[dict], None]
) -> None:
    """Run the episodes that the table lacks; on_episode hears of each. Interrupted, no worker stays behind."""
    missing = [key for key in episodes if key not in table.episodes]
    if not missing:
        return
    (table.folder / FAILURES).mkdir(exist_ok=True)
    os.environ.update(ONE_THREAD)
    work = partial(run_episode, entry, table.folder / FAILURES)
    with closing(results(work, missing, workers, one_thread)) as done:
        for _, episode in done:
            episode["commit"] = commit
            table.add(episode)
            on_episode(episode)


def one_thread() -> None:
    """In a worker."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)


def run_episode(entry: Entry, failures: Path, key: Key) -> dict[str, Any]:
    """One line of the table. Of a failed episode of an agent, the states are written to its file in `failures`."""
    suite, row, seed = key
    contestants = contestants_of(entry)
    task, camera = parse_suite(suite).episode(seed, contestants.camera)
    actor = contestants.actor(row, task, camera)
    states: list[Snapshot] = []

    def watched(env: TabletopEnv, observation: Observation) -> Array:
        assert env.arm is not None
        states.append(env.arm.world.snapshot())
        return actor(env, observation)

    tried = attempt(contestants.env, task, watched, camera)
    if isinstance(actor, AgentActor) and not tried.success:
        assert contestants.env.arm is not None
        save_states(failures / state_file(key), [*states, contestants.env.arm.world.snapshot()])
    return episode_line(key, tried, actor)


def episode_line(key: Key, tried: Attempt, actor: Actor) -> dict[str, Any]:
    """What the table keeps of an episode."""
    suite, row, seed = key
    return {
        "suite": suite,
        "row": row,
        "seed": seed,
        "success": tried.success,
        "error_m": finite(tried.error_m),
        "arrival_s": round(tried.arrival_s, 2),
        "guardrail_refusals": tried.refusals,
        "disarmed": tried.disarmed,
        "errors_m": [finite(error_m) for error_m in tried.errors_m],
        **(_figures(actor.decisions) if isinstance(actor, AgentActor) else {}),
    }


def finite(value: float) -> float | None:
    """To a tenth of a millimetre or millisecond; None for infinity, for which JSON has no number."""
    return round(value, 4) if np.isfinite(value) else None


@lru_cache(maxsize=1)
def contestants_of(entry: Entry) -> Contestants:
    """Those of this process."""
    return Contestants(entry)


def _figures(decisions: list[Decision]) -> dict[str, Any]:
    """How long the agent's answers took, searched and not, and why it gave none."""
    plans = [(each, each.answer) for each in decisions if isinstance(each.answer, Plan)]
    refusals = [each.answer.guardrail for each in decisions if isinstance(each.answer, Refusal)]
    return {
        "search_ms": [finite(each.wall_ms) for each, plan in plans if plan.searched],
        "search_cpu_ms": [finite(each.cpu_ms) for each, plan in plans if plan.searched],
        "unsearched_ms": [finite(each.wall_ms) for each, plan in plans if not plan.searched],
        "planner_refusals": {row: refusals.count(row) for row in sorted(set(refusals))},
    }
