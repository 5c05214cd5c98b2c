"""What people hold in their hands, over DDS: e-stop, deadman switch, and the detector that must not fall silent.

The guardrail is a process of its own; the arm is a loopback under the rules of a stock joint_trajectory_controller.
"""

import gc
import signal
import threading
import time

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from std_msgs.msg import Bool
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from ami_nodes import qos
from ami_robot.safety.motion import MOVE_DURATIONS_S
from ami_robot.safety.spec import DEFAULT_SPEC
from ami_robot.types import Person
from tests.nodes.graph import REST_RAD_PER_S, Process, wait_for
from tests.nodes.loopback import Cell

pytestmark = pytest.mark.graph

BRAKE_S = 0.4  # a brake at these speeds, and what a busy machine adds
PATIENCE_S = 1.0
CHANGES = {
    "source_of_people: none_fenced_cell": "source_of_people: topic",
    "joint_state_s: 0.05 ": f"joint_state_s: {PATIENCE_S} ",
    "people_s: 0.2 ": f"people_s: {PATIENCE_S} ",
    "max_age_s: 0.2\n": f"max_age_s: {PATIENCE_S}\n",
}
TAIL_S = float(MOVE_DURATIONS_S[-1])  # the longest motion ends by then, whoever dies


@pytest.fixture(scope="module")
def cell_file(tmp_path_factory):
    """The shipped guardrail file for a cell without a fence, on a test machine that may stand still for a while."""
    text = DEFAULT_SPEC.read_text()
    for shipped, here in CHANGES.items():
        assert text.count(shipped) == 1, shipped
        text = text.replace(shipped, here)
    path = tmp_path_factory.mktemp("cell") / "cell.yaml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def live(ros, cell_file):
    """(cell, guardrail process)"""
    gc.freeze()  # as a node does: a collection that walks all that pytest imported takes longer than joint states may
    cell = Cell()
    thread = threading.Thread(target=cell.spin, daemon=True)
    thread.start()
    guardrail = Process("ami_embedded.run", "ami_nodes.guardrail", "--ros-args", "-p", f"guardrail_file:={cell_file}")
    try:
        cell.bring_up()
        yield cell, guardrail
        assert "Traceback" not in guardrail.output()
        assert cell.rejected == []
    except BaseException:
        print(guardrail.output())
        raise
    finally:
        guardrail.end()
        cell.close()
        thread.join(2.0)
        gc.unfreeze()


@pytest.fixture
def cell(live):
    """An armed cell in which the planner moves the arm."""
    cell = live[0]
    cell.speaks, cell.persons, cell.tool, cell.held = True, (), "none", None
    cell.e_stop.publish(Bool(data=False))
    cell.say_deadman("teleop", False)
    wait_for(lambda: cell.ask("guardrail/reset_e_stop", Trigger.Request()).success, 2.0)
    cell.select("planner")
    assert cell.arm() == "armed"
    cell.going = ("planner",)
    assert wait_for(lambda: cell.speed() > 5 * REST_RAD_PER_S, 3.0)
    yield cell
    cell.going = ()
    if live[1].running():
        cell.disarm()


def moves_for(cell, duration_s):
    """Greatest joint speed, rad/s, from now on for this long."""
    greatest, end_s = 0.0, time.monotonic() + duration_s
    while time.monotonic() < end_s:
        greatest = max(greatest, cell.speed())
        time.sleep(0.01)
    return greatest


def stops_within(cell, duration_s):
    """Whether the arm rests from then on; it may be slow for a moment before, where it turns."""
    time.sleep(duration_s)
    return moves_for(cell, 0.5) < REST_RAD_PER_S


def test_the_e_stop_brakes_at_once_and_latches_until_it_is_reset_deliberately(cell):
    since = len(cell.reports)
    cell.e_stop.publish(Bool(data=True))
    assert stops_within(cell, BRAKE_S)
    assert cell.wait_for_report(since, lambda report: report.guardrail == "e_stop" and report.e_stopped)
    assert "e-stop" in cell.ask("guardrail/reset_e_stop", Trigger.Request()).message
    assert "e-stop" in cell.arm()
    cell.e_stop.publish(Bool(data=False))
    assert "e-stop" in cell.arm()  # released is not reset
    assert wait_for(lambda: cell.ask("guardrail/reset_e_stop", Trigger.Request()).success, 2.0)
    assert moves_for(cell, 0.5) < REST_RAD_PER_S  # reset is not armed
    assert cell.arm() == "armed"


