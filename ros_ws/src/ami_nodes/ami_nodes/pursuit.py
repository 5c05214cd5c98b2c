"""One goal, pursued in steps of the world model: the loop between the latents that come in and the commands proposed.

The world does not wait: a plan started at the frame stamped t is for the step that begins at t + 0.2 s, and its command
is proposed then. One plan is made at a time, from the newest frame.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

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
POLL_S = 0.004
INBOX = 1024


@dataclass(frozen=True)
class Step:
    """What came of one model step."""

    planned: Plan | Refusal
    latent: Latent | None  # what it was planned from
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
        self._items: deque[Callable[[Agent], object]] = deque(maxlen=INBOX)
        self._changed = threading.Condition()
        self._latent: Latent | None = None
        self._answered = 0

    def put_report(
        self, joint_positions: Array, tool_position: Array, gripper_width: float, stamp_ns: int, answers: int = 0
    ) -> None:
        """See Agent.on_report. `answers` is the number of the proposal that it decides on, if of one of ours."""
        self._items.append(lambda agent: agent.on_report(joint_positions, tool_position, gripper_width, stamp_ns))
        with self._changed:
            self._answered = max(self._answered, answers)
            self._changed.notify_all()

    def put_latent(self, latent: Latent) -> None:
        """A frame; wakes the pursuit."""
        self._items.append(lambda agent: agent.on_latent(latent))
        with self._changed:
            self._latent = latent
            self._changed.notify_all()

    def put_people(self, people: People) -> None:
        """Who is near."""
        self._items.append(lambda agent: agent.on_people(people))

    def next_latent(self, not_before_ns: int, timeout_s: float) -> Latent | None:
        """The newest frame, once there is one with this stamp or a later one."""
        with self._changed:
            ready = self._changed.wait_for(
                lambda: self._latent is not None and self._latent.stamp_ns >= not_before_ns, timeout_s
            )
            return self._latent if ready else None

    def wait_for_answer(self, sequence: int, timeout_s: float) -> None:
        """Until there was a report on the proposal with this number or a later one, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._answered >= sequence, timeout_s)

    def drain(self, agent: Agent) -> None:
        """Tell the agent everything in the order it came."""
        while self._items:
            self._items.popleft()(agent)


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
        latent = _wait_for_latent(inbox, next_ns, cancelled)
        if cancelled():
            break
        inbox.wait_for_answer(proposed, ANSWER_TIMEOUT_S)
        step = _plan(agent, inbox, latent, goal, now_ns)
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


def _plan(agent: Agent, inbox: Inbox, latent: Latent | None, goal: Goal, now_ns: Callable[[], int]) -> Step:
    """One plan from what has come in until now."""
    if latent is None:
        reason = f"no frame came in for {FRAME_TIMEOUT_S} s: are the arm, the camera and the encoder running?"
        return Step(Refusal(reason, "staleness", float("nan")), None, float("nan"), 0.0)
    began_s = time.monotonic()
    inbox.drain(agent)
    left_s = (latent.stamp_ns + STEP_NS - now_ns()) / NS_PER_S
    try:
        planned = agent.act(now_ns(), max(left_s - SLACK_S, SLACK_S))
    except NoAnswerError as error:
        planned = Refusal(str(error), "world_model", float("nan"))
    distance_m = float(np.linalg.norm(latent.tool_position - goal.tool_position))
    return Step(planned, latent, distance_m, (time.monotonic() - began_s) * 1e3)


def _wait_for_latent(inbox: Inbox, not_before_ns: int, cancelled: Callable[[], bool]) -> Latent | None:
    give_up_s = time.monotonic() + FRAME_TIMEOUT_S
    while (left_s := give_up_s - time.monotonic()) > 0 and not cancelled():
        latent = inbox.next_latent(not_before_ns, min(left_s, 0.1))
        if latent is not None:
            return latent
    return None


def _wait_until(due_ns: int, now_ns: Callable[[], int], cancelled: Callable[[], bool]) -> None:
    """Until the node clock says so; a clock that stands still does not hold it for ever."""
    give_up_s = time.monotonic() + FRAME_TIMEOUT_S
    while now_ns() < due_ns and time.monotonic() < give_up_s and not cancelled():
        time.sleep(POLL_S)
