"""The side of an action that does the work: three services and two topics below ``<action>/_action/``."""

from __future__ import annotations

import inspect
import threading
import time
import traceback
from collections.abc import Callable
from enum import Enum
from typing import Any

from action_msgs.msg import GoalInfo, GoalStatus
from action_msgs.srv import CancelGoal

from rclpy.action.goal import ServerGoalHandle
from rclpy.callback_groups import CallbackGroup, ReentrantCallbackGroup
from rclpy.qos import QoSProfile, qos_profile_action_status_default, qos_profile_services_default


class GoalResponse(Enum):
    """What a goal callback returns."""

    REJECT = 1
    ACCEPT = 2


class CancelResponse(Enum):
    """What a cancel callback returns."""

    REJECT = 1
    ACCEPT = 2


def default_handle_accepted_callback(goal_handle: ServerGoalHandle) -> None:
    """Execute at once."""
    goal_handle.execute()


def default_goal_callback(goal_request: Any) -> GoalResponse:
    """Accept everything."""
    return GoalResponse.ACCEPT


def default_cancel_callback(cancel_request: Any) -> CancelResponse:
    """Cancel nothing."""
    return CancelResponse.REJECT


async def call(callback: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a callback, be it a function or a coroutine function."""
    result = callback(*arguments)
    return await result if inspect.isawaitable(result) else result


class ActionServer:
    """Serves one action of a node.

    Callbacks: ``goal_callback(Action.Goal) -> GoalResponse``, ``cancel_callback(ServerGoalHandle) ->
    CancelResponse`` run in ``callback_group``; ``handle_accepted_callback(ServerGoalHandle)`` and
    ``execute_callback(ServerGoalHandle) -> Action.Result`` as tasks of the executor, in no group. All may be coroutine
    functions. A result is kept for ``result_timeout`` seconds after the end of its goal (steady
    clock; negative: for ever).
    """

    def __init__(
        self,
        node: Any,
        action_type: Any,
        action_name: str,
        execute_callback: Callable[[ServerGoalHandle], Any],
        *,
        callback_group: CallbackGroup | None = None,
        goal_callback: Callable[[Any], Any] | None = None,
        handle_accepted_callback: Callable[[ServerGoalHandle], Any] | None = None,
        cancel_callback: Callable[[ServerGoalHandle], Any] | None = None,
        goal_service_qos_profile: QoSProfile = qos_profile_services_default,
        result_service_qos_profile: QoSProfile = qos_profile_services_default,
        cancel_service_qos_profile: QoSProfile = qos_profile_services_default,
        feedback_pub_qos_profile: QoSProfile | None = None,
        status_pub_qos_profile: QoSProfile = qos_profile_action_status_default,
        result_timeout: float = 10,
    ) -> None:
        self._node, self._action_type, self._result_timeout_s = node, action_type, result_timeout
        self._logger = node.get_logger().get_child("action_server")
        self._lock = threading.RLock()
        self._goals: dict[bytes, ServerGoalHandle] = {}  # by UUID, until their result expires
        self.register_goal_callback(goal_callback)
        self.register_handle_accepted_callback(handle_accepted_callback)
        self.register_cancel_callback(cancel_callback)
        self.register_execute_callback(execute_callback)

        kinds, prefix = action_type.Impl, f"{action_name}/_action"
        feedback_qos = QoSProfile(depth=10) if feedback_pub_qos_profile is None else feedback_pub_qos_profile
        self._feedback = node.create_publisher(kinds.FeedbackMessage, f"{prefix}/feedback", feedback_qos)
        self._status = node.create_publisher(kinds.GoalStatusMessage, f"{prefix}/status", status_pub_qos_profile)
        # A result request waits for the end of its goal; in a group of its own it keeps nobody from running meanwhile.
        self._services = [
            node.create_service(kind, f"{prefix}/{name}", callback, qos_profile=qos, callback_group=group)
            for kind, name, callback, qos, group in (
                (kinds.SendGoalService, "send_goal", self._on_goal, goal_service_qos_profile, callback_group),
                (CancelGoal, "cancel_goal", self._on_cancel, cancel_service_qos_profile, callback_group),
                (
                    kinds.GetResultService,
                    "get_result",
                    self._on_result_request,
                    result_service_qos_profile,
                    ReentrantCallbackGroup(),
                ),
            )
        ]

    @property
    def action_type(self) -> Any:
        """The action class."""
        return self._action_type

    def register_goal_callback(self, goal_callback: Callable[[Any], Any] | None) -> None:
        """Replace the callback; None: accept everything."""
        self._goal_callback = goal_callback or default_goal_callback

    def register_handle_accepted_callback(self, handle_accepted_callback: Callable[[Any], Any] | None) -> None:
        """Replace the callback; None: execute at once."""
        self._handle_accepted_callback = handle_accepted_callback or default_handle_accepted_callback

    def register_cancel_callback(self, cancel_callback: Callable[[Any], Any] | None) -> None:
        """Replace the callback; None: cancel nothing."""
        self._cancel_callback = cancel_callback or default_cancel_callback

    def register_execute_callback(self, execute_callback: Callable[[ServerGoalHandle], Any]) -> None:
        """Replace the callback. Raises TypeError when it is not callable."""
        if not callable(execute_callback):
            raise TypeError("Failed to register goal execution callback: not callable")
        self._execute_callback = execute_callback

    def notify_execute(
        self, goal_handle: ServerGoalHandle, execute_callback: Callable[[ServerGoalHandle], Any] | None
    ) -> None:
        """Start an execute callback (None: the registered one) as a task of the executor."""
        self._node.executor.create_task(self._execute, goal_handle, execute_callback or self._execute_callback)

    def destroy(self) -> None:
        """Destroy services and publishers."""
        for service in self._services:
            self._node.destroy_service(service)
        self._node.destroy_publisher(self._feedback)
        self._node.destroy_publisher(self._status)

    async def _on_goal(self, request: Any, response: Any) -> Any:
        key = bytes(request.goal_id.uuid)
        with self._lock:
            self._expire()
            known = key in self._goals
        answer = GoalResponse.REJECT if known else await call(self._goal_callback, request.goal)
        if not isinstance(answer, GoalResponse):
            self._logger.warning(f"the goal callback returned {answer!r}, not a GoalResponse: the goal is rejected")
        response.stamp = self._node.get_clock().now().to_msg()
        response.accepted = answer is GoalResponse.ACCEPT
        if response.accepted:
            goal = ServerGoalHandle(self, GoalInfo(goal_id=request.goal_id, stamp=response.stamp), request.goal)
            with self._lock:
                self._goals[key] = goal
                self._publish_status()
            self._node.executor.create_task(call, self._handle_accepted_callback, goal)  # once this response is out
        return response

    async def _execute(self, goal: ServerGoalHandle, execute_callback: Callable[[ServerGoalHandle], Any]) -> None:
        try:
            result = await call(execute_callback, goal)
            if not isinstance(result, self._action_type.Result):
                self._logger.error(f"the execute callback returned {result!r}, not a Result of the action")
                result = self._action_type.Result()
        except Exception as error:  # noqa: BLE001 - the client learns of it as an aborted goal
            if not self._node.context.ok():
                return  # a goal cut off by shutdown: what it could not publish any more is no error of its own
            self._logger.error(f"Error raised in execute callback: {error}\n{traceback.format_exc()}")
            result = self._action_type.Result()
        if goal.is_active and self._node.context.ok():
            self._logger.warning("Goal state not set, assuming aborted")
            goal.abort()
        response = self._action_type.Impl.GetResultService.Response(status=goal.status, result=result)
        goal._result.set_result(response)

    async def _on_cancel(self, request: Any, response: Any) -> Any:
        with self._lock:
            chosen = self._chosen(request.goal_info)
            candidates = [g for g in chosen if g.is_active and not g.is_cancel_requested]
        for goal in candidates:
            if await call(self._cancel_callback, goal) is not CancelResponse.ACCEPT:
                continue
            with self._lock:
                if not goal.is_active:  # it ended while the callback thought about it
                    continue
                goal._update("cancel")
                response.goals_canceling.append(goal._info)
        if response.goals_canceling:
            response.return_code = CancelGoal.Response.ERROR_NONE
        elif candidates:
            response.return_code = CancelGoal.Response.ERROR_REJECTED
        elif any(request.goal_info.goal_id.uuid):
            response.return_code = (
                CancelGoal.Response.ERROR_GOAL_TERMINATED if chosen else CancelGoal.Response.ERROR_UNKNOWN_GOAL_ID
            )
        return response

    def _chosen(self, info: Any) -> list[ServerGoalHandle]:
        """The goals that a cancel request is about: one by its id, or all up to a time, or both, or simply all."""
        key, until = bytes(info.goal_id.uuid), (info.stamp.sec, info.stamp.nanosec)
        by_id, by_time = any(key), until != (0, 0)
        return [
            goal
            for goal in self._goals.values()
            if (by_id and goal._key == key)
            or (by_time and (goal._info.stamp.sec, goal._info.stamp.nanosec) <= until)
            or not (by_id or by_time)
        ]

    async def _on_result_request(self, request: Any, response: Any) -> Any:
        with self._lock:
            self._expire()
            goal = self._goals.get(bytes(request.goal_id.uuid))
        if goal is None:
            self._logger.warning("Sending result response for unknown or expired goal ID")
            response.status = GoalStatus.STATUS_UNKNOWN
            return response
        return await goal._result

    def _expire(self) -> None:
        if self._result_timeout_s < 0:
            return
        oldest_s = time.monotonic() - self._result_timeout_s
        for key in [k for k, goal in self._goals.items() if goal._ended_s is not None and goal._ended_s < oldest_s]:
            del self._goals[key]

    def _publish_feedback(self, goal: ServerGoalHandle, feedback: Any) -> None:
        if not isinstance(feedback, self._action_type.Feedback):
            raise TypeError(f"feedback has to be a {self._action_type.__name__}.Feedback, not {feedback!r:.80}")
        message = self._action_type.Impl.FeedbackMessage(goal_id=goal.goal_id, feedback=feedback)
        self._feedback.publish(message)

    def _publish_status(self) -> None:
        """Publish the status of all goals; called with the lock held, so that no older array can follow a newer one."""
        statuses = [GoalStatus(goal_info=goal._info, status=goal.status) for goal in self._goals.values()]
        self._status.publish(self._action_type.Impl.GoalStatusMessage(status_list=statuses))
