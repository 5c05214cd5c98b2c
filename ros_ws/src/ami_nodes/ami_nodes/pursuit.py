"""One goal, pursued in steps of the world model: the loop between the latents that come in and the commands proposed.

The world does not wait: a plan started at the frame stamped t is for the step that begins at t + 0.2 s, and its command
is proposed then. One plan is made at a time, from the newest frame.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ami_nodes.world_model_client import NoAnswerError
from ami_robot.agent import Agent
from ami_robot.types import MODEL_STEP_S, NS_PER_S, Array, Goal, Latent, People, Plan, Refusal

STEP_NS = round(MODEL_STEP_S * NS_PER_S)
STAMP_TOLERANCE_NS = 1_000_000
"""A frame this much earlier than a model step after the last one still counts as a step later."""

SLACK_S = 0.02
"""Left between the planner's deadline and the moment its command takes effect."""

ANSWER_TIMEOUT_S = 0.05
"""Wall time that a plan waits for the guardrail's report on the last proposal: until then it is unknown what is in
flight. Five joint states; a guardrail silent for longer is planned around, the last word is its own anyway."""

FRAME_TIMEOUT_S = 0.5  # wall time without a frame before that is a refusal of its own
MAX_SILENCES = 4  # in a row, before the goal is given up
NO_ANSWER = "world_model"
"""The row of a refusal by a world model that did not answer."""

POLL_S = 0.004
INBOX = 1024


@dataclass(frozen=True)
class Heard:
    """What had come in by some time."""

    latent: Latent | None = None  # the newest
    report_stamp_ns: int = 0  # of the newest one; 0: none yet
    people_stamp_ns: int = 0


@dataclass(frozen=True)
class Step:
    """What came of one model step."""

    planned: Plan | Refusal
    heard: Heard  # what it was planned from
    begun_ns: int  # node clock
    goal_distance_m: float
    plan_ms: float


@dataclass(frozen=True)
class Ending:
    """How a pursuit ended."""

    outcome: str  # done | refused | cancelled
    refusal: Refusal | None
    steps: int
    refusals: int
    goal_distance_m: float


class Inbox:
    """What the callbacks hear, on its way to the pursuing thread; what nobody pursues is forgotten in time."""

    def __init__(self) -> None:
        self._frames: deque[Latent] = deque(maxlen=INBOX)
        self._others: deque[Callable[[Agent], object]] = deque(maxlen=INBOX)
        self._changed = threading.Condition()
        self._heard = Heard()
        self._answered = 0

    def put_report(
        self, joint_positions: Array, tool_position: Array, gripper_width: float, stamp_ns: int, answers: int = 0
    ) -> None:
        """See Agent.on_report. `answers` is the number of the proposal that it decides on, if of one of ours."""
        with self._changed:
            self._others.append(lambda agent: agent.on_report(joint_positions, tool_position, gripper_width, stamp_ns))
            self._heard = replace(self._heard, report_stamp_ns=stamp_ns)
            self._answered = max(self._answered, answers)
            self._changed.notify_all()

    def put_latent(self, latent: Latent) -> None:
        """A frame; wakes the pursuit."""
        with self._changed:
            self._frames.append(latent)
            self._heard = replace(self._heard, latent=latent)
            self._changed.notify_all()

    def put_people(self, people: People) -> None:
        """Who is near."""
        with self._changed:
            self._others.append(lambda agent: agent.on_people(people))
            self._heard = replace(self._heard, people_stamp_ns=people.stamp_ns)

    def wait_for_latent(self, not_before_ns: int, timeout_s: float) -> bool:
        """Whether there is a frame with this stamp or a later one in time."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._heard.latent is not None and self._heard.latent.stamp_ns >= not_before_ns, timeout_s
            )

    def wait_for_answer(self, sequence: int, timeout_s: float) -> None:
        """Until there was a report on the proposal with this number or a later one, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._answered >= sequence, timeout_s)

    def drain(self, agent: Agent) -> Heard:
        """Tell the agent everything, frames last: it then depends on no race what it knew of commands at a frame."""
        with self._changed:
            heard, others, frames = self._heard, list(self._others), list(self._frames)
            self._others.clear()
            self._frames.clear()
        for tell in others:
            tell(agent)
        for latent in frames:
            agent.on_latent(latent)
        return heard


