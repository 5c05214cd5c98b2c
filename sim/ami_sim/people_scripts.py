"""Who walks through the demonstration: walks by name, the same in the arm's world and in the camera's mirror of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ami_robot.types import Array
from ami_sim.walks import Walk, approaching, looking_on, pacing, reaching, standing, visit, walking

DURATION_S = 600.0  # of what goes on and on; afterwards people stand still


def _at(*coordinates: float) -> Array:
    return np.array(coordinates)


SCRIPTS: Mapping[str, tuple[Walk, ...]] = {
    "nobody": (),
    "bystander": (standing(_at(1.9, 0.9)),),
    "visitor": (walking(_at(2.4, 0.6), _at(1.15, 0.3), 1.0, start_s=2.0),),
    "passers_by": (
        pacing(_at(1.6, -1.5), _at(1.6, 1.5), 1.2, DURATION_S),
        pacing(_at(2.2, 1.5), _at(2.2, -1.5), 0.8, DURATION_S),
    ),
    "hand": (reaching(_at(0.5, 1.3), _at(0.5, 0.7, 0.15), start_s=1.0, stay_s=2.0),),
    "coffee": (visit(_at(0.50, 0.70), _at(0.48, 0.20, 0.33), start_s=1.0, stay_s=1.5),),
    "onlooker": (looking_on(_at(1.42, 0.05), start_s=2.5, stay_s=3.5),),
    "intruder": (approaching(0.6, 2.8, 1.6, start_s=1.0),),
}
"""Seconds count from the scene's start. `nobody` is a cell whose detector looks at empty space."""
