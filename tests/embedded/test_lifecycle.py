"""Lifecycle nodes: the state machine, and subjects/phases.py driven by its services from another process."""

import time

import pytest
import rclpy
from core import spin_until
from lifecycle_msgs.msg import State, Transition, TransitionEvent
from lifecycle_msgs.srv import ChangeState, GetAvailableStates, GetAvailableTransitions, GetState
from peers import read_until, subject, unique_namespace
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import (
    LifecycleState,
    SimpleManagedEntity,
)
from std_msgs.msg import String

WAIT_S = 5.0


class Manager:
    """Calls the services of a lifecycle node and hears its events."""

    def __init__(self, namespace):
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("manager", namespace=namespace, context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.events, self.beats = [], []
        self.node.create_subscription(TransitionEvent, "phases/transition_event", self.events.append, 10)
        self.node.create_subscription(String, "beat", lambda m: self.beats.append(m.data), 10)

    def call(self, kind, name, request=None):
        client = self.node.create_client(kind, f"phases/{name}")
        assert client.wait_for_service(timeout_sec=WAIT_S)
        future = client.call_async(request or kind.Request())
        spin_until(self.executor, future.done)
        self.node.destroy_client(client)
        return future.result()

    def change(self, transition_id=0, label=""):
        request = ChangeState.Request(transition=Transition(id=transition_id, label=label))
        return self.call(ChangeState, "change_state", request).success

    def state(self):
        state = self.call(GetState, "get_state").current_state
        return state.id, state.label

    def available(self):
        answer = self.call(GetAvailableTransitions, "get_available_transitions")
        return {(t.transition.id, t.transition.label, t.goal_state.label) for t in answer.available_transitions}

    def spin(self, duration_s):
        deadline = time.monotonic() + duration_s
        while (left := deadline - time.monotonic()) > 0:
            self.executor.spin_once(timeout_sec=left)

    def close(self):
        self.executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()


@pytest.fixture
def managed():
    """Start phases with parameters; gives (manager, process)."""
    opened = []

    def start(**parameters):
        namespace = unique_namespace()
        running = subject("phases", namespace, **parameters)
        process, manager = running.__enter__(), Manager(namespace)
        opened.append((running, manager))
        manager.state()  # once it answers, it knows who listens to its events
        return manager, process

    yield start
    for running, manager in opened:
        manager.close()
        running.__exit__(None, None, None)


def test_a_full_walk_by_services_from_another_process(managed):
    manager, process = managed()
    shutdown = "shutdown", "shuttingdown"
    assert manager.state() == (State.PRIMARY_STATE_UNCONFIGURED, "unconfigured")
    assert manager.available() == {(1, "configure", "configuring"), (5, *shutdown)}

    assert manager.change(Transition.TRANSITION_CONFIGURE)
    assert manager.state() == (State.PRIMARY_STATE_INACTIVE, "inactive")
    assert manager.available() == {(2, "cleanup", "cleaningup"), (3, "activate", "activating"), (6, *shutdown)}
    manager.spin(0.1)
    assert manager.beats == []

    assert manager.change(label="activate")
    assert manager.state() == (State.PRIMARY_STATE_ACTIVE, "active")
    assert manager.available() == {(4, "deactivate", "deactivating"), (7, *shutdown)}
    manager.spin(0.3)
    assert len(manager.beats) >= 3 and set(manager.beats) == {"active"}

    assert manager.change(Transition.TRANSITION_DEACTIVATE)
    manager.spin(0.1)
    manager.beats.clear()
    manager.spin(0.2)
    assert manager.beats == []

    assert manager.change(Transition.TRANSITION_CLEANUP)
    assert manager.change(label="shutdown")
    assert manager.state() == (State.PRIMARY_STATE_FINALIZED, "finalized")
    assert manager.available() == set()

    assert [(e.start_state.label, e.goal_state.label) for e in manager.events] == [
        ("unconfigured", "configuring"),
        ("configuring", "inactive"),
        ("inactive", "activating"),
        ("activating", "active"),
        ("active", "deactivating"),
        ("deactivating", "inactive"),
        ("inactive", "cleaningup"),
        ("cleaningup", "unconfigured"),
        ("unconfigured", "shuttingdown"),
        ("shuttingdown", "finalized"),
    ]
    lines = read_until(process, "on_shutdown from unconfigured 1")
    assert lines[:2] == ["on_configure from unconfigured 1", "on_activate from inactive 2"]


def test_a_failing_configure_leads_back_to_unconfigured(managed):
    manager, _ = managed(fail_in="on_configure", how="FAILURE")
    assert not manager.change(Transition.TRANSITION_CONFIGURE)
    assert manager.state() == (State.PRIMARY_STATE_UNCONFIGURED, "unconfigured")
    assert [e.goal_state.label for e in manager.events] == ["configuring", "unconfigured"]


@pytest.mark.embedded
@pytest.mark.parametrize("how", ["SUCCESS", "FAILURE"])
def test_events_name_the_transition(managed, how):
    """In Jazzy its label stays empty."""
    manager, _ = managed(fail_in="on_configure", how=how)
    manager.change(Transition.TRANSITION_CONFIGURE)
    assert [e.transition.label for e in manager.events] == ["configure", f"transition_{how.lower()}"]


@pytest.mark.parametrize(
    ("how", "on_error", "final"),
    [
        ("ERROR", "SUCCESS", "unconfigured"),
        ("raise", "FAILURE", "finalized"),
        pytest.param("None", "ERROR", "finalized", marks=pytest.mark.embedded),  # rclpy never answers then
    ],
)
def test_an_error_in_a_callback_goes_through_error_processing(managed, how, on_error, final):
    manager, _ = managed(fail_in="on_activate", how=how, on_error=on_error)
    assert manager.change(Transition.TRANSITION_CONFIGURE)
    assert not manager.change(Transition.TRANSITION_ACTIVATE)
    assert manager.state()[1] == final
    manager.spin(0.1)
    assert [e.goal_state.label for e in manager.events] == [
        *("configuring", "inactive", "activating", "errorprocessing"),
        final,
    ]


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("how", "words"),
    [("raise", "raised ValueError: no camera"), ("None", "returned None, not a TransitionCallbackReturn")],
)
def test_an_error_in_a_callback_is_logged(managed, how, words):
    manager, process = managed(fail_in="on_configure", how=how, on_error="SUCCESS")
    assert not manager.change(Transition.TRANSITION_CONFIGURE)
    said = read_until(process, "on_error from unconfigured")
    assert any(f"on_configure {words}" in line for line in said)


