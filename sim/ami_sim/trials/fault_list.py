"""The 22 faults, each with the bound within which the arm has to brake, and why that is the bound."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pybullet

from ami_robot.perception.checkpoint import DEFAULT_CHECKPOINT, TENSOR_FILE, CheckpointError, load_checkpoint
from ami_robot.safety import filter as safety_filter
from ami_robot.types import JointTrajectory, Proposal
from ami_sim.trials.fault_rig import ONSET_S, Fault, Rig
from ami_sim.trials.mishaps import Heard
from ami_sim.walks import approaching
from ami_sim.world import HAND_LINK

_AWAY_S = 0.5  # by which clocks jump
_BIAS_RAD = 0.15
_LATE_S, JITTER_S = 0.5, 0.1
_ROGUE_RAD, _ROGUE_S, _AFTER_PROPOSAL_S = 1.0, 0.5, 0.22
_PAYLOAD_KG = 2.0
_INTRUDER_M_PER_S, _APPEARS_AT_M = 2.0, 0.6


class StaleJointState(Fault):
    """Every message is 0.1 s older than it says it may be."""

    name = "stale joint state"
    note = "stamps 0.1 s old from the onset on"

    def heard(self, right: Heard) -> list[Heard]:
        """Old."""
        return [replace(right, stamp_ns=right.stamp_ns - 100_000_000)]


class FrozenJointState(Fault):
    """New stamps, old values."""

    name = "frozen joint state"
    bound = "stray"
    note = "unseen until the command has left the frozen values by the tracking error"
    _kept: Heard | None = None

    def heard(self, right: Heard) -> list[Heard]:
        """What was true at the onset."""
        self._kept = self._kept or right
        return [replace(right, positions=self._kept.positions, velocities=self._kept.velocities)]


class OutOfOrderJointState(Fault):
    """A message overtakes the one before it."""

    name = "out-of-order joint state"
    note = "a message of 30 ms ago among the new ones"

    def heard(self, right: Heard) -> list[Heard]:
        """The new one, then an old one."""
        return [right, replace(right, stamp_ns=right.stamp_ns - 30_000_000)]


class DuplicatedJointState(Fault):
    """Every message comes twice."""

    name = "duplicated joint state"
    stops = False
    note = "harmless by design: equal stamps are no step back"

    def heard(self, right: Heard) -> list[Heard]:
        """Twice."""
        return [right, right]


class TimeJumpedJointState(Fault):
    """Stamps jump ahead of the clock."""

    name = "time-jumped joint state"
    note = "stamps 0.5 s ahead"

    def heard(self, right: Heard) -> list[Heard]:
        """From the future."""
        return [replace(right, stamp_ns=right.stamp_ns + round(_AWAY_S * 1e9))]


class FrozenImage(Fault):
    """The planner goes on planning from the frame of the onset."""

    name = "image freeze"
    bound = "frame"
    note = "proposals are refused once their frame is too old; the last motion ends by itself"
    _frame_ns: int | None = None

    def proposals(self, right: Proposal) -> list[Proposal]:
        """New, but from an old frame."""
        self._frame_ns = self._frame_ns or right.observation_stamp_ns
        return [replace(right, observation_stamp_ns=self._frame_ns)]


class DroppedImage(Fault):
    """No frames, so no proposals."""

    name = "image drop"
    bound = "tail"
    note = "no frame, no proposal; the running motion ends by itself"

    def proposals(self, right: Proposal) -> list[Proposal]:
        """None."""
        return []


class CameraPoseBias(Fault):
    """The planner believes that everything is 5 cm further away."""

    name = "camera pose bias"
    stops = False
    note = "harmless by design: the guardrails do not look through the camera; goals are 5 cm off"

    def proposals(self, right: Proposal) -> list[Proposal]:
        """Towards the wrong place."""
        assert right.tool_displacement is not None
        return [replace(right, tool_displacement=0.9 * right.tool_displacement + np.array([0.0, 0.0, 0.003]))]


class GoalScale(Fault):
    """There is no depth sensor; its fault is a goal that is further away than it looks."""

    name = "depth scale"
    stops = False
    note = "no depth sensor here: proposals 20 % too long instead, which the row tool_displacement refuses"

    def proposals(self, right: Proposal) -> list[Proposal]:
        """Too long."""
        assert right.tool_displacement is not None
        return [replace(right, tool_displacement=1.2 * right.tool_displacement)]


class EncoderBias(Fault):
    """A joint encoder jumps and is noisy."""

    name = "encoder bias and noise"
    note = "0.15 rad of one joint, 1 mrad of noise on all"

    def heard(self, right: Heard) -> list[Heard]:
        """Wrong by a jump of one joint."""
        positions = right.positions + self.rng.normal(0.0, 1e-3, right.positions.shape)
        positions[self.seed % 7] += _BIAS_RAD
        return [replace(right, positions=positions)]


class StuckJoint(Fault):
    """The first joint, which sweeps, stays where it is."""

    name = "stuck joint"
    bound = "stray"
    note = "seen when the command has left the joint by the tracking error, or by the torque it takes"

    def begin(self, rig: Rig) -> None:
        """Hold it."""
        world = rig.arm.world
        held = world.joint_state()[0][0]
        substep = world.substep

        def stuck(positions: np.ndarray, velocities: np.ndarray, gripper_width: float) -> None:
            substep(np.array([held, *positions[1:]]), np.array([0.0, *velocities[1:]]), gripper_width)

        world.substep = stuck  # type: ignore[method-assign]  # until the next fault's world
        rig.at_end.append(lambda: delattr(world, "substep"))


class TorqueLoss(Fault):
    """The second joint's motor gives nothing any more."""

    name = "torque loss"
    bound = "stray"
    note = "the joint falls; seen by the torque that is missing or once it strays; the brake holds the others"

    def begin(self, rig: Rig) -> None:
        """No force."""
        forces = rig.arm.world._forces
        full = forces[1]
        forces[1] = 0.0
        rig.at_end.append(lambda: forces.__setitem__(1, full))


