"""From wishes to proposals, punctual or not: late, early, in bursts, from stale frames, twice, by somebody else."""

from __future__ import annotations

import numpy as np

from ami_robot.types import Proposal
from ami_sim.trials.attacks import EVERY_S, Attack, Sight
from ami_sim.trials.trial import Trial

SOURCE, STRANGER = "attacker", "stranger"
BURST = 4  # proposals, one at each joint state


class Post:
    """What arrives at the guardrail at each joint state."""

    def __init__(self, trial: Trial, attack: Attack, rng: np.random.Generator):
        self._trial, self._attack, self._rng = trial, attack, rng
        self._sequence, self._due_s, self._burst = 0, 0.0, 0
        self._last: Proposal | None = None
        self.source = SOURCE  # in whose name

    def proposals(self, sight: Sight, now_ns: int) -> list[Proposal]:
        """Those that arrive now."""
        if sight.time_s < self._due_s:
            return []
        rng, hasty = self._rng, self._trial.hasty
        self._due_s = sight.time_s + EVERY_S * (rng.uniform(0.5, 1.5) if hasty else 1.0) - 1e-6
        if hasty:
            self._burst = BURST if self._burst == 0 and rng.uniform() < 0.15 else max(0, self._burst - 1)
            self._due_s = sight.time_s if self._burst else self._due_s
        proposal = self._proposal(sight, now_ns)
        twice = hasty and self._last is not None and rng.uniform() < 0.15
        sent = [proposal, self._last] if twice and self._last is not None else [proposal]
        self._last = proposal
        return sent

    def _proposal(self, sight: Sight, now_ns: int) -> Proposal:
        rng, wish, hasty = self._rng, self._attack(sight), self._trial.hasty
        self._sequence += 1
        sequence, source, stamp_ns, seen_ns, valid_for_s = self._sequence, self.source, now_ns, now_ns, 0.3
        if hasty:
            stamp_ns -= int(rng.choice([0.0, rng.uniform(-0.1, 0.6)], p=[0.7, 0.3]) * 1e9)
            seen_ns = stamp_ns - int(rng.choice([0.0, rng.uniform(0.0, 0.8)], p=[0.7, 0.3]) * 1e9)
            sequence -= int(rng.choice([0, 1, 5], p=[0.9, 0.05, 0.05]))
            source = str(rng.choice([source, STRANGER], p=[0.93, 0.07]))
            valid_for_s = float(rng.choice([0.3, 1e9, 0.01, np.nan], p=[0.85, 0.05, 0.05, 0.05]))
        return Proposal(
            source=source,
            sequence=sequence,
            stamp_ns=max(0, stamp_ns),
            observation_stamp_ns=max(0, seen_ns),
            valid_for_s=valid_for_s,
            gripper_width=wish.gripper_width,
            tool_displacement=wish.displacement,
            trajectory=wish.trajectory,
        )
