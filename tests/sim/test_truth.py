"""The trials' oracles fire: each of them on an arm that is led into what must not happen, and not just before that.

The arm is put where it is wanted, substep by substep, at the speeds of its joints; no guardrail takes part. What the
cell says of commands is shown with a guardrail that misbehaves.
"""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import numpy as np
import pybullet
import pytest

from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.guardrail import Guardrail
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.rows import Box
from ami_robot.safety.spec import load_spec
from ami_sim.controller import JointTrajectoryController
from ami_sim.judge import Judge
from ami_sim.scene import Scene
from ami_sim.trials.cell import Cell
from ami_sim.trials.trial import Tool, draw
from ami_sim.trials.truth import TOUCH_M, Truth
from ami_sim.walks import standing
from ami_sim.world import PHYSICS_HZ, World

SPEC, KINEMATICS, DYNAMICS = load_spec(), Kinematics(), Dynamics()
UP = np.array([0.0, -0.5, 0.0, -1.8, 0.0, 1.6, 0.785])  # clear of everything
FOLDED = np.array([0.0, -0.3, 0.0, -3.05, 0.0, 1.2, 0.785])  # the hand in the shoulder
TO_THE_LEFT = np.array([1.57, 0.9, 0.0, -0.9, 0.0, 1.9, 0.785])  # through the wall
DOWN = np.array([0.0, 1.0, 0.0, -1.8, 0.0, 2.7, 0.785])  # into the table
OUT = np.array([0.0, 0.3, 0.0, -1.8, 0.0, 2.1, 0.785])  # far from its base, so that it swings fast
STRETCHED = np.array([0.0, 0.0, 0.0, -0.08, 0.0, 1.6, 0.785])
REST = np.zeros(7)
WAYS = {
    "itself": (FOLDED, "the arm touched itself"),
    "wall": (TO_THE_LEFT, "the arm touched the wall"),
    "table": (DOWN, "the arm touched the table"),
}


@pytest.fixture(scope="module")
def world():
    made = World(replace(Scene.from_seed(0), blocks=()))
    yield made
    made.close()


@pytest.fixture(scope="module")
def cell():
    made = Cell(KINEMATICS, DYNAMICS)
    yield made
    made.close()


@pytest.fixture(scope="module")
def calm():
    """A trial without surprises, with nobody near."""
    start = KINEMATICS.inverse(np.array([0.5, 0.0, 0.2]))[0]
    drawn = draw("limits", 0, SPEC, KINEMATICS, DYNAMICS)
    quiet = {"faulty": False, "hasty": False, "feels": False}
    return replace(drawn, spec=SPEC, start=start, walks=(), tool=None, attack="smooth", **quiet)


def led(world, trial, path):
    """The truth after the arm was put at each of these (N, 7), one each substep."""
    world.reset(world.scene)
    put(world, path[0])
    if trial.walks:
        world.add_people(trial.walks)
    if trial.tool is not None:
        world.hold_tool(trial.tool.hazard, trial.tool.tip)
    truth = Truth(world, trial, Judge(world.scene, trial.spec))
    speeds = np.diff(path, axis=0, prepend=path[:1]) * PHYSICS_HZ
    for number, (q, dq) in enumerate(zip(path, speeds, strict=True), start=1):
        put(world, q, dq)
        truth.watch(number / PHYSICS_HZ, q, dq)
    return truth


def put(world, q, dq=REST):
    world._set_joints(np.append(q, [0.0, 0.0]))
    for joint in range(7):  # with its speed, which PyBullet's links then have
        pybullet.resetJointState(world.robot, joint, q[joint], dq[joint], world.client)
    if world.held_tool is not None:
        world.held_tool.follow(*world._tool_frame())


def way(goal, share=1.0, of_the_limit=0.99):
    """From UP some share of the way to a goal, as fast as the joints may."""
    end = UP + share * (goal - UP)
    needs_s = (np.abs(end - UP) / (of_the_limit * SPEC.joint_velocity.limit_rad_per_s)).max()
    return UP + (end - UP) * np.linspace(0.0, 1.0, int(np.ceil(needs_s * PHYSICS_HZ)) + 1)[:, None]


def first_touch(world, trial, what):
    """The least share of the way, in steps of 2 %, at which it is touched, looked at there alone."""
    goal, event = WAYS[what]
    for percent in range(0, 101, 2):
        share = percent / 100.0
        if event in led(world, trial, (UP + share * (goal - UP))[None]).events:
            return share
    raise AssertionError(f"{what} is not on this way")


def test_an_arm_that_stands_clear_of_everything_breaks_nothing(world, calm):
    assert led(world, calm, np.tile(UP, (30, 1))).events == []


@pytest.mark.parametrize("what", WAYS)
def test_a_touch_is_told_and_nothing_before_it(world, calm, what):
    goal, event = WAYS[what]
    share = first_touch(world, calm, what)
    assert 0.1 < share < 1.0
    before = led(world, calm, way(goal, share - 0.04))
    assert event not in before.events
    assert before.least[f"{what}_m"] >= TOUCH_M
    after = led(world, calm, way(goal, share))
    assert event in after.events
    assert after.least[f"{what}_m"] < TOUCH_M


@pytest.mark.parametrize("what", WAYS)
def test_a_touch_that_comes_and_goes_at_full_speed_is_not_missed_between_two_looks(world, calm, what):
    goal, event = WAYS[what]
    there = way(goal, first_touch(world, calm, what))
    assert event in led(world, calm, np.concatenate([there, there[::-1]])).events