@pytest.mark.embedded
def test_a_transition_that_does_not_begin_here_is_refused_and_changes_nothing(managed):
    manager, process = managed()
    assert not manager.change(Transition.TRANSITION_ACTIVATE)
    assert not manager.change(label="no_such_label")
    assert not manager.change(Transition.TRANSITION_ON_CONFIGURE_SUCCESS)
    assert manager.state()[1] == "unconfigured" and manager.events == []
    said = read_until(process, "no transition 10 from state unconfigured; there are: configure (1), shutdown (5)")
    assert "no transition 3 from state unconfigured; there are: configure (1), shutdown (5)" in said[0]


def test_states_and_graph_are_those_of_ros(managed):
    manager, _ = managed()
    states = manager.call(GetAvailableStates, "get_available_states").available_states
    assert [(s.id, s.label) for s in states] == [
        *((0, "unknown"), (1, "unconfigured"), (2, "inactive"), (3, "active"), (4, "finalized")),
        *((10, "configuring"), (11, "cleaningup"), (12, "shuttingdown"), (13, "activating"), (14, "deactivating")),
        (15, "errorprocessing"),
    ]
    graph = manager.call(GetAvailableTransitions, "get_transition_graph").available_transitions
    assert len(graph) == 25
    assert {(11, "configuring", "unconfigured"), (62, "errorprocessing", "finalized")} <= {
        (t.transition.id, t.start_state.label, t.goal_state.label) for t in graph
    }


@pytest.mark.embedded
def test_every_state_that_can_be_reached_can_be_left_but_for_finalized():
    from rclpy.lifecycle.state_machine import STEPS, StateMachine

    starts, goals = {s.start for s in STEPS}, {s.goal for s in STEPS}
    assert goals - starts == {State.PRIMARY_STATE_FINALIZED}
    assert len({(s.start, s.label) for s in STEPS}) == len(STEPS)  # a label leads to one place
    machine = StateMachine()
    with pytest.raises(RuntimeError, match="no transition 4 from state unconfigured"):
        machine.take(Transition.TRANSITION_DEACTIVATE)


def test_when_enabled_calls_only_while_active():
    calls = []

    class Light(SimpleManagedEntity):
        @SimpleManagedEntity.when_enabled
        def blink(self):
            calls.append("blink")

        @SimpleManagedEntity.when_enabled(when_not_enabled=lambda: calls.append("off"))
        def glow(self):
            calls.append("glow")

    light, state = Light(), LifecycleState("inactive", 2)
    light.blink(), light.glow()
    light.on_activate(state)
    light.blink(), light.glow()
    light.on_deactivate(state)
    light.blink()
    assert calls == ["off", "blink", "glow"]
