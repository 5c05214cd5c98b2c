"""What somebody is told who shows a goal: how it got on, why not, and that it was cancelled when they went away."""

from types import SimpleNamespace

import numpy as np
import pytest
from ami_interfaces.action import PursueGoal
from ami_interfaces.msg import GuardrailReport, Plan

from ami_nodes.demo_graph import GraphError
from ami_nodes.graph_client import GraphClient, position_goal
from ami_nodes.pursuer import NoGraphError, Pursuer
from ami_robot.episodes.goals import ShownGoal

GOAL = ShownGoal(tool_positions=np.array([[0.5, 0.0, 0.2]]))
RESULT = {"outcome": "done", "steps": 20, "refusals": 1, "goal_distance": 0.012}


class FakeGraph:
    """A client whose planner answers as it is told to. Its attributes are the graph's state."""

    def __init__(self, **result):
        self.result = PursueGoal.Result(**{**RESULT, **result})
        self.armed, self.there, self.interrupted, self.meanwhile = True, True, None, lambda: None
        self.heard, self.shown, self.cancelled = {}, [], []
        self.node = SimpleNamespace(
            create_subscription=lambda kind, topic, hear, _: self.heard.update({topic: hear}),
            get_fully_qualified_name=lambda: "/cell1/pursuer",
            context=SimpleNamespace(get_domain_id=lambda: 7),
        )

    def takes_goals(self):
        return self.there

    def wait_until(self, condition, timeout_s, what):
        if "guardrail_report" in self.heard:
            self.heard["guardrail_report"](GuardrailReport(armed=self.armed))
        if not condition():
            raise GraphError(f"{what} took longer than {timeout_s:g} s.")

    def start(self, goal, duration_s, on_feedback):
        self.shown.append((goal.shown, duration_s))
        for feedback in self.feedback():
            on_feedback(feedback)
        return "handle"

    def feedback(self):
        yield PursueGoal.Feedback(step=1, goal_distance=0.234, cost=1.5)
        yield PursueGoal.Feedback(step=2, goal_distance=0.2, cost=1.4)

    def finish(self, handle, timeout_s):
        if self.interrupted and not self.cancelled:
            raise self.interrupted
        self.meanwhile()
        return self.result

    def cancel(self, handle):
        self.cancelled.append(handle)


def pursued(graph):
    """The outcome, and what was told on the way."""
    told = []
    return Pursuer(graph).pursue(GOAL, 8.0, told.append), told


def test_how_it_gets_on_is_told_once_a_second_and_in_the_end_what_came_of_it():
    graph = FakeGraph()
    outcome, told = pursued(graph)
    ((shown, duration_s),) = graph.shown
    assert (shown.tool_positions[0].x, duration_s, graph.cancelled) == (0.5, 8.0, [])
    assert told == ["step 1: 23.4 cm to the goal, cost 1.5"]
    assert outcome.done and outcome.sentence == "done: 20 steps, 1 of them refused, 1.2 cm from the goal"


def test_a_goal_with_no_place_for_the_hand_has_no_distance_and_a_step_without_a_plan_no_cost():
    graph, nan = FakeGraph(goal_distance=float("nan")), float("nan")
    graph.feedback = lambda: [PursueGoal.Feedback(step=3, goal_distance=nan, cost=nan)]
    outcome, told = pursued(graph)
    assert told == ["step 3: no plan"] and outcome.sentence.endswith("1 of them refused")


def test_of_goals_in_turn_it_is_told_whose_turn_it_is():
    graph = FakeGraph()
    graph.feedback = lambda: [PursueGoal.Feedback(step=3, goal=2, goals=5, goal_distance=0.2, cost=1.5)]
    assert pursued(graph)[1] == ["step 3: goal 2 of 5, 20.0 cm to the goal, cost 1.5"]


def test_a_refused_goal_is_not_done():
    outcome, _ = pursued(FakeGraph(outcome="refused", reason="it is outside.", steps=0, refusals=0))
    assert not outcome.done and outcome.sentence == "refused: it is outside."


def test_where_every_step_was_refused_nothing_was_done_and_the_last_reason_is_told():
    graph = FakeGraph(steps=20, refusals=20)
    graph.meanwhile = lambda: graph.heard["plan"](Plan(refused=True, reason="somebody is near"))
    outcome, _ = pursued(graph)
    assert not outcome.done and "20 of them refused (the last: somebody is near), 1.2 cm" in outcome.sentence


@pytest.mark.parametrize(("outcome", "armed"), [("cancelled", True), ("done", False)])
def test_cancelled_by_another_or_disarmed_meanwhile_is_not_done(outcome, armed):
    graph = FakeGraph(outcome=outcome)
    graph.meanwhile = lambda: graph.heard["guardrail_report"](GuardrailReport(armed=armed))
    told, _ = pursued(graph)
    assert not told.done and told.sentence.startswith(outcome)
    assert told.sentence.endswith("the guardrail has disarmed") is not armed


def test_where_nobody_takes_goals_or_the_guardrail_is_disarmed_none_is_shown():
    nobody, disarmed = FakeGraph(), FakeGraph()
    nobody.there, disarmed.armed = False, False
    with pytest.raises(NoGraphError, match=r"at /cell1/pursue_goal: only nodes with ROS_DOMAIN_ID=7 are seen") as none:
        pursued(nobody)
    with pytest.raises(GraphError, match=r"arm it with `ami ros call /cell1/guardrail/arm '\{data: true\}'`") as still:
        pursued(disarmed)
    assert (none.value.exit_status, still.value.exit_status) == (2, 1)
    assert nobody.shown == disarmed.shown == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), GraphError("the planner's pursuit took longer than 34 s.")])
def test_a_goal_that_is_not_waited_for_any_more_is_cancelled(error):
    graph, told = FakeGraph(outcome="cancelled"), []
    graph.interrupted = error
    with pytest.raises(type(error)):
        Pursuer(graph).pursue(GOAL, 8.0, told.append)
    assert graph.cancelled == ["handle"]
    assert told[-1].startswith("cancelled: 20 steps")


def test_ctrl_c_before_the_goal_is_accepted_cancels_it_as_well(ros, monkeypatch):
    """It is on its way, and nobody else has its handle."""
    answers = [KeyboardInterrupt(), SimpleNamespace(accepted=True)]

    def result(*_):
        answer = answers.pop(0)
        if isinstance(answer, KeyboardInterrupt):
            raise answer
        return answer

    with GraphClient("interrupted") as client:
        cancelled = []
        monkeypatch.setattr(client, "wait_until", lambda *_: None)
        monkeypatch.setattr(client, "_result", result)
        monkeypatch.setattr(client, "cancel", cancelled.append)
        with pytest.raises(KeyboardInterrupt):
            client.start(position_goal([0.5, 0.0, 0.2]), 1.0)
        assert len(cancelled) == 1 and cancelled[0].accepted
