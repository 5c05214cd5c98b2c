"""Somebody comes in at the greatest speed of people, from any side, while the arm works."""

from __future__ import annotations

import numpy as np

from ami_sim.scene import Scene
from ami_sim.stories.scripts import Patrol, random_points
from ami_sim.stories.stage import Stage, spec_with_people
from ami_sim.stories.story import SetUp, Story
from ami_sim.walks import approaching


class Intruder(Story):
    """The arm goes round through random points; half of the seeds by displacements, half by fast trajectories."""

    name = "intruder"
    about = "Somebody walks in at 1.6 m/s from any side, at any phase of a motion: the arm rests before they touch it."
    breaks = "contact"
    duration_s = 4.0

    def __init__(self, seed: int, guarded: bool = True, set_up: SetUp = Stage):
        super().__init__(seed, guarded)
        spec, rng = spec_with_people(), self.rng
        scene = Scene.from_seed(seed)
        bearing, distance_m = rng.uniform(-np.pi, np.pi), rng.uniform(2.2, 3.0)
        toward = np.array([rng.uniform(0.1, 0.5), rng.uniform(-0.1, 0.1)])
        walk = approaching(bearing, distance_m, spec.people.max_speed_m_per_s, rng.uniform(0.3, 1.2), toward)
        self.stage = set_up(scene, spec, [walk], guarded)
        points = random_points(rng, self.stage, 12)
        self._patrol = Patrol(self.stage, points, by_trajectory=bool(rng.integers(2)))

    def act(self) -> None:
        """Work on, whoever comes."""
        self._patrol.act()

    def broken(self) -> dict[str, str]:
        """The arm has to have worked, and the person to have come, or nothing was shown."""
        broken = {}
        if not self._touched_s() < np.inf:
            broken["vacuous"] = "Nobody came to where the arm is."
        if not self._top_speed_before() > 0.1:
            broken["vacuous"] = "The arm did not move before somebody came."
        return broken

    def figures(self) -> dict[str, float]:
        """How early the arm came to rest, and how fast it was before."""
        return {
            "rest_before_touch_s": self._touched_s() - self._rest_s(),
            "top_speed_before_m_per_s": self._top_speed_before(),
        }

    def _touched_s(self) -> float:
        """When somebody reached the arm; inf if never."""
        witness = self.stage.witness
        touched = witness.times_s[witness.distance_m <= 0.0]
        return float(touched[0]) if touched.size else float("inf")

    def _rest_s(self) -> float:
        """When the arm moved last before that."""
        witness = self.stage.witness
        moving = witness.times_s[witness.moves & (witness.times_s <= self._touched_s())]
        return float(moving[-1]) if moving.size else 0.0

    def _top_speed_before(self) -> float:
        witness = self.stage.witness
        return float(witness.arm_speed[witness.times_s < self._touched_s()].max(initial=0.0))
