"""A guardrail with an arm that follows perfectly, for the tests of what the guardrail decides."""

from dataclasses import replace

import numpy as np

from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.guardrail import Guardrail
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.motion import Spline, move_to_rest
from ami_robot.safety.quintic import Strays
from ami_robot.safety.spec import load_spec
from ami_robot.types import JointState, JointTrajectory, Proposal

SPEC, KINEMATICS, DYNAMICS = load_spec(), Kinematics(), Dynamics()
REST = np.zeros(7)
CENTRE = np.array([0.5, 0.0, 0.2])
START = KINEMATICS.inverse(CENTRE)[0]
MS = 1_000_000
T0 = 1_000_000_000
UP = np.array([0.0, 0.0, 0.03])


def at_rest(q) -> JointState:
    return JointState(np.array(q, dtype=float), REST, REST)


class Bench:
    """A guardrail with an arm that follows perfectly: joint states are what the sent trajectories say."""

    def __init__(self, q=START, spec=SPEC, armed: bool = True):
        self.guardrail = Guardrail(spec, KINEMATICS, DYNAMICS)
        self.guardrail.select_source("planner")
        self.now_ns, self.sequence = T0, 0
        self.spline, self.since_ns, self.rest = None, 0, np.array(q, dtype=float)
        if armed:
            assert self.guardrail.arm(at_rest(q), self.now_ns, self.now_ns) is None

    @property
    def state(self) -> JointState:
        return at_rest(self.rest) if self.spline is None else self.spline.sample((self.now_ns - self.since_ns) / 1e9)

    def proposal(self, **changes) -> Proposal:
        self.sequence += 1
        usual = Proposal("planner", self.sequence, self.now_ns, self.now_ns, 0.3, 0.04, tool_displacement=UP)
        return replace(usual, **changes)

    def step(self, names=SPEC.joint_names, positions=None, velocities=None, stamp_ns=None, now_ns=None, efforts=None):
        state = self.state
        report = self.guardrail.step(
            names,
            state.positions if positions is None else positions,
            state.velocities if velocities is None else velocities,
            self.now_ns if stamp_ns is None else stamp_ns,
            self.now_ns if now_ns is None else now_ns,
            efforts,
        )
        if report is not None and report.sent is not None:
            self.spline, self.since_ns = Spline(state, report.sent), self.now_ns
        return report

    def propose(self, **changes):
        self.guardrail.propose(self.proposal(**changes))
        return self.step()

    def wait(self, ms: float, silent: bool = False):
        """Joint states come until 10 ms before now, and nothing follows from them; unless it is `silent`."""
        if not silent and ms > 10:
            before_ns = self.now_ns + int(ms * MS) - 10 * MS
            self.guardrail._joints.start(before_ns, before_ns)
        self.now_ns += int(ms * MS)
        return self

    def moving(self):
        """Half way through a motion, and known to be there."""
        assert self.propose().decision == "accepted"
        assert self.wait(200).step() is None
        return self


def assert_refused(report, row: str, sentence: str = ""):
    assert report.decision == "refused"
    assert report.refusal.guardrail == row
    assert sentence in report.refusal.reason
    assert report.sent is None
    assert report.sequence == 0
    assert report.margins == {}
    assert report.spec_sha256 == SPEC.sha256
    assert np.isnan(report.refusal.margin) or report.refusal.margin < 0


def assert_braked(bench: Bench, report, row: str):
    assert report.decision == "brake"
    assert report.refusal.guardrail == row
    assert report.refusal.reason.endswith(".")
    assert not report.armed
    assert not bench.guardrail.armed
    assert report.spec_sha256 == SPEC.sha256


def beginning(*states) -> Strays:
    """A motion may begin in any of these states, too."""
    names = ("positions", "velocities", "accelerations")
    batch = JointState(*(np.array([getattr(state, name) for state in states]) for name in names))
    return Strays(batch, np.zeros((3, 7)), batch, batch, np.zeros((3, 7)))


def trajectory_to(tool, start=START) -> JointTrajectory:
    trajectory = move_to_rest(at_rest(start), KINEMATICS.inverse(np.array(tool))[0], SPEC)
    assert trajectory is not None
    return trajectory


def offer(trajectory, bench=None):
    return (bench or Bench()).propose(tool_displacement=None, trajectory=trajectory)


def through(via, end=CENTRE) -> JointTrajectory:
    """By way of a point, at rest there, and to the end."""
    points = np.array([KINEMATICS.inverse(np.array(via))[0], KINEMATICS.inverse(np.array(end))[0]])
    return JointTrajectory(SPEC.joint_names, np.array([2.0, 4.0]), points, np.zeros((2, 7)), np.zeros((2, 7)))
