"""The lifecycle manager watches: a node that is lost ends the graph, or comes back with the guardrail disarmed."""

import signal
import time
from functools import partial

import pytest
from ami_interfaces.msg import GuardrailReport
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState

from ami_nodes.common import result_within
from ami_nodes.graph_client import position_goal
from ami_nodes.heartbeats import GONE, INACTIVE, SILENT, UP, Heartbeats
from ami_nodes.lifecycle_manager import DOWN_TIMEOUT_S, LEAVE_S, LifecycleManager
from ami_robot.safety.spec import DEFAULT_SPEC
from tests.nodes.graph import LAUNCH_FILE, launched, listening, wait_for

BRINGUP = LAUNCH_FILE.with_name("bringup.launch.xml")
SILENT_S = next(param.default for param in LifecycleManager.PARAMETERS if param.name == "silent_s")
BUSY_S = 3.0  # what a busy machine adds
GOAL = position_goal([0.45, 0.1, 0.15])


def there(_):
    return True


@pytest.fixture
def heartbeats():
    heartbeats = Heartbeats(["planner"], silent_s=5.0)
    heartbeats.set_up("planner")
    return heartbeats


def test_a_node_is_silent_when_no_heartbeat_came_for_as_long_as_that_and_up_again_with_the_next(heartbeats):
    assert heartbeats.look(4.9, there) == {}
    assert heartbeats.look(0.2, there) == {"planner": SILENT}
    heartbeats.put("planner", active=True)
    assert heartbeats.look(0.1, there) == {"planner": UP}
    assert heartbeats.look(4.9, there) == {}


def test_a_node_that_left_the_graph_is_gone_until_it_is_heard(heartbeats):
    assert heartbeats.look(0.1, lambda _: False) == {"planner": GONE}
    assert heartbeats.look(9.9, there) == {}  # there again, but it said nothing yet
    heartbeats.put("planner", active=True)
    assert heartbeats.look(0.1, there) == {"planner": UP}


def test_one_heartbeat_that_was_overtaken_by_the_activation_says_nothing_two_do(heartbeats):
    heartbeats.put("planner", active=False)
    assert heartbeats.look(0.1, there) == {}
    heartbeats.put("planner", active=True)
    heartbeats.put("planner", active=False)
    assert heartbeats.look(0.1, there) == {}
    heartbeats.put("planner", active=False)
    assert heartbeats.look(0.1, there) == {"planner": INACTIVE}


def test_what_was_said_before_the_activation_is_forgotten_and_what_others_said_is_not():
    heartbeats = Heartbeats(["guardrail", "planner"], silent_s=5.0)
    heartbeats.set_up("guardrail")
    for _ in range(3):
        heartbeats.put("planner", active=False)
        heartbeats.put("guardrail", active=False)
    heartbeats.set_up("planner")
    assert heartbeats.look(0.1, there) == {"guardrail": INACTIVE}
    heartbeats.put("planner", active=False)
    assert heartbeats.look(0.1, there) == {}


class Watcher:
    """What the manager says on /diagnostics, and whether the guardrail is armed."""

    def __init__(self):
        self.statuses, self.reports = [], []

    def on_diagnostics(self, message):
        self.statuses += [status for status in message.status if status.name.endswith("/lifecycle_manager")]

    def hears(self, words, timeout_s):
        """Whether the manager says so in time."""
        since = len(self.statuses)
        return wait_for(lambda: any(words in status.message for status in self.statuses[since:]), timeout_s)

    def armed(self):
        return self.reports[-1].armed

    def disarmed_within(self, timeout_s):
        return wait_for(lambda: not self.armed(), timeout_s)


@pytest.fixture
def watcher(client):
    watcher = Watcher()
    diagnostics = DiagnosticArray, "/diagnostics", watcher.on_diagnostics
    with listening(client, diagnostics, (GuardrailReport, "guardrail_report", watcher.reports.append)):
        yield watcher


