"""One goal, shown to a running graph while somebody looks on: how it gets on, and what came of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from ami_interfaces.action import PursueGoal
from ami_interfaces.msg import GuardrailReport, Plan

from ami_nodes import qos
from ami_nodes.demo_graph import GraphError
from ami_nodes.graph_client import GraphClient
from ami_nodes.shown_goal import to_shown_goal_msg
from ami_nodes.visitor import DISCOVERY_S, domain_hint
from ami_robot.episodes.goals import ShownGoal

REPORT_S = 2.0  # wall time; the guardrail says ten times a second how it is
TELL_EVERY_S = 1.0
PATIENCE, ANSWER_S = 3.0, 10.0
"""Wall time until a pursuit counts as lost: so many times its duration, since a simulation may be slow, and this."""


class NoGraphError(GraphError):
    """Nobody is there who takes goals."""

    exit_status = 2


@dataclass(frozen=True)
class Outcome:
    """What came of a goal."""

    done: bool  # it was pursued to the end, with a plan at least, and the guardrail is still armed
    sentence: str


class Pursuer:
    """Hears plans and reports, shows goals. What does not come raises GraphError."""

    def __init__(self, client: GraphClient) -> None:
        self._client = client
        self._report: GuardrailReport | None = None
        self._refused = ""  # why the last plan that was refused was
        client.node.create_subscription(GuardrailReport, "guardrail_report", self._on_report, qos.EVENTS)
        client.node.create_subscription(Plan, "plan", self._on_plan, qos.EVENTS)

    def pursue(self, shown: ShownGoal, duration_s: float, tell: Callable[[str], None]) -> Outcome:
        """Have it pursued for this long, on the graph's clock; `tell` hears how it gets on, on another thread.

        Interrupted by Ctrl-C it cancels the goal, with which the arm comes to rest, and raises KeyboardInterrupt.

        Raises:
            ViewError: its pictures are of a view that nobody makes.
            NoGraphError: there is no planner that takes goals.
            GraphError: the guardrail is not armed, the goal is not accepted, or an answer does not come.
        """
        goal = PursueGoal.Goal(shown=to_shown_goal_msg(shown))
        self._expect_planner()
        self._expect_armed()
        told_s = -math.inf

        def on_feedback(feedback: PursueGoal.Feedback) -> None:
            nonlocal told_s
            if time.monotonic() - told_s >= TELL_EVERY_S:
                told_s = time.monotonic()
                tell(_progress(feedback))

        handle = self._client.start(goal, duration_s, on_feedback)
        try:
            result = self._client.finish(handle, PATIENCE * duration_s + ANSWER_S)
        except (KeyboardInterrupt, GraphError):
            with suppress(GraphError):  # it has come to its end, or there is nobody to cancel it any more
                self._client.cancel(handle)
                tell(self._told(self._client.finish(handle, ANSWER_S)).sentence)
            raise
        return self._told(result)

    def _expect_planner(self) -> None:
        try:
            self._client.wait_until(self._client.takes_goals, DISCOVERY_S, "")
        except GraphError as error:
            hint = domain_hint(self._client.node.context)
            raise NoGraphError(f"no active planner takes goals at {self._space()}/pursue_goal: {hint}") from error

    def _expect_armed(self) -> None:
        self._client.wait_until(lambda: self._report, REPORT_S, "a word of the guardrail (is it active?)")
        if not self._armed():
            call = f"ami ros call {self._space()}/guardrail/arm '{{data: true}}'"
            raise GraphError(f"the guardrail is disarmed, nothing would move; arm it with `{call}`.")

    def _space(self) -> str:
        """The namespace, before a slash."""
        return self._client.node.get_fully_qualified_name().rpartition("/")[0]

    def _armed(self) -> bool:
        return self._report is not None and self._report.armed

    def _told(self, result: PursueGoal.Result) -> Outcome:
        if result.outcome == PursueGoal.Result.REFUSED:
            return Outcome(False, f"refused: {result.reason}")
        away = "" if math.isnan(result.goal_distance) else f", {100 * result.goal_distance:.1f} cm from the goal"
        why = f" (the last: {self._refused})" if result.refusals and self._refused else ""
        told = f"{result.outcome}: {result.steps} steps, {result.refusals} of them refused{why}{away}"
        if result.outcome == PursueGoal.Result.DONE and not self._armed():
            return Outcome(False, f"{told}; the guardrail has disarmed")
        return Outcome(result.outcome == PursueGoal.Result.DONE and result.refusals < result.steps, told)

    def _on_report(self, message: GuardrailReport) -> None:
        self._report = message

    def _on_plan(self, message: Plan) -> None:
        if message.refused:
            self._refused = message.reason


def _progress(feedback: PursueGoal.Feedback) -> str:
    away = "" if math.isnan(feedback.goal_distance) else f"{100 * feedback.goal_distance:.1f} cm to the goal, "
    planned = "no plan" if math.isnan(feedback.cost) else f"cost {feedback.cost:.3g}"
    turn = f"goal {feedback.goal} of {feedback.goals}, " if feedback.goals > 1 else ""
    return f"step {feedback.step}: {turn}{away}{planned}"
