"""One step for each word of a person: what the planner would do next, and what the guardrail made of it."""

from __future__ import annotations

import numpy as np
from ami_interfaces.msg import GuardrailReport, Plan

from ami_nodes import qos
from ami_nodes.convert import as_array
from ami_nodes.graph_client import GraphClient
from ami_robot.types import ACTION_DIM

FIRST_PLAN_S = 10.0
DECISION_S = 2.0
"""From being asked to the guardrail's report: a plan, a model step, and what a busy machine adds."""


class Stepper:
    """Hears plans and reports, asks for single steps. What does not come raises GraphError."""

    def __init__(self, client: GraphClient) -> None:
        self._client = client
        self._plan: Plan | None = None
        self._report: GuardrailReport | None = None
        client.node.create_subscription(Plan, "plan", self._on_plan, qos.EVENTS)
        client.node.create_subscription(GuardrailReport, "guardrail_report", self._on_report, qos.EVENTS)

    def next_step(self) -> str:
        """What the next plan begins with."""
        self._plan = None
        what = "a plan of the planner (is a goal pursued?)"
        self._client.wait_until(lambda: self._plan is not None, FIRST_PLAN_S, what)
        return _described(self._plan)

    def step(self) -> str:
        """Ask for one step; what the guardrail decided on it."""
        self._report = None
        self._client.ask_for_step()
        what = "the guardrail's decision (is it active?)"
        self._client.wait_until(lambda: self._report is not None, DECISION_S, what)
        report = self._report
        assert report is not None
        return f"{report.decision}: {report.reason}" if report.reason else report.decision

    def _on_plan(self, message: Plan) -> None:
        self._plan = message

    def _on_report(self, message: GuardrailReport) -> None:
        if message.proposal_sequence:
            self._report = self._report or message


def _described(plan: Plan | None) -> str:
    assert plan is not None
    if plan.refused:
        return f"the planner refuses: {plan.reason}"
    dx, dy, dz, width = np.asarray(as_array(plan.actions)).reshape(-1, ACTION_DIM)[0]
    return (
        f"{100 * plan.goal_distance:.1f} cm to the goal; next the tool by ({100 * dx:+.1f}, {100 * dy:+.1f}, "
        f"{100 * dz:+.1f}) cm, gripper {100 * width:.1f} cm"
    )
