"""The gripper takes up a knife while somebody is in reach."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ami_robot.types import Array
from ami_sim.stories.scripts import Patrol
from ami_sim.stories.stage import Stage, spec_with_people
from ami_sim.stories.story import Story
from ami_sim.stories.studio import at_position, backing_away, stand_off
from ami_sim.stories.witness import REST_M_PER_S

MOST_M_PER_S = 0.09
"""What the tip may do, with a blade and somebody in reach."""

_TAKEN_S, _LEAVES_S, _GONE_S = 2.0, 5.5, 7.0
_PAUSE_S = 0.9  # before a knife is taken up at rest
_STOPPING_S = 0.45  # from a knife that is suddenly there: told within 0.1 s, a reaction of 0.05 s, a brake of 0.3 s


class Knife(Story):
    """To and fro: with empty hands, with the knife, and with the knife when the person has gone.

    Half of the seeds take it up at rest, half on the way; it points downwards or to any side.
    """

    name = "knife"
    about = "With a blade in hand and somebody in reach the tip stays below 0.09 m/s and does not point at them."
    breaks = "speed"
    duration_s = 8.5
    may_be_fast: ClassVar[tuple[str, ...]] = ("tip_speed_empty_m_per_s", "tip_speed_alone_m_per_s")  # of the figures

    def __init__(self, seed: int, guarded: bool = True):
        super().__init__(seed, guarded)
        rng = self.rng
        middle = np.array([rng.uniform(0.45, 0.52), rng.uniform(-0.05, 0.05), rng.uniform(0.26, 0.32)])
        bearing = rng.uniform(-0.7, 0.7) * np.pi
        across = 0.09 * np.array([-np.sin(bearing), np.cos(bearing), 0.0])
        scene = at_position(seed, middle, middle + across)
        place = stand_off(scene, bearing, rng.uniform(0.74, 0.78))
        walk = backing_away(place, 2.0, 1.5, _LEAVES_S)
        self.stage = Stage(scene, spec_with_people(), [walk], guarded, watched_m=1.2)
        self._patrol = Patrol(self.stage, [middle + across, middle - across])
        self._tip, self._at_rest = _blade(rng), bool(rng.integers(2))
        self._taken = False

    def act(self) -> None:
        """To and fro at full speed; the knife comes at its time."""
        t_s = self.stage.t_s
        if t_s >= _TAKEN_S and not self._taken:
            self._taken = True
            self.stage.pick_up("edge", self._tip)
        if not (self._at_rest and _TAKEN_S - _PAUSE_S <= t_s < _TAKEN_S):
            self._patrol.act()

    def broken(self) -> dict[str, str]:
        """Speed and direction of the tip while it is in reach; and it has to be faster when it may."""
        witness, broken = self.stage.witness, {}
        armed = self._armed()
        fast = armed & (witness.tip_speed > MOST_M_PER_S)
        if fast.any():
            broken["speed"] = f"The tip moved at {witness.tip_speed[fast].max():.3f} m/s with somebody in reach."
        facing = armed & (witness.tip_speed > REST_M_PER_S) & (witness.facing > self._most_facing())
        if facing.any():
            broken["facing"] = f"The tip moved pointing at somebody, cosine {witness.facing[facing].max():.2f}."
        free = self.figures()
        for key in self.may_be_fast:
            if not free[key] > MOST_M_PER_S:
                broken["vacuous"] = f"The arm was no faster when it may be: {key} is {free[key]:.3f}."
        return broken

    def figures(self) -> dict[str, float]:
        """Greatest speeds of the tip: empty hands beside the person, the knife beside them, the knife alone."""
        witness, times_s = self.stage.witness, self.stage.witness.times_s
        in_reach = witness.distance_m < self._reach_m()
        return {
            "tip_speed_empty_m_per_s": _top(witness.tip_speed[in_reach & (times_s < _TAKEN_S)]),
            "tip_speed_knife_m_per_s": _top(witness.tip_speed[self._armed()]),
            "tip_speed_alone_m_per_s": _top(witness.tip_speed[(times_s > _GONE_S) & ~in_reach]),
            "facing_cosine": _top(witness.facing[self._armed()]),
        }

    def _armed(self) -> NDArray[np.bool_]:
        """Samples with the knife in hand, known of, and somebody in reach."""
        witness = self.stage.witness
        return (witness.times_s > _TAKEN_S + _STOPPING_S) & (witness.distance_m < self._reach_m())

    def _reach_m(self) -> float:
        row = self.stage.spec.people
        return row.max_speed_m_per_s * row.reach_horizon_s + row.measurement_error_m + row.intrusion_m

    def _most_facing(self) -> float:
        return float(self.stage.spec.tool_hazard.max_facing_cosine)


def _blade(rng: np.random.Generator) -> Array:
    """Tip (3,), m, in the frame of the tool, whose z is down the hand."""
    if rng.random() < 0.6:
        return np.array([rng.uniform(-0.02, 0.02), rng.uniform(-0.02, 0.02), rng.uniform(0.12, 0.16)])
    side = rng.uniform(-math.pi, math.pi)
    return np.array([0.15 * math.cos(side), 0.15 * math.sin(side), rng.uniform(0.0, 0.05)])


def _top(values: Array) -> float:
    return float(values.max()) if values.size else float("nan")
