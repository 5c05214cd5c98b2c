"""What each layer of the guardrail costs: thread CPU time while it is attacked, milliseconds.

checks        form, source, order, age and pace of a proposal (Inbox.check)
joint_watch   everything about one joint state
filter        the quadratic programme (nearest_target)
gate          one motion checked from end to end (check_motion)
people_watch  going on with somebody near (PeopleWatch.why_stop)
step          everything that one joint state brings about; `step_deciding` when a proposal was decided in it
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy as np

from ami_robot.safety import choice
from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.guardrail import Guardrail
from ami_robot.safety.inbox import Inbox
from ami_robot.safety.joint_watch import JointWatch
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.people_watch import PeopleWatch
from ami_robot.safety.spec import load_spec
from ami_sim.trials.cell import Cell
from ami_sim.trials.trial import FAMILIES, draw

EPISODES = 60
LAYERS: dict[str, tuple[Any, str]] = {
    "checks": (Inbox, "check"),
    "joint_watch": (JointWatch, "fault"),
    "filter": (choice, "nearest_target"),
    "gate": (choice, "check_motion"),
    "people_watch": (PeopleWatch, "why_stop"),
    "step": (Guardrail, "step"),
}
DECIDING = "step_deciding"


def layers(episodes: int = EPISODES) -> dict[str, dict[str, float]]:
    """Calls, p50, p99 and the worst of each layer over so many trials, the families in turn."""
    kinematics, dynamics, spec = Kinematics(), Dynamics(), load_spec()
    cell = Cell(kinematics, dynamics)
    try:
        with _measured() as times:
            for seed in range(episodes):
                cell.run(draw(FAMILIES[seed % len(FAMILIES)], seed, spec, kinematics, dynamics))
    finally:
        cell.close()
    return {
        layer: {
            "calls": len(values),
            "p50": round(float(np.percentile(values, 50)), 4),
            "p99": round(float(np.percentile(values, 99)), 4),
            "worst": round(max(values), 4),
        }
        for layer, values in sorted(times.items())
    }


@contextmanager
def _measured() -> Iterator[dict[str, list[float]]]:
    """Milliseconds of each call of each layer, while the context lasts."""
    times: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as patches:
        for layer, (owner, name) in LAYERS.items():
            patches.enter_context(mock.patch.object(owner, name, _timed(getattr(owner, name), layer, times)))
        yield times


def _timed(function: Callable[..., Any], layer: str, times: dict[str, list[float]]) -> Callable[..., Any]:
    def timed(*args: Any, **kwargs: Any) -> Any:
        began = time.thread_time_ns()
        result = function(*args, **kwargs)
        took_ms = (time.thread_time_ns() - began) / 1e6
        times[layer].append(took_ms)
        if layer == "step" and getattr(result, "proposal_sequence", 0):
            times[DECIDING].append(took_ms)
        return result

    return timed
