"""An arm that sweeps to and fro, until something fails: how long it takes to brake, and what happens meanwhile."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.guardrail import Guardrail
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import Spec
from ami_robot.types import MODEL_STEP_S, Array, GuardrailReport, HeldTool, JointState, JointTrajectory, Proposal
from ami_sim.arm import SimulatedArm
from ami_sim.controller import JointTrajectoryController
from ami_sim.people_sensor import PeopleSensor
from ami_sim.scene import Scene
from ami_sim.trials.mishaps import Heard
from ami_sim.world import PHYSICS_HZ

PLANNER = "planner"
WATCHDOG_TICKS = 2  # of joint states between two looks of the guardrail node's watchdog; two quiet looks in a row brake
FIRST_SUBSTEP = 10 * PHYSICS_HZ
LONGEST_S = 4.0
ONSET_S = (1.0, 1.2)  # the arm is at its full speed
_LOOK_M = 0.3


class Fault:
    """What fails, from `onset_s` on. This one does not; the others override what they spoil."""

    name = "none"
    stops = True  # it brakes or starves the arm by itself; False: an e-stop is pressed under it
    starves = False  # the guardrail's process does not run while it lasts
    bound = "tick"  # see benchmarks/safety_faults.py
    note = ""

    def __init__(self, seed: int):
        self.seed, self.rng = seed, np.random.default_rng(seed)
        self.onset_s = float(self.rng.uniform(*ONSET_S))

    def on(self, time_s: float) -> bool:
        """Whether it has begun."""
        return time_s >= self.onset_s

    def begin(self, rig: Rig) -> None:
        """Once, at its onset."""

    def heard(self, right: Heard) -> list[Heard]:
        """Joint states as they arrive."""
        return [right]

    def proposals(self, right: Proposal) -> list[Proposal]:
        """The planner's, every model step."""
        return [right]

    def delivered(self, trajectory: JointTrajectory, delay_s: float) -> list[tuple[JointTrajectory, float]]:
        """What arrives at the arm, and after how long."""
        return [(trajectory, delay_s)]


@dataclass(frozen=True)
class Reaction:
    """What a fault led to. Times in s from its onset."""

    brake_s: float  # until a brake ruled the arm, or until it rested without one
    rest_s: float
    stray_s: float  # until the arm, as it was told to be, was further from its command than `tracking` allows
    peak_rad_per_s: float
    least_m: float  # to obstacles, table or a person, while the arm moved; at most 0.3
    latched: bool


