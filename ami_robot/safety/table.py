"""The table of the guardrails: what holds, where it is enforced, and the test that dies without it.

The numbers are those of the guardrail file and are not repeated here: formulas name its keys. Rows without numbers
stand for what an input has to be before anything is computed from it. A test compares this table with file and code.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ami_robot.safety.rows import BodyRegion, Box, ToolClass
from ami_robot.safety.spec import Spec

LAYERS = {
    "planner": "candidates whose joint path or imagined outcome breaks it are not taken; with none left it refuses",
    "inbox": "looked at before anything is computed from a message; what breaks it is refused",
    "filter": "the motion made of a proposal is bent or stretched until it holds, or refused",
    "last gate": "the trajectory, as it will be sent, is checked from its first to its last instant, and refused",
    "watch": "checked at every joint state, 100 Hz: the arm brakes",
    "switch": "decides who may move the arm, and whether anything may",
}


@dataclass(frozen=True)
class Entry:
    """One guardrail: `row` is its name in the guardrail file and in every Refusal and margin."""

    row: str
    holds: str  # formula, with the keys of the guardrail file
    layers: tuple[str, ...]  # of LAYERS
    unit: str  # of its margin; empty where it has no measure
    test: str  # pytest id: fails when the guardrail is deleted


PLANNER, INBOX, FILTER, GATE, WATCH, SWITCH = LAYERS
_GUARDRAIL = "tests/safety/test_guardrail.py::"
_JOINTS = "tests/safety/test_joint_watch.py::"
_MESSAGES = "tests/safety/test_inbox.py::"
_CHOICE = "tests/safety/test_choice.py::"
_ROWS = "tests/safety/test_rows.py::"

TABLE = (
    Entry(
        "joint_position",
        "lower_rad + margin_rad <= q(t) <= upper_rad - margin_rad; measured: lower_rad <= q <= upper_rad",
        (PLANNER, FILTER, GATE, WATCH), "rad", _CHOICE + "test_a_trajectory_beyond_an_end_stop_is_refused",
    ),
    Entry(
        "joint_velocity", "|dq/dt| <= command_fraction * limit_rad_per_s; measured: |dq/dt| <= limit_rad_per_s",
        (PLANNER, FILTER, GATE, WATCH), "rad/s", _JOINTS + "test_a_measured_joint_velocity_beyond_its_limit_brakes",
    ),
    Entry(
        "joint_acceleration", "|d2q/dt2| <= command_fraction * limit_rad_per_s2",
        (PLANNER, FILTER, GATE), "rad/s^2", _CHOICE + "test_a_trajectory_beyond_a_joint_limit_is_refused",
    ),
    Entry(
        "joint_jerk", "|d3q/dt3| <= command_fraction * limit_rad_per_s3",
        (FILTER, GATE), "rad/s^3", _CHOICE + "test_a_trajectory_that_jerks_is_refused",
    ),
    Entry(
        "torque", "|M(q) q'' + C(q, q') q' + g(q)| <= command_fraction * limit_n_m, held load included",
        (GATE,), "N m",
        _ROWS + "test_a_motion_that_asks_a_motor_for_too_much_torque_is_refused",
    ),
    Entry(
        "workspace", "lower_m <= tool target <= upper_m; between two of them out by at most path_tolerance_m",
        (PLANNER, FILTER, GATE), "m", _MESSAGES + "test_a_tool_target_outside_the_workspace_is_refused",
    ),
    Entry(
        "arm_space", "lower_m + r <= sphere centre <= upper_m - r for every sphere of the moving arm",
        (PLANNER, FILTER, GATE), "m",
        _ROWS + "test_a_motion_that_lifts_the_arm_out_of_its_space_is_refused",
    ),
    Entry(
        "table", "z of sphere centre - r - height_m >= clearance_m for every sphere of the moving arm",
        (PLANNER, FILTER, GATE), "m", _CHOICE + "test_a_trajectory_that_dips_towards_the_table_is_refused",
    ),
    Entry(
        "obstacles", "|sphere centre - box| - r >= clearance_m for every sphere and every box",
        (PLANNER, FILTER, GATE), "m",
        _ROWS + "test_a_motion_through_an_obstacle_is_refused",
    ),
    Entry(
        "self_collision", "distance of two sphere centres - r - r >= clearance_m for links that are not neighbours",
        (FILTER, GATE), "m",
        _ROWS + "test_a_turn_of_the_hand_into_the_forearm_is_refused",
    ),
    Entry(
        "singularity", "least singular value of the tool's Jacobian >= min_singular_value",
        (GATE,), "1",
        _ROWS + "test_a_motion_towards_a_singular_posture_is_refused",
    ),
    Entry(
        "contact",
        "coming down <= approach_speed_m_per_s below approach_height_m;"
        " |measured - modelled torque| <= max_external_torque_n_m",
        (GATE, WATCH), "m/s or N m",
        _ROWS + "test_a_fast_approach_to_the_table_is_refused",
    ),
    Entry(
        "people",
        "at every t until a brake that begins reaction_s from now is at rest: |sphere - capsule| - r - r_person"
        " - radius error - measurement_error_m - intrusion_m >= max_speed_m_per_s * (age + t)",
        (PLANNER, FILTER, WATCH), "m",
        _ROWS + "test_nothing_moves_where_somebody_could_be_before_the_arm_has_stopped",
    ),
    Entry(
        "power_and_force",
        "a person in reach: speed of every part <= min over regions of max_force_n / sqrt(mu * stiffness_n_per_m),"
        " 1 / mu = 1 / mass_kg + 1 / (moving_mass_kg / 2 + load)",
        (FILTER, WATCH), "m/s",
        _ROWS + "test_with_somebody_in_reach_the_arm_slows_down_to_the_cap_of_power_and_force",
    ),
    Entry(
        "tool_hazard",
        "a person in reach: tip speed <= sqrt(2 max_energy_j / effective_mass_kg); a blade moves only while the cosine"
        " between its direction and the way to them <= max_facing_cosine",
        (FILTER, WATCH), "m/s or 1",
        _ROWS + "test_with_somebody_in_reach_a_blade_slows_down_to_its_cap",
    ),
    Entry(
        "model_error",
        "conformal bound with miscoverage, over the horizon, <= max_bound_m;"
        " fewer than trips of the last window steps beyond it",
        (PLANNER,), "m",
        "tests/safety/test_monitor.py::test_a_tool_elsewhere_than_imagined_trips_with_the_third_such_step_of_five",
    ),
    Entry(
        "tool_displacement", "|displacement| <= max_m_per_step + tolerance_m",
        (PLANNER, INBOX), "m", _MESSAGES + "test_a_displacement_longer_than_one_step_allows_is_refused",
    ),
    Entry(
        "command_rate", "time since the last command >= min_interval_s",
        (INBOX,), "s", _MESSAGES + "test_commands_faster_than_the_model_step_cannot_add_up_to_a_higher_speed",
    ),
    Entry(
        "trajectory",
        "names, shapes, finite, 0 < t_1 < t_2 < .. <= max_duration_s, at most max_points, rest at the end",
        (INBOX, GATE), "s", _CHOICE + "test_a_malformed_trajectory_or_one_that_does_not_end_at_rest_is_refused",
    ),
    Entry(
        "gripper", "lower_m - tolerance_m <= width <= upper_m + tolerance_m",
        (INBOX,), "m", _MESSAGES + "test_a_gripper_width_out_of_range_is_refused",
    ),
    Entry(
        "inverse_kinematics", "|asked - solved tool position| <= max_error_m",
        (PLANNER, FILTER), "m", _MESSAGES + "test_a_target_that_the_arm_cannot_reach_is_refused",
    ),
    Entry(
        "staleness", "-future_s <= age <= the input's own limit; stamps and clock never go back",
        (PLANNER, INBOX, WATCH), "s", _JOINTS + "test_a_stale_joint_state_brakes",
    ),
    Entry(
        "transport", "early or late by jitter_s a trajectory keeps the whole joint limits; decided within decision_s",
        (FILTER, GATE), "s", _CHOICE + "test_a_trajectory_that_only_holds_when_it_arrives_in_time_is_refused",
    ),
    Entry(
        "tracking", "|measured - commanded q| <= max_error_rad for each joint",
        (WATCH,), "rad", _JOINTS + "test_an_arm_that_does_not_follow_brakes",
    ),
    Entry(
        "arming", "armed on request, at rest: |dq/dt| <= rest_velocity_rad_per_s, inside every limit, last motion over",
        (SWITCH,), "rad/s", _GUARDRAIL + "test_a_moving_arm_cannot_be_armed",
    ),
    Entry(
        "e_stop",
        "not pressed, not latched; heard within max_silence_s (0: no heartbeat is asked for); reset only at rest",
        (WATCH, SWITCH), "s",
        _ROWS + "test_a_pressed_e_stop_brakes_and_stays_latched",
    ),
    Entry(
        "deadman", "each of sources moves the arm only while its switch was heard pressed within max_age_s",
        (WATCH, SWITCH), "s",
        _ROWS + "test_a_deadman_switch_that_falls_silent_brakes",
    ),
    Entry(
        "joint_state", "each joint named once, positions and velocities finite, as many as names",
        (WATCH,), "", _JOINTS + "test_a_malformed_joint_state_brakes",
    ),
    Entry(
        "proposal", "a Proposal with exactly one of displacement and trajectory",
        (INBOX,), "", _MESSAGES + "test_a_proposal_of_both_kinds_or_of_none_is_refused",
    ),
    Entry(
        "source", "comes from the one selected source",
        (INBOX, SWITCH), "", _MESSAGES + "test_another_source_is_refused_and_cannot_push_out_the_selected_one",
    ),
    Entry(
        "sequence", "greater than the source's last one",
        (INBOX, GATE), "", _MESSAGES + "test_a_replayed_or_older_sequence_is_refused",
    ),
    Entry(
        "filter", "the quadratic programme is finite, its solver ends with a solution, and numpy finds it in every row",
        (FILTER,), "",
        _ROWS + "test_the_filter_does_not_begin_with_what_is_not_finite",
    ),
    Entry(
        "goal", "there is a goal",
        (PLANNER,), "", "tests/test_agent.py::test_without_a_goal_or_a_belief_it_says_what_is_missing",
    ),
    Entry(
        "unknown_state", "belief and goal are finite",
        (PLANNER,), "",
        "tests/actor/test_icem.py::test_a_start_or_goal_with_nan_is_refused_before_anything_is_imagined",
    ),
    Entry(
        "imagination", "the world model has a finite outcome for some candidate",
        (PLANNER,), "", "tests/actor/test_icem.py::test_outcomes_with_nan_are_dropped_and_all_nan_is_a_refusal",
    ),
)  # fmt: skip
"""Every guardrail, those of the guardrail file first and in its order."""


def numbers(spec: Spec, row: str) -> str:
    """The row's keys and numbers as text, its source left out; empty for a row without numbers."""
    record = getattr(spec, row, None)
    return "" if record is None else _text_of_record(record)


def _text_of_record(record: Any) -> str:
    keys = [item.name for item in fields(record) if item.name not in ("source", "name")]
    return ", ".join(f"{key} {_text(getattr(record, key))}" for key in keys)


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"[{', '.join(f'{number:g}' for number in value)}]"
    if isinstance(value, tuple):
        return "; ".join(map(_text, value))
    if isinstance(value, Box | BodyRegion | ToolClass):
        return f"{value.name}: {_text_of_record(value)}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
