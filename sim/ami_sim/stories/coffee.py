"""Somebody comes to the table and reaches for the coffee, between the hand and its goal."""

from __future__ import annotations

import numpy as np

from ami_sim.stories.pilot import Pilot, pilot_to_picture
from ami_sim.stories.scripts import TICKS_PER_STEP, step_towards
from ami_sim.stories.stage import Stage, spec_with_people
from ami_sim.stories.story import Story
from ami_sim.stories.studio import at_position
from ami_sim.walks import visit

_SIDES = (  # where the person stands, m; where the hand goes; start and goal of the tool; all of them jittered
    ((0.50, 0.70), (0.48, 0.20, 0.33), (0.38, 0.17, 0.26), (0.63, 0.15, 0.26)),
    ((0.50, -0.70), (0.48, -0.20, 0.33), (0.38, -0.17, 0.26), (0.63, -0.15, 0.26)),
    ((0.93, 0.15), (0.47, 0.00, 0.32), (0.47, -0.20, 0.26), (0.45, 0.21, 0.26)),
    ((0.93, -0.15), (0.47, 0.00, 0.32), (0.47, 0.20, 0.26), (0.45, -0.21, 0.26)),
)
_REACHED_M = 0.03
_LEISURELY_M = 0.015  # a step of the blind one, so that it is still under way when somebody comes


class Coffee(Story):
    """Even seeds: the learned planner, which sees the goal as a picture. Odd ones, and all without
    guardrails, since its mask is one: straight on, blind to people."""

    name = "coffee"
    about = "Somebody reaches between the hand and its goal: round them or not at all, never through; later it goes on."
    breaks = "people"
    duration_s = 8.0
    has_goal = True

    def __init__(self, seed: int, guarded: bool = True):
        super().__init__(seed, guarded)
        rng = self.rng
        place, hand, start, goal = (np.array(value) for value in _SIDES[seed // 2 % len(_SIDES)])
        start, goal = (point + rng.uniform(-0.02, 0.02, 3) for point in (start, goal))
        self._goal, self._hand = goal, hand + rng.uniform(-0.02, 0.02, 3)
        if rng.random() < 0.5:
            start, goal, self._goal = goal, start, start
        scene = at_position(seed, start, goal)
        arrival_s, self._stay_s = rng.uniform(0.2, 0.5), rng.uniform(1.0, 2.0)
        self.stage = Stage(
            scene, spec_with_people(), [visit(place, self._hand, max(0.05, arrival_s), self._stay_s)], guarded
        )
        self._pilot: Pilot | None = pilot_to_picture(self.stage) if guarded and seed % 2 == 0 else None

    def act(self) -> None:
        """Towards the goal, again and again."""
        if self._pilot is not None:
            self._pilot.act()
        elif self.stage.ticks % TICKS_PER_STEP == 0:
            self.stage.propose(step_towards(self.stage, self._goal, _LEISURELY_M))

    def broken(self) -> dict[str, str]:
        """It has to have set out, and somebody to have been in its way."""
        if not self._in_the_way_m() < 0.15:
            return {"vacuous": "Nobody was between the hand and its goal."}
        if not self.figures()["travelled_before_m"] > 0.01:
            return {"vacuous": "The arm did not set out before somebody came."}
        return {}

    def figures(self) -> dict[str, float]:
        """Whether the goal was reached after the person had gone, and how far the arm had got before."""
        witness = self.stage.witness
        left_m = float(np.linalg.norm(witness.tip[-1] - self._goal))
        near = np.flatnonzero(witness.distance_m < np.inf)
        until = near[0] if near.size else len(witness.times_s)
        moved_m = np.linalg.norm(witness.tip[: until + 1] - witness.tip[0], axis=1).max()
        return {"reached": float(left_m < _REACHED_M), "left_m": left_m, "travelled_before_m": float(moved_m)}

    def _in_the_way_m(self) -> float:
        """Distance of the hand's place to the straight line from start to goal."""
        start = self.stage.witness.tip[0]
        way = self._goal - start
        along = np.clip((self._hand - start) @ way / (way @ way), 0.0, 1.0)
        return float(np.linalg.norm(start + along * way - self._hand))
