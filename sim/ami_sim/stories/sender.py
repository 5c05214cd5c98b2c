"""Who proposes on a stage, in lock step or through the graph, and what came of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter

from ami_robot.safety.spec import Spec
from ami_robot.types import Array, JointTrajectory, Proposal

COMMANDS, ANSWERS = ("accepted", "modified"), ("accepted", "modified", "refused")


class Sender(ABC):
    """Numbers proposals and counts decisions; how they travel is the stage's."""

    def __init__(self, source: str, spec: Spec):
        self.source, self.spec = source, spec
        self.proposals = 0
        self.decisions: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()  # by row
        self.answers: dict[int, str] = {}  # decision by the proposal's sequence

    @property
    @abstractmethod
    def now_ns(self) -> int:
        """The stage's clock."""

    @abstractmethod
    def send(self, proposal: Proposal) -> None:
        """Bring it to the guardrail."""

    def propose(
        self,
        displacement: Array | None = None,
        trajectory: JointTrajectory | None = None,
        observed_ns: int | None = None,
    ) -> None:
        """Send a displacement (3,), m, or a trajectory, planned from the frame of `observed_ns`, by default of now."""
        self.send(self.proposal(displacement, trajectory, observed_ns))

    def proposal(
        self,
        displacement: Array | None = None,
        trajectory: JointTrajectory | None = None,
        observed_ns: int | None = None,
    ) -> Proposal:
        """The next proposal, well-formed but for what it carries."""
        self.proposals += 1
        return Proposal(
            source=self.source,
            sequence=self.proposals,
            stamp_ns=self.now_ns,
            observation_stamp_ns=self.now_ns if observed_ns is None else observed_ns,
            valid_for_s=self.spec.staleness.proposal_s,
            gripper_width=0.0,
            tool_displacement=displacement,
            trajectory=trajectory,
        )

    def count(self, decision: str, row: str, sequence: int | None) -> None:
        """A report came: its decision, the row it names, and the proposal of ours that it answers, if it does."""
        self.decisions[decision] += 1
        if decision in ("refused", "brake"):
            self.refusals[row] += 1
        if decision in ANSWERS and sequence is not None:
            self.answers[sequence] = decision
