"""Plans of iCEM in worlds that need no checkpoint: what a change of its code must leave as it was."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from actor_doubles import START, BoxMask, LinearWorld

from ami_robot.actor.icem import ICEM
from ami_robot.actor.planner import PathMask
from ami_robot.configurator.configurator import REACH, CostSettings, build_cost, load_task
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import load_spec
from ami_robot.types import Belief, Goal, Plan
from ami_robot.world_model.kinematic import KinematicModel

PLANS_EACH = 3
"""One after the other, so that the warm start counts too."""


def planned() -> Iterator[tuple[str, Plan]]:
    """Each case by name, and its plans in order."""
    spec, kinematics, task = load_spec(), Kinematics(), load_task(REACH)
    joints = kinematics.inverse(START)[0]
    belief = Belief(0, START.copy(), np.concatenate([START, np.zeros(3), START, [0.04]]), joints)
    picture = Goal(START + np.array([0.3, 0.0, 0.0]), START + np.array([0.3, 0.0, 0.0]))
    pose = Goal(START + np.array([0.06, -0.05, 0.04]))
    narrow = BoxMask(lower=START - 1e-3, upper=START + 1e-3)
    cases = (
        ("free, picture", LinearWorld(), BoxMask(), picture),
        ("free, pose", LinearWorld(), BoxMask(), pose),
        ("few feasible", LinearWorld(), narrow, picture),
        ("guardrail file, pose", KinematicModel(), PathMask(spec, kinematics), pose),
    )
    for name, world, mask, goal in cases:
        planner = ICEM(task.icem, mask, world, build_cost(CostSettings(0.3, 1.0, 1.0, 0.5, 0.0)))
        for _ in range(PLANS_EACH):
            yield name, planner.plan(belief, goal)
