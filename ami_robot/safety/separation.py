"""People near the arm: how far to stay away, how slowly to move near them, and where a blade may point.

A person is a capsule that grows with the greatest speed of people and the age of what was seen; nothing is assumed of
where they go. Motions are sphere centres (T, S, 3), m, in base_link at times (T,), s, from now on. A held tool is one
more sphere: callers append its tip, with radius 0. Whatever is NaN or malformed gives a NaN margin, so that
`not (margin >= 0)` refuses; `check_people` and `check_held_tool` say why.

Sources: ISO/TS 15066:2016, 5.5.4 (separation) and Annex A (power and force); ISO 13855 (speed of approach); Kirschner
et al., arXiv 2404.04004 and 2408.06175 (energy of tools). This is no safety-rated implementation of any of them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ami_robot.safety.capsules import capsules, greatest_cosine, is_point, least_margin, nearest
from ami_robot.safety.checks import check_age, is_number, is_stamp
from ami_robot.safety.rows import ToolClass
from ami_robot.safety.spec import Spec
from ami_robot.types import NS_PER_S, Array, HeldTool, People, Refusal

_UNKNOWN = float("nan")


def separation_margin(spec: Spec, centers: Array, radii: Array, times_s: Array, people: People, now_ns: int) -> float:
    """Least distance, m, between a sphere of a motion and where a person can be by then; +inf with nobody.

    Centres (T, S, 3), m; radii (S,), m; times (T,), s from now, increasing. For each of them

        |centre - axis| - r_sphere - r_person - error_person - measurement_error - intrusion - max_speed (age + t),

    which is ISO/TS 15066's separation distance with the arm's own path in place of v_r T_R + B. It holds between the
    samples too: a sphere slower than people are nears them by less than their reach grows until the next sample, and
    what a faster one gains on them in one step is subtracted.
    """
    if not people.persons:
        return math.inf
    row = spec.people
    margin = least_margin(centers, radii, times_s, people, row.max_speed_m_per_s)
    come_m = row.max_speed_m_per_s * _age_s(people, now_ns)
    return margin - come_m - row.measurement_error_m - row.intrusion_m


def in_reach(spec: Spec, centers: Array, radii: Array, people: People, now_ns: int) -> bool:
    """Whether somebody could touch a sphere (..., S, 3) with radii (S,), m, within reach_horizon_s; True for NaN."""
    if not people.persons:
        return False
    row = spec.people
    reach_m = row.max_speed_m_per_s * (_age_s(people, now_ns) + row.reach_horizon_s)
    return not nearest(centers, radii, people) - reach_m - row.measurement_error_m - row.intrusion_m > 0.0


def required_separation(spec: Spec, speed_m_per_s: float, stopping_s: float) -> float:
    """Protective separation distance S_p, m, of an arm that moves towards a person and needs `stopping_s` to stop.

    S_p = v_h (T_R + T_S) + v_r T_R + B + C + Z (ISO/TS 15066, 5.5.4.2), with an even deceleration, so B = v_r T_S / 2.
    For reports and tables; the check is `separation_margin`, which knows the way that the arm takes.
    """
    row = spec.people
    of_person = row.max_speed_m_per_s * (row.reaction_s + stopping_s)
    of_arm = speed_m_per_s * (row.reaction_s + stopping_s / 2.0)
    return of_person + of_arm + row.intrusion_m + row.measurement_error_m


def tool_class(spec: Spec, held_tool: HeldTool | None, now_ns: int) -> ToolClass | None:
    """The hazard of what the gripper holds, None for nothing; unknown, malformed, stale or never heard is a point."""
    classes: dict[str, ToolClass] = {tool.name: tool for tool in spec.tool_hazard.classes}
    if held_tool is None or check_held_tool(spec, held_tool, now_ns) is not None:
        return classes["point"]
    if held_tool.hazard == "none":
        return None
    return classes.get(held_tool.hazard, classes["point"])


def speed_cap(spec: Spec, tool: ToolClass | None, load_kg: float) -> tuple[float, float]:
    """Greatest speeds, m/s, of any part of the arm and of the tool's tip while a person is in reach.

    Arm: v = F / sqrt(mu k), 1 / mu = 1 / m_H + 1 / (M / 2 + load), least over the regions of the body (ISO/TS 15066,
    A.3.4). Tip: v = sqrt(2 E / m) of the tool's class (Kirschner et al.), never above the arm's. NaN for a load that is
    not a mass.
    """
    if not (is_number(load_kg) and load_kg >= 0.0):
        return _UNKNOWN, _UNKNOWN
    row = spec.power_and_force
    of_arm_kg = row.moving_mass_kg / 2.0 + load_kg
    arm = min(
        region.max_force_n / math.sqrt(region.stiffness_n_per_m / (1.0 / region.mass_kg + 1.0 / of_arm_kg))
        for region in row.regions
    )
    if tool is None:
        return arm, arm
    return arm, min(arm, math.sqrt(2.0 * tool.max_energy_j / spec.tool_hazard.effective_mass_kg))


def facing_margin(
    spec: Spec, tip_position: Array, tip_direction: Array, people: People, tool: ToolClass | None
) -> float:
    """max_facing_cosine minus the greatest cosine between the tip's direction and the way to anybody's nearest point.

    Tip positions, m, and directions of any length, (..., 3) in base_link; the least over all of them. Negative when the
    tool points at somebody, NaN for a tip on somebody's axis or a direction of zero; +inf with nobody, without a tool,
    and for one that may face people.
    """
    if not people.persons or tool is None or tool.may_face_people:
        return math.inf
    return spec.tool_hazard.max_facing_cosine - greatest_cosine(tip_position, tip_direction, people)


def check_people(spec: Spec, people: People | None, now_ns: int) -> Refusal | None:
    """Heard, fresh, and every capsule finite with radii that are not negative; None when all of that holds."""
    if not isinstance(people, People) or not isinstance(people.persons, tuple | list):
        return Refusal("Nothing usable was heard about people.", "people", _UNKNOWN)
    staleness = spec.staleness
    stale = check_age(people.stamp_ns, now_ns, staleness.people_s, staleness.future_s, "message about people")
    if stale is not None:
        return stale
    malformed = np.isnan(capsules(people)[:, 0])
    if malformed.any():
        reason = f"Person {malformed.argmax()} is not a capsule of finite points and radii that are not negative."
        return Refusal(reason, "people", _UNKNOWN)
    return None


def check_held_tool(spec: Spec, held_tool: HeldTool | None, now_ns: int) -> Refusal | None:
    """Heard, fresh, a hazard in words, a finite tip and a mass; None when all of that holds."""
    if not isinstance(held_tool, HeldTool) or not isinstance(held_tool.hazard, str):
        return Refusal("Nothing usable was heard about the held tool.", "tool_hazard", _UNKNOWN)
    staleness = spec.staleness
    stale = check_age(held_tool.stamp_ns, now_ns, staleness.held_tool_s, staleness.future_s, "message about the tool")
    if stale is not None:
        return stale
    if not (is_point(held_tool.tip) and is_number(held_tool.mass_kg) and held_tool.mass_kg >= 0.0):
        return Refusal("The held tool's tip or mass is not finite, or the mass is negative.", "tool_hazard", _UNKNOWN)
    return None


def _age_s(people: People, now_ns: Any) -> float:
    """Age of what was seen, s; a stamp ahead of the clock is of now."""
    if not (is_stamp(people.stamp_ns) and is_stamp(now_ns)):
        return _UNKNOWN
    return max(0.0, (int(now_ns) - int(people.stamp_ns)) / NS_PER_S)