class CommandLoss(Fault):
    """Trajectories get lost, late or shuffled in time on their way to the arm."""

    name = "command drop, delay, jitter"
    bound = "lost"
    note = "drop, 0.5 s of delay, or 0 to 0.1 s of jitter, by seed; seen once the arm strays; it hits the brake, too"

    def begin(self, rig: Rig) -> None:
        """Which of them; jitter may stay unseen, so an e-stop is pressed under it."""
        self.stops = self.seed % 3 != 2

    def delivered(self, trajectory: JointTrajectory, delay_s: float) -> list[tuple[JointTrajectory, float]]:
        """One of the three."""
        kind = self.seed % 3
        if kind == 0:
            return []
        return [(trajectory, delay_s + (_LATE_S if kind == 1 else self.rng.uniform(0.0, JITTER_S)))]


class PlannerFailure(Fault):
    """The planner hangs, crashes, sends NaN, or cannot make up its mind."""

    name = "planner hang, crash, NaN, oscillation"
    bound = "tail"
    note = "the running motion ends by itself; whole motions to and fro are legal, so an e-stop ends an oscillation"

    def begin(self, rig: Rig) -> None:
        """Which of them."""
        self.stops = self.seed % 3 != 2

    def proposals(self, right: Proposal) -> list[Proposal]:
        """Nothing, nonsense, or back again."""
        assert right.tool_displacement is not None
        kind = self.seed % 3
        if kind == 0:
            return []
        sign = np.nan if kind == 1 else (-1.0) ** right.sequence
        return [replace(right, tool_displacement=np.abs(right.tool_displacement) * sign)]


class FilterCrash(Fault):
    """The guardrail's process is gone."""

    name = "filter crash"
    bound, starves = "tail", True
    note = "what was sent ends at rest"

    def heard(self, right: Heard) -> list[Heard]:
        """By nobody."""
        return []


class ClockStep(Fault):
    """The clock of the guardrail's machine jumps ahead or back."""

    name = "clock step"
    bound = "tail"
    note = "0.5 s ahead or back, by seed; where the new time says that the motion is over, it ends by itself"

    def heard(self, right: Heard) -> list[Heard]:
        """At another time."""
        return [replace(right, now_ns=right.now_ns + round((-1) ** self.seed * _AWAY_S * 1e9))]


