"""The way out: with somebody in the picture, the arm goes on only while there is a checked way for it to come to rest.

Why no person meets a moving arm, by induction over the steps, which come with the joint states. Relied upon is one of:

    the rest of the running motion   all static rows were checked when it was accepted, from its first to its last
                                     instant; so it is enough that nobody can be anywhere on it before it rests
    a brake at the next step         the motion up to `reaction_s` from now, then this very trajectory: its static rows
                                     and people are checked now, and it is kept

People stay within what is reckoned with (greatest speed, errors), so what was free of them a step ago still is. A step
goes on when it finds one of the two anew. When it does not, the first one found a step ago still holds by itself; and
the second one is sent now, not a newer brake that nobody has checked for people. A motion is accepted only with one of
them, so there always is one. What is found broken in a brake stops the arm a step before that brake would be needed.

The brake reaches the controller between `jitter_s` before now (an arm that is behind the command) and `reaction_s`
after it; sent at any time up to reaction_s - jitter_s from now, transport keeps it within that. It starts from whatever
is desired by then: the ends and the middle of the interval are looked at, as the gate looks at early and late starts of
every motion (see `strays`). Times of people are those of the latest start. Steps that are further apart than
reaction_s - jitter_s leave the brake unproven: then a new one is computed and checked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.gate import check_motion, times_until
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.motion import Spline, brake
from ami_robot.safety.spec import Spec
from ami_robot.safety.strays import strays
from ami_robot.types import NS_PER_S, Array, JointTrajectory, Refusal


@dataclass(frozen=True, eq=False)
class Stop:
    """A brake out of a motion, at the next step."""

    trajectory: JointTrajectory
    motion: Spline  # when all is in time
    times_s: Array  # (T,), from now: on for the reaction time, then braking from the latest start
    positions: Array  # (T, 7), rad
    early_times_s: Array  # (E,): the brake from the earliest start, no sooner than the other one
    early_positions: Array  # (E, 7), rad


@dataclass(frozen=True, eq=False)
class WayOut:
    """A brake that keeps all static rows when it is sent within this time."""

    trajectory: JointTrajectory
    from_ns: int
    until_ns: int


def next_stop(spec: Spec, motion: Spline, elapsed_s: float) -> Stop | None:
    """The shortest brake at the next step; None where the motion rests no later by itself."""
    reaction_s, jitter_s = spec.people.reaction_s, spec.transport.jitter_s
    start = motion.sample(elapsed_s + (reaction_s - jitter_s) / 2.0)
    also_from = strays(motion, elapsed_s, jitter_s, reaction_s)
    trajectory = brake(start, spec, also_from)
    stop_s = float(trajectory.times_s[-1])
    if not reaction_s + stop_s < motion.duration_s - elapsed_s:
        return None
    on_s, braking_s = times_until(reaction_s), times_until(stop_s)
    early, late = motion.sample(elapsed_s - jitter_s), motion.sample(elapsed_s + reaction_s)
    from_late, from_early = (Spline(begin, trajectory).positions(braking_s) for begin in (late, early))
    return Stop(
        trajectory,
        Spline(start, trajectory, also_from),
        np.append(on_s, reaction_s + braking_s[1:]),
        np.concatenate([motion.positions(elapsed_s + on_s), from_late[1:]]),
        reaction_s + braking_s,
        from_early,
    )


def verify(
    spec: Spec,
    kinematics: Kinematics,
    dynamics: Dynamics,
    stop: Stop,
    load_kg: float,
    tip: Array | None,
    now_ns: int,
) -> WayOut | Refusal:
    """All static rows of the brake, or the one that it would break."""
    broken = check_motion(spec, kinematics, dynamics, stop.motion, load_kg, tip).refusal
    if broken is not None:
        reason = f"Somebody is near, and a brake at the next step would not hold: {broken.reason}"
        return Refusal(reason, broken.guardrail, broken.margin)
    usable_s = spec.people.reaction_s - spec.transport.jitter_s
    return WayOut(stop.trajectory, now_ns, now_ns + int(usable_s * NS_PER_S))
