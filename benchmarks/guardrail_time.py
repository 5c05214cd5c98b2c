"""How long does one step of the guardrail take? Percentiles of thread CPU time over a random walk of the tool.

    OMP_NUM_THREADS=1 python benchmarks/guardrail_time.py

Joint states come at 100 Hz, proposals 5 times a second, from an arm that follows perfectly. Rows: a fenced cell, and a
cell where people are asked for, with nobody and with two people who walk to and fro. `idle` is a step that had nothing
to decide, `decision` one with a proposal: the motion, every check of it, and the last gate.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace

import numpy as np

from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.guardrail import Guardrail
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.motion import Spline
from ami_robot.safety.spec import Spec, load_spec
from ami_robot.types import HeldTool, JointState, People, Person, Proposal

TICK_NS, TICKS_PER_PROPOSAL = 10_000_000, 20
REST = np.zeros(7)
WALKS_AT_M = 1.8  # from the arm's base: out of reach of the tool, near enough to be reckoned with


def main() -> None:
    """Walk in each cell and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    fenced = load_spec()
    asked = replace(fenced, people=replace(fenced.people, source_of_people="topic"))
    print(f"{args.steps} steps, seed {args.seed}, load {os.getloadavg()[0]:.1f}; ms of thread CPU time, p50 p95 p99")
    for name, spec, persons in (("fenced", fenced, 0), ("nobody", asked, 0), ("two people", asked, 2)):
        idle, decision, moved = walk(spec, persons, args.steps, args.seed)
        columns = "   ".join(
            f"{what} " + " ".join(f"{ms:.2f}" for ms in np.percentile(times, [50, 95, 99]))
            for what, times in (("idle", idle), ("decision", decision))
        )
        print(f"{name:>10}   {columns}   ({moved} of {len(decision)} proposals became motion)")


def walk(spec: Spec, persons: int, steps: int, seed: int) -> tuple[list[float], list[float], int]:
    """Milliseconds of the steps without and with a proposal, and how many proposals became motion."""
    rng, kinematics = np.random.default_rng(seed), Kinematics()
    guardrail = Guardrail(spec, kinematics, Dynamics())
    guardrail.select_source("walk")
    q, _ = kinematics.inverse((spec.workspace.lower_m + spec.workspace.upper_m) / 2.0)
    now_ns = since_ns = 1_000_000_000
    guardrail.arm(JointState(q, REST, REST), now_ns, now_ns)
    motion: Spline | None = None
    idle: list[float] = []
    decision: list[float] = []
    moved = 0
    for tick in range(steps):
        state = JointState(q, REST, REST) if motion is None else motion.sample((now_ns - since_ns) / 1e9)
        guardrail.people(People(now_ns, tuple(_person(side, now_ns) for side in range(persons))))
        guardrail.held_tool(HeldTool(now_ns, "none", REST[:3]))
        proposes = tick % TICKS_PER_PROPOSAL == 0
        if proposes:
            target = guardrail.status(now_ns).target_tool_position
            guardrail.propose(_proposal(spec, target, tick, now_ns, rng))
        begun = time.thread_time()
        report = guardrail.step(spec.joint_names, state.positions, state.velocities, now_ns, now_ns)
        (decision if proposes else idle).append((time.thread_time() - begun) * 1e3)
        if report is not None and report.sent is not None:
            motion, since_ns, moved = Spline(state, report.sent), now_ns, moved + (report.decision != "brake")
        now_ns += TICK_NS
    return idle, decision, moved


def _proposal(spec: Spec, target: np.ndarray, sequence: int, now_ns: int, rng: np.random.Generator) -> Proposal:
    """A full step in any direction, turned back at the end of the workspace."""
    way = rng.normal(size=3)
    reach_m = spec.tool_displacement.max_m_per_step
    wanted = target + way * reach_m / np.linalg.norm(way)
    step = np.clip(wanted, spec.workspace.lower_m, spec.workspace.upper_m) - target
    return Proposal("walk", sequence, now_ns, now_ns, spec.staleness.proposal_s, 0.04, tool_displacement=step)


def _person(side: int, now_ns: int) -> Person:
    x_m, y_m = WALKS_AT_M + 0.1 * np.sin(now_ns / 1e9), (-0.5, 0.5)[side]
    return Person(np.array([x_m, y_m, 0.0]), np.array([x_m, y_m, 1.8]), 0.2, REST[:3], 0.02)


if __name__ == "__main__":
    main()
