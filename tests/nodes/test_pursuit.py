"""The planner's loop: one plan a model step, proposed when it takes effect, and never a hang."""

import threading
import time

import numpy as np
import pytest

from ami_nodes.pursuit import ANSWER_TIMEOUT_S, FRAME_TIMEOUT_S, MAX_SILENCES, STEP_NS, Inbox, pursue
from ami_nodes.world_model_client import NoAnswerError
from ami_robot.types import Goal, Latent, Plan, Refusal

FRAME_NS = STEP_NS // 3
GOAL = Goal(np.array([0.5, 0.0, 0.2]))


def latent(stamp_ns):
    return Latent(stamp_ns, np.zeros(2), np.array([0.5, 0.0, 0.1]), np.zeros(3), 0.0, "", "")


def plan():
    return Plan(np.zeros((1, 4)), np.zeros((1, 7)), np.zeros((1, 3)), 0.0, {}, 1, 0, 1.0)


class FakeAgent:
    """Notes when it was asked to act, and from what."""

    def __init__(self, act=plan):
        self.act_as, self.seen, self.acted, self.refuses = act, [], [], None
        self.heard = []  # how many items it had been told when it acted
        self.planner, self.resets = self, 0

    def reset(self):
        self.resets += 1

    def pursue(self, goal):
        return self.refuses

    def on_latent(self, message):
        self.seen.append(message.stamp_ns)

    def on_report(self, joints, tool, width, stamp_ns):
        self.seen.append(("report", stamp_ns))

    def act(self, now_ns, deadline_s):
        self.acted.append((max(item for item in self.seen if not isinstance(item, tuple)), now_ns, deadline_s))
        self.heard.append(len(self.seen))
        return self.act_as()


class Run:
    """A pursuit fed with frames at 15 Hz by another thread, on a clock that begins at 0."""

    def __init__(self, agent, duration_s, frames=True, cancel_after_s=None, answer_after_s=0.0):
        self.inbox, self.steps, self.proposals = Inbox(), [], []
        self.answer_after_s = answer_after_s
        self.origin_ns, self.done = time.monotonic_ns(), threading.Event()
        if frames:
            threading.Thread(target=self.feed, daemon=True).start()
        stop_s = cancel_after_s if cancel_after_s is not None else float("inf")
        self.ending = pursue(
            agent,
            GOAL,
            duration_s,
            self.inbox,
            self.now_ns,
            lambda: self.now_ns() * 1e-9 > stop_s,
            self.steps.append,
            lambda _, frame: self.propose(frame),
        )
        self.done.set()

    def now_ns(self):
        return time.monotonic_ns() - self.origin_ns

    def propose(self, frame):
        self.proposals.append((frame.stamp_ns, self.now_ns()))
        number = len(self.proposals)
        timer = threading.Timer(self.answer_after_s, self.answer, [number])
        timer.daemon = True
        timer.start()
        return number

    def answer(self, number):
        self.inbox.put_report(np.zeros(7), np.zeros(3), 0.0, number, number)

    def feed(self):
        number = 0
        while not self.done.is_set():
            time.sleep(max(0.0, (number * FRAME_NS - self.now_ns()) * 1e-9))
            self.inbox.put_latent(latent(number * FRAME_NS))
            number += 1


def test_a_plan_is_started_on_every_third_frame_and_proposed_one_model_step_after_its_frame():
    run = Run(FakeAgent(), 1.3)
    frames = [frame for frame, _ in run.proposals]
    assert run.ending.outcome == "done" and len(frames) >= 5
    assert (np.diff(frames) == 3 * FRAME_NS).all()
    late_ms = [(at - frame - STEP_NS) / 1e6 for frame, at in run.proposals]
    assert min(late_ms) >= 0 and np.median(late_ms) < 20
    assert run.ending.goal_distance_m == pytest.approx(0.1)


def test_a_slow_plan_is_proposed_at_once_and_the_next_one_starts_from_the_newest_frame():
    def slow():
        time.sleep(0.3)
        return plan()

    agent = FakeAgent(slow)
    run = Run(agent, 1.3)
    for frame, proposed in run.proposals:
        assert 0.3e9 <= proposed - frame < 0.45e9
    for seen, now, _ in agent.acted[1:]:
        assert now - seen < 1.5 * FRAME_NS


