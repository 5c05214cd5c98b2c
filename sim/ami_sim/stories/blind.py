"""The camera's picture freezes while the arm is on its way."""

from __future__ import annotations

import numpy as np

from ami_robot.safety.spec import load_spec
from ami_sim.scene import Scene
from ami_sim.stories.pilot import Pilot, mind, pilot_to_picture
from ami_sim.stories.scripts import TICKS_PER_STEP, Patrol, random_points
from ami_sim.stories.stage import Stage
from ami_sim.stories.story import Story

FAULTS = ("stamp", "picture", "obstinate")
_RUNNING_S = 0.6  # what was accepted while the frame was fresh: a motion of 0.4 s, stretched a little, and a tick


class Blind(Story):
    """The fault changes with the seed: no frame comes any more; every frame is fresh and shows the same.

    Or a planner that does not care goes on proposing from the last frame that it had.
    """

    name = "blind"
    about = "Frames freeze: with old stamps the arm rests within the bound, with fresh ones no limit is broken."
    breaks = "late"
    duration_s = 5.0

    def __init__(self, seed: int, guarded: bool = True):
        super().__init__(seed, guarded)
        self.fault = FAULTS[seed % len(FAULTS)] if guarded else "obstinate"
        self.stage = Stage(Scene.from_seed(seed), load_spec(), guarded=guarded, camera=mind().camera)
        self._freezes_s = float(self.rng.uniform(0.7, 1.1))
        self._seen_ns = self.stage.now_ns  # by the obstinate one
        self._pilot: Pilot | None = None if self.fault == "obstinate" else pilot_to_picture(self.stage)
        self._patrol = Patrol(self.stage, random_points(self.rng, self.stage, 8))

    @property
    def bound_s(self) -> float:
        """By when the arm rests when nothing is seen any more."""
        return self._freezes_s + float(self.stage.spec.staleness.frame_s) + _RUNNING_S

    def act(self) -> None:
        """Look and plan; from its time on, look in vain."""
        frozen = self.stage.t_s >= self._freezes_s
        if self._pilot is not None:
            self._pilot.frozen = self.fault if frozen else None
            self._pilot.act()
            return
        if not frozen and self.stage.ticks % TICKS_PER_STEP == 0:
            self._seen_ns = self.stage.now_ns
        self._patrol.act(observed_ns=self._seen_ns)

    def broken(self) -> dict[str, str]:
        """At rest in time, out of motion."""
        witness = self.stage.witness
        times_s, moves = witness.times_s, witness.moves
        if not moves[(times_s > self._freezes_s - 0.5) & (times_s <= self._freezes_s)].any():
            return {"vacuous": "The arm did not move when the frames froze."}
        late = moves & (times_s > self.bound_s)
        if self.fault != "picture" and late.any():
            return {"late": f"The arm still moved {times_s[late][-1] - self._freezes_s:.2f} s after the last frame."}
        return {}

    def figures(self) -> dict[str, float]:
        """How long after the last true picture the arm moved."""
        witness = self.stage.witness
        moved_s = witness.times_s[witness.moves]
        last_s = float(moved_s[-1]) if moved_s.size else np.nan
        return {"moved_on_s": last_s - self._freezes_s, "bound_s": self.bound_s - self._freezes_s}
