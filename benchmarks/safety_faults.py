"""One row for each of 22 faults: how long until the arm brakes, against a bound that follows from the guardrail file.

brake_ms  from the onset until a brake rules the arm, or until it rests where nothing brakes; the closest to its bound
bound_ms  tick    the next joint state, and transport
          stray   when the arm is first told to be further from its command than `tracking` allows, and a tick
          tail    the longest motion, transport, and drives that settle
          frame   the greatest age of a frame, a model step, and the tail
          lost    a model step and the tail: what is lost may be the brake, too
          person  the people sensor's delay and period, and a tick
trigger   "fault", or "e-stop" where the fault is harmless by design: then a stop is asked for at its onset
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tqdm import tqdm

from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.motion import MOVE_DURATIONS_S
from ami_robot.safety.spec import Spec, load_spec
from ami_robot.types import MODEL_STEP_S
from ami_sim.arm import JOINT_STATES_HZ, SimulatedArm
from ami_sim.scene import Scene
from ami_sim.trials.fault_list import FAULTS, JITTER_S, CommandLoss
from ami_sim.trials.fault_rig import Fault, Reaction, Rig
from ami_sim.world import PHYSICS_HZ

TRIALS = 30
SENSOR_S = 0.05 + 1 / 30  # delay and period of PeopleSensor
_SETTLING_S = 0.1  # drives, after the end of a motion


def fault_table(trials: int = TRIALS) -> list[dict[str, Any]]:
    """All faults, each on so many seeds, one after the other in this process."""
    spec, kinematics, dynamics = load_spec(), Kinematics(), Dynamics()
    arm = SimulatedArm(replace(Scene.from_seed(0), blocks=()))
    try:
        return [_row(kind, trials, arm, spec, kinematics, dynamics) for kind in tqdm(FAULTS, unit="fault")]
    finally:
        arm.close()


def _row(
    kind: type[Fault], trials: int, arm: SimulatedArm, spec: Spec, kinematics: Kinematics, dynamics: Dynamics
) -> dict[str, Any]:
    if kind.bound == "person":
        spec = replace(spec, people=replace(spec.people, source_of_people="topic"))
    rows: list[dict[str, Any]] = []
    reactions: list[Reaction] = []
    for seed in range(trials):
        fault = kind(seed)
        reaction = Rig(arm, spec, kinematics, dynamics, fault).run()
        bound = fault.bound if fault.stops else "tick"
        bound_s = _bound_s(bound, spec, reaction)
        if isinstance(fault, CommandLoss) and not fault.stops:
            bound_s += JITTER_S  # the e-stop's brake is as late as everything else
        reactions.append(reaction)
        rows.append(
            {
                "name": kind.name,
                "brake_ms": round(reaction.brake_s * 1e3, 1),
                "bound_ms": round(bound_s * 1e3, 1),
                "bound": bound,
                "trigger": "fault" if fault.stops else "e-stop",
            }
        )
    tightest = max(rows, key=lambda row: row["brake_ms"] - row["bound_ms"])
    return tightest | {
        "latched": all(reaction.latched for reaction in reactions),
        "rest_ms": round(max(reaction.rest_s for reaction in reactions) * 1e3, 1),
        "peak_rad_per_s": round(max(reaction.peak_rad_per_s for reaction in reactions), 3),
        "least_m": round(min(reaction.least_m for reaction in reactions), 4),
        "trials": trials,
        "note": kind.note,
    }


def _bound_s(bound: str, spec: Spec, reaction: Reaction) -> float:
    tick = 1.0 / JOINT_STATES_HZ + spec.transport.jitter_s + 1.0 / PHYSICS_HZ
    of_motions = motion_bounds_s(spec)
    stray = min(reaction.stray_s + tick, of_motions["lost"])
    return (of_motions | {"tick": tick, "stray": stray, "person": SENSOR_S + tick})[bound]


def motion_bounds_s(spec: Spec) -> dict[str, float]:
    """Of the faults after which what was sent ends by itself: s from the onset to rest."""
    tail = float(MOVE_DURATIONS_S[-1]) + spec.transport.jitter_s + _SETTLING_S
    lost = MODEL_STEP_S + tail
    return {"tail": tail, "lost": lost, "frame": spec.staleness.frame_s + lost}