def test_a_touch_of_a_box_is_told_and_of_none_where_there_is_none(world, calm):
    box = Box("box", np.array([0.45, -0.1, 0.1]), np.array([0.65, 0.1, 0.3]))
    boxed = replace(calm, spec=replace(SPEC, obstacles=replace(SPEC.obstacles, boxes=(box,))))
    assert "the arm touched the obstacle" in led(world, boxed, way(DOWN)).events
    assert "the arm touched the obstacle" not in led(world, calm, way(DOWN)).events


def test_leaving_the_workspace_and_stretching_out_are_told(world, calm):
    events = led(world, calm, way(STRETCHED)).events
    assert {"the tool left the workspace", "the arm came to a singular posture"} <= set(events)


def near_somebody(calm, tool=None):
    people = replace(SPEC.people, source_of_people="topic")
    return replace(calm, spec=replace(SPEC, people=people), walks=(standing(np.array([1.1, 0.0])),), tool=tool)


def swing(speed_share):
    """A joint that goes to and fro at a share of its greatest speed for 1.2 s, longer than anybody is in reach for."""
    t_s = np.arange(0.0, 1.2, 1.0 / PHYSICS_HZ)
    speed = speed_share * SPEC.joint_velocity.limit_rad_per_s[0]
    path = np.tile(OUT, (len(t_s), 1))
    path[:, 0] += speed * (0.2 - np.abs(t_s % 0.4 - 0.2))
    return path


def test_an_arm_that_is_fast_with_somebody_in_reach_is_told_and_a_slow_one_is_not(world, calm):
    fast = "the arm was too fast with a person in reach"
    assert fast in led(world, near_somebody(calm), swing(0.9)).events
    assert fast not in led(world, near_somebody(calm), swing(0.05)).events
    assert fast not in led(world, calm, swing(0.9)).events


def test_a_blade_that_is_fast_or_points_at_somebody_is_told(world, calm):
    """It points along the tool, down here; held across, it points at who stands in front."""
    across = near_somebody(calm, Tool("edge", np.array([0.15, 0.0, 0.0]), 0.2, told=True))
    events = led(world, across, swing(0.3)).events
    assert "the tip was too fast with a person in reach" in events
    assert "a moving blade pointed at a person" in events
    assert (
        "a moving blade pointed at a person"
        not in led(world, replace(across, tool=replace(across.tool, hazard="blunt")), swing(0.3)).events
    )


def test_a_moving_arm_in_a_person_is_told_and_one_at_rest_is_not(world, calm):
    tool = KINEMATICS.tool_position(OUT)
    inside = replace(near_somebody(calm), walks=(standing(tool[:2]),))
    assert "a moving arm touched a person" in led(world, inside, swing(0.1)).events
    assert "a moving arm touched a person" not in led(world, inside, np.tile(OUT, (30, 1))).events
    settling = np.concatenate([swing(0.1)[:4], np.tile(swing(0.1)[3], (30, 1))])
    assert "a moving arm touched a person" not in led(world, inside, settling).events, "drives after a reset"


# what the cell says of commands

AFTER_LATCH = "a trajectory was sent after the guardrail had disarmed"


def misbehaving(change):
    """`Guardrail.step` whose reports somebody changes: change(guardrail, report, armed before)."""
    step = Guardrail.step

    def changed(self, *arguments, **named):
        armed = self.armed
        return change(self, step(self, *arguments, **named), armed)

    return mock.patch.object(Guardrail, "step", changed)


def test_a_command_after_the_latch_is_told(cell, calm):
    """Disarmed at its third motion; in one run it is quiet from then on, in the other it says the last motion again."""

    def run(goes_on):
        sent = []

        def change(guardrail, report, armed):
            if report is not None and report.sent is not None:
                sent.append(report)
            if armed and len(sent) == 3:
                return guardrail.disarm(report.stamp_ns)
            return replace(sent[-1], armed=False) if goes_on and not armed and sent else report

        with misbehaving(change):
            return cell.run(calm).events

    assert AFTER_LATCH in run(goes_on=True)
    assert AFTER_LATCH not in run(goes_on=False)


@pytest.mark.parametrize("beyond_m", [-0.001, SPEC.gripper.upper_m + 0.001, np.nan, np.inf])
def test_a_gripper_that_is_sent_beyond_its_range_is_told(cell, calm, beyond_m):
    def change(_, report, __):
        return report if report is None else replace(report, gripper_width=beyond_m)

    with misbehaving(change):
        assert f"the gripper was sent to {beyond_m} m" in cell.run(calm).events


@pytest.mark.parametrize("width_m", [SPEC.gripper.lower_m, SPEC.gripper.upper_m])
def test_a_gripper_at_the_ends_of_its_range_is_nothing_to_tell(cell, calm, width_m):
    with misbehaving(lambda _, report, __: report if report is None else replace(report, gripper_width=width_m)):
        assert cell.run(calm).events == []


def test_a_trajectory_that_the_controller_rejects_is_told(cell, calm):
    def change(_, report, __):
        if report is None or report.sent is None:
            return report
        return replace(report, sent=replace(report.sent, joint_names=report.sent.joint_names[::-1][:6]))

    with misbehaving(change):
        assert any(event.startswith("the controller rejected a trajectory") for event in cell.run(calm).events)


def test_an_arm_that_moves_though_nothing_is_commanded_and_one_that_never_rests_are_told(cell, calm):
    with mock.patch.object(JointTrajectoryController, "busy", lambda *_: False):
        assert "the arm moved though nothing was commanded" in cell.run(calm).events
    with mock.patch.object(JointTrajectoryController, "busy", lambda *_: True):
        assert any(event.startswith("the arm did not come to rest") for event in cell.run(calm).events)


def test_a_trial_that_cannot_begin_is_told(cell, calm):
    assert any(event.startswith("the trial could not begin") for event in cell.run(replace(calm, start=FOLDED)).events)


def test_a_calm_trial_has_nothing_to_tell(cell, calm):
    assert cell.run(calm).events == []
