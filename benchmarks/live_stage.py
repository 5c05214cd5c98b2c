"""A stage whose arm, guardrail and people are the node processes of the graph.

It has the face of `ami_sim.stories.stage.Stage`, so a story's script, and what its truth forbids, are the same here and
in lock step. Proposals cross DDS; the truth is measured in a world of PyBullet that is put, after the run, through
every joint state that was heard, with the people of the same script where they were by then.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pybullet

from ami_nodes.arm import TIP_M
from ami_nodes.convert import as_array, to_ns, to_proposal_msg, xyz
from ami_nodes.demo_graph import GraphError
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.rows import Box
from ami_robot.types import NS_PER_S, Array, Proposal
from ami_sim.arm import JOINT_STATES_HZ
from ami_sim.people_scripts import SCRIPTS
from ami_sim.scene import Scene
from ami_sim.stories.sender import Sender
from ami_sim.stories.stage import ghost
from ami_sim.stories.witness import Witness
from ami_sim.world import ARM_JOINTS, World
from benchmarks.live_cell import Cell, Heard

MOST_SILENT_S = 0.05
"""Between two joint states, simulated time: with a longer gap the truth was not seen."""

_TICK_NS = NS_PER_S // JOINT_STATES_HZ
_PURSUIT_S = 30.0  # wall time after which a pursuit counts as lost


class LiveStage(Sender):
    """One episode in a cell: its scene is put up, and the guardrail armed, when this is made."""

    def __init__(
        self, cell: Cell, source: str, scene: Scene, spec: Any = None, walks: Any = (), guarded: bool = True,
        camera: Any = None, watched_m: float = 0.7,
    ) -> None:  # fmt: skip
        """Take the arguments of a Stage; of the scene the seed counts, spec, walks and camera are those of the cell."""
        if not guarded:
            raise ValueError("the graph has no control row: nothing moves the arm but the guardrail.")
        super().__init__(source, cell.spec)
        self.cell, self._watched_m = cell, watched_m
        self.scene, self.kinematics, self.judge = Scene.from_seed(scene.seed), Kinematics(), Judge(cell)
        self.boxes: list[Box] = []
        self.planner_refused = 0
        self._pursuit: Any = None
        self._suspended: list[int] = []
        self._log_from, self._read, self._latest = cell.log_length(), len(cell.reports), None
        self._rests_ns = 0  # when the last sent motion ends
        self._begin()

    @property
    def now_ns(self) -> int:
        """The stamp of the newest joint state."""
        return self.cell.states[-1].stamp_ns

    @property
    def t_s(self) -> float:
        """Since the scene's start."""
        return (self.now_ns - self.start_ns) / NS_PER_S

    @property
    def tool_target(self) -> Array:
        """Where the tool will come to rest, (3,), m."""
        return xyz(self._latest.target_tool_position)

    @property
    def desired_joints(self) -> Array:
        """Where the arm will come to rest, (7,), rad: where the controller wants it, once that is over."""
        return as_array(self._latest.target_joint_positions)

    @property
    def joints(self) -> Array:
        """Measured, (7,), rad."""
        return self.cell.states[-1].positions[:7]

    @property
    def moving(self) -> bool:
        """Whether the arm is still told to move, or does."""
        speed = np.abs(self.cell.states[-1].velocities[:7]).max()
        return self.now_ns <= self._rests_ns or bool(speed > self.spec.arming.rest_velocity_rad_per_s)

    @property
    def rejected(self) -> list[str]:
        """What the controller did not take."""
        return self.cell.rejected(self._log_from)

    def add_box(self, box: Box) -> None:
        """It stands in the world in which the truth is measured; the guardrail file of the cell has to name it."""
        self.boxes.append(box)

    def send(self, proposal: Proposal) -> None:
        """Publish it, unless it has a shape for which the message has no room."""
        if proposal.tool_displacement is not None and np.shape(proposal.tool_displacement) != (3,):
            return
        self.cell.proposals.publish(to_proposal_msg(proposal))

    def pursue(self, goal: Any, seconds: float) -> None:
        """Let the planner's node pursue a goal for this long, once it is done with the one before."""
        self.finish_pursuit()
        self._pursuit = self.cell.client.start(goal, seconds)

    def finish_pursuit(self) -> None:
        """Wait for the planner's result, and add what it refused to `planner_refused`."""
        if self._pursuit is not None:
            handle, self._pursuit = self._pursuit, None
            self.planner_refused += self.cell.client.finish(handle, _PURSUIT_S).refusals

    def suspend(self, name: str) -> None:
        """Stop the process of a node until the end of the story."""
        self._suspended.append(pid := self.cell.process(name))
        os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let stopped processes go on."""
        while self._suspended:
            os.kill(self._suspended.pop(), signal.SIGCONT)

    def tick(self) -> None:
        """Until the joint state of the next tick was heard; one that is late does not wait."""
        self.ticks += 1
        due_ns = self.start_ns + self.ticks * _TICK_NS
        self.cell.wait_for(lambda: self.now_ns >= due_ns, "joint states")
        self._read_reports()

    def close(self) -> None:
        """Nothing is left running."""
        self.resume()
        if self._pursuit is not None:
            with suppress(GraphError):  # it may have ended by itself
                self.cell.client.cancel(self._pursuit)
            self.finish_pursuit()
        self.cell.world_model = None

    @cached_property
    def heard(self) -> list[Heard]:
        """The joint states of this episode until now."""
        return [state for state in self.cell.states if state.stamp_ns > self.start_ns]

    @cached_property
    def witness(self) -> Witness:
        """What really happened until now, to be asked for when the story is over."""
        world = World(self.scene)
        try:
            return self._watched(world)
        finally:
            world.close()

    def unseen(self) -> dict[str, str]:
        """Whether the joint states have a gap in which anything might have happened."""
        gap_s = np.diff([self.start_ns, *(state.stamp_ns for state in self.heard)]).max() / NS_PER_S
        return {} if gap_s <= MOST_SILENT_S else {"unseen": f"No joint state was heard for {gap_s:.2f} s."}

    def _begin(self) -> None:
        cell, before_ns = self.cell, self.now_ns
        cell.client.select_source(self.source)
        cell.client.begin_episode(self.scene.seed)
        cell.wait_for(lambda: cell.scene_start_ns >= before_ns, "the new scene")
        self.start_ns = cell.scene_start_ns
        cell.wait_for(self._armed, "an armed guardrail")
        self.ticks = (self.now_ns - self.start_ns) // _TICK_NS

    def _armed(self) -> bool:
        self._read_reports()
        latest = self._latest
        return latest is not None and latest.armed and to_ns(latest.header.stamp) >= self.start_ns

    def _read_reports(self) -> None:
        for report in self.cell.reports[self._read :]:
            self._read, self._latest = self._read + 1, report
            if to_ns(report.header.stamp) < self.scene_start_ns:
                continue
            self._hear(report)

    @property
    def scene_start_ns(self) -> int:
        """Of the newest scene."""
        return self.cell.scene_start_ns

    def _hear(self, report: Any) -> None:
        ours = report.proposal_sequence if report.source == self.source else None
        self.count(report.decision, report.guardrail, ours)
        if report.sent.points:
            self._rests_ns = to_ns(report.header.stamp) + to_ns(report.sent.points[-1].time_from_start)

    def _watched(self, world: World) -> Witness:
        """Put the mirror through every joint state."""
        kind = self.cell.kind
        people = None if kind.people == "none" else world.add_people(SCRIPTS[kind.people])
        if kind.held_tool != "none":
            world.hold_tool(kind.held_tool, TIP_M)
        witness = Witness(world, self.spec, self._watched_m, every=1)
        witness.boxes += [ghost(world, box) for box in self.boxes]
        here = world.snapshot()
        for state in self.heard:
            t_s = (state.stamp_ns - self.start_ns) / NS_PER_S
            world.mirror(replace(here, joint_positions=state.positions))
            for joint, q, dq in zip(ARM_JOINTS, state.positions, state.velocities, strict=False):
                pybullet.resetJointState(world.robot, joint, q, dq, world.client)
            if people is not None:
                people.move_to(t_s)
            witness.on_substep(t_s, state.velocities[:7], world.clearance_to_table())
        return witness


class Judge:
    """The arm node's own judge, by its service."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    def verdict(self) -> Any:
        """On what was executed since the scene's start."""
        return self._cell.client.judge()
