"""The reports of a whole run, out of the guardrail itself: an arm that follows perfectly, goals all over the table."""

from __future__ import annotations

import numpy as np

from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.guardrail import Guardrail
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import Spec
from ami_robot.types import GuardrailReport, HeldTool, JointState, People, Person, Proposal
from ami_sim.controller import JointTrajectoryController

TICK_NS = 10_000_000
STEP_TICKS = 20  # one model step
START_NS = 5_000_000_000
DIRECTIONS = ((0.0, 0.3, -1.0), (-1.0, 0.0, -0.3), (0.2, 1.0, 0.0), (1.0, 0.0, 0.5))
START_TOOL_M = np.array([0.5, 0.0, 0.16])


class RecordedRun:
    """A guardrail, an arm that does what it is sent, and everything that was reported."""

    def __init__(self, spec: Spec):
        kinematics = Kinematics(spec.robot)
        self.guardrail = Guardrail(spec, kinematics, Dynamics(spec.robot))
        self.guardrail.select_source("planner")
        self.arm = JointTrajectoryController(spec.joint_names)
        self.arm.hold(kinematics.inverse(START_TOOL_M)[0], 0.0)
        self.reports: list[GuardrailReport] = []
        self.now_ns, self._ticks, self._proposals = START_NS, 0, 0
        self._seen: tuple[tuple[Person, ...], str, np.ndarray] | None = None

    @property
    def state(self) -> JointState:
        return self.arm.sample(self.now_ns / 1e9)

    def begin(self) -> None:
        self.status()
        refusal = self.guardrail.arm(self.state, self.now_ns, self.now_ns)
        assert refusal is None, refusal
        self.status()

    def status(self) -> None:
        self.keep(self.guardrail.status(self.now_ns))

    def see(self, persons: tuple[Person, ...], hazard: str, tip: tuple[float, float, float] = (0.0, 0.0, 0.1)) -> None:
        """Say now, and with every heartbeat, who is there and what the gripper holds."""
        self._seen = persons, hazard, np.array(tip)
        self._tell()

    def _tell(self) -> None:
        if self._seen is not None:
            persons, hazard, tip = self._seen
            self.guardrail.people(People(self.now_ns, persons))
            self.guardrail.held_tool(HeldTool(self.now_ns, hazard, tip, 0.2))

    def keep(self, report: GuardrailReport | None) -> None:
        if report is None:
            return
        self.reports.append(report)
        if report.sent is not None:
            assert self.arm.accept(report.sent, self.now_ns / 1e9) is None

    def tick(self) -> None:
        """One joint state, and a heartbeat every tenth."""
        self.now_ns += TICK_NS
        self._ticks += 1
        state = self.state
        step = self.guardrail.step(self.arm.joint_names, state.positions, state.velocities, self.now_ns, self.now_ns)
        self.keep(step)
        if self._ticks % 10 == 0:
            self._tell()
            self.status()

    def propose(self, displacement_m: np.ndarray, ticks: int = STEP_TICKS, **changes) -> None:
        """A proposal, and the time until the next one."""
        self._proposals += 1
        usual = {"gripper_width": 0.04, "valid_for_s": 0.3, "tool_displacement": displacement_m}
        proposal = Proposal(
            source="planner", sequence=self._proposals, stamp_ns=self.now_ns,
            observation_stamp_ns=self.now_ns - 2 * TICK_NS, **(usual | changes),
        )  # fmt: skip
        self.guardrail.propose(proposal)
        for _ in range(ticks):
            self.tick()

    def wander(self, commands: int, seed: int) -> None:
        """Down to the table, back, aside and up again, each for two displacements, at a pace that varies."""
        rng = np.random.default_rng(seed)
        for number in range(commands):
            direction = np.array(DIRECTIONS[number // 2 % len(DIRECTIONS)])
            self.propose(0.038 * direction / np.linalg.norm(direction), ticks=int(rng.integers(15, 25)))

    def disarm(self) -> None:
        self.keep(self.guardrail.disarm(self.now_ns))

    def rest(self) -> None:
        for _ in range(160):
            self.tick()


def whole_run(spec: Spec, commands: int = 8, seed: int = 0) -> list[GuardrailReport]:
    """Armed, moved about, stopped in full motion, armed again, moved on and stopped."""
    run = RecordedRun(spec)
    for part in range(2):
        run.begin()
        run.wander(commands, seed + part)
        run.propose(START_TOOL_M - run.guardrail.status(run.now_ns).target_tool_position, ticks=1)  # too long: refused
        run.disarm()
        run.rest()
    return run.reports
