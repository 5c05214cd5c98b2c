"""One trial in PyBullet, in lock-step: joint states at 100 Hz, commands that arrive late, people who are told late."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field, replace

import numpy as np

from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.guardrail import Guardrail
from ami_robot.safety.kinematics import Kinematics
from ami_robot.types import Array, GuardrailReport, HeldTool, JointState, JointTrajectory
from ami_sim.arm import SimulatedArm
from ami_sim.judge import Judge
from ami_sim.people_sensor import PeopleSensor
from ami_sim.scene import Scene
from ami_sim.trials.attacks import Sight, attack_of
from ami_sim.trials.mishaps import Heard, Mishaps
from ami_sim.trials.post import SOURCE, Post
from ami_sim.trials.trial import COMMANDS_S, Trial
from ami_sim.trials.truth import Truth
from ami_sim.world import PHYSICS_HZ

FIRST_SUBSTEP = 10 * PHYSICS_HZ  # stamps of what is too old stay positive
LONGEST_S = 7.0  # of a trial: the longest motion ends before that
TOOL_EVERY_S = 0.1
IDLE_S = 0.1  # drives have settled that long after the end of a motion
_QUANTUM_S = 1.0 / PHYSICS_HZ


@dataclass
class Outcome:
    """What came of a trial."""

    events: list[str]  # what must not happen and did
    least: dict[str, float]  # margin by name, the least
    motion_rad: float  # length of the path of all joints
    decisions: Counter[str] = field(default_factory=Counter)


class Cell:
    """One physics client for any number of trials, one after the other."""

    def __init__(self, kinematics: Kinematics, dynamics: Dynamics):
        self._kinematics, self._dynamics = kinematics, dynamics
        self._scene = replace(Scene.from_seed(0), blocks=())
        self._arm = SimulatedArm(self._scene)

    def close(self) -> None:
        """Give the physics client back."""
        self._arm.close()

    def run(self, trial: Trial) -> Outcome:
        """The trial from its start until the arm rests again. What goes wrong in it is an event, not an error."""
        self._arm.step_count = FIRST_SUBSTEP
        self._arm.reset(replace(self._scene, start_joint_positions=trial.start))
        run = _Run(trial, self._arm, self._kinematics, self._dynamics)
        run.to_the_end()
        return run.outcome()


class _Run:
    def __init__(self, trial: Trial, arm: SimulatedArm, kinematics: Kinematics, dynamics: Dynamics):
        self._trial, self._arm = trial, arm
        world = arm.world
        self._rng = np.random.default_rng([trial.seed, 1])
        self._sensor = None
        if trial.spec.people.source_of_people == "topic":
            world.add_people(trial.walks)
            self._sensor = PeopleSensor(trial.sensor_delay_s, trial.sensor_noise_m, seed=trial.seed)
        if trial.tool is not None and trial.tool.told:
            world.hold_tool(trial.tool.hazard, trial.tool.tip)
        self._judge = Judge(world.scene, trial.spec)
        arm.controller.on_accept = self._judge.on_command
        arm.on_substep = None
        self._truth = Truth(world, trial, self._judge)
        self._guardrail = Guardrail(trial.spec, kinematics, dynamics)
        self._guardrail.select_source(SOURCE)
        self._post = Post(trial, attack_of(trial, kinematics, self._rng), self._rng)
        self._mishaps = Mishaps(trial.faulty, self._rng)
        self._under_way: deque[tuple[int, JointTrajectory]] = deque()
        self._last_q, self._motion_rad = arm.joint_states()[0][:7], 0.0
        self._decisions: Counter[str] = Counter()
        self._latched, self._idle_s, self._next_tool_s, self._heard_ns = False, 0.0, 0.0, arm.time_ns
        self._target = kinematics.tool_position(trial.start)

    def to_the_end(self) -> None:
        """Arm, let somebody command, and wait until the arm rests."""
        arm, guardrail = self._arm, self._guardrail
        positions, velocities = arm.joint_states()
        start = JointState(positions[:7], velocities[:7], np.zeros(7))
        refusal = guardrail.arm(start, arm.time_ns, arm.time_ns)
        if refusal is not None:
            self._truth.say(f"the trial could not begin: {refusal.reason}")
            return
        while arm.time_s < COMMANDS_S or (self._busy() and arm.time_s < LONGEST_S):
            try:
                self._tick()
            except Exception as error:  # noqa: BLE001 - an exception out of the guardrail is what is looked for
                self._truth.say(f"an exception: {type(error).__name__}: {error}")
                return
            for _ in range(arm.substeps_to_joint_states()):
                self._substep()
        if self._busy():
            self._truth.say(f"the arm did not come to rest within {LONGEST_S} s")

    def outcome(self) -> Outcome:
        """Events of the truth, and of the judge."""
        arm = self._arm
        arm.controller.on_accept = None
        events = self._truth.events + self._judge.verdict().violations
        return Outcome(events, self._truth.least, self._motion_rad, self._decisions)

    def _busy(self) -> bool:
        return bool(self._under_way) or self._arm.controller.busy(self._arm.time_s)

    def _tick(self) -> None:
        """Joint states are due."""
        arm, guardrail, time_s = self._arm, self._guardrail, self._arm.time_s
        now_ns = arm.time_ns
        positions, velocities = arm.joint_states()
        if self._trial.tool is None or self._trial.tool.told:
            self._tell_tool(time_s, now_ns)
        if self._mishaps.pressed(time_s):
            self._carry_out(guardrail.e_stop(True, now_ns))
        held = self._mishaps.deadman(time_s)
        if held is not None:
            holder = self._trial.spec.deadman.sources[0]
            guardrail.deadman(holder, held, now_ns)
            self._post.source = holder if held else SOURCE
        if time_s < COMMANDS_S:
            sight = Sight(time_s, positions[:7], velocities[:7], self._target)
            for proposal in self._post.proposals(sight, now_ns):
                guardrail.propose(proposal)
        right = Heard(list(arm.joint_names), positions, velocities, now_ns, now_ns)
        if self._latched and self._idle_s > IDLE_S and time_s < COMMANDS_S:
            self._arm_again(positions, velocities, now_ns)
        efforts = arm.joint_efforts() if self._trial.feels and time_s > 0.0 else None  # none before the first substep
        for heard in self._mishaps.heard(right):
            self._heard_ns = now_ns
            self._carry_out(
                guardrail.step(heard.names, heard.positions, heard.velocities, heard.stamp_ns, heard.now_ns, efforts)
            )
        if (now_ns - self._heard_ns) / 1e9 > self._trial.spec.staleness.joint_state_s:
            self._carry_out(guardrail.silence(now_ns))

    def _arm_again(self, positions: Array, velocities: Array, now_ns: int) -> None:
        """Somebody looks round, unlatches the e-stop, selects the attacker and arms, so that it can go on."""
        guardrail = self._guardrail
        guardrail.e_stop(False, now_ns)
        guardrail.reset_e_stop(now_ns)
        self._latched = (
            guardrail.arm(JointState(positions[:7], velocities[:7], np.zeros(7)), now_ns, now_ns) is not None
        )

    def _tell_tool(self, time_s: float, now_ns: int) -> None:
        if time_s < self._next_tool_s:
            return
        self._next_tool_s += TOOL_EVERY_S
        tool = self._trial.tool
        hazard, tip, mass = ("none", np.zeros(3), 0.0) if tool is None else (tool.hazard, tool.tip, tool.mass_kg)
        self._guardrail.held_tool(HeldTool(now_ns, hazard, tip, mass))

    def _carry_out(self, report: GuardrailReport | None) -> None:
        """Send what is to be sent; it arrives later. Nothing may be sent after the guardrail disarmed."""
        if report is None:
            return
        broken = report.refusal.guardrail if report.refusal is not None and report.decision != "modified" else ""
        self._decisions[f"{report.decision} {broken}".strip()] += 1
        self._target = report.target_tool_position
        if report.sent is not None:
            if self._latched:
                self._truth.say("a trajectory was sent after the guardrail had disarmed")
            delay_s = self._trial.least_delay_s + self._rng.uniform(
                0.0, max(0.0, self._trial.spec.transport.jitter_s - _QUANTUM_S)
            )
            due_ns = self._arm.time_ns + int(delay_s * 1e9)
            if self._under_way:  # one topic keeps its order
                due_ns = max(due_ns, self._under_way[-1][0])
            self._under_way.append((due_ns, report.sent))
            row = self._trial.spec.gripper
            if not row.lower_m <= report.gripper_width <= row.upper_m:
                self._truth.say(f"the gripper was sent to {report.gripper_width} m")
            else:
                self._arm.set_gripper(report.gripper_width)
        self._latched = not report.armed

    def _substep(self) -> None:
        arm = self._arm
        while self._under_way and self._under_way[0][0] <= arm.time_ns:
            rejection = arm.accept(self._under_way.popleft()[1])
            if rejection:
                self._truth.say(f"the controller rejected a trajectory: {rejection}")
        arm.advance(1)
        positions, velocities = arm.joint_states()
        q, dq = positions[:7], velocities[:7]
        self._truth.watch(arm.time_s, q, dq)
        if self._sensor is not None and arm.world.people is not None:
            for people in self._sensor.update(arm.time_ns, arm.world.people.persons):
                self._guardrail.people(people)
        self._motion_rad += float(np.linalg.norm(q - self._last_q))
        self._last_q = q
        self._check_rest(dq)

    def _check_rest(self, dq: Array) -> None:
        """An arm that nobody commands any more stands still."""
        if self._busy():
            self._idle_s = 0.0
            return
        self._idle_s += _QUANTUM_S
        if self._idle_s > IDLE_S and np.abs(dq).max() > self._trial.spec.arming.rest_velocity_rad_per_s:
            self._truth.say("the arm moved though nothing was commanded")