def test_a_plan_waits_until_it_is_known_what_became_of_the_last_proposal():
    agent = FakeAgent()
    run = Run(agent, 1.3, answer_after_s=0.03)
    assert len(run.proposals) >= 5
    known = [sum(isinstance(item, tuple) for item in agent.seen[:count]) for count in agent.heard]
    assert known[: len(run.proposals)] == list(range(len(run.proposals)))


def test_a_guardrail_that_does_not_answer_is_not_waited_for_longer_than_promised():
    agent = FakeAgent()
    run = Run(agent, 1.3, answer_after_s=60.0)
    frames = [frame for frame, _ in run.proposals]
    assert (np.diff(frames) == 3 * FRAME_NS).all() and len(frames) >= 5
    starts = [now - frame for (frame, _), (_, now, _) in zip(run.proposals, agent.acted, strict=False)]
    assert max(starts) * 1e-9 < ANSWER_TIMEOUT_S + 0.05


def test_the_deadline_ends_before_the_command_takes_effect():
    agent = FakeAgent()
    Run(agent, 0.7)
    assert agent.acted and all(0 < deadline_s < STEP_NS * 1e-9 for _, _, deadline_s in agent.acted)


def test_a_world_model_that_does_not_answer_is_a_refusal_of_each_step():
    def silent():
        raise NoAnswerError("the world model did not answer within 0.5 s.")

    agent = FakeAgent(silent)
    run = Run(agent, 0.9)
    assert run.ending.outcome == "done" and run.proposals == []
    assert run.ending.refusals == run.ending.steps == len(run.steps) > 0
    assert run.steps[0].planned.guardrail == "world_model"
    assert agent.resets == len(run.steps)  # the next search begins as a replay can begin it


def test_without_frames_the_goal_is_given_up_with_the_reason():
    started_s = time.monotonic()
    run = Run(FakeAgent(), 60.0, frames=False)
    assert run.ending.outcome == "refused" and run.ending.refusal.guardrail == "staleness"
    assert time.monotonic() - started_s < MAX_SILENCES * FRAME_TIMEOUT_S + 0.5


def test_after_a_cancel_nothing_is_proposed():
    run = Run(FakeAgent(), 60.0, cancel_after_s=0.5)
    assert run.ending.outcome == "cancelled"
    assert run.proposals and all(at < 0.5e9 for _, at in run.proposals)


def test_a_goal_that_the_agent_refuses_is_not_pursued():
    agent = FakeAgent()
    agent.refuses = Refusal("outside", "workspace", -0.1)
    run = Run(agent, 60.0)
    assert run.ending.outcome == "refused" and run.ending.refusal.reason == "outside" and agent.acted == []


def test_the_agent_hears_reports_before_frames_whichever_came_first():
    """So that what it knows of the command in force at a frame depends on no race, and a replay knows the same."""
    inbox, agent = Inbox(), FakeAgent()
    inbox.put_report(np.zeros(7), np.zeros(3), 0.0, 5)
    inbox.put_latent(latent(6))
    inbox.put_report(np.zeros(7), np.zeros(3), 0.0, 7)
    inbox.drain(agent)
    assert agent.seen == [("report", 5), ("report", 7), 6]


def test_what_was_heard_is_what_the_agent_was_told():
    inbox, agent = Inbox(), FakeAgent()
    inbox.put_report(np.zeros(7), np.zeros(3), 0.0, 5)
    inbox.put_latent(latent(6))
    inbox.put_latent(latent(9))
    heard = inbox.drain(agent)
    assert (heard.latent.stamp_ns, heard.report_stamp_ns, heard.people_stamp_ns) == (9, 5, 0)
    inbox.put_report(np.zeros(7), np.zeros(3), 0.0, 8)
    heard = inbox.drain(agent)
    assert (heard.latent.stamp_ns, heard.report_stamp_ns) == (9, 8)
    assert agent.seen == [("report", 5), 6, 9, ("report", 8)]


def test_a_step_says_from_which_frame_and_when_it_was_planned():
    agent = FakeAgent()
    run = Run(agent, 0.9)
    told = [(step.heard.latent.stamp_ns, step.begun_ns) for step in run.steps]
    assert told == [(seen, now) for seen, now, _ in agent.acted] and len(told) >= 3
    assert [frame for frame, _ in run.proposals] == [frame for frame, _ in told]
