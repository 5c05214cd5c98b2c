"""Drives the graph from outside, as a person would: reset the scene, arm the guardrail, set a goal, ask the judge.

It listens on a thread of its own; every call blocks the calling thread, and none for ever.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np
import rclpy
from action_msgs.srv import CancelGoal
from ami_interfaces.action import PursueGoal
from ami_interfaces.srv import JudgeEpisode, ResetSim
from rclpy.action import ActionClient
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from std_srvs.srv import SetBool, Trigger

from ami_nodes.common import result_within
from ami_nodes.convert import to_camera_info_msg, to_duration, to_image_msg, to_point
from ami_robot.perception.camera import CameraModel
from ami_robot.types import Array

POLL_S = 0.05
PATIENCE_S = 1.0
SERVICES = {
    "lifecycle_manager/is_active": Trigger,
    "sim/reset": ResetSim,
    "sim/judge": JudgeEpisode,
    "guardrail/arm": SetBool,
}


def position_goal(position: Array) -> PursueGoal.Goal:
    """A position of the tool (3,), m in base_link."""
    return PursueGoal.Goal(kind=PursueGoal.Goal.POSE, tool_position=to_point(position))


def image_goal(image: np.ndarray, camera: CameraModel) -> PursueGoal.Goal:
    """What a picture (H, W, 3) uint8 rgb of this camera shows."""
    return PursueGoal.Goal(
        kind=PursueGoal.Goal.IMAGE,
        image=to_image_msg(image, 0, camera.frame_id),
        camera_info=to_camera_info_msg(camera, 0),
    )


class GraphError(RuntimeError):
    """The graph did not do what was asked; one sentence saying which part and why."""


class GraphClient:
    """A node that asks the others. Use it in a `with` statement; rclpy has to be initialised."""

    def __init__(self, name: str = "graph_client", timeout_s: float = 10.0) -> None:
        self.node = rclpy.create_node(name)
        self.timeout_s = timeout_s
        self._clients = {service: self.node.create_client(kind, service) for service, kind in SERVICES.items()}
        self._goals = ActionClient(self.node, PursueGoal, "pursue_goal")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, name="graph_client", daemon=True)

    def __enter__(self) -> GraphClient:
        """Begin to listen."""
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self._thread.join(2.0)
        self.node.destroy_node()

    def wait_until_active(self, timeout_s: float = 60.0, still_running: Callable[[], bool] = lambda: True) -> None:
        """Until the lifecycle manager says that all nodes are active. Raises GraphError."""
        give_up_s = time.monotonic() + timeout_s
        client = self._clients["lifecycle_manager/is_active"]
        while time.monotonic() < give_up_s and still_running():
            if client.service_is_ready():
                answer = result_within(client.call_async(Trigger.Request()), 1.0)
                if answer is not None and answer.success:
                    return
            time.sleep(POLL_S)
        ended = "" if still_running() else "; its launch has ended"
        raise GraphError(f"the graph was not active within {timeout_s:g} s{ended}")

    def begin_episode(self, scene_seed: int) -> None:
        """Disarm, put the scene up, and arm where the arm then is. Raises GraphError."""
        self.arm(False)
        self.reset(scene_seed)
        self.arm(True)

    def reset(self, scene_seed: int) -> None:
        """Put arm and blocks where the seed says. Raises GraphError when it is refused."""
        self._demand("sim/reset", ResetSim.Request(scene_seed=scene_seed))

    def arm(self, armed: bool) -> None:
        """Arm or disarm the guardrail. Raises GraphError when it is refused."""
        self._demand("guardrail/arm", SetBool.Request(data=armed))

    def judge(self) -> JudgeEpisode.Response:
        """The verdict since the last reset. Raises GraphError when there is none."""
        return self._demand("sim/judge", JudgeEpisode.Request())

    def pursue(self, goal: PursueGoal.Goal, duration_s: float, patience: float = 3.0) -> PursueGoal.Result:
        """Pursue a goal to its end. See `start` and `finish`."""
        return self.finish(self.start(goal, duration_s), patience * duration_s + self.timeout_s)

    def start(
        self,
        goal: PursueGoal.Goal,
        duration_s: float,
        on_feedback: Callable[[PursueGoal.Feedback], None] = lambda _: None,
    ) -> Any:
        """Begin to pursue a goal; returns its handle.

        Args:
            goal: from `position_goal` or `image_goal`; its duration is set here.
            duration_s: simulated time.
            on_feedback: called on each model step, from another thread.

        Raises:
            GraphError: the planner is not there, or rejects the goal.
        """
        goal.duration = to_duration(duration_s)
        if not self._goals.wait_for_server(timeout_sec=self.timeout_s):
            raise GraphError("there is no action server pursue_goal: is the planner active?")
        sent = self._goals.send_goal_async(goal, feedback_callback=lambda message: on_feedback(message.feedback))
        handle = result_within(sent, self.timeout_s)
        if handle is None or not handle.accepted:
            raise GraphError("the planner did not accept the goal: it pursues one at a time, for a positive duration")
        return handle

    def cancel(self, handle: Any) -> None:
        """Stop pursuing; the arm comes to rest. Raises GraphError when the planner does not say that it will."""
        answer = result_within(handle.cancel_goal_async(), self.timeout_s)
        if answer is None or answer.return_code != CancelGoal.Response.ERROR_NONE:
            raise GraphError("the planner did not cancel the goal")

    def finish(self, handle: Any, timeout_s: float) -> PursueGoal.Result:
        """The result of a goal, waiting for at most this long (wall time). Raises GraphError when none comes."""
        answer = result_within(handle.get_result_async(), timeout_s)
        if answer is None:
            raise GraphError(f"the planner gave no result within {timeout_s:g} s")
        return answer.result

    def _demand(self, service: str, request: Any) -> Any:
        """A service's answer; asked again for a moment, since topics are discovered and joint states settle meanwhile.

        Raises GraphError when there is no answer, or it is still no.
        """
        client = self._clients[service]
        if not client.wait_for_service(timeout_sec=self.timeout_s):
            raise GraphError(f"there is no service {service}: is its node active?")
        give_up_s = time.monotonic() + PATIENCE_S
        while True:
            answer = result_within(client.call_async(request), self.timeout_s)
            if answer is None:
                raise GraphError(f"{service} did not answer within {self.timeout_s:g} s")
            if answer.success:
                return answer
            if time.monotonic() > give_up_s:
                raise GraphError(f"{service}: {answer.message}")
            time.sleep(POLL_S)

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return
