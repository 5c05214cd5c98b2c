"""A start, and a planner over the doubles with the task file's settings."""

from dataclasses import replace

import numpy as np
import pytest
from actor_doubles import START, BoxMask, LinearWorld

from ami_robot.actor.icem import ICEM, ICEMSettings
from ami_robot.configurator.configurator import REACH, CostSettings, build_cost, load_task
from ami_robot.types import Belief


@pytest.fixture
def belief():
    proprio = np.concatenate([START, np.zeros(3), START, [0.04]])
    return Belief(0, START.copy(), proprio, np.zeros(7))


@pytest.fixture
def make_icem():
    def make(world=None, mask=None, cost=None, **changes):
        settings: ICEMSettings = replace(load_task(REACH).icem, **changes)
        cost = cost or CostSettings(0.3, 1.0, 1.0, 0.0, 0.0)
        return ICEM(settings, mask or BoxMask(), world or LinearWorld(), build_cost(cost))

    return make
