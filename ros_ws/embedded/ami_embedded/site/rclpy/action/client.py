"""The side of an action that asks: goals sent, feedback and results received, goals cancelled."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from typing import Any

from action_msgs.msg import GoalInfo, GoalStatus
from action_msgs.srv import CancelGoal
from unique_identifier_msgs.msg import UUID

from rclpy.action.goal import ENDED
from rclpy.callback_groups import CallbackGroup
from rclpy.qos import QoSProfile, qos_profile_action_status_default, qos_profile_services_default
from rclpy.task import Future


class ClientGoalHandle:
    """A goal that a server has answered: accepted or not."""

    def __init__(self, action_client: ActionClient, goal_id: Any, goal_response: Any) -> None:
        self._client, self._goal_id, self._response = action_client, goal_id, goal_response
        self._status: int = GoalStatus.STATUS_UNKNOWN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClientGoalHandle) and bytes(self._goal_id.uuid) == bytes(other._goal_id.uuid)

    def __hash__(self) -> int:
        return hash(bytes(self._goal_id.uuid))

    def __repr__(self) -> str:
        key = bytes(self._goal_id.uuid).hex()
        return f"ClientGoalHandle <id={key}, accepted={self.accepted}, status={self.status}>"

    @property
    def goal_id(self) -> Any:
        """Its ``unique_identifier_msgs/UUID``."""
        return self._goal_id

    @property
    def stamp(self) -> Any:
        """When the server answered (its node clock)."""
        return self._response.stamp

    @property
    def accepted(self) -> bool:
        """Whether the server took the goal on."""
        return self._response.accepted

    @property
    def status(self) -> int:
        """The last status heard of, one of GoalStatus.STATUS_*."""
        return self._status

    def cancel_goal_async(self) -> Future:
        """Ask to cancel; a future of the CancelGoal response."""
        request = CancelGoal.Request(goal_info=GoalInfo(goal_id=self._goal_id))
        return self._client._cancel.call_async(request)

    def get_result_async(self) -> Future:
        """Ask for the result; a future of a response with ``status`` and ``result``, done when the goal has ended."""
        return self._client._request_result(self)


class ActionClient:
    """Sends goals of one action."""

    def __init__(
        self,
        node: Any,
        action_type: Any,
        action_name: str,
        *,
        callback_group: CallbackGroup | None = None,
        goal_service_qos_profile: QoSProfile = qos_profile_services_default,
        result_service_qos_profile: QoSProfile = qos_profile_services_default,
        cancel_service_qos_profile: QoSProfile = qos_profile_services_default,
        feedback_sub_qos_profile: QoSProfile | None = None,
        status_sub_qos_profile: QoSProfile = qos_profile_action_status_default,
    ) -> None:
        self._node, self._action_type = node, action_type
        self._lock = threading.Lock()
        self._feedback_callbacks: dict[bytes, Callable[[Any], Any]] = {}
        self._goal_handles: dict[bytes, ClientGoalHandle | None] = {}  # of goals not ended; None: not answered yet
        self._early_status: dict[bytes, int] = {}  # status that came before the answer
        kinds, prefix = action_type.Impl, f"{action_name}/_action"
        # The subscriptions first: a server that has discovered the reader of its answers, for which it waits, has then
        # discovered these too, and no feedback is lost.
        feedback_qos = QoSProfile(depth=10) if feedback_sub_qos_profile is None else feedback_sub_qos_profile
        self._subscriptions = [
            node.create_subscription(kind, f"{prefix}/{name}", callback, qos, callback_group=callback_group)
            for kind, name, callback, qos in (
                (kinds.FeedbackMessage, "feedback", self._on_feedback, feedback_qos),
                (kinds.GoalStatusMessage, "status", self._on_status, status_sub_qos_profile),
            )
        ]
        self._send, self._cancel, self._result = self._clients = [
            node.create_client(kind, f"{prefix}/{name}", qos_profile=qos, callback_group=callback_group)
            for kind, name, qos in (
                (kinds.SendGoalService, "send_goal", goal_service_qos_profile),
                (CancelGoal, "cancel_goal", cancel_service_qos_profile),
                (kinds.GetResultService, "get_result", result_service_qos_profile),
            )
        ]

    def server_is_ready(self) -> bool:
        """Whether a server offers all of the action."""
        return all(client.service_is_ready() for client in self._clients) and all(
            self._node.count_publishers(subscription.topic_name) for subscription in self._subscriptions
        )

    def send_goal_async(
        self, goal: Any, feedback_callback: Callable[[Any], Any] | None = None, goal_uuid: Any = None
    ) -> Future:
        """Send a goal; a future of a ClientGoalHandle, done when the server has accepted or rejected it.

        ``feedback_callback`` gets messages whose ``feedback`` is an ``Action.Feedback``. Raises TypeError for another
        type than ``Action.Goal``.
        """
        if not isinstance(goal, self._action_type.Goal):
            raise TypeError(f"the goal has to be a {self._action_type.__name__}.Goal, not {goal!r:.80}")
        goal_id = UUID(uuid=list(uuid.uuid4().bytes)) if goal_uuid is None else goal_uuid
        key, answered = bytes(goal_id.uuid), Future()
        if feedback_callback is not None:
            self._feedback_callbacks[key] = feedback_callback
        self._goal_handles[key] = None
        sent = self._send.call_async(self._action_type.Impl.SendGoalService.Request(goal_id=goal_id, goal=goal))

        def on_answer(sent: Future) -> None:
            if sent.cancelled():
                self._forget(key)
                answered.cancel()
                return
            if (error := sent.exception()) is not None:
                self._forget(key)
                answered.set_exception(error)
                return
            handle = ClientGoalHandle(self, goal_id, sent.result())
            if handle.accepted:
                with self._lock:
                    handle._status = self._early_status.pop(key, GoalStatus.STATUS_UNKNOWN)
                    if handle._status in ENDED:
                        del self._goal_handles[key]
                    else:
                        self._goal_handles[key] = handle
            else:
                self._forget(key)
            answered.set_result(handle)

        sent.add_done_callback(on_answer)
        return answered

    def destroy(self) -> None:
        """Destroy clients and subscriptions."""
        for client in self._clients:
            self._node.destroy_client(client)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _request_result(self, handle: ClientGoalHandle) -> Future:
        request = self._action_type.Impl.GetResultService.Request(goal_id=handle.goal_id)
        future = self._result.call_async(request)
        future.add_done_callback(lambda _: self._feedback_callbacks.pop(bytes(handle.goal_id.uuid), None))
        return future

    def _forget(self, key: bytes) -> None:
        with self._lock:
            self._feedback_callbacks.pop(key, None)
            self._goal_handles.pop(key, None)
            self._early_status.pop(key, None)

    def _on_feedback(self, message: Any) -> Any:
        callback = self._feedback_callbacks.get(bytes(message.goal_id.uuid))
        return None if callback is None else callback(message)  # a coroutine is the executor's to run

    def _on_status(self, message: Any) -> None:
        for status in message.status_list:
            key = bytes(status.goal_info.goal_id.uuid)
            with self._lock:
                if key not in self._goal_handles:
                    continue  # somebody else's goal, or one that is over
                handle = self._goal_handles[key]
                if handle is None:
                    self._early_status[key] = status.status
                    continue
                handle._status = status.status
                if status.status in ENDED:
                    del self._goal_handles[key]
