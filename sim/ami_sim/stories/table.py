"""Goals below the table, by displacements and by trajectories, again and again."""

from __future__ import annotations

import numpy as np

from ami_robot.configurator.configurator import ANALYTIC, build_agent, load_task
from ami_robot.safety.spec import load_spec
from ami_robot.types import Goal
from ami_sim.stories.scripts import TICKS_PER_STEP, leap, step_towards, there_and_back
from ami_sim.stories.stage import Stage
from ami_sim.stories.story import SetUp, Story
from ami_sim.stories.studio import at_position

_DOWN_M = 0.01  # less is not on the way to the table


class Table(Story):
    """Half of the seeds press down by displacements, half by trajectories that end in the table or dip into it."""

    name = "table"
    about = "The goal lies below the table: refused, or stopped above the clearance; the arm never touches."
    breaks = "table"
    duration_s = 5.0
    has_goal = True

    def __init__(self, seed: int, guarded: bool = True, set_up: SetUp = Stage):
        super().__init__(seed, guarded)
        rng = self.rng
        start = np.array([rng.uniform(0.38, 0.60), rng.uniform(-0.2, 0.2), rng.uniform(0.10, 0.25)])
        self._goal = np.array([rng.uniform(0.38, 0.60), rng.uniform(-0.2, 0.2), rng.uniform(-0.15, -0.02)])
        self.stage = set_up(at_position(seed, start, self._goal), load_spec(), guarded=guarded)
        self._by_trajectory = seed % 2 == 1

    def act(self) -> None:
        """Down, in every model step; trajectories from rest, some of them only a part of the way."""
        stage = self.stage
        if stage.ticks % TICKS_PER_STEP:
            return
        if not self._by_trajectory:
            down = step_towards(stage, self._goal)
            stage.propose(down * self.rng.choice([1.0, 0.5, 0.1]))
        elif not stage.moving:
            tool, motion = stage.tool_target, (leap, leap, there_and_back)[self.rng.integers(3)]
            wanted = tool + self.rng.choice([1.0, 0.6, 0.3]) * (self._goal - tool)
            posture = stage.kinematics.inverse(wanted)[0]
            stage.propose(trajectory=motion(stage, posture, self.rng.uniform(0.3, 0.9)))

    def broken(self) -> dict[str, str]:
        """The agent refuses such a goal to begin with, and the arm has to have gone down as far as it may."""
        broken = {}
        agent = build_agent(load_task(ANALYTIC), self.stage.spec, self.stage.kinematics)
        if agent.pursue(Goal(self._goal)) is None:
            broken["agent"] = "The agent took up a goal below the table."
        clearance_m = self.stage.witness.clearance_m
        if not clearance_m.min() < clearance_m[0] - _DOWN_M:
            broken["vacuous"] = "The arm never went down."
        return broken