@pytest.fixture(scope="module")
def loopback(tmp_path_factory):
    """Launches the smallest graph, with a guardrail that is patient with a busy machine."""
    text = DEFAULT_SPEC.read_text()
    for shipped, here in {
        "joint_state_s: 0.05 ": "joint_state_s: 1.0 ",
        "max_age_s: 0.2\n": "max_age_s: 1.0\n",
    }.items():
        assert text.count(shipped) == 1, shipped
        text = text.replace(shipped, here)
    file = tmp_path_factory.mktemp("cell") / "patient.yaml"
    file.write_text(text)
    return partial(launched, BRINGUP, arm="loopback", vision="false", config="analytic", guardrail_file=str(file))


def armed(client, watcher):
    client.wait_until_active()
    client.arm(True)
    assert wait_for(lambda: watcher.reports and watcher.armed(), 5.0)


@pytest.mark.parametrize("name", [pytest.param("planner", marks=pytest.mark.slow), "guardrail"])
def test_a_killed_node_takes_the_graph_down_with_its_name_and_a_failure(loopback, client, watcher, name):
    with loopback() as launch:
        armed(client, watcher)
        launch.node(name).kill()
        assert wait_for(lambda: not launch.running(), SILENT_S + 5.0 + BUSY_S)
        assert launch.popen.returncode == 1
        said = launch.output()
        assert f"[{name}] ended with signal SIGKILL" in said
        assert f"{name} is silent: it said nothing for {SILENT_S:g} s" in said
        assert "[lifecycle_manager] ended with exit code 1" in said and "did not" not in said
        assert "Traceback" not in said
    assert not watcher.armed() or name == "guardrail"  # it was asked before it was ended


def test_a_node_that_ends_by_itself_is_missed_at_once(loopback, client, watcher):
    with loopback() as launch:
        armed(client, watcher)
        launch.node("planner").send_signal(signal.SIGINT)
        assert wait_for(lambda: not launch.running(), 2.0 + BUSY_S)
        assert launch.popen.returncode == 1
        assert "planner is gone: it left the graph" in launch.output()


def test_two_interrupts_at_once_do_not_tear_the_way_down(loopback, client, watcher):
    """The terminal's own, and the one that `ros2 launch` passes on."""
    with loopback() as launch:
        armed(client, watcher)
        for _ in range(2):
            launch.node("lifecycle_manager").send_signal(signal.SIGINT)
            time.sleep(LEAVE_S / 2)
        assert wait_for(lambda: not launch.running(), 3 * DOWN_TIMEOUT_S + BUSY_S)
        assert "[lifecycle_manager] ended with exit code 0" in launch.output()
        assert "Traceback" not in launch.output()
    assert not watcher.armed()


@pytest.mark.parametrize("name", [pytest.param("planner", marks=pytest.mark.slow), "guardrail"])
def test_a_killed_node_comes_back_active_and_the_guardrail_has_to_be_armed_anew(loopback, client, watcher, name):
    with loopback(respawn="true") as launch:
        armed(client, watcher)
        first = launch.node(name).pid
        launch.node(name).kill()
        assert wait_for(lambda: f"{name} is active again" in launch.output(), 30.0), launch.output()
        assert launch.node(name).pid != first
        assert watcher.hears("all nodes are active", 5.0)
        client.wait_until_active(10.0)
        assert not watcher.armed()
        assert f"guardrail is disarmed, because {name} came back" in launch.output()
        since = len(watcher.reports)
        armed(client, watcher)
        assert client.pursue(GOAL, 2.5).outcome == "done"
        assert any(report.decision == GuardrailReport.ACCEPTED for report in watcher.reports[since:])
        client.arm(False)
        assert launch.interrupt() == 0, launch.output()


def test_a_frozen_node_is_noticed_in_time_and_watched_again_when_it_goes_on(loopback, client, watcher):
    with loopback(respawn="true") as launch:
        armed(client, watcher)
        planner = launch.node("planner")
        planner.suspend()
        try:
            assert watcher.hears("planner is silent", SILENT_S + 1.0 + BUSY_S)
            assert watcher.statuses[-1].level == DiagnosticStatus.ERROR
            assert {value.key: value.value for value in watcher.statuses[-1].values}["planner"] == "silent"
            assert watcher.disarmed_within(2.0)
            assert "guardrail is disarmed, because planner was silent" in launch.output()
        finally:
            planner.resume()
        assert watcher.hears("all nodes are active", 3.0 + BUSY_S)
        assert launch.node("planner").pid == planner.pid
        armed(client, watcher)
        planner.suspend()
        try:
            assert watcher.hears("planner is silent", SILENT_S + 1.0 + BUSY_S)
        finally:
            planner.resume()


