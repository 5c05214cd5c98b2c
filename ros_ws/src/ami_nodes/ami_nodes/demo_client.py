"""The one who shows the goals of the demonstration, and keeps a record of what the graph says and the judge decides.

Not a part of the agent: it alone, beside the camera, may read `sim/*`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from ami_interfaces.msg import CycleTimes, GuardrailReport, Plan, SimState

from ami_nodes import qos
from ami_nodes.convert import as_array, to_ns, xyz
from ami_nodes.cycles import Figures
from ami_nodes.demo_graph import GraphError
from ami_nodes.graph_client import GraphClient, image_goal, position_goal
from ami_nodes.replay_decision import recorded_actions
from ami_nodes.sim_state import to_snapshot
from ami_robot.perception.camera import CameraModel
from ami_robot.types import MODEL_STEP_S
from ami_sim.demo.record import EpisodeRecord
from ami_sim.scene import Scene
from ami_sim.tasks import Task

REPORT_S = 1.0  # wall time, for a report after a service's answer; heartbeats come ten times a second
STATE_S = 5.0  # wall time until the first state after a reset
SETTLE_S = 0.03  # the guardrail must not be armed on joint states from before the reset, which arrive every 10 ms
SLOWEST = 4  # times as long as it lasts; a slower simulation than this is broken
SENT = (GuardrailReport.ACCEPTED, GuardrailReport.MODIFIED)
STALENESS = "staleness"  # the guardrail of inputs that are too old
INTERVENED = (GuardrailReport.MODIFIED, GuardrailReport.REFUSED, GuardrailReport.BRAKE)


class DemoClient:
    """Shows goals through a `GraphClient`, whose thread brings in what is recorded."""

    def __init__(self, graph: GraphClient) -> None:
        self._graph = graph
        self._states: list[SimState] = []
        self._walls_s: list[float] = []
        self._plans: list[Plan] = []
        self._reports: list[GuardrailReport] = []
        self._cycles: list[CycleTimes] = []
        graph.node.create_subscription(SimState, "sim/state", self._on_state, qos.SENSOR_IN)
        graph.node.create_subscription(Plan, "plan", self._plans.append, qos.EVENTS)
        graph.node.create_subscription(GuardrailReport, "guardrail_report", self._reports.append, qos.EVENTS)
        graph.node.create_subscription(CycleTimes, "guardrail_cycles", self._cycles.append, qos.LATCHED)

    def run_episode(
        self,
        task: Task,
        goal_image: np.ndarray,
        camera: CameraModel,
        as_pose: bool,
        on_progress: Callable[[float], None],
    ) -> EpisodeRecord:
        """Pursue one goal for the task's length from the reset on and return what the simulator's judge says of it.

        The goal is the picture (height, width, 3) uint8 rgb that `camera` would take, or its position when `as_pose`.
        on_progress is called with the true distance from the goal, m, of the tool or, where there is one to be handled,
        the block. Raises GraphError.
        """
        graph, scene = self._graph, task.scene
        length_s = MODEL_STEP_S * task.steps
        graph.arm(False)
        graph.reset(scene.seed)
        self._forget()
        graph.wait_until(lambda: self._scene_states(scene), STATE_S, f"the first state of scene {scene.seed}")
        time.sleep(SETTLE_S)
        graph.arm(True)
        goal = position_goal(scene.goal_position) if as_pose else image_goal(goal_image, camera)

        stops: list[GuardrailReport] = []

        def attend() -> None:
            if states := self._scene_states(scene):
                on_progress(_distance_m(task, states[-1]))
            if len(found := [r for r in list(self._reports) if r.decision == r.BRAKE and not r.armed]) > len(stops):
                stops[:] = found
                self._arm_again(found[-1])

        result = graph.finish(graph.start(goal, length_s), SLOWEST * length_s, attend)
        graph.wait_until(lambda: self._elapsed_s(scene) > length_s, SLOWEST * length_s, "the episode")
        verdict = graph.judge()
        return self._record(task, goal_image, result, verdict, [report.reason for report in stops])

    def rest(self) -> None:
        """Bring the arm to rest, disarm and hear of it; what does not answer any more is passed over."""
        told = len(self._cycles)
        with contextlib.suppress(GraphError):
            self._graph.arm(False)
            self._graph.wait_until(lambda: self._reports and not self._reports[-1].armed, REPORT_S, "the last report")
            self._graph.wait_until(lambda: len(self._cycles) > told, REPORT_S, "the guardrail's cycle times")

    def cycles(self) -> dict[str, float]:
        """How punctual the guardrail said that it was, of all episodes; empty when it said nothing."""
        if not self._cycles:
            return {}
        last = self._cycles[-1]
        return {name: getattr(last, name) for name in Figures._fields}

    def _arm_again(self, stop: GuardrailReport) -> None:
        """What somebody who watches would do after the machine had no time for the graph, and for nothing else."""
        if stop.guardrail == STALENESS:
            with contextlib.suppress(GraphError):  # it stays disarmed, and the episode is a miss whose record says why
                self._graph.arm(True)

    def _record(self, task: Task, goal_image: np.ndarray, result: Any, verdict: Any, stops: list[str]) -> EpisodeRecord:
        """Messages -> arrays."""
        scene = task.scene
        states, plans, reports = self._scene_states(scene), list(self._plans), list(self._reports)  # more may come in
        origin_ns = to_ns(states[0].header.stamp)
        sent = [r for r in reports if r.decision in SENT and r.sequence]
        observed = [r for r in sent if to_ns(r.observation_stamp)]
        rows = list(sent[0].margin_rows) if sent else []
        margins = [as_array(r.margins) for r in sent if list(r.margin_rows) == rows]
        snapshots = [to_snapshot(state) for state in states]
        paths = [_tool_path(plan) for plan in plans]
        horizon = max(map(len, paths), default=0)
        spent_wall_s = self._walls_s[-1] - self._walls_s[0]

        def seconds(messages: list[Any]) -> np.ndarray:
            return np.array([(to_ns(message.header.stamp) - origin_ns) / 1e9 for message in messages])

        return EpisodeRecord(
            task=task.name,
            seed=scene.seed,
            length_s=MODEL_STEP_S * task.steps,
            tolerance_m=task.tolerance_m,
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
            interventions=sum(report.decision in INTERVENED for report in reports),
            stops=stops,
            real_time_factor=float(seconds(states)[-1] / spent_wall_s) if spent_wall_s > 0 else float("nan"),
            states_s=seconds(states),
            joint_positions=np.array([snapshot.joint_positions for snapshot in snapshots]),
            block_positions=np.array([snapshot.block_positions for snapshot in snapshots]),
            block_orientations=np.array([snapshot.block_orientations for snapshot in snapshots]),
            plans_s=seconds(plans),
            plan_ms=np.array([plan.plan_ms for plan in plans]),
            plan_costs=np.array([np.nan if plan.refused else plan.cost for plan in plans]),
            tool_paths=np.array([_filled_up(path, horizon) for path in paths]).reshape(len(paths), horizon, 3),
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


def _distance_m(task: Task, state: SimState) -> float:
    if task.name == "reach":
        return float(np.linalg.norm(xyz(state.tool_position) - task.scene.goal_position))
    return float(np.linalg.norm(xyz(state.block_poses[0].position) - task.goal_block_position))


def _tool_path(plan: Plan) -> np.ndarray:
    """(H, 3), m: where the tool is imagined, and from there on as the actions go; (0, 3) for a refusal."""
    imagined = np.array([xyz(point) for point in plan.imagined_tool_path]).reshape(-1, 3)
    if not len(imagined):
        return imagined
    further = recorded_actions(plan)[len(imagined) :, :3]
    return np.concatenate([imagined, imagined[-1] + np.cumsum(further, axis=0)])


def _filled_up(path: np.ndarray, horizon: int) -> np.ndarray:
    """(horizon, 3), m; NaN where there is none."""
    return np.concatenate([path, np.full((horizon - len(path), 3), np.nan)])
