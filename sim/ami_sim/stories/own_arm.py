"""Trajectories whose goal, or whose way, leads the arm into itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import Spec, load_spec
from ami_robot.types import Array
from ami_sim.scene import Scene
from ami_sim.stories.scripts import TICKS_PER_STEP, leap, random_points, there_and_back
from ami_sim.stories.sender import COMMANDS
from ami_sim.stories.stage import Stage
from ami_sim.stories.story import SetUp, Story
from ami_sim.stories.witness import self_distance_m
from ami_sim.world import World

_GOALS, _DRAWS = 3, 40_000
_ABOVE_TABLE_M = 0.03


class OwnArm(Story):
    """From wherever the arm has just been, to postures that PyBullet finds in collision, or through them and back."""

    name = "own_arm"
    about = "Trajectories that end in, or pass through, a self-collision: refused, and no two links ever touch."
    breaks = "self"
    duration_s = 6.0

    def __init__(self, seed: int, guarded: bool = True, set_up: SetUp = Stage):
        super().__init__(seed, guarded)
        scene, spec = Scene.from_seed(seed), load_spec()
        self._goals = _colliding(scene, spec, self.rng)
        self.stage = set_up(scene, spec, guarded=guarded)
        self._points = random_points(self.rng, self.stage, 10)
        self._turn = 0
        self._forbidden: list[int] = []  # sequences of the proposals that lead into a self-collision

    def act(self) -> None:
        """A lawful motion, then each of the forbidden ones from where it ends."""
        stage = self.stage
        if stage.moving or stage.ticks % TICKS_PER_STEP:
            return
        self._turn += 1
        if self._turn % 3 == 1:
            point = self._points[self._turn % len(self._points)]
            stage.propose(trajectory=leap(stage, stage.kinematics.inverse(point)[0]))
            return
        goal = self._goals[self._turn % len(self._goals)]
        stage.propose(trajectory=leap(stage, goal) if self._turn % 3 == 2 else there_and_back(stage, goal))
        self._forbidden.append(stage.proposals)

    def broken(self) -> dict[str, str]:
        """Every one of them is refused."""
        if accepted := self._answered(*COMMANDS):
            return {"accepted": f"{accepted} trajectories into a self-collision were accepted."}
        if not self._answered("refused"):
            return {"vacuous": "No trajectory into a self-collision was decided on."}
        return {}

    def figures(self) -> dict[str, float]:
        """How many were refused, and how near the links came; inf where that is more than 2 cm."""
        return {
            "refused": float(self._answered("refused")),
            "refused_as_self_collision": float(self.stage.refusals["self_collision"]),
        }

    def _answered(self, *decisions: str) -> int:
        """How many of the forbidden ones were decided on like this."""
        return sum(self.stage.answers.get(sequence) in decisions for sequence in self._forbidden)


def _colliding(scene: Scene, spec: Spec, rng: np.random.Generator) -> list[Array]:
    """Joint positions (7,), rad, within limits, tool in the workspace, above the table, links in one another.

    Of all that were drawn, those that are nearest to where the scene starts.
    """
    row = spec.joint_position
    q = rng.uniform(row.command_lower_rad, row.command_upper_rad, (_DRAWS, 7))
    tool = Kinematics().tool_position(q)
    q = q[((tool > spec.workspace.lower_m) & (tool < spec.workspace.upper_m)).all(axis=1)]
    q = q[np.argsort(np.abs(q - scene.start_joint_positions).max(axis=1))]
    world, found = World(scene), []
    begin = world.snapshot()
    try:
        for posture in q:
            world.mirror(replace(begin, joint_positions=np.append(posture, begin.joint_positions[7:])))
            if world.clearance_to_table() > _ABOVE_TABLE_M and self_distance_m(world, 0.0) <= 0.0:
                found.append(posture)
            if len(found) == _GOALS:
                return found
    finally:
        world.close()
    raise ValueError(f"of {_DRAWS} postures only {len(found)} were self-collisions above the table.")
