"""An adversary that learns: CMA-ES over what is commanded, when and whence somebody comes, and how late things are.

One search for each family. Its parameters are tool goals and durations of a sequence of fast joint trajectories, the
bearing, distance and time of a person, and the delays of commands and of the people sensor; what it minimises is the
least margin of the whole episode, by PyBullet's truth. The worst case found is published with its parameters.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from cmaes import CMA
from tqdm import tqdm

from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import Spec, load_spec
from ami_robot.types import Array
from ami_sim.trials.cell import Cell, Outcome
from ami_sim.trials.trial import FAMILIES, Trial, draw
from ami_sim.walks import approaching

EVALUATIONS = 400  # of each family
SEED = 0
KNOTS = 6
OBJECTIVES = {
    "limits": ("speed_share",),
    "obstacles": ("obstacle_m", "table_m", "wall_m"),
    "people": ("person_m",),
    "tool": ("tip_cap_m_per_s", "table_m"),
    "inputs": ("obstacle_m", "table_m", "person_m"),
    "singularity": ("singular_value",),
}
"""Margins of which the least is minimised."""

_UNSEEN = 1.0  # when there was no such margin: nothing came near
_SIGMA = 0.3
_SHORTEST_S, _LONGEST_S = 0.3, 1.2
_NEAREST_M, _FARTHEST_M, _LATEST_S, _SENSOR_S = 0.7, 2.5, 0.6, 0.1


def search(evaluations: int = EVALUATIONS) -> list[dict[str, Any]]:
    """The worst case of each family."""
    kinematics, dynamics, spec = Kinematics(), Dynamics(), load_spec()
    cell = Cell(kinematics, dynamics)
    try:
        return [_search(family, evaluations, cell, spec, kinematics, dynamics) for family in FAMILIES]
    finally:
        cell.close()


def attacked(base: Trial, x: Array) -> Trial:
    """The trial with what the parameters x, each in 0..1, say."""
    knots_x, (bearing, distance, start, delay, sensor) = x[:-5].reshape(KNOTS, 4), x[-5:]
    row = base.spec.workspace
    goals = row.lower_m + knots_x[:, :3] * (row.upper_m - row.lower_m)
    durations = _SHORTEST_S + knots_x[:, 3:] * (_LONGEST_S - _SHORTEST_S)
    walk = approaching(
        (2.0 * bearing - 1.0) * math.pi,
        _NEAREST_M + distance * (_FARTHEST_M - _NEAREST_M),
        base.spec.people.max_speed_m_per_s,
        start * _LATEST_S,
    )
    with_people = base.spec.people.source_of_people == "topic"
    return replace(
        base,
        attack="knots",
        knots=np.hstack([goals, durations]),
        walks=(walk,) if with_people else (),
        least_delay_s=delay * base.spec.transport.jitter_s,
        sensor_delay_s=sensor * _SENSOR_S,
        hasty=False,
    )


def _search(
    family: str, evaluations: int, cell: Cell, spec: Spec, kinematics: Kinematics, dynamics: Dynamics
) -> dict[str, Any]:
    base = _base(family, spec, kinematics, dynamics)
    size = 4 * KNOTS + 5
    optimizer = CMA(np.full(size, 0.5), _SIGMA, bounds=np.tile([0.0, 1.0], (size, 1)), seed=SEED)
    worst, worst_x, first, events = math.inf, np.full(size, 0.5), math.nan, 0
    bar = tqdm(total=evaluations, desc=f"search {family}", unit="episode")
    done = 0
    while done < evaluations:
        asked = [optimizer.ask() for _ in range(optimizer.population_size)]
        told = []
        for x in asked:
            outcome = cell.run(attacked(base, x))
            margin = _margin(family, outcome)
            events += bool(outcome.events)
            first = margin if math.isnan(first) else first
            if margin < worst:
                worst, worst_x = margin, x
            told.append((x, margin))
        optimizer.tell(told)
        done += len(asked)
        bar.update(len(asked))
    bar.close()
    return {
        "family": family,
        "seed": base.seed,
        "minimised": OBJECTIVES[family],
        "evaluations": done,
        "events": events,
        "first": round(first, 5),
        "worst": round(worst, 5),
        "parameters": [round(float(value), 6) for value in worst_x],
    }


def _base(family: str, spec: Spec, kinematics: Kinematics, dynamics: Dynamics) -> Trial:
    """The first trial of the family that has what its margins are of."""
    seed = SEED
    while True:
        trial = draw(family, seed, spec, kinematics, dynamics)
        if family in ("people", "tool", "inputs") and trial.spec.people.source_of_people != "topic":
            seed += 1
            continue
        return trial


def _margin(family: str, outcome: Outcome) -> float:
    return min(outcome.least.get(name, _UNSEEN) for name in OBJECTIVES[family])
