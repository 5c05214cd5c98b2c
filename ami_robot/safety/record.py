"""What was sent: where the arm is told to be at a time, and where it will come to rest. Never a measured state."""

from __future__ import annotations

import numpy as np

from ami_robot.safety.motion import Spline
from ami_robot.safety.quintic import Strays
from ami_robot.safety.spec import Spec
from ami_robot.safety.strays import strays
from ami_robot.types import NS_PER_S, Array, JointState, JointTrajectory

_HOLD_S = 0.1


class CommandRecord:
    """The last sent motion, from the state at which it began until it rests. Times in ns, on the caller's clock."""

    target_joints: Array  # (7,), rad: where the arm comes to rest
    target_tool: Array  # (3,), m
    tip: Array | None  # (3,), m, in the frame of the tool: of what was held when the last proposal was accepted

    def __init__(self, spec: Spec):
        self._joint_names, self._jitter_s = spec.joint_names, spec.transport.jitter_s
        self._motion: Spline | None = None
        self._begin_ns = self._rest_ns = 0
        self.target_joints, self.target_tool = np.full(len(spec.joint_names), np.nan), np.full(3, np.nan)
        self.tip = None
        self.sequence = 0  # of the last sent trajectory
        self.braking = False  # the last sent motion is a brake

    def hold(self, q: Array, tool: Array, now_ns: int) -> None:
        """Nothing is sent: the arm is known to be at rest here, q (7,), rad, tool (3,), m."""
        start, trajectory = standing(self._joint_names, q)
        self._motion, self.braking = Spline(start, trajectory), False
        self._begin_ns = self._rest_ns = now_ns
        self.target_joints, self.target_tool, self.tip = start.positions, tool, None

    def sent(self, motion: Spline, tool: Array, at_ns: int, braking: bool) -> None:
        """This motion was sent at this time and brings the tool to rest there."""
        self._motion, self._begin_ns, self.braking = motion, at_ns, braking
        self._rest_ns = at_ns + int(np.ceil(motion.duration_s * NS_PER_S))
        self.target_joints, self.target_tool = motion.sample(motion.duration_s).positions, tool
        self.sequence += 1

    def state(self, at_ns: int) -> JointState:
        """What the arm is told to do at this time."""
        motion, elapsed_s = self.running(at_ns)
        return motion.sample(elapsed_s)

    def strays(self, at_ns: int, believed_ns: int, ahead_s: float = 0.0) -> Strays:
        """What else the controller may desire by then, since delays vary; it may be later than that by `ahead_s`.

        A clock that jumped ahead is not known from a long silence: it may still be the last time that was believed.
        """
        early_s = self._jitter_s + (at_ns - believed_ns) / NS_PER_S
        return strays(*self.running(at_ns), early_s, self._jitter_s + ahead_s)

    def running(self, at_ns: int) -> tuple[Spline, float]:
        """The last sent motion, and how far into it the arm is, s."""
        assert self._motion is not None, "nothing was sent and no rest is known"
        return self._motion, (at_ns - self._begin_ns) / NS_PER_S

    def rests_in_s(self, at_ns: int) -> float:
        """How long it still moves, s; negative after that."""
        return (self._rest_ns - at_ns) / NS_PER_S

    def moves(self, at_ns: int) -> bool:
        """Whether it is on its way at this time; a clock from before the motion says nothing about it."""
        return self._begin_ns <= at_ns < self._rest_ns


def standing(joint_names: tuple[str, ...], q: Array) -> tuple[JointState, JointTrajectory]:
    """The arm at rest at q (7,), rad, as a state and as a motion that stays there."""
    q = np.array(q, dtype=np.float64)
    rest = np.zeros_like(q)
    return JointState(q, rest, rest), JointTrajectory(joint_names, np.array([_HOLD_S]), q[None], rest[None], rest[None])
