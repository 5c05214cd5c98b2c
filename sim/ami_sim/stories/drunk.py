"""A planner that swings to and fro, or sends noise, nonsense, old things and everything twice, as fast as it can."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ami_robot.types import Array, JointTrajectory, Proposal
from ami_sim.scene import Scene
from ami_sim.stories.stage import Stage, spec_with_people
from ami_sim.stories.story import SetUp, Story

_NONSENSE = (np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, 1e6)


class Drunk(Story):
    """Each seed mixes the ways of being drunk anew, at 10 to 100 proposals a second."""

    name = "drunk"
    about = "Oscillation, noise, NaN, huge, stale and repeated proposals at up to 100 Hz: all limits hold."
    breaks = "limits"
    duration_s = 4.0

    def __init__(self, seed: int, guarded: bool = True, set_up: SetUp = Stage):
        super().__init__(seed, guarded)
        self.stage = set_up(Scene.from_seed(seed), spec_with_people(), guarded=guarded)
        self._ways: tuple[Callable[[], None], ...] = (
            self._swing, self._noise, self._nonsense, self._stale, self._again, self._jerk, self._gripper,
        )  # fmt: skip
        self._shares = self.rng.dirichlet(np.ones(len(self._ways)))
        self._rate = self.rng.uniform(0.1, 1.0)
        self._axis = self._direction()
        self._last: Proposal | None = None
        self._longest_m = self.stage.spec.tool_displacement.max_m_per_step

    def act(self) -> None:
        """Anything."""
        if self.rng.random() < self._rate:
            self.rng.choice(np.array(self._ways), p=self._shares)()

    def broken(self) -> dict[str, str]:
        """Some of it has to have become motion."""
        commands = self.stage.decisions["accepted"] + self.stage.decisions["modified"]
        return {} if commands else {"vacuous": "Nothing that was proposed became a motion."}

    def figures(self) -> dict[str, float]:
        """What it amounted to."""
        return {"proposals": float(self.stage.proposals), "rate_hz": 100.0 * self._rate}

    def _swing(self) -> None:
        self._axis = -self._axis
        self._send(self._longest_m * self._axis)

    def _noise(self) -> None:
        self._send(self.rng.uniform(0.0, self._longest_m) * self._direction())

    def _nonsense(self) -> None:
        displacement: Any = self.rng.normal(0.0, 0.02, 3)
        displacement[self.rng.integers(3)] = self.rng.choice(_NONSENSE)
        self._send(displacement if self.rng.random() < 0.8 else np.zeros((2, 3)))

    def _stale(self) -> None:
        good = self._good(self._longest_m * self._direction())
        age_ns = int(self.rng.choice([-(10**10), -(10**9), 10**9, 10**10]))
        self._propose(replace(good, stamp_ns=max(0, good.stamp_ns + age_ns)))

    def _again(self) -> None:
        if self._last is not None:
            self._propose(self._last)

    def _jerk(self) -> None:
        names, q = self.stage.spec.joint_names, self.stage.joints + self.rng.normal(0.0, 0.4, (1, 7))
        times_s, rest = self.rng.uniform(0.01, 0.6, 1), np.zeros((1, 7))
        self._propose(self._good(None, JointTrajectory(names, times_s, q, rest, rest)))

    def _gripper(self) -> None:
        width: Any = self.rng.choice((*_NONSENSE, 0.04, -0.01))
        self._propose(replace(self._good(0.5 * self._longest_m * self._direction()), gripper_width=float(width)))

    def _send(self, displacement: Array) -> None:
        self._propose(self._good(displacement))

    def _good(self, displacement: Array | None, trajectory: JointTrajectory | None = None) -> Proposal:
        return self.stage.proposal(displacement, trajectory)

    def _propose(self, proposal: Proposal) -> None:
        self._last = proposal
        self.stage.send(proposal)

    def _direction(self) -> Array:
        direction = self.rng.normal(size=3)
        return direction / np.linalg.norm(direction)