class Rig:
    """One fault in one world. `run` once."""

    def __init__(self, arm: SimulatedArm, spec: Spec, kinematics: Kinematics, dynamics: Dynamics, fault: Fault):
        self.arm, self.spec, self._fault, self._rng = arm, spec, fault, fault.rng
        self.at_end: list[Callable[[], object]] = []
        """What faults have to mend in what outlives the rig."""
        self._start, _ = kinematics.inverse(
            np.array([0.5, self._rng.uniform(-0.15, 0.15), self._rng.uniform(0.1, 0.3)])
        )
        arm.step_count = FIRST_SUBSTEP
        arm.reset(replace(Scene.from_seed(0), blocks=(), start_joint_positions=self._start))
        self.guardrail = Guardrail(spec, kinematics, dynamics)
        self.guardrail.select_source(PLANNER)
        self._kinematics = kinematics
        self._sensor = PeopleSensor(seed=0) if spec.people.source_of_people == "topic" else None
        self._under_way: deque[tuple[int, JointTrajectory, bool]] = deque()
        self._direction, self._sequence, self._target_y = 1.0, 0, float(kinematics.tool_position(self._start)[1])
        self._heard_s, self._quiet_looks, self._begun = 0.0, 0, False
        self._brake_s = self._rest_s = self._stray_s = np.inf
        self._peak, self._least_m, self._latched = 0.0, _LOOK_M, False
        self._wanted = JointTrajectoryController(spec.joint_names)  # as if every command arrived at once
        self._wanted.hold(self._start, 0.0)

    def run(self) -> Reaction:
        """From rest through the fault until the arm rests again."""
        try:
            return self._run()
        finally:
            for mend in self.at_end:
                mend()

    def _run(self) -> Reaction:
        arm, fault = self.arm, self._fault
        start = JointState(self._start, np.zeros(7), np.zeros(7))
        refusal = self.guardrail.arm(start, arm.time_ns, arm.time_ns)
        if refusal is not None:
            raise RuntimeError(f"the rig could not begin: {refusal.reason}")
        while arm.time_s < LONGEST_S:
            if fault.on(arm.time_s) and not self._begun:
                self._begun = True
                fault.begin(self)
                if not fault.stops:
                    self._carry_out(self.guardrail.e_stop(True, arm.time_ns))
            self._tick()
            for _ in range(arm.substeps_to_joint_states()):
                self._substep()
            if self._begun and np.isfinite(self._rest_s):
                break
        brake_s = self._brake_s if np.isfinite(self._brake_s) else self._rest_s
        still_s = LONGEST_S - fault.onset_s  # what has not happened until then
        brake_s, rest_s = min(brake_s, still_s), min(self._rest_s, still_s)
        return Reaction(brake_s, rest_s, self._stray_s, self._peak, self._least_m, not self.guardrail.armed)

    def _tick(self) -> None:
        arm, fault, time_s = self.arm, self._fault, self.arm.time_s
        now_ns = arm.time_ns
        if self._sensor is not None:
            self.guardrail.held_tool(HeldTool(now_ns, "none", np.zeros(3)))
        tick = round(time_s * 100)
        if tick % round(MODEL_STEP_S * 100) == 0:
            proposal = self._proposal(now_ns)
            for arrived in fault.proposals(proposal) if self._begun else [proposal]:
                self.guardrail.propose(arrived)
        positions, velocities = arm.joint_states()
        right = Heard(list(arm.joint_names), positions, velocities, now_ns, now_ns)
        for heard in fault.heard(right) if self._begun else [right]:
            self._heard_s, self._quiet_looks = time_s, 0
            self._look_for_stray(heard.positions[:7])
            efforts = arm.joint_efforts() if time_s > 0.0 else None
            self._carry_out(
                self.guardrail.step(
                    heard.names, heard.positions, heard.velocities, heard.stamp_ns, heard.now_ns, efforts
                )
            )
        if tick % WATCHDOG_TICKS == 0 and not (self._begun and fault.starves):
            self._quiet_looks += 1
            if self._quiet_looks > 1 and time_s - self._heard_s > self.spec.staleness.joint_state_s:
                self._carry_out(self.guardrail.silence(now_ns))

    def _proposal(self, now_ns: int) -> Proposal:
        """On to one side, back at the ends of the sweep."""
        step = self.spec.tool_displacement.max_m_per_step
        if abs(self._target_y + self._direction * step) > 0.2:
            self._direction = -self._direction
        self._target_y += self._direction * step
        self._sequence += 1
        displacement = np.array([0.0, self._direction * step, 0.0])
        return Proposal(PLANNER, self._sequence, now_ns, now_ns, 0.3, 0.0, tool_displacement=displacement)

    def _look_for_stray(self, told: Array) -> None:
        """When the arm, as it is told to be, is too far from where the guardrail sent it."""
        if not self._begun or np.isfinite(self._stray_s):
            return
        error_rad = np.abs(told - self._wanted.sample(self.arm.time_s).positions).max()
        if not error_rad <= self.spec.tracking.max_error_rad:
            self._stray_s = self.arm.time_s - self._fault.onset_s

    def _carry_out(self, report: GuardrailReport | None) -> None:
        if report is None or report.sent is None:
            return
        self._wanted.accept(report.sent, self.arm.time_s)
        delay_s = float(self._rng.uniform(0.0, self.spec.transport.jitter_s - 1.0 / PHYSICS_HZ))
        arriving = [(report.sent, delay_s)]
        if self._begun:
            arriving = self._fault.delivered(report.sent, delay_s)
        for trajectory, after_s in arriving:
            self.send(trajectory, after_s, report.decision == "brake")

    def send(self, trajectory: JointTrajectory, after_s: float = 0.0, brake: bool = False) -> None:
        """Onto the arm's topic."""
        due_ns = self.arm.time_ns + round(after_s * 1e9)
        if self._under_way:
            due_ns = max(due_ns, self._under_way[-1][0])
        self._under_way.append((due_ns, trajectory, brake))

    def _substep(self) -> None:
        arm = self.arm
        while self._under_way and self._under_way[0][0] <= arm.time_ns:
            _, trajectory, brake = self._under_way.popleft()
            rejection = arm.accept(trajectory)
            if rejection:
                raise RuntimeError(f"the controller rejected a trajectory: {rejection}")
            if brake and self._begun:
                self._brake_s = min(self._brake_s, arm.time_s - self._fault.onset_s)
        arm.advance(1)
        _, velocities = arm.joint_states()
        if self._sensor is not None:
            people = arm.world.people
            for message in self._sensor.update(arm.time_ns, people.persons if people is not None else tuple):
                self.guardrail.people(message)
        if self._begun:
            self._watch(velocities[:7])

    def _watch(self, dq: Array) -> None:
        since_s = self.arm.time_s - self._fault.onset_s
        moving = bool(np.abs(dq).max() > self.spec.arming.rest_velocity_rad_per_s)
        if moving:
            self._peak = max(self._peak, float(np.abs(dq).max()))
            self._least_m = min(self._least_m, self.arm.world.clearance_to_table(_LOOK_M))
            nearest = self.arm.world.nearest_person(_LOOK_M) if self._sensor is not None else None
            self._least_m = min(self._least_m, _LOOK_M if nearest is None else nearest.distance_m)
        if not self._under_way and not self.arm.controller.busy(self.arm.time_s) and not moving:
            self._rest_s = min(self._rest_s, since_s)
        elif moving:
            self._rest_s = np.inf