def test_an_e_stop_that_is_pressed_for_a_moment_only_latches(cell):
    for pressed in (True, False):
        cell.e_stop.publish(Bool(data=pressed))
    assert stops_within(cell, BRAKE_S)
    assert cell.reports[-1].e_stopped and not cell.reports[-1].armed


def test_the_e_stop_is_heard_when_the_arm_is_silent(cell):
    cell.speaks = False
    cell.e_stop.publish(Bool(data=True))
    assert stops_within(cell, BRAKE_S)
    assert cell.wait_for_report(len(cell.reports), lambda report: report.e_stopped and not report.armed)


def test_a_guardrail_that_comes_up_later_knows_that_the_e_stop_is_pressed(cell):
    cell.e_stop.publish(Bool(data=True))
    for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP):
        request = ChangeState.Request(transition=Transition(id=transition))
        assert cell.ask("guardrail/change_state", request).success
    since = len(cell.reports)
    cell.bring_up()
    assert cell.wait_for_report(since, lambda report: report.e_stopped)
    assert "e-stop" in cell.arm()


def test_a_held_deadman_switch_takes_over_and_brakes_when_it_is_let_go(cell):
    cell.going = ("planner", "teleop")
    since = len(cell.reports)
    cell.held = "teleop"
    assert cell.wait_for_report(since, lambda report: report.source == "teleop" and report.sequence)
    since = len(cell.reports)
    assert moves_for(cell, 1.0) > 5 * REST_RAD_PER_S
    assert {report.source for report in cell.reports[since:] if report.sequence} == {"teleop"}
    cell.held = None
    cell.say_deadman("teleop", False)
    assert stops_within(cell, BRAKE_S)  # nobody moves it now, although both propose
    assert cell.reports[-1].armed
    cell.select("planner")
    assert wait_for(lambda: not cell.rests(), 2.0), cell.decisions(since)


def test_a_deadman_switch_that_falls_silent_is_let_go(cell):
    cell.going = ("teleop",)
    since = len(cell.reports)
    cell.held = "teleop"
    assert cell.wait_for_report(since, lambda report: report.source == "teleop" and report.sequence)
    cell.held = None
    assert stops_within(cell, PATIENCE_S + BRAKE_S)
    assert ("brake", "deadman") in cell.decisions(since)


def test_a_silent_detector_of_people_brakes_and_the_arm_goes_on_when_it_speaks_again(cell):
    since = len(cell.reports)
    cell.persons = None
    assert stops_within(cell, PATIENCE_S + BRAKE_S)
    assert any(decision == "brake" for decision, _ in cell.decisions(since))
    assert moves_for(cell, 0.8) < REST_RAD_PER_S
    assert cell.reports[-1].armed  # a protective stop
    cell.persons = ()
    assert wait_for(lambda: not cell.rests(), 2.0)


def test_people_who_cannot_be_read_are_silence_and_not_nobody(cell, live):
    cell.persons = (Person(np.array([2.0, 0.0, 0.0]), np.array([2.0, 0.0, 1.8]), float("nan"), np.zeros(3), 0.05),)
    assert stops_within(cell, PATIENCE_S + BRAKE_S)
    assert "people dropped: a person's" in live[1].output()


def test_a_person_beside_the_arm_stops_it_before_they_could_be_there(cell):
    since = len(cell.reports)
    cell.persons = (Person(np.array([1.1, 0.0, 0.0]), np.array([1.1, 0.0, 1.8]), 0.25, np.zeros(3), 0.05),)
    assert stops_within(cell, BRAKE_S + 0.2)
    assert ("brake", "people") in cell.decisions(since)
    assert moves_for(cell, 0.5) < REST_RAD_PER_S
    report = cell.reports[-1]
    assert report.people_known and len(report.people.persons) == 1


def test_a_second_writer_on_the_arms_topic_disarms_until_it_is_gone(cell):
    since = len(cell.reports)
    stranger = cell.node.create_publisher(JointTrajectory, "joint_trajectory_controller/joint_trajectory", qos.COMMAND)
    try:
        assert wait_for(lambda: not cell.reports[-1].armed, 2.0)
        assert stops_within(cell, BRAKE_S)
        assert ("brake", "sequence") in cell.decisions(since)
        assert "2 publishers write to" in cell.arm()
    finally:
        cell.node.destroy_publisher(stranger)
    assert cell.arm() == "armed"


@pytest.mark.parametrize("blow", [signal.SIGSTOP, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_guardrail_that_is_stopped_or_killed_leaves_an_arm_that_rests_within_the_tail(cell, live, blow):
    process = live[1].popen
    process.send_signal(blow)
    assert stops_within(cell, TAIL_S + 0.2)
    process.send_signal(signal.SIGCONT)
    assert cell.rests()
