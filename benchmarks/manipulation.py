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

import numpy as np
from tqdm import tqdm

from ami_robot.perception.camera import load_camera
from ami_robot.safety.spec import load_spec
from ami_robot.statistics import wilson_interval
from ami_sim.attempt import Actor, Attempt, attempt, scripted
from ami_sim.env import TabletopEnv
from ami_sim.experts import EXPERTS, hold
from ami_sim.policies import Room
from ami_sim.shifts import SHIFTS, shifted
from ami_sim.tasks import TASKS, Task

ACTORS = ("expert", "hold", "random")
COLUMNS = ("task", "actor", "success", "95 %", "worst cm in last s, p50", "at goal after s, p50", "refused", "disarmed")


def actor_of(name: str, task: Task) -> Actor:
    """The actor of a row, for one attempt."""
    if name == "hold":
        return scripted(lambda sight: hold(0.0))
    if name == "random":
        rng = np.random.default_rng(task.scene.seed)
        return lambda env, _: rng.uniform(env.action_space.low, env.action_space.high)
    room = Room.of(load_spec())
    return scripted(lambda sight: EXPERTS[task.name](task, room, sight))


def summary(task: str, actor: str, attempts: list[Attempt]) -> str:
    """One line of the table."""
    won = [each for each in attempts if each.success]
    low, high = wilson_interval(len(won), len(attempts))
    arrival_s = np.median([each.arrival_s for each in won]) if won else float("nan")
    cells = (
        *(task, actor, f"{len(won)}/{len(attempts)} = {len(won) / len(attempts):.0%}", f"{low:.0%} to {high:.0%}"),
        *(f"{100 * np.median([each.error_m for each in attempts]):.1f}", f"{arrival_s:.1f}"),
        *(str(sum(each.refusals for each in attempts)), str(sum(each.disarmed for each in attempts))),
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
    env, seeds, begun = TabletopEnv(fast=not args.full, feels=args.full), range(*args.seeds), time.process_time()
    print(f"seeds {seeds[0]}..{seeds[-1]}; shift: {args.shift or 'none'}\n")
    print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|")
    failed = []
    for name in args.tasks:
        for actor in args.actors:
            attempts = []
            for seed in tqdm(seeds, desc=f"{name} {actor}", unit="episode", leave=False):
                task, camera = TASKS[name](seed), load_camera()
                if args.shift:
                    task, camera = shifted(args.shift, task, camera)
                attempts.append(attempt(env, task, actor_of(actor, task), camera))
            print(summary(name, actor, attempts), flush=True)
            if actor == "expert":
                failed += [f"{name} {seed}" for seed, each in zip(seeds, attempts, strict=True) if not each.success]
    env.close()
    print(
        f"\nwhere the expert failed: {', '.join(failed) or 'nowhere'}; {time.process_time() - begun:.0f} s of CPU time"
    )


if __name__ == "__main__":
    main()
