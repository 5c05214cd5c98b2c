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
from ami_interfaces.msg import ShownGoal
from ami_interfaces.srv import JudgeEpisode, ResetSim, SelectSource
from rclpy.action import ActionClient
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from std_srvs.srv import SetBool, Trigger

from ami_nodes.convert import to_camera_info_msg, to_duration, to_image_msg, to_point
from ami_nodes.demo_graph import GraphError
from ami_robot.perception.camera import CameraModel
from ami_robot.types import Array

POLL_S = 0.01
RETRY_S = 0.05
LOST_S = 1.0  # a question to a manager that was killed, or is just coming up, may never be answered
PATIENCE_S = 3.0
"""How long a service is asked again that says no: topics are discovered, and the arm comes to rest meanwhile."""

SERVICES = {
    "lifecycle_manager/is_active": Trigger,
    "sim/reset": ResetSim,
    "sim/judge": JudgeEpisode,
    "guardrail/arm": SetBool,
    "guardrail/reset_e_stop": Trigger,
    "select_source": SelectSource,
    "planner/step": Trigger,
}


def position_goal(position: Array) -> PursueGoal.Goal:
    """A position of the tool (3,), m in base_link."""
    return PursueGoal.Goal(shown=ShownGoal(tool_positions=[to_point(position)]))


def image_goal(image: np.ndarray, camera: CameraModel) -> PursueGoal.Goal:
    """What a picture (H, W, 3) uint8 rgb of this camera shows."""
    picture = to_image_msg(image, 0, camera.frame_id)
    return PursueGoal.Goal(shown=ShownGoal(pictures=[picture], camera_info=to_camera_info_msg(camera, 0)))


