"""One goal as the server sees it: its status and what may follow, its feedback, its result."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from action_msgs.msg import GoalInfo, GoalStatus

from rclpy.task import Future

if TYPE_CHECKING:
    from rclpy.action.server import ActionServer

# The goal state machine of the design article: event -> (the states it may come from, the state it leads to).
_EVENTS: dict[str, tuple[tuple[int, ...], int]] = {
    "execute": ((GoalStatus.STATUS_ACCEPTED,), GoalStatus.STATUS_EXECUTING),
    "cancel": ((GoalStatus.STATUS_ACCEPTED, GoalStatus.STATUS_EXECUTING), GoalStatus.STATUS_CANCELING),
    "succeed": ((GoalStatus.STATUS_EXECUTING, GoalStatus.STATUS_CANCELING), GoalStatus.STATUS_SUCCEEDED),
    "abort": ((GoalStatus.STATUS_EXECUTING, GoalStatus.STATUS_CANCELING), GoalStatus.STATUS_ABORTED),
    "canceled": ((GoalStatus.STATUS_CANCELING,), GoalStatus.STATUS_CANCELED),
}
ENDED = (GoalStatus.STATUS_SUCCEEDED, GoalStatus.STATUS_CANCELED, GoalStatus.STATUS_ABORTED)


class ServerGoalHandle:
    """An accepted goal, as given to the callbacks of an ActionServer."""

    def __init__(self, action_server: ActionServer, goal_info: GoalInfo, goal_request: Any) -> None:
        self._server, self._info, self._request = action_server, goal_info, goal_request
        self._status: int = GoalStatus.STATUS_ACCEPTED
        self._ended_s: float | None = None  # steady clock
        self._result = Future()  # a GetResult response

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ServerGoalHandle) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> bytes:
        return bytes(self._info.goal_id.uuid)

    @property
    def request(self) -> Any:
        """The goal that was asked for (``Action.Goal``)."""
        return self._request

    @property
    def goal_id(self) -> Any:
        """Its ``unique_identifier_msgs/UUID``."""
        return self._info.goal_id

    @property
    def status(self) -> int:
        """One of GoalStatus.STATUS_*."""
        return self._status

    @property
    def is_active(self) -> bool:
        """Whether it has not ended."""
        return self._status not in ENDED

    @property
    def is_cancel_requested(self) -> bool:
        """Whether a request to cancel was accepted and the goal has not ended yet."""
        return self._status == GoalStatus.STATUS_CANCELING

    def execute(self, execute_callback: Callable[[ServerGoalHandle], Any] | None = None) -> None:
        """Start the execute callback as a task of the executor; cancelled meanwhile, it still gets to see that."""
        if not self.is_cancel_requested:
            self._update("execute")
        self._server.notify_execute(self, execute_callback)

    def publish_feedback(self, feedback: Any) -> None:
        """Publish progress. Raises TypeError for another type than ``Action.Feedback``."""
        self._server._publish_feedback(self, feedback)

    def succeed(self) -> None:
        """End: done. Raises RuntimeError when the goal is not executing."""
        self._update("succeed")

    def abort(self) -> None:
        """End: could not be done. Raises RuntimeError when the goal is not executing."""
        self._update("abort")

    def canceled(self) -> None:
        """End: given up on request. Raises RuntimeError when no cancelling was accepted."""
        self._update("canceled")

    def _update(self, event: str) -> None:
        sources, target = _EVENTS[event]
        with self._server._lock:  # a cancel request and the end of the work may meet
            if self._status not in sources:
                raise RuntimeError(f"goal event '{event}' is not possible in goal status {self._status}")
            self._status = target
            if target in ENDED:
                self._ended_s = time.monotonic()
            self._server._publish_status()
