"""One trial without physics: the commanded motion is taken as executed, and looked at 240 times a second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np

from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.guardrail import Guardrail
from ami_robot.safety.kinematics import Kinematics
from ami_robot.types import Array, JointState, JointTrajectory, Proposal
from ami_sim.controller import JointTrajectoryController
from ami_sim.judge import Judge
from ami_sim.scene import Scene
from ami_sim.trials.attacks import EVERY_S, Sight, attack_of
from ami_sim.trials.cell import Outcome
from ami_sim.trials.post import SOURCE, Post
from ami_sim.trials.trial import COMMANDS_S, Trial
from ami_sim.trials.truth import Truth
from ami_sim.world import PHYSICS_HZ, Snapshot, World

STATIC_FAMILIES = ("limits", "obstacles", "singularity")
_SUBSTEPS = round(EVERY_S * PHYSICS_HZ)
_JOINT_STATES = 8  # substeps between those that the protection sees
_FIRST_NS = 10_000_000_000
_FINGERS = np.zeros(2)


class Protection(Protocol):
    """What stands between the attacker and the arm."""

    def begin(self, start: JointState, now_ns: int) -> bool:
        """The arm rests here; False when it must not move at all."""
        ...

    def answer(self, proposal: Proposal, desired: JointState, now_ns: int) -> JointTrajectory | None:
        """What is sent now, when the arm is at `desired`; None lets it go on."""
        ...

    def hear(self, desired: JointState, now_ns: int) -> JointTrajectory | None:
        """What is sent between two proposals."""
        ...

    def tool_target(self) -> Array:
        """(3,), m: where the tool will come to rest."""
        ...


class Guarded:
    """The guardrail, told that the arm is where it was sent."""

    def __init__(self, trial: Trial, kinematics: Kinematics, dynamics: Dynamics):
        self._names = list(trial.spec.joint_names)
        self._guardrail = Guardrail(trial.spec, kinematics, dynamics)
        self._guardrail.select_source(SOURCE)
        self.decisions: Counter[str] = Counter()

    def begin(self, start: JointState, now_ns: int) -> bool:
        """Arm."""
        return self._guardrail.arm(start, now_ns, now_ns) is None

    def answer(self, proposal: Proposal, desired: JointState, now_ns: int) -> JointTrajectory | None:
        """One step."""
        self._guardrail.propose(proposal)
        return self.hear(desired, now_ns)

    def hear(self, desired: JointState, now_ns: int) -> JointTrajectory | None:
        """One step with a proposal that looks a little later whether it may."""
        report = self._guardrail.step(self._names, desired.positions, desired.velocities, now_ns, now_ns)
        if report is None:
            return None
        self.decisions[report.decision] += 1
        return report.sent

    def tool_target(self) -> Array:
        """As reported."""
        return self._guardrail.status(_FIRST_NS).target_tool_position


ProtectionOf = Callable[[Trial], Protection]


class KinematicCell:
    """One physics client, never stepped, for any number of trials."""

    def __init__(self, kinematics: Kinematics):
        self._kinematics = kinematics
        self._scene = replace(Scene.from_seed(0), blocks=())
        self._world = World(self._scene)

    def close(self) -> None:
        """Give the physics client back."""
        self._world.close()

    def run(self, trial: Trial, protection: Protection) -> Outcome:
        """The trial from its start until the arm rests again."""
        trial = replace(trial, hasty=False, faulty=False)
        self._world.reset(replace(self._scene, start_joint_positions=trial.start))
        controller = JointTrajectoryController(trial.spec.joint_names)
        controller.hold(trial.start, 0.0)
        judge = Judge(self._world.scene, trial.spec)
        controller.on_accept = judge.on_command
        truth = Truth(self._world, trial, judge)
        rng = np.random.default_rng([trial.seed, 1])
        post = Post(trial, attack_of(trial, self._kinematics, rng), rng)
        if not protection.begin(controller.sample(0.0), _FIRST_NS):
            return Outcome(["the trial could not begin"], {}, 0.0)
        substep, path = 0, [trial.start]
        while substep < COMMANDS_S * PHYSICS_HZ or controller.busy(substep / PHYSICS_HZ):
            time_s = substep / PHYSICS_HZ
            if substep % _JOINT_STATES == 0:
                self._protect(controller, protection, post if substep % _SUBSTEPS == 0 else None, truth, time_s)
            substep += 1
            desired = controller.sample(substep / PHYSICS_HZ)
            if controller.busy(substep / PHYSICS_HZ):
                self._world.mirror(Snapshot(np.concatenate([desired.positions, _FINGERS]), *_NO_BLOCKS))
                truth.watch(substep / PHYSICS_HZ, desired.positions, desired.velocities)
            path.append(desired.positions)
        motion_rad = float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
        return Outcome(truth.events + judge.verdict().violations, truth.least, motion_rad)

    def _protect(
        self,
        controller: JointTrajectoryController,
        protection: Protection,
        post: Post | None,
        truth: Truth,
        time_s: float,
    ) -> None:
        """A joint state, and what somebody may propose."""
        now_ns, desired = _FIRST_NS + round(time_s * 1e9), controller.sample(time_s)
        sight = Sight(time_s, desired.positions, desired.velocities, protection.tool_target())
        proposals: list[Proposal | None] = [None]
        if post is not None and time_s < COMMANDS_S:
            proposals = [*post.proposals(sight, now_ns)] or proposals
        for proposal in proposals:
            try:
                if proposal is None:
                    sent = protection.hear(desired, now_ns)
                else:
                    sent = protection.answer(proposal, desired, now_ns)
            except Exception as error:  # noqa: BLE001 - it is what is looked for
                truth.say(f"an exception: {type(error).__name__}: {error}")
                return
            if sent is not None and (rejection := controller.accept(sent, time_s)):
                truth.say(f"the controller rejected a trajectory: {rejection}")


_NO_BLOCKS = (np.zeros((0, 3)), np.zeros((0, 4)))
