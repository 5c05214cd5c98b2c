"""Nodes with a lifecycle: configure, activate, deactivate, clean up, shut down, by callback and by service."""

from __future__ import annotations

import traceback
from typing import Any

from lifecycle_msgs.msg import State, TransitionDescription, TransitionEvent
from lifecycle_msgs.srv import ChangeState, GetAvailableStates, GetAvailableTransitions, GetState

from rclpy.lifecycle.managed_entity import ManagedEntity
from rclpy.lifecycle.publisher import LifecyclePublisher
from rclpy.lifecycle.state_machine import (
    STATES,
    STEPS,
    LifecycleState,
    StateMachine,
    Step,
    TransitionCallbackReturn,
)
from rclpy.node import Node
from rclpy.qos import QoSProfile

_CALLBACKS = {
    State.TRANSITION_STATE_CONFIGURING: "on_configure",
    State.TRANSITION_STATE_CLEANINGUP: "on_cleanup",
    State.TRANSITION_STATE_SHUTTINGDOWN: "on_shutdown",
    State.TRANSITION_STATE_ACTIVATING: "on_activate",
    State.TRANSITION_STATE_DEACTIVATING: "on_deactivate",
    State.TRANSITION_STATE_ERRORPROCESSING: "on_error",
}


class LifecycleNodeMixin(ManagedEntity):
    """The lifecycle of a Node; use it beside Node in the bases (LifecycleNode does)."""

    def __init__(self) -> None:
        if not isinstance(self, Node):
            raise RuntimeError("LifecycleNodeMixin has to be a base beside Node")
        self._state_machine = StateMachine()
        self._managed_entities: set[ManagedEntity] = set()
        self._transition_event = self.create_publisher(TransitionEvent, "~/transition_event", QoSProfile(depth=10))
        for service_type, name, callback in (
            (ChangeState, "change_state", self.__on_change_state),
            (GetState, "get_state", self.__on_get_state),
            (GetAvailableStates, "get_available_states", self.__on_get_available_states),
            (GetAvailableTransitions, "get_available_transitions", self.__on_get_available_transitions),
            (GetAvailableTransitions, "get_transition_graph", self.__on_get_transition_graph),
        ):
            self.create_service(service_type, f"~/{name}", callback)

    def create_lifecycle_publisher(
        self, msg_type: Any, topic: str, qos_profile: QoSProfile | int, **kwargs: Any
    ) -> LifecyclePublisher:
        """Like create_publisher; the publisher is silent unless the node is active."""
        assert isinstance(self, Node)
        publisher = self.create_publisher(msg_type, topic, qos_profile, publisher_class=LifecyclePublisher, **kwargs)
        assert isinstance(publisher, LifecyclePublisher)
        self._managed_entities.add(publisher)
        return publisher

    def destroy_lifecycle_publisher(self, publisher: LifecyclePublisher) -> bool:
        """Like destroy_publisher."""
        assert isinstance(self, Node)
        self._managed_entities.discard(publisher)
        return self.destroy_publisher(publisher)

    # The default callbacks hand on to the lifecycle publishers: a node that overrides one calls super() of it, else its
    # publishers are never enabled.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unconfigured to inactive."""
        return self.__hand_on("on_configure", state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Inactive to unconfigured."""
        return self.__hand_on("on_cleanup", state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Any primary state to finalized."""
        return self.__hand_on("on_shutdown", state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Inactive to active."""
        return self.__hand_on("on_activate", state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Active to inactive."""
        return self.__hand_on("on_deactivate", state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """A callback returned ERROR or raised: SUCCESS leads to unconfigured, all else to finalized."""
        return self.__hand_on("on_error", state)

    def __hand_on(self, callback: str, state: LifecycleState) -> TransitionCallbackReturn:
        for entity in self._managed_entities:
            getattr(entity, callback)(state)
        return TransitionCallbackReturn.SUCCESS

    def __change_state(self, transition: int | str) -> TransitionCallbackReturn:
        """Run a whole transition, error processing included; the outcome of its own callback."""
        state_id, label = self._state_machine.current_state
        before = LifecycleState(label, state_id)
        try:
            self.__step(transition)
        except RuntimeError as error:
            assert isinstance(self, Node)
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.ERROR
        outcome = self.__run_callback(before)
        self.__step(outcome.to_label())
        if outcome is TransitionCallbackReturn.ERROR:
            self.__step(self.__run_callback(before).to_label())
        return outcome

    def __step(self, transition: int | str) -> None:
        step = self._state_machine.take(transition)
        assert isinstance(self, Node)
        event = TransitionEvent(timestamp=max(0, self.get_clock().now().nanoseconds))
        _fill(event, step)
        self._transition_event.publish(event)

    def __run_callback(self, before: LifecycleState) -> TransitionCallbackReturn:
        """The callback of the present state; whatever goes wrong in it is an ERROR, with the reason in the log."""
        assert isinstance(self, Node)
        name = _CALLBACKS[self._state_machine.current_state[0]]
        try:
            outcome = getattr(self, name)(before)
        except Exception as error:  # noqa: BLE001 - the lifecycle's own way of handling errors
            self.get_logger().error(f"{name} raised {type(error).__name__}: {error}\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR
        if not isinstance(outcome, TransitionCallbackReturn):
            self.get_logger().error(f"{name} returned {outcome!r}, not a TransitionCallbackReturn")
            return TransitionCallbackReturn.ERROR
        return outcome

    def __on_change_state(self, request: Any, response: Any) -> Any:
        outcome = self.__change_state(request.transition.label or request.transition.id)
        response.success = outcome is TransitionCallbackReturn.SUCCESS
        return response

    def __on_get_state(self, _: Any, response: Any) -> Any:
        response.current_state.id, response.current_state.label = self._state_machine.current_state
        return response

    def __on_get_available_states(self, _: Any, response: Any) -> Any:
        response.available_states = [State(id=state_id, label=label) for state_id, label in STATES.items()]
        return response

    def __on_get_available_transitions(self, _: Any, response: Any) -> Any:
        response.available_transitions = [_fill(TransitionDescription(), s) for s in self._state_machine.available]
        return response

    def __on_get_transition_graph(self, _: Any, response: Any) -> Any:
        response.available_transitions = [_fill(TransitionDescription(), step) for step in STEPS]
        return response


def _fill(message: Any, step: Step) -> Any:
    message.transition.id, message.transition.label = step.transition_id, step.label
    message.start_state.id, message.start_state.label = step.start, STATES[step.start]
    message.goal_state.id, message.goal_state.label = step.goal, STATES[step.goal]
    return message


class LifecycleNode(LifecycleNodeMixin, Node):
    """A Node with a lifecycle, unconfigured at first."""

    def __init__(self, node_name: str, **kwargs: Any) -> None:
        Node.__init__(self, node_name, **kwargs)
        LifecycleNodeMixin.__init__(self)
