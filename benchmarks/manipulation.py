"""What can be done in each task by somebody who knows the state, and how often does nothing, or chance, succeed?

    OMP_NUM_THREADS=1 python benchmarks/manipulation.py --seeds 0 50
    OMP_NUM_THREADS=1 python benchmarks/manipulation.py --tasks push pick_lift --shift size --seeds 0 64

Rows: the scripted expert that is told where the block is, holding still, and random actions, each through the
guardrail, on the same scenes. Success is the task's: within tolerance throughout the last second.
`--full` runs the guardrail as the graph does: on every joint state, with the motors' torques.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from tqdm import tqdm

from ami_robot.perception.camera import load_camera
from ami_robot.statistics import wilson_interval
from ami_robot.types import Array
from ami_sim.env import TabletopEnv
from ami_sim.experts import EXPERTS, hold
from ami_sim.policies import Behaviour, Room, Sight
from ami_sim.shifts import SHIFTS, shifted
from ami_sim.tasks import TASKS, Task, TaskJudge

ACTORS = ("expert", "hold", "random")
COLUMNS = ("task", "actor", "success", "95 %", "worst cm in last s, p50", "at goal after s, p50", "refused", "disarmed")


def episode(env: TabletopEnv, task: Task, camera: Any, actor: str, seed: int) -> dict[str, Any]:
    """Run one task to its end and return what its judge says."""
    env.reset(seed=seed, options={"scene": task.scene, "camera": camera})
    assert env.arm is not None  # there is one after reset
    judge = TaskJudge(task, env.arm.world)
    env.arm.on_substep = judge.on_substep
    script = behaviour(env, task, actor, seed)
    action, refused, disarmed, errors_m = next(script), 0, False, []
    for _ in range(task.steps):
        _, _, disarmed, _, info = env.step(action)
        refused += info["refusal"] is not None
        errors_m.append(task.error(env.arm.world))
        if disarmed:
            break
        action = script.send(sight(env))
    env.arm.on_substep = None
    outside = np.flatnonzero(np.array(errors_m) > task.tolerance_m)
    return {
        "seed": seed,
        "success": judge.success,
        "worst_m": judge.worst_m,
        "arrival_s": 0.2 * (outside[-1] + 1 if outside.size else 0),
        "refused": refused,
        "disarmed": disarmed,
    }


def sight(env: TabletopEnv) -> Sight:
    """What a script may know now."""
    assert env.arm is not None
    return Sight(env.tool_target, env.arm.world.block_poses()[0])


def behaviour(env: TabletopEnv, task: Task, actor: str, seed: int) -> Behaviour:
    """What yields the actor's actions."""
    if actor == "hold":
        return hold(0.0)
    if actor == "random":
        return random_actions(env, np.random.default_rng(seed))
    return EXPERTS[task.name](task, Room.of(env.limits), sight(env))


def random_actions(env: TabletopEnv, rng: np.random.Generator) -> Iterator[Array]:
    """Even over the box of actions."""
    while True:
        yield rng.uniform(env.action_space.low, env.action_space.high)


def summary(task: str, actor: str, rows: list[dict[str, Any]]) -> str:
    """One line of the table."""
    won = [row for row in rows if row["success"]]
    low, high = wilson_interval(len(won), len(rows))
    arrival_s = np.median([row["arrival_s"] for row in won]) if won else float("nan")
    cells = (
        *(task, actor, f"{len(won)}/{len(rows)} = {len(won) / len(rows):.0%}", f"{low:.0%} to {high:.0%}"),
        *(f"{100 * np.median([row['worst_m'] for row in rows]):.1f}", f"{arrival_s:.1f}"),
        *(str(sum(row["refused"] for row in rows)), str(sum(row["disarmed"] for row in rows))),
    )
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Run the episodes and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs=2, default=(0, 50), metavar=("FIRST", "END"))
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--actors", nargs="+", default=list(ACTORS), choices=ACTORS)
    parser.add_argument("--shift", default=None, choices=SHIFTS)
    parser.add_argument("--full", action="store_true", help="the guardrail sees every joint state, and torques")
    args = parser.parse_args()
    env, camera = TabletopEnv(fast=not args.full, feels=args.full), load_camera()
    print(f"seeds {args.seeds[0]}..{args.seeds[1] - 1}; shift {args.shift}\n")
    print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|")
    begun = time.process_time()
    for name in args.tasks:
        for actor in args.actors:
            rows = []
            for seed in tqdm(range(*args.seeds), desc=f"{name} {actor}", unit="episode", leave=False):
                task, seen_by = TASKS[name](seed), camera
                if args.shift:
                    task, seen_by = shifted(args.shift, task, camera)
                rows.append(episode(env, task, seen_by, actor, seed))
            print(summary(name, actor, rows), flush=True)
            failed = [row["seed"] for row in rows if not row["success"]]
            if actor == "expert" and failed:
                tqdm.write(f"  the expert failed at seeds {failed}")
    print(f"\n{time.process_time() - begun:.0f} s of CPU time")
    env.close()


if __name__ == "__main__":
    main()
