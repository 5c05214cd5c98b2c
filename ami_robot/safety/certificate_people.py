"""People and the held tool, reckoned anew for `certificate` from what the report says was known of them.

separation  an arm that runs on to its end, or for reaction_s and then brakes as hard as its limits allow, is at rest
            before anybody who runs at max_speed from where they were seen can be there (ISO/TS 15066, 5.5.4)
caps        while somebody could be there within reach_horizon_s: no part faster than power and force allow
            (Annex A), the tip of the tool no faster than its energy allows, and no blade pointed at them
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ami_robot.safety.certificate_geometry import Arm, Neighbours
from ami_robot.safety.certificate_motion import Motion
from ami_robot.safety.certificate_rows import CAUTION, ROUNDING, Margin, joint_margins, sample_times
from ami_robot.safety.spec import Spec
from ami_robot.types import MODEL_STEP_S, NS_PER_S, Array, GuardrailReport, JointState, JointTrajectory, People

_RUNS_ON_M = 0.05  # by more than this the guardrail, too, finds that the motion can simply run on to its end
_BORDER_M = 0.005  # of being in reach: two samplings of one motion may differ about who stands there
_SAMPLING = 0.002  # m, m/s: by how much a coarser sampling of the same motion may look better
_BRAKES_S = np.arange(0.1, 1.02, 0.02)


def people_margins(
    spec: Spec, arm: Arm, motion: Motion, report: GuardrailReport, elsewhere: Sequence[Motion] = ()
) -> dict[str, Margin]:
    """Margins of the rows about people of a command that follows a proposal; empty when nobody is there.

    The report's people must be known. `elsewhere`: the same motion, begun early or late.
    """
    people = report.people
    if people is None or not people.persons:
        return {}
    row, tip = spec.people, _tip(report)
    neighbours = Neighbours(spec.robot, people.persons, tip)
    age_s = max(0.0, (report.stamp_ns - people.stamp_ns) / NS_PER_S)
    errors_m = row.measurement_error_m + row.intrusion_m
    times_s = sample_times(motion.duration_s)
    q, dq, ddq = motion.sample(times_s)
    apart_m = neighbours.distances(arm, q) - errors_m
    free_m = apart_m - row.max_speed_m_per_s * (age_s + spec.transport.jitter_s + times_s)
    margins = {"people": _margin("people", float(free_m.min()))}
    if not margins["people"].least >= _RUNS_ON_M:
        stopping_s, on_the_way = _until_stopped(spec, motion)
        free_m = neighbours.distances(arm, on_the_way) - errors_m - row.max_speed_m_per_s * (age_s + stopping_s)
        if float(free_m.min()) > margins["people"].least:
            stopped = _margin("people", float(free_m.min()))
            margins = {"people": replace(stopped, least_claim=min(stopped.least_claim, margins["people"].least_claim))}
    out_of_reach_m = float(apart_m.min())
    out_of_reach_m -= row.max_speed_m_per_s * (age_s + row.reach_horizon_s)
    if out_of_reach_m < (_BORDER_M if "tool_hazard" in report.margins else -_BORDER_M):
        seen = arm.sample(q, dq, ddq, 0.0)
        tips = seen.tool_m + seen.tool_axes @ tip
        arm_cap, tip_cap = _caps(spec, report)
        of_tip = _greatest_speed(tips[:, None], times_s)
        of_arm = _greatest_speed(seen.centers_m, times_s)
        for other in elsewhere:
            joining_s = sample_times(other.join_s)
            joins = arm.sample(*other.sample(joining_s), 0.0)
            of_tip = max(of_tip, _greatest_speed((joins.tool_m + joins.tool_axes @ tip)[:, None], joining_s))
            of_arm = max(of_arm, _greatest_speed(joins.centers_m, joining_s))
        of_arm = max(of_arm, of_tip)
        margins["power_and_force"] = _margin("power_and_force", arm_cap - of_arm)
        margins["tool_hazard"] = _margin("tool_hazard", tip_cap - of_tip)
        facing = _facing(spec, report, tips, seen.tool_axes, people)
        if not facing >= -ROUNDING:  # the row's other half, which reports do not measure
            margins["tool_hazard"] = replace(margins["tool_hazard"], least=facing, holds=False)
    return margins


def why_unknown(spec: Spec, report: GuardrailReport) -> Iterator[str]:
    """One sentence when the command was decided without knowing about people, though the file asks for them."""
    if spec.people.source_of_people != "topic":
        return
    if report.people is None:
        yield "It was decided although nothing was known about people."
        return
    age_s = (report.stamp_ns - report.people.stamp_ns) / NS_PER_S
    if not -spec.staleness.future_s <= age_s <= spec.staleness.people_s:
        yield f"What was known about people was {age_s:.3f} s old; at most {spec.staleness.people_s} s are allowed."


def _until_stopped(spec: Spec, motion: Motion) -> tuple[Array, Array]:
    """Times (T,), s, and joint positions (T, 7): on for the reaction time, then the shortest brake within the limits.

    The brake is made for the middle of when it may arrive, and here arrives as late as it may.
    The motion itself, begun late, where that rests sooner or no brake keeps the limits.
    """
    reaction_s = spec.people.reaction_s
    start = motion.state((reaction_s - spec.transport.jitter_s) / 2.0)
    for brake_s in _BRAKES_S:
        if not reaction_s + brake_s < motion.duration_s:
            break
        stop = _brake(start, float(brake_s))
        if all(margin.holds for margin in joint_margins(spec, stop).values()):
            on_s, braking_s = sample_times(reaction_s), sample_times(float(brake_s))
            knots_s = np.append(np.arange(MODEL_STEP_S, brake_s - MODEL_STEP_S / 2.0, MODEL_STEP_S), brake_s)
            late = Motion(motion.state(reaction_s), JointTrajectory((), knots_s, *stop.sample(knots_s)))
            q = np.concatenate([motion.sample(on_s)[0], late.sample(braking_s)[0]])
            return np.concatenate([on_s, reaction_s + braking_s]), q
    times_s = sample_times(motion.duration_s)
    return times_s + spec.transport.jitter_s, motion.sample(times_s)[0]


def _brake(start: JointState, duration_s: float) -> Motion:
    """To rest with a velocity that is a cubic: the way is v T / 2 + a T^2 / 12."""
    end = start.positions + start.velocities * duration_s / 2.0 + start.accelerations * duration_s**2 / 12.0
    rest = np.zeros((1, len(end)))
    return Motion(start, JointTrajectory((), np.array([duration_s]), end[None], rest, rest))


def _caps(spec: Spec, report: GuardrailReport) -> tuple[float, float]:
    """Greatest speed, m/s, of the arm and of the tip."""
    load_kg = report.held_tool.mass_kg if report.held_tool is not None else 0.0
    energy_j, _ = _hazard(spec, report)
    arm_kg = spec.power_and_force.moving_mass_kg / 2.0 + load_kg
    arm = min(
        region.max_force_n * math.sqrt((1.0 / region.mass_kg + 1.0 / arm_kg) / region.stiffness_n_per_m)
        for region in spec.power_and_force.regions
    )
    return arm, min(arm, math.sqrt(2.0 * energy_j / spec.tool_hazard.effective_mass_kg))


def _hazard(spec: Spec, report: GuardrailReport) -> tuple[float, bool]:
    """Energy, J, that the tip may have, and whether it may face people; what is not known is a point."""
    tool, classes = report.held_tool, {each.name: each for each in spec.tool_hazard.classes}
    if tool is not None:
        age_s = (report.stamp_ns - tool.stamp_ns) / NS_PER_S
        fresh = -spec.staleness.future_s <= age_s <= spec.staleness.held_tool_s
        if fresh and tool.hazard == "none":
            return math.inf, True
        if fresh and tool.hazard in ("blunt", "edge"):
            known = classes["blunt" if tool.hazard == "blunt" else "edge"]
            return known.max_energy_j, known.may_face_people
    return classes["point"].max_energy_j, classes["point"].may_face_people


def _tip(report: GuardrailReport) -> Array:
    """From the tool point, m, in the frame of the tool; a tool that is not known ends at the fingertips."""
    return np.zeros(3) if report.held_tool is None else np.asarray(report.held_tool.tip, dtype=np.float64)


def _facing(spec: Spec, report: GuardrailReport, tips: Array, axes: Array, people: People) -> float:
    """max_facing_cosine less the greatest cosine between the tool's direction and the way to anybody."""
    if _hazard(spec, report)[1]:
        return math.inf
    tip = _tip(report)
    along = axes @ (tip if tip.any() else np.array([0.0, 0.0, 1.0]))  # down the hand where no tip is known
    greatest = -1.0
    for person in people.persons:
        axis = person.end_b - person.end_a
        share = np.clip((tips - person.end_a) @ axis / max(float(axis @ axis), 1e-300), 0.0, 1.0)
        way = person.end_a + share[:, None] * axis - tips
        cosines = (way * along).sum(axis=1) / (np.linalg.norm(way, axis=1) * np.linalg.norm(along, axis=1))
        greatest = max(greatest, float(cosines.max()))
    return spec.tool_hazard.max_facing_cosine - greatest


def _greatest_speed(points: Array, times_s: Array) -> float:
    """Of points (n, S, 3) at times (n,), m/s."""
    return float(np.linalg.norm(np.gradient(points, times_s, axis=0), axis=-1).max())


def _margin(row: str, least: float) -> Margin:
    return Margin(least, bool(least >= -ROUNDING), least + _SAMPLING, least - CAUTION[row])
