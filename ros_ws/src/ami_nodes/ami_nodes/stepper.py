"""One step for each word of a person: what the planner would do next, and what the guardrail made of it."""

from __future__ import annotations

import threading
from types import TracebackType

import numpy as np
import rclpy
from ami_interfaces.msg import GuardrailReport, Plan
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from std_srvs.srv import Trigger

from ami_nodes import qos
from ami_nodes.common import result_within
from ami_nodes.convert import as_array
from ami_robot.types import ACTION_DIM

FIRST_PLAN_S = 10.0
DECISION_S = 2.0
"""From being asked to the guardrail's report: a plan, a model step, and what a busy machine adds."""


class StepError(RuntimeError):
    """No plan, no answer or no decision came; one sentence."""

    exit_status = 1


class Stepper:
    """Hears plans and reports, asks for single steps. Use it in a `with` statement."""

    def __init__(self) -> None:
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)  # Ctrl-C is for the command line
        self._node = rclpy.create_node("stepper")
        self._heard = threading.Condition()
        self._plan: Plan | None = None
        self._reports: list[GuardrailReport] = []
        self._node.create_subscription(Plan, "plan", self._on_plan, qos.EVENTS)
        self._node.create_subscription(GuardrailReport, "guardrail_report", self._on_report, qos.EVENTS)
        self._client = self._node.create_client(Trigger, "planner/step")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, daemon=True)

    def __enter__(self) -> Stepper:
        """Begin to listen."""
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self._thread.join(2.0)
        self._node.destroy_node()
        rclpy.try_shutdown()

    def next_step(self) -> str:
        """What the newest plan begins with; waits for one. Raises StepError."""
        with self._heard:
            self._plan = None
            if not self._heard.wait_for(lambda: self._plan is not None, FIRST_PLAN_S):
                raise StepError(f"no plan came within {FIRST_PLAN_S:g} s: is a goal pursued? (`ami ros list`)")
            return _described(self._plan)

    def step(self) -> str:
        """Ask for one step; what the guardrail decided on it. Raises StepError."""
        if not self._client.wait_for_service(timeout_sec=DECISION_S):
            raise StepError("there is no service planner/step: launch with step_by_step:=true.")
        with self._heard:
            self._reports.clear()
        answer = result_within(self._client.call_async(Trigger.Request()), DECISION_S)
        if answer is None or not answer.success:
            raise StepError("the planner did not answer." if answer is None else answer.message)
        with self._heard:
            if not self._heard.wait_for(lambda: bool(self._reports), DECISION_S):
                raise StepError(f"no decision of the guardrail came within {DECISION_S:g} s: is it armed and active?")
            report = self._reports[0]
        return f"{report.decision}: {report.reason}" if report.reason else report.decision

    def _on_plan(self, message: Plan) -> None:
        with self._heard:
            self._plan = message
            self._heard.notify_all()

    def _on_report(self, message: GuardrailReport) -> None:
        with self._heard:
            if message.proposal_sequence:
                self._reports.append(message)
                self._heard.notify_all()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return


def _described(plan: Plan | None) -> str:
    assert plan is not None
    if plan.refused:
        return f"the planner refuses: {plan.reason}"
    dx, dy, dz, width = np.asarray(as_array(plan.actions)).reshape(-1, ACTION_DIM)[0]
    return (
        f"{100 * plan.goal_distance:.1f} cm to the goal; next the tool by ({100 * dx:+.1f}, {100 * dy:+.1f}, "
        f"{100 * dz:+.1f}) cm, gripper {100 * width:.1f} cm"
    )