def test_a_guardrail_that_was_frozen_disarms_as_soon_as_it_goes_on(loopback, client, watcher):
    with loopback(respawn="true") as launch:
        armed(client, watcher)
        guardrail = launch.node("guardrail")
        guardrail.suspend()
        try:
            assert watcher.hears("guardrail is silent", SILENT_S + 1.0 + BUSY_S)
            assert watcher.armed()  # as far as anybody knows
        finally:
            guardrail.resume()
        assert watcher.disarmed_within(1.0 + BUSY_S)


@pytest.mark.slow
def test_a_frozen_node_takes_the_graph_down_where_none_comes_back(loopback, client, watcher):
    with loopback() as launch:
        armed(client, watcher)
        launch.node("planner").suspend()
        assert wait_for(lambda: not launch.running(), SILENT_S + 5.0 + BUSY_S)
        assert launch.popen.returncode == 1
        assert "planner is silent" in launch.output()


def test_the_death_of_the_arm_ends_the_launch_even_where_nodes_come_back(loopback, client, watcher):
    with loopback(respawn="true") as launch:
        armed(client, watcher)
        launch.node("arm").kill()
        assert wait_for(lambda: not launch.running(), 4.0 + BUSY_S)
        assert launch.popen.returncode == 1
        assert "[arm] is required, so the launch ends" in launch.output()


@pytest.mark.slow
def test_a_killed_manager_comes_back_watches_again_and_the_guardrail_has_to_be_armed_anew(loopback, client, watcher):
    with loopback(respawn="true") as launch:
        armed(client, watcher)
        guardrail = launch.node("guardrail").pid
        launch.node("lifecycle_manager").kill()
        assert watcher.disarmed_within(20.0), launch.output()
        assert watcher.hears("all nodes are active", 5.0)
        said = launch.output()
        assert "guardrail is disarmed, because it had been active before its manager" in said and "ERROR" not in said
        armed(client, watcher)
        launch.node("planner").kill()
        assert wait_for(lambda: "planner is active again" in launch.output(), 30.0), launch.output()
        assert launch.node("guardrail").pid == guardrail
        assert launch.interrupt() == 0, launch.output()


@pytest.mark.slow
def test_ctrl_c_while_a_node_is_about_to_come_back_ends_the_launch_well(loopback, client, watcher):
    with loopback(respawn="true") as launch:
        armed(client, watcher)
        launch.node("planner").kill()
        assert wait_for(lambda: "[planner] comes back in 1 s" in launch.output(), 5.0)
        began_s = time.monotonic()
        assert launch.interrupt() == 0, launch.output()
        assert time.monotonic() - began_s < 2.5 + BUSY_S
        assert "Traceback" not in launch.output()


@pytest.mark.slow
def test_a_manager_that_stood_still_itself_blames_nobody(loopback, client, watcher):
    with loopback() as launch:
        armed(client, watcher)
        manager = launch.node("lifecycle_manager")
        manager.suspend()
        time.sleep(SILENT_S + 1.0)
        manager.resume()
        assert watcher.hears("all nodes are active", 3.0 + BUSY_S)
        assert launch.running() and watcher.armed()


@pytest.mark.slow
def test_nodes_in_a_namespace_are_heard_too(loopback, watcher):
    with loopback(namespace="/cell1") as launch:
        assert watcher.hears("all nodes are active", 30.0)
        time.sleep(SILENT_S + 1.0)
        assert launch.running() and watcher.hears("all nodes are active", 2.0)


def test_a_node_deactivated_by_hand_is_reported_and_disarms_but_ends_nothing(loopback, client, watcher):
    with loopback() as launch:
        armed(client, watcher)
        changer = client.node.create_client(ChangeState, "planner/change_state")
        request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_DEACTIVATE))
        assert wait_for(changer.service_is_ready, 5.0)
        assert result_within(changer.call_async(request), 5.0).success
        client.node.destroy_client(changer)
        assert watcher.hears("planner is not active", 4.0 + BUSY_S)
        assert watcher.disarmed_within(2.0)
        assert launch.running()