class SecondPublisher(Fault):
    """Somebody else sends a trajectory to the arm."""

    name = "second publisher"
    bound = "stray"
    note = "seen once the arm strays; in the graph the guardrail also counts the writers of the topic"

    def __init__(self, seed: int):
        super().__init__(seed)
        self.onset_s = ONSET_S[0] + _AFTER_PROPOSAL_S + float(self.rng.uniform(0.0, 0.04))  # or the next would undo it

    def begin(self, rig: Rig) -> None:
        """A fast swing of the whole arm."""
        goal = rig.arm.desired_state().positions.copy()
        goal[0] += _ROGUE_RAD * (-1) ** self.seed
        rest = np.zeros((1, 7))
        rig.send(JointTrajectory(rig.spec.joint_names, np.array([_ROGUE_S]), goal[None], rest, rest))


class CheckpointBitFlip(Fault):
    """A bit of the model's file flips before the planner starts again."""

    name = "checkpoint bit-flip"
    bound = "tail"
    note = "the loader refuses the file, so nothing is proposed; the running motion ends by itself"

    def begin(self, rig: Rig) -> None:
        """Load it; raises RuntimeError when that works."""
        with tempfile.TemporaryDirectory() as folder:
            for path in DEFAULT_CHECKPOINT.iterdir():
                (Path(folder) / path.name).write_bytes(path.read_bytes())
            damaged = Path(folder) / TENSOR_FILE
            content = bytearray(damaged.read_bytes())
            content[int(self.rng.integers(len(content)))] ^= 1 << int(self.rng.integers(8))
            damaged.write_bytes(bytes(content))
            try:
                load_checkpoint(folder)
            except CheckpointError:
                return
        raise RuntimeError("a damaged checkpoint was loaded")

    def proposals(self, right: Proposal) -> list[Proposal]:
        """None: there is no planner."""
        return []


class SolverFailure(Fault):
    """The filter's solver raises or never says that it is done."""

    name = "QP time-out and failure"
    stops = False
    note = "harmless by design: a proposal that needs the filter is refused, all others do not; brakes need no solver"

    def begin(self, rig: Rig) -> None:
        """From now on."""
        broken = (
            mock.Mock(side_effect=RuntimeError("no answer"))
            if self.seed % 2
            else mock.Mock(return_value=(np.full(7, np.nan), 0.0, -4, {}))
        )
        patch = mock.patch.object(safety_filter.daqp, "solve", broken)
        patch.start()
        rig.at_end.append(patch.stop)


class Starvation(Fault):
    """The guardrail's process does not get the processor any more."""

    name = "CPU starvation"
    bound, starves = "tail", True
    note = "nothing is checked meanwhile; what was sent ends at rest"

    def heard(self, right: Heard) -> list[Heard]:
        """Nothing."""
        return []


class Payload(Fault):
    """Two kilograms more in the hand than anybody knows of."""

    name = "payload +2 kg"
    stops = False
    note = "harmless by design below the contact row's threshold; the motors hold the arm on its path"

    def begin(self, rig: Rig) -> None:
        """Into the hand."""
        world = rig.arm.world
        mass = pybullet.getDynamicsInfo(world.robot, HAND_LINK, world.client)[0]
        pybullet.changeDynamics(world.robot, HAND_LINK, mass=mass + _PAYLOAD_KG, physicsClientId=world.client)
        rig.at_end.append(
            lambda: pybullet.changeDynamics(world.robot, HAND_LINK, mass=mass, physicsClientId=world.client)
        )


class SuddenPerson(Fault):
    """Somebody appears 0.6 m from the tool and comes at 2 m/s, faster than people are thought to be."""

    name = "person appearing at 2 m/s"
    bound = "person"
    note = "from the sensor's delay and period on"

    def begin(self, rig: Rig) -> None:
        """From the front or the sides."""
        tool = rig.arm.world.tool_position()[:2]
        bearing = float(self.rng.uniform(-1.7, 1.7))  # not out of the arm's base
        walk = approaching(bearing, _APPEARS_AT_M, _INTRUDER_M_PER_S, rig.arm.time_s, tool)
        rig.arm.world.add_people([walk])


FAULTS: tuple[type[Fault], ...] = (
    StaleJointState, FrozenJointState, OutOfOrderJointState, DuplicatedJointState, TimeJumpedJointState,
    FrozenImage, DroppedImage, CameraPoseBias, GoalScale, EncoderBias, StuckJoint, TorqueLoss, CommandLoss,
    PlannerFailure, FilterCrash, ClockStep, SecondPublisher, CheckpointBitFlip, SolverFailure, Starvation, Payload,
    SuddenPerson,
)  # fmt: skip