class GraphClient:
    """A node that asks the others. Use it in a `with` statement; rclpy has to be initialised.

    `check_alive` is called while waiting, and raises GraphError when the graph has died. Every method that waits
    raises GraphError, one sentence, when what it waits for does not come or is refused.
    """

    def __init__(
        self,
        name: str = "graph_client",
        timeout_s: float = 10.0,
        check_alive: Callable[[], None] = lambda: None,
        namespace: str = "",
    ) -> None:
        self.node = rclpy.create_node(name, namespace=namespace)
        self._timeout_s, self._check_alive = timeout_s, check_alive
        self._clients = {service: self.node.create_client(kind, service) for service, kind in SERVICES.items()}
        self._goals = ActionClient(self.node, PursueGoal, "pursue_goal")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, name=name, daemon=True)

    def __enter__(self) -> GraphClient:
        """Begin to listen."""
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self._thread.join(2.0)
        self.node.destroy_node()

    def wait_until(self, condition: Callable[[], Any], timeout_s: float, what: str) -> None:
        """Until the condition holds, for at most this long (wall time)."""
        give_up_s = time.monotonic() + timeout_s
        while not condition():
            self._check_alive()
            if time.monotonic() > give_up_s:
                raise GraphError(f"{what} took longer than {timeout_s:g} s.")
            time.sleep(POLL_S)

    def wait_until_active(self, timeout_s: float = 60.0) -> None:
        """Until the lifecycle manager says that all nodes are active, and the planner takes goals."""
        client = self._clients["lifecycle_manager/is_active"]
        answer, ask_s = None, 0.0

        def active() -> bool:
            nonlocal answer, ask_s
            if answer is not None and answer.done():
                if answer.result().success:
                    return True
                answer, ask_s = None, time.monotonic() + RETRY_S
            if client.service_is_ready() and time.monotonic() > ask_s:
                answer, ask_s = client.call_async(Trigger.Request()), time.monotonic() + LOST_S
            return False

        self.wait_until(active, timeout_s, "the way of all nodes to the state active")
        self.wait_until(self.takes_goals, self._timeout_s, "the action pursue_goal")

    def is_active(self) -> Trigger.Response:
        """Whether all nodes are active, by the lifecycle manager; if not, who is not, in its words."""
        return self._call("lifecycle_manager/is_active", Trigger.Request())

    def begin_episode(self, scene_seed: int) -> None:
        """Disarm, put the scene up, and arm where the arm then is."""
        self.arm(False)
        self.reset(scene_seed)
        self.arm(True)

    def reset(self, scene_seed: int) -> None:
        """Put arm and blocks where the seed says."""
        self._demand("sim/reset", ResetSim.Request(scene_seed=scene_seed))

    def arm(self, armed: bool) -> None:
        """Arm or disarm the guardrail."""
        self._demand("guardrail/arm", SetBool.Request(data=armed))

    def reset_e_stop(self) -> None:
        """Let the guardrail be armed again."""
        self._demand("guardrail/reset_e_stop", Trigger.Request())

    def select_source(self, source: str) -> None:
        """Choose whose proposals the guardrail listens to."""
        self._demand("select_source", SelectSource.Request(source=source))

    def ask_for_step(self) -> None:
        """Let the planner propose its next action, in a graph launched with step_by_step:=true."""
        if not self._clients["planner/step"].wait_for_service(timeout_sec=PATIENCE_S):
            raise GraphError("there is no service planner/step: launch with step_by_step:=true.")
        self._demand("planner/step", Trigger.Request())

    def judge(self) -> JudgeEpisode.Response:
        """The verdict since the last reset."""
        return self._demand("sim/judge", JudgeEpisode.Request())

    def pursue(self, goal: PursueGoal.Goal, duration_s: float, patience: float = 3.0) -> PursueGoal.Result:
        """Pursue a goal to its end. See `start` and `finish`."""
        return self.finish(self.start(goal, duration_s), patience * duration_s + self._timeout_s)

    def takes_goals(self) -> bool:
        """Whether there is a planner for them."""
        return self._goals.server_is_ready()

    def start(
        self, goal: PursueGoal.Goal, duration_s: float, on_feedback: Callable[[Any], None] = lambda _: None
    ) -> Any:
        """Begin to pursue a goal for this long, simulated time; its handle. Feedback comes on the listening thread."""
        goal.duration = to_duration(duration_s)
        self.wait_until(self.takes_goals, self._timeout_s, "the action pursue_goal")
        sent = self._goals.send_goal_async(goal, feedback_callback=lambda message: on_feedback(message.feedback))
        what = "the planner's answer to pursue_goal"
        try:
            handle = self._result(sent, self._timeout_s, what)
        except KeyboardInterrupt:
            handle = self._result(sent, self._timeout_s, what)  # it may be accepted: nobody else could cancel it
            if handle.accepted:
                self.cancel(handle)
            raise
        if not handle.accepted:
            raise GraphError("the planner did not accept the goal: it pursues one at a time, for a positive duration.")
        return handle

    def cancel(self, handle: Any) -> None:
        """Stop pursuing; the arm comes to rest."""
        answer = self._result(handle.cancel_goal_async(), self._timeout_s, "the planner's answer to a cancel")
        if answer.return_code != CancelGoal.Response.ERROR_NONE:
            raise GraphError("the planner did not cancel the goal.")

    def finish(self, handle: Any, timeout_s: float, meanwhile: Callable[[], None] = lambda: None) -> PursueGoal.Result:
        """The result of a goal, waiting for at most this long (wall time); `meanwhile` is called every few ms."""
        what = "the planner's pursuit of the goal"
        return self._result(handle.get_result_async(), timeout_s, what, meanwhile).result

    def _demand(self, service: str, request: Any) -> Any:
        """A service's answer once it is yes; it is asked again for a moment."""
        self.wait_until(self._clients[service].service_is_ready, self._timeout_s, f"the service {service}")
        give_up_s = time.monotonic() + PATIENCE_S
        while not (answer := self._call(service, request)).success:
            if time.monotonic() > give_up_s:
                raise GraphError(f"{service}: {answer.message}")
            time.sleep(RETRY_S)
        return answer

    def _call(self, service: str, request: Any) -> Any:
        return self._result(self._clients[service].call_async(request), self._timeout_s, f"the answer of {service}")

    def _result(self, future: Any, timeout_s: float, what: str, meanwhile: Callable[[], None] = lambda: None) -> Any:
        def done() -> bool:
            meanwhile()
            return future.done()

        self.wait_until(done, timeout_s, what)
        return future.result()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return
