"""The one who shows the goals: resets the simulator, arms the guardrail, sends a goal, asks the judge, keeps a record.

Not a part of the agent: it alone, beside the camera, may read `sim/*`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from ami_interfaces.action import PursueGoal
from ami_interfaces.msg import GuardrailReport, Plan, SimState
from ami_interfaces.srv import JudgeEpisode, ResetSim
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from ami_nodes import qos
from ami_nodes.convert import (
    as_array,
    to_camera_info_msg,
    to_duration,
    to_image_msg,
    to_ns,
    to_point,
    xyz,
)
from ami_nodes.demo_graph import GraphError
from ami_nodes.sim_state import to_snapshot
from ami_robot.perception.camera import CameraModel
from ami_sim.demo.record import EpisodeRecord
from ami_sim.judge import EPISODE_S
from ami_sim.scene import Scene

ANSWER_S = 5.0  # wall time, a service call
SETTLE_S = 0.03  # the guardrail must not be armed on joint states from before the reset, which arrive every 10 ms
RETRY_S = 3.0  # wall time, for a guardrail that has to come to rest first
EPISODE_TIMEOUT_S = 4 * EPISODE_S  # wall time: a slower simulation than this is broken
SENT = (GuardrailReport.ACCEPTED, GuardrailReport.MODIFIED)
INTERVENED = (GuardrailReport.MODIFIED, GuardrailReport.REFUSED, GuardrailReport.BRAKE)


class DemoClient(Node):
    """Everything happens on the caller's thread; `alive` is called while waiting and raises when the graph has died."""

    def __init__(self, alive: Callable[[], None]) -> None:
        super().__init__("demo")
        self._alive = alive
        self._states: list[SimState] = []
        self._walls_s: list[float] = []
        self._plans: list[Plan] = []
        self._reports: list[GuardrailReport] = []
        self.create_subscription(SimState, "sim/state", self._on_state, qos.SENSOR_IN)
        self.create_subscription(Plan, "plan", lambda message: self._plans.append(message), qos.EVENTS)
        self.create_subscription(
            GuardrailReport, "guardrail_report", lambda message: self._reports.append(message), qos.EVENTS
        )
        self._manager = self.create_client(Trigger, "lifecycle_manager/is_active")
        self._arm = self.create_client(SetBool, "guardrail/arm")
        self._reset = self.create_client(ResetSim, "sim/reset")
        self._judge = self.create_client(JudgeEpisode, "sim/judge")
        self._pursue = ActionClient(self, PursueGoal, "pursue_goal")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self)

    def wait_until_active(self, timeout_s: float) -> None:
        """Until the lifecycle manager says that every node is; raises GraphError."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            if self._manager.service_is_ready() and self._call(self._manager, Trigger.Request()).success:
                self._until(self._pursue.server_is_ready, ANSWER_S, "the action pursue_goal")
                return
            self._spin(0.1)
        raise GraphError(f"the nodes were not all active within {timeout_s:g} s.")

    def run_episode(
        self,
        scene: Scene,
        goal_image: np.ndarray,
        camera: CameraModel,
        as_pose: bool,
        on_progress: Callable[[float], None],
    ) -> EpisodeRecord:
        """Pursue one goal for EPISODE_S from the reset on and return what the simulator's judge says of it.

        The goal is the picture (height, width, 3) uint8 rgb that `camera` would take, or its position when `as_pose`.
        on_progress is called with the tool's true distance from the goal, m.
        """
        self._call(self._arm, SetBool.Request(data=False))
        self._retry(self._reset, ResetSim.Request(scene_seed=scene.seed), f"sim/reset to scene {scene.seed}")
        self._forget()
        self._until(lambda: bool(self._scene_states(scene)), ANSWER_S, f"the first state of scene {scene.seed}")
        self._spin(SETTLE_S)
        self._retry(self._arm, SetBool.Request(data=True), "guardrail/arm")
        goal = PursueGoal.Goal(duration=to_duration(EPISODE_S))
        if as_pose:
            goal.kind, goal.tool_position = PursueGoal.Goal.POSE, to_point(scene.goal_position)
        else:
            goal.kind, goal.image = PursueGoal.Goal.IMAGE, to_image_msg(goal_image, 0, camera.frame_id)
            goal.camera_info = to_camera_info_msg(camera, 0)
        result = self._pursue_goal(goal, scene, on_progress)
        self._until(lambda: self._elapsed_s(scene) > EPISODE_S, EPISODE_TIMEOUT_S, "the episode")
        verdict = self._call(self._judge, JudgeEpisode.Request())
        if not verdict.success:
            raise GraphError(f"the simulator cannot judge scene {scene.seed}: {verdict.message}")
        return self._record(scene, goal_image, result, verdict)

    def rest(self) -> None:
        """Bring the arm to rest and disarm; what does not answer any more is passed over."""
        if self._arm.service_is_ready():
            future = self._arm.call_async(SetBool.Request(data=False))
            deadline_s = time.monotonic() + 1.0
            while not future.done() and time.monotonic() < deadline_s:
                self._executor.spin_once(timeout_sec=0.05)

    def _pursue_goal(self, goal: Any, scene: Scene, on_progress: Callable[[float], None]) -> Any:
        """The action's result."""
        sent = self._pursue.send_goal_async(goal)
        self._until(sent.done, ANSWER_S, "the planner's answer to pursue_goal")
        handle = sent.result()
        if not handle.accepted:
            raise GraphError("the planner would not take up the goal: it is busy or going down.")
        result = handle.get_result_async()

        def done() -> bool:
            if self._states:
                on_progress(float(np.linalg.norm(xyz(self._states[-1].tool_position) - scene.goal_position)))
            return result.done()

        self._until(done, EPISODE_TIMEOUT_S, "the planner's pursuit of the goal")
        return result.result().result

    def _record(self, scene: Scene, goal_image: np.ndarray, result: Any, verdict: Any) -> EpisodeRecord:
        """Messages -> arrays."""
        states = self._scene_states(scene)
        origin_ns = to_ns(states[0].header.stamp)
        sent = [r for r in self._reports if r.decision in SENT and r.sequence]
        observed = [r for r in sent if to_ns(r.observation_stamp)]
        rows = list(sent[0].margin_rows) if sent else []
        margins = [as_array(r.margins) for r in sent if list(r.margin_rows) == rows]
        snapshots = [to_snapshot(state) for state in states]
        horizon = max((len(plan.imagined_tool_path) for plan in self._plans), default=0)
        paths = [_path(plan, horizon) for plan in self._plans]
        spent_wall_s = self._walls_s[-1] - self._walls_s[0]

        def seconds(messages: list[Any]) -> np.ndarray:
            return np.array([(to_ns(message.header.stamp) - origin_ns) / 1e9 for message in messages])

        return EpisodeRecord(
            seed=scene.seed,
            goal_image=goal_image,
            success=verdict.message == "reached",
            judged_s=as_array(verdict.times),
            distances_m=as_array(verdict.distances),
            violations=list(verdict.violations),
            checked_commands=verdict.checked_commands,
            max_measured_acceleration=verdict.max_measured_acceleration,
            min_clearance_m=verdict.min_clearance,
            outcome=result.outcome,
            reason=result.reason,
            steps=result.steps,
            refusals=result.refusals,
            interventions=sum(report.decision in INTERVENED for report in self._reports),
            real_time_factor=float(seconds(states)[-1] / spent_wall_s) if spent_wall_s > 0 else float("nan"),
            states_s=seconds(states),
            joint_positions=np.array([snapshot.joint_positions for snapshot in snapshots]),
            block_positions=np.array([snapshot.block_positions for snapshot in snapshots]),
            block_orientations=np.array([snapshot.block_orientations for snapshot in snapshots]),
            plans_s=seconds(self._plans),
            plan_ms=np.array([plan.plan_ms for plan in self._plans]),
            plan_costs=np.array([np.nan if plan.refused else plan.cost for plan in self._plans]),
            imagined_tool_paths=np.array(paths).reshape(len(paths), horizon, 3),
            camera_to_command_ms=np.array(
                [(to_ns(r.header.stamp) - to_ns(r.observation_stamp)) / 1e6 for r in observed]
            ),
            reports_s=seconds(sent),
            margin_rows=rows,
            margins=np.array(margins).reshape(len(margins), len(rows)),
        )

    def _elapsed_s(self, scene: Scene) -> float:
        """Simulated time since the first state of this scene."""
        states = self._scene_states(scene)
        return (to_ns(states[-1].header.stamp) - to_ns(states[0].header.stamp)) / 1e9 if states else 0.0

    def _scene_states(self, scene: Scene) -> list[SimState]:
        return [state for state in self._states if state.scene_seed == scene.seed]

    def _on_state(self, message: SimState) -> None:
        self._states.append(message)
        self._walls_s.append(time.monotonic())

    def _forget(self) -> None:
        for kept in (self._states, self._walls_s, self._plans, self._reports):
            kept.clear()

    def _retry(self, client: Any, request: Any, what: str) -> None:
        """Call until it succeeds; raises GraphError with the last refusal."""
        deadline_s = time.monotonic() + RETRY_S
        while not (answer := self._call(client, request)).success:
            if time.monotonic() > deadline_s:
                raise GraphError(f"{what}: {answer.message}")
            self._spin(0.05)

    def _call(self, client: Any, request: Any) -> Any:
        future = client.call_async(request)
        self._until(future.done, ANSWER_S, f"the answer of {client.srv_name}")
        return future.result()

    def _until(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            self._alive()
            if time.monotonic() > deadline_s:
                raise GraphError(f"{what} took longer than {timeout_s:g} s.")
            self._executor.spin_once(timeout_sec=0.05)

    def _spin(self, duration_s: float) -> None:
        end_s = time.monotonic() + duration_s
        while (left_s := end_s - time.monotonic()) > 0:
            self._alive()
            self._executor.spin_once(timeout_sec=min(left_s, 0.05))


def _path(plan: Plan, horizon: int) -> np.ndarray:
    """(horizon, 3), m; NaN where there is none."""
    path = np.full((horizon, 3), np.nan)
    for step, point in enumerate(plan.imagined_tool_path):
        path[step] = xyz(point)
    return path
