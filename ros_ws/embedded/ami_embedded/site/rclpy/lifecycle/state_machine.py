"""The lifecycle as a table: states and transitions with the ids and labels of lifecycle_msgs and rcl_lifecycle."""

from __future__ import annotations

import enum
from typing import NamedTuple

from lifecycle_msgs.msg import State, Transition


class TransitionCallbackReturn(enum.Enum):
    """What a transition callback says of its own work."""

    SUCCESS = Transition.TRANSITION_CALLBACK_SUCCESS
    FAILURE = Transition.TRANSITION_CALLBACK_FAILURE
    ERROR = Transition.TRANSITION_CALLBACK_ERROR

    def to_label(self) -> str:
        """The label of the transition that this outcome triggers."""
        return f"transition_{self.name.lower()}"


class LifecycleState(NamedTuple):
    """A state, as given to transition callbacks (the one before the transition)."""

    label: str
    state_id: int


class Step(NamedTuple):
    """One transition of the machine."""

    transition_id: int
    label: str
    start: int
    goal: int


STATES: dict[int, str] = {
    State.PRIMARY_STATE_UNKNOWN: "unknown",
    State.PRIMARY_STATE_UNCONFIGURED: "unconfigured",
    State.PRIMARY_STATE_INACTIVE: "inactive",
    State.PRIMARY_STATE_ACTIVE: "active",
    State.PRIMARY_STATE_FINALIZED: "finalized",
    State.TRANSITION_STATE_CONFIGURING: "configuring",
    State.TRANSITION_STATE_CLEANINGUP: "cleaningup",
    State.TRANSITION_STATE_SHUTTINGDOWN: "shuttingdown",
    State.TRANSITION_STATE_ACTIVATING: "activating",
    State.TRANSITION_STATE_DEACTIVATING: "deactivating",
    State.TRANSITION_STATE_ERRORPROCESSING: "errorprocessing",
}
_ID = {label: state_id for state_id, label in STATES.items()}

# name in Transition's constants, label, start -> state during the callback, then where success and failure lead
_REQUESTS = (
    ("CONFIGURE", "configure", "unconfigured", "configuring"),
    ("CLEANUP", "cleanup", "inactive", "cleaningup"),
    ("ACTIVATE", "activate", "inactive", "activating"),
    ("DEACTIVATE", "deactivate", "active", "deactivating"),
    ("UNCONFIGURED_SHUTDOWN", "shutdown", "unconfigured", "shuttingdown"),
    ("INACTIVE_SHUTDOWN", "shutdown", "inactive", "shuttingdown"),
    ("ACTIVE_SHUTDOWN", "shutdown", "active", "shuttingdown"),
)
_OUTCOMES = (
    ("ON_CONFIGURE", "configuring", "inactive", "unconfigured", "errorprocessing"),
    ("ON_CLEANUP", "cleaningup", "unconfigured", "inactive", "errorprocessing"),
    ("ON_ACTIVATE", "activating", "active", "inactive", "errorprocessing"),
    ("ON_DEACTIVATE", "deactivating", "inactive", "active", "errorprocessing"),
    ("ON_SHUTDOWN", "shuttingdown", "finalized", "finalized", "errorprocessing"),
    ("ON_ERROR", "errorprocessing", "unconfigured", "finalized", "finalized"),
)
STEPS: tuple[Step, ...] = (
    *(Step(getattr(Transition, f"TRANSITION_{name}"), label, _ID[a], _ID[b]) for name, label, a, b in _REQUESTS),
    *(
        Step(getattr(Transition, f"TRANSITION_{name}_{outcome.name}"), outcome.to_label(), _ID[start], _ID[goal])
        for name, start, *goals in _OUTCOMES
        for outcome, goal in zip(TransitionCallbackReturn, goals, strict=True)
    ),
)


class StateMachine:
    """The present state, and the steps that lead on from it."""

    def __init__(self) -> None:
        self._state_id: int = State.PRIMARY_STATE_UNCONFIGURED

    @property
    def current_state(self) -> tuple[int, str]:
        """Id and label."""
        return self._state_id, STATES[self._state_id]

    @property
    def available(self) -> list[Step]:
        """The steps that begin in the present state."""
        return [step for step in STEPS if step.start == self._state_id]

    def take(self, transition: int | str) -> Step:
        """Make the step with this id or label. Raises RuntimeError when it does not begin in the present state."""
        for step in self.available:
            if transition in (step.transition_id, step.label):
                self._state_id = step.goal
                return step
        possible = ", ".join(f"{step.label} ({step.transition_id})" for step in self.available) or "none"
        raise RuntimeError(f"no transition {transition} from state {self.current_state[1]}; there are: {possible}")
