"""One run of the arm behind its guardrail, in lock step: one process, one clock, no ROS.

The guardrail is stepped on every joint state, 100 times a second, with the arm's measured positions, velocities and
efforts, as its node does. People are sensed late and with noise; the held tool is told ten times a second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pybullet

from ami_robot.perception.camera import CameraModel
from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.guardrail import Guardrail
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.rows import Box
from ami_robot.safety.spec import Spec, load_spec
from ami_robot.types import Array, GuardrailReport, HeldTool, JointState, JointTrajectory, People, Person, Proposal
from ami_sim.arm import JOINT_STATES_HZ, SimulatedArm
from ami_sim.judge import Judge
from ami_sim.people_sensor import PeopleSensor
from ami_sim.scene import Scene
from ami_sim.stories.sender import Sender
from ami_sim.stories.unguarded import Unguarded
from ami_sim.stories.witness import Witness
from ami_sim.walks import Walk
from ami_sim.world import World

SOURCE = "story"
SETTLE_SUBSTEPS = 24  # until the drives hold the arm: before the first substep there are no efforts to measure
_TOOL_EVERY = JOINT_STATES_HZ // 10  # ticks


class Stage(Sender):
    """A scene with people, the arm in it, what guards it, and who watches."""

    def __init__(
        self,
        scene: Scene,
        spec: Spec,
        walks: Sequence[Walk] = (),
        guarded: bool = True,
        camera: CameraModel | None = None,
        watched_m: float = 0.7,
    ):
        """People are watched within `watched_m` of the arm. Not `guarded` is the control row: nothing is checked."""
        super().__init__(SOURCE, spec)
        self.scene, self.walks = scene, tuple(walks)
        self.kinematics = Kinematics()
        self.arm = SimulatedArm(scene, camera)
        if walks:
            self.arm.world.add_people(walks)
        self.guardrail: Guardrail | Unguarded = (
            Guardrail(spec, self.kinematics, Dynamics()) if guarded else Unguarded(spec, self.kinematics)
        )
        self.judge, self.witness = Judge(scene, spec), Witness(self.arm.world, spec, watched_m)
        self.arm.on_substep, self.arm.controller.on_accept = self._on_substep, self.judge.on_command
        self.boxes: list[Box] = []
        self.people: People | None = None  # what was heard last
        self.on_people: Callable[[People], None] | None = None  # who else hears of them
        self.tool = "none", np.zeros(3)  # what is told about the hand, hazard and tip
        self.said = "status"  # the last decision, and its row
        self.rejected: list[str] = []  # sent by the guardrail and not taken by the controller
        self.ticks = 0
        self._sensor = PeopleSensor(seed=scene.seed)
        self.arm.advance(SETTLE_SUBSTEPS)
        self._arm_guardrail()

    def close(self) -> None:
        """Give the physics client back."""
        self.arm.close()

    @property
    def now_ns(self) -> int:
        """The one clock."""
        return self.arm.time_ns

    @property
    def t_s(self) -> float:
        """Since the scene's start."""
        return self.arm.time_s

    @property
    def tool_target(self) -> Array:
        """Where the tool will come to rest, (3,), m."""
        return self.guardrail.status(self.now_ns).target_tool_position

    @property
    def moving(self) -> bool:
        """Whether the arm is still told to move."""
        return self.arm.controller.busy(self.t_s)

    @property
    def joints(self) -> Array:
        """Measured, (7,), rad."""
        return self.arm.joint_states()[0][:7]

    @property
    def desired_joints(self) -> Array:
        """Where the controller wants them now, (7,), rad."""
        return self.arm.desired_state().positions

    def pick_up(self, hazard: str, tip: Array) -> None:
        """The gripper takes a tool, with its tip at (3,), m, in the frame of the tool; whoever tells of it sees it."""
        self.arm.world.hold_tool(hazard, tip)
        self.tool = hazard, np.asarray(tip)

    def add_box(self, box: Box) -> None:
        """A box in the world; the arm goes through it, so that a touch is measured as it is caused."""
        self.boxes.append(box)
        self.witness.boxes.append(ghost(self.arm.world, box))

    def send(self, proposal: Proposal) -> None:
        """Give it to the guardrail."""
        self.guardrail.propose(proposal)

    def tick(self) -> None:
        """One joint state: the guardrail decides, the arm obeys, the physics goes on to the next."""
        if self.ticks % _TOOL_EVERY == 0:
            hazard, tip = self.tool
            self.guardrail.held_tool(HeldTool(self.now_ns, hazard, tip))
        positions, velocities = self.arm.joint_states()
        names, now_ns = self.arm.joint_names, self.now_ns
        report = self.guardrail.step(names, positions, velocities, now_ns, now_ns, self.arm.joint_efforts())
        if report is not None:
            self._obey(report)
        self.ticks += 1
        self.arm.advance(self.arm.substeps_to_joint_states())

    def _obey(self, report: GuardrailReport) -> None:
        row = report.refusal.guardrail if report.refusal is not None else ""
        self.count(report.decision, row, report.proposal_sequence)
        self.said = f"{report.decision} ({row})" if row else report.decision
        if report.sent is None:
            return
        rejection = self.arm.accept(report.sent)
        if rejection is not None:
            self.rejected.append(rejection)
            return
        self.arm.set_gripper(report.gripper_width)

    def _on_substep(self, t_s: float, q: Array, dq: Array, tool: Array, clearance_m: float) -> None:
        self.judge.on_substep(t_s, q, dq, tool, clearance_m)
        self.witness.on_substep(t_s, dq, clearance_m)
        self._sense_people()

    def _sense_people(self) -> None:
        for message in self._sensor.update(self.now_ns, self._persons):
            self.people = message
            self.guardrail.people(message)
            if self.on_people is not None:
                self.on_people(message)

    def _persons(self) -> tuple[Person, ...]:
        people = self.arm.world.people
        return () if people is None else people.persons()

    def _arm_guardrail(self) -> None:
        self.guardrail.select_source(SOURCE)
        positions, velocities = self.arm.joint_states()
        measured = JointState(positions[:7], velocities[:7], np.zeros(7))
        if refusal := self.guardrail.arm(measured, self.now_ns, self.now_ns):
            raise ValueError(f"the guardrail would not arm at the start of scene {self.scene.seed}: {refusal.reason}")


def ghost(world: World, box: Box) -> int:
    """The body of a box that stands in the world and that the arm goes through."""
    lower, upper = np.asarray(box.lower_m), np.asarray(box.upper_m)
    shape = pybullet.createCollisionShape(
        pybullet.GEOM_BOX, halfExtents=((upper - lower) / 2.0).tolist(), physicsClientId=world.client
    )
    body = pybullet.createMultiBody(0, shape, -1, ((lower + upper) / 2.0).tolist(), physicsClientId=world.client)
    pybullet.setCollisionFilterGroupMask(body, -1, 0, 0, world.client)
    return int(body)


def spec_with_people() -> Spec:
    """The guardrail file of a cell that is not fenced: people are asked for."""
    spec = load_spec()
    return replace(spec, people=replace(spec.people, source_of_people="topic"))


def quintic_to(stage: Stage, *points: tuple[float, Array]) -> JointTrajectory:
    """Through joint positions (7,), rad, at times, s, with rest at the last: what a motion planner would propose."""
    times_s = np.array([t_s for t_s, _ in points])
    positions = np.array([q for _, q in points])
    velocities = np.zeros_like(positions)
    return JointTrajectory(stage.spec.joint_names, times_s, positions, velocities, np.zeros_like(positions))