def pursue(
    agent: Agent,
    goal: Goal,
    duration_s: float,
    inbox: Inbox,
    now_ns: Callable[[], int],
    cancelled: Callable[[], bool],
    on_step: Callable[[Step], None],
    propose: Callable[[Plan, Latent], int],
) -> Ending:
    """Blocks until the duration is over, the goal is cancelled or nothing comes in any more.

    Args:
        agent: fed from the inbox, by this thread alone.
        goal: what to bring about.
        duration_s: on the node clock.
        inbox: filled by the callbacks.
        now_ns: the node clock.
        cancelled: asked every few ms.
        on_step: told of every plan and refusal.
        propose: called when the plan's first action is due; returns the proposal's sequence number.
    """
    refusal = agent.pursue(goal)
    if refusal is not None:
        return Ending("refused", refusal, 0, 0, float("nan"))
    end_ns, next_ns = now_ns() + round(duration_s * NS_PER_S), now_ns()
    steps = refusals = silences = proposed = 0
    distance_m = float("nan")
    while now_ns() < end_ns and not cancelled():
        in_time = _wait_for_latent(inbox, next_ns, cancelled)
        if cancelled():
            break
        inbox.wait_for_answer(proposed, ANSWER_TIMEOUT_S)
        step = _plan(agent, inbox, goal, now_ns) if in_time else _silence(now_ns)
        latent = step.heard.latent
        silences = 0 if latent else silences + 1
        if latent:
            next_ns, distance_m = latent.stamp_ns + STEP_NS - STAMP_TOLERANCE_NS, step.goal_distance_m
        steps += 1
        if isinstance(step.planned, Refusal):
            refusals += 1
            if silences >= MAX_SILENCES:
                return Ending("refused", step.planned, steps, refusals, distance_m)
        elif latent:
            _wait_until(latent.stamp_ns + STEP_NS, now_ns, cancelled)
            if not cancelled():
                proposed = propose(step.planned, latent)
        on_step(step)
    return Ending("cancelled" if cancelled() else "done", None, steps, refusals, distance_m)


def _plan(agent: Agent, inbox: Inbox, goal: Goal, now_ns: Callable[[], int]) -> Step:
    """One plan from what has come in until now, a frame at least."""
    began_s = time.monotonic()
    heard = inbox.drain(agent)
    assert heard.latent is not None
    begun_ns = now_ns()
    left_s = (heard.latent.stamp_ns + STEP_NS - begun_ns) / NS_PER_S
    try:
        planned = agent.act(begun_ns, max(left_s - SLACK_S, SLACK_S))
    except NoAnswerError as error:
        planned = Refusal(str(error), NO_ANSWER, float("nan"))
        agent.planner.reset()  # how far it had come is not recorded: a replay could not go on from there
    distance_m = float("nan")
    if goal.tool_position is not None:
        distance_m = float(np.linalg.norm(heard.latent.tool_position - goal.tool_position))
    return Step(planned, heard, begun_ns, distance_m, (time.monotonic() - began_s) * 1e3)


def _silence(now_ns: Callable[[], int]) -> Step:
    reason = f"no frame came in for {FRAME_TIMEOUT_S} s: are the arm, the camera and the encoder running?"
    return Step(Refusal(reason, "staleness", float("nan")), Heard(), now_ns(), float("nan"), 0.0)


def _wait_for_latent(inbox: Inbox, not_before_ns: int, cancelled: Callable[[], bool]) -> bool:
    give_up_s = time.monotonic() + FRAME_TIMEOUT_S
    while (left_s := give_up_s - time.monotonic()) > 0 and not cancelled():
        if inbox.wait_for_latent(not_before_ns, min(left_s, 0.1)):
            return True
    return False


def _wait_until(due_ns: int, now_ns: Callable[[], int], cancelled: Callable[[], bool]) -> None:
    """Until the node clock says so; a clock that stands still does not hold it for ever."""
    give_up_s = time.monotonic() + FRAME_TIMEOUT_S
    while now_ns() < due_ns and time.monotonic() < give_up_s and not cancelled():
        time.sleep(POLL_S)
