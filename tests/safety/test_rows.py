"""Rows of the guardrail file one by one: what keeps every other row and breaks this one moves nothing, or stops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from guardrail_bench import (
    CENTRE,
    DYNAMICS,
    KINEMATICS,
    REST,
    SPEC,
    START,
    Bench,
    assert_braked,
    assert_refused,
    at_rest,
    offer,
    trajectory_to,
)  # fmt: skip

from ami_robot.safety.dynamics import min_singular_value
from ami_robot.safety.filter import nearest_target
from ami_robot.safety.motion import Spline, move_to_rest
from ami_robot.safety.rows import Box
from ami_robot.types import HeldTool, People, Person, Refusal

ASIDE = np.array([0.5, 0.2, 0.2])


def with_row(row: str, **numbers):
    return replace(SPEC, **{row: replace(getattr(SPEC, row), **numbers)})


def along(trajectory, start=START):
    spline = Spline(at_rest(start), trajectory)
    return [spline.sample(t_s) for t_s in np.linspace(0.0, spline.duration_s, 200)]


def test_a_motion_that_asks_a_motor_for_too_much_torque_is_refused():
    trajectory = trajectory_to(CENTRE + np.array([0.0, 0.04, 0.0]))
    greatest = max(abs(DYNAMICS.torques(s.positions, s.velocities, s.accelerations)[0]) for s in along(trajectory))
    limit = SPEC.torque.limit_n_m.copy()
    limit[0] = 0.8 * greatest / SPEC.torque.command_fraction  # standing still, the first joint needs none
    assert offer(trajectory).decision == "accepted"
    assert_refused(offer(trajectory, Bench(spec=with_row("torque", limit_n_m=limit))), "torque")


def test_a_motion_that_lifts_the_arm_out_of_its_space_is_refused():
    trajectory = trajectory_to([0.5, 0.0, 0.38])
    tops = [(KINEMATICS.spheres(s.positions)[:, 2] + KINEMATICS.sphere_radii)[KINEMATICS.sphere_links >= 2].max()
            for s in along(trajectory)]  # fmt: skip
    low = with_row("arm_space", upper_m=np.array([0.9, 0.75, (tops[0] + max(tops)) / 2.0]))
    assert offer(trajectory).decision == "accepted"
    assert_refused(offer(trajectory, Bench(spec=low)), "arm_space")


def test_a_motion_through_an_obstacle_is_refused():
    post = Box("post", np.array([0.45, 0.18, 0.0]), np.array([0.55, 0.22, 0.3]))
    assert_refused(offer(trajectory_to(ASIDE), Bench(spec=with_row("obstacles", boxes=(post,)))), "obstacles")


def test_a_turn_of_the_hand_into_the_forearm_is_refused():
    for turn_rad, decision in ((0.1, "accepted"), (1.2, "refused")):
        trajectory = move_to_rest(at_rest(START), START + turn_rad * np.eye(7)[6], SPEC)
        report = offer(trajectory)
        assert report.decision == decision
    assert_refused(report, "self_collision")


def test_a_motion_towards_a_singular_posture_is_refused():
    trajectory = trajectory_to([0.67, 0.0, 0.2])
    values = [float(min_singular_value(KINEMATICS, s.positions)) for s in along(trajectory)]
    between = (values[0] + min(values)) / 2.0
    assert_refused(offer(trajectory, Bench(spec=with_row("singularity", min_singular_value=between))), "singularity")


def test_a_fast_approach_to_the_table_is_refused():
    above = KINEMATICS.inverse(np.array([0.5, 0.0, 0.08]))[0]
    trajectory = trajectory_to([0.5, 0.0, 0.04], start=above)
    slow = with_row("contact", approach_speed_m_per_s=0.02)
    assert offer(trajectory, Bench(q=above)).decision == "accepted"
    assert_refused(offer(trajectory, Bench(q=above, spec=slow)), "contact")


@pytest.mark.parametrize("joint", range(7))
def test_an_arm_that_is_pushed_brakes(joint):
    bench = Bench()
    state, torques = bench.state, DYNAMICS.torques(START, REST, REST)
    push = np.eye(7)[joint] * (SPEC.contact.max_external_torque_n_m + 1.0)
    names = SPEC.joint_names
    assert bench.guardrail.step(names, state.positions, REST, bench.now_ns, bench.now_ns, torques) is None
    report = bench.guardrail.step(names, state.positions, REST, bench.now_ns, bench.now_ns, torques + push)
    assert_braked(bench, report, "contact")


def seen(distance_m: float, hazard: str = "none", tip=(0.0, 0.0, 0.1), **rows) -> Bench:
    """An armed guardrail that sees somebody that far from the tool, beside it, and knows what the gripper holds."""
    spec = replace(with_row("people", source_of_people="topic"), **rows)
    bench = Bench(spec=spec)
    foot = CENTRE + np.array([0.0, distance_m, -0.2])
    person = Person(foot, foot + np.array([0.0, 0.0, 1.5]), 0.1, np.zeros(3), 0.0)
    bench.guardrail.people(People(bench.now_ns, (person,)))
    bench.guardrail.held_tool(HeldTool(bench.now_ns, hazard, np.array(tip)))
    return bench


def test_nothing_moves_where_somebody_could_be_before_the_arm_has_stopped():
    assert seen(0.6).propose().decision == "accepted"
    assert_refused(seen(0.4).propose(), "people")


def test_nothing_moves_before_anything_is_heard_of_people():
    bench = Bench(spec=with_row("people", source_of_people="topic"))
    assert_refused(bench.propose(), "people")
    bench.guardrail.people(People(bench.now_ns, ()))
    assert bench.wait(100).propose().decision == "accepted"


def test_with_somebody_in_reach_the_arm_slows_down_to_the_cap_of_power_and_force():
    weak = tuple(replace(region, max_force_n=region.max_force_n / 8.0) for region in SPEC.power_and_force.regions)
    report = seen(0.8, power_and_force=replace(SPEC.power_and_force, regions=weak)).propose()
    assert report.decision == "modified"
    assert 0.0 <= report.margins["power_and_force"] < 0.02  # of any part; the tip is one, and the first to be named
    assert seen(0.8).propose().decision == "accepted"


def test_with_somebody_in_reach_a_blade_slows_down_to_its_cap():
    report = seen(0.8, hazard="edge").propose()
    assert report.decision == "modified"
    assert report.refusal.guardrail == "tool_hazard"
    assert 0.0 <= report.margins["tool_hazard"] < 0.02


def test_a_blade_that_points_at_somebody_in_reach_does_not_move():
    assert_refused(seen(0.8, hazard="edge", tip=(0.0, -0.1, 0.0)).propose(), "tool_hazard")
    assert seen(0.8, hazard="edge", tip=(0.0, 0.1, 0.0)).propose().decision == "modified"


def test_a_pressed_e_stop_brakes_and_stays_latched():
    bench = Bench().moving()
    report = bench.guardrail.e_stop(True, bench.now_ns)
    assert_braked(bench, report, "e_stop")
    bench.guardrail.e_stop(False, bench.now_ns)
    refusal = bench.guardrail.arm(at_rest(START), bench.wait(5000).now_ns, bench.now_ns)
    assert refusal.guardrail == "e_stop"


def test_a_deadman_switch_that_falls_silent_brakes():
    bench = Bench()
    bench.guardrail.deadman("teleop", True, bench.now_ns)
    assert bench.propose(source="teleop").decision == "accepted"
    assert bench.wait(1000 * SPEC.deadman.max_age_s - 20).step() is None
    report = bench.wait(40).step()
    assert report.decision == "brake"
    assert report.refusal.guardrail == "deadman"


@pytest.mark.parametrize("which", ["start", "nominal", "duration"])
def test_the_filter_does_not_begin_with_what_is_not_finite(which):
    target = START + 0.01
    start, nominal, duration = {
        "start": (at_rest(np.full(7, np.nan)), target, 0.4),
        "nominal": (at_rest(START), np.full(7, np.nan), 0.4),
        "duration": (at_rest(START), target, np.nan),
    }[which]
    answer = nearest_target(SPEC, KINEMATICS, start, nominal, duration)
    assert isinstance(answer, Refusal)
    assert answer.guardrail == "filter"
