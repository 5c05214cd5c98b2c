"""The simulated arm: paces the physics to wall time, owns /clock, and follows trajectories as a controller does."""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import Any

import numpy as np
from ami_interfaces.msg import GuardrailReport, HeldTool, PersonArray, SimState
from ami_interfaces.srv import JudgeEpisode, ResetSim
from rclpy.clock import Clock, ClockType
from rosgraph_msgs.msg import Clock as ClockMsg
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from ami_nodes import qos
from ami_nodes.commanded_arm import CommandedArmNode
from ami_nodes.common import GUARDRAIL_FILE, run_node
from ami_nodes.convert import to_field, to_time
from ami_nodes.health import Health
from ami_nodes.parameters import Param
from ami_nodes.sim_state import fill_sim_state, to_sim_people_msg
from ami_nodes.tool_frame import ToolFrame
from ami_robot.types import NS_PER_S
from ami_robot.types import JointTrajectory as Trajectory
from ami_sim.arm import JOINT_STATES_HZ, SimulatedArm
from ami_sim.judge import Judge
from ami_sim.people import PeopleTruth
from ami_sim.people_scripts import SCRIPTS
from ami_sim.tasks import TASKS, TaskJudge
from ami_sim.world import PHYSICS_HZ, robot_description

MAX_CATCH_UP_S = 0.1
"""How far the physics may fall behind the wall clock before the lost time is given up and it runs slower."""

REPORT_FRESH_S = 0.5
"""Wall time for which a guardrail report says whether the guardrail is armed: five of its heartbeats."""

PEOPLE_SUBSTEPS = 4
"""Substeps between two messages of the truth about people: 60 Hz, so that a sensor's delay is not rounded to frames."""

TIP_M = np.array([0.0, 0.0, 0.12])
"""Tip of a tool in the gripper, from the tool point, in the frame of the tool."""

HAZARDS = (HeldTool.NONE, HeldTool.BLUNT, HeldTool.EDGE, HeldTool.POINT)

LEAST_FACTOR = 0.9
"""Of real time, below which the simulation is said to be slow."""

FACTOR_WINDOW = 2 * JOINT_STATES_HZ
"""Joint states over which the real-time factor is measured: 2 s."""


class ArmNode(CommandedArmNode):
    """SimulatedArm -> /clock, joint_states at 100 Hz, the truth in sim/*; trajectories and a gripper width -> it."""

    PARAMETERS = (
        GUARDRAIL_FILE,
        Param("scenes", "reach", "of which task the scenes are", choices=tuple(TASKS)),
        Param("scene_seed", 1000, "seed of the first scene", minimum=0),
        Param("gui", False, "show PyBullet's window"),
        Param("people", "none", "script by which people move; none simulates nobody", choices=("none", *SCRIPTS)),
        Param("held_tool", HeldTool.NONE, "what the gripper holds, pointing down", choices=HAZARDS),
    )

    steps_before = 0
    """Time goes on where an earlier life of this node left it."""

    def build(self) -> None:
        """Make the world; the judge starts with the episode."""
        self.spec = self.load_spec()
        if self.spec.robot != "panda":
            raise ValueError(
                f"the simulated arm is a Panda and the guardrail file is for another robot, {self.spec.robot}; that "
                "one moves with arm:=loopback or arm:=ros2_control."
            )
        self.task = TASKS[self.settings.scenes](self.settings.scene_seed)
        self.arm = SimulatedArm(self.task.scene, gui=self.settings.gui)
        self.arm.step_count = self.steps_before
        self.clock_publisher = self.publisher(ClockMsg, "/clock", qos.CLOCK)
        self.joint_states_publisher = self.publisher(JointState, "joint_states", qos.SENSOR_OUT)
        self.sim_state_publisher = self.publisher(SimState, "sim/state", qos.SENSOR_OUT)
        self.sim_people_publisher = self.publisher(PersonArray, "sim/people", qos.SENSOR_OUT)
        self.description_publisher = self.publisher(String, "robot_description", qos.LATCHED)
        self.tool_frame = ToolFrame(self, self.spec.robot)
        self.names = list(self.arm.joint_names)
        self.guardrail_armed, self.report_time_s = True, float("-inf")  # unknown counts as armed
        self.ticks: deque[tuple[float, int]] = deque(maxlen=FACTOR_WINDOW)
        self._begin_episode()

    def start(self) -> list[Any]:
        """Let time run."""
        self.description_publisher.publish(String(data=robot_description()))
        self._pace_from_now()
        return [
            *self.commands(),
            self.subscription(GuardrailReport, "guardrail_report", self.on_report, qos.EVENTS),
            self.create_service(ResetSim, "sim/reset", self.on_reset),
            self.create_service(JudgeEpisode, "sim/judge", self.on_judge),
            self.create_timer(1.0 / PHYSICS_HZ, self.on_tick, clock=Clock(clock_type=ClockType.STEADY_TIME)),
        ]

    def discard(self) -> None:
        """Give the physics client back."""
        self.steps_before = self.arm.step_count
        self.arm.close()

    def health(self) -> Health:
        """Whether the physics keeps up."""
        factor = round(self.real_time_factor(), 3)
        warning = "" if factor > LEAST_FACTOR else f"the simulation runs at {factor:.2f} of real time"
        return Health(warning, {"real_time_factor": factor})

    def on_tick(self) -> None:
        """Advance to the next joint states when they are due, and no further: a command that came waits for a step."""
        behind_s = time.monotonic() - self.wall_origin_s - self.arm.time_s
        if behind_s > MAX_CATCH_UP_S:
            self.wall_origin_s += behind_s - MAX_CATCH_UP_S
        if behind_s >= self.arm.substeps_to_joint_states() / PHYSICS_HZ:
            self._step()

    def accept(self, trajectory: Trajectory) -> str | None:
        """Hand it to the controller."""
        return self.arm.accept(trajectory)

    def set_gripper(self, width_m: float) -> None:
        """Hand it to the gripper."""
        self.arm.set_gripper(width_m)

    def on_report(self, message: GuardrailReport) -> None:
        """Remember whether the guardrail is armed, and when it said so."""
        self.guardrail_armed, self.report_time_s = message.armed, time.monotonic()

    def on_reset(self, request: ResetSim.Request, response: ResetSim.Response) -> ResetSim.Response:
        """Put arm and blocks where the seed says; an arm that jumps under a guardrail that moves it is refused."""
        if time.monotonic() - self.report_time_s > REPORT_FRESH_S:
            response.message = f"refused: no guardrail report in the last {REPORT_FRESH_S} s, so it may be armed."
        elif self.guardrail_armed:
            response.message = "refused: the guardrail is armed; disarm it first with guardrail/arm data:=false."
        elif self.arm.controller.busy(self.arm.time_s):
            response.message = "refused: the arm has not come to rest yet."
        elif request.scene_seed < 0:
            response.message = f"refused: a scene seed is not negative, got {request.scene_seed}."
        else:
            self.task = TASKS[self.settings.scenes](request.scene_seed)
            self.arm.reset(self.task.scene)
            self._begin_episode()
            self._pace_from_now()
            self._step()  # before the answer, so that nobody who waits for it takes the old joint states for new
            response.success, response.message = True, f"scene {request.scene_seed}"
        return response

    def on_judge(self, _: JudgeEpisode.Request, response: JudgeEpisode.Response) -> JudgeEpisode.Response:
        """The verdict on what was executed since the last reset."""
        verdict = self.judge.verdict()
        response.success = len(verdict.times_s) > 0
        response.message = "reached" if self.task_judge.success else "not reached"
        response.times, response.distances = to_field(verdict.times_s), to_field(np.array(self.errors_m))
        response.checked_commands, response.violations = verdict.checked_commands, list(verdict.violations)
        response.max_measured_acceleration = float(verdict.max_measured_acceleration)
        response.min_clearance = float(verdict.min_clearance_m)
        nearest = self.people_truth.least
        response.person_distance = float("nan") if nearest is None else nearest.distance_m
        response.person_contact_speed = self.people_truth.contact_speed_m_per_s
        response.real_time_factor = self.real_time_factor()
        return response

    def real_time_factor(self) -> float:
        """Physics time over wall time in the last 2 s; 1 before anything was measured."""
        if len(self.ticks) < 2:
            return 1.0
        (wall_from, sim_from), (wall_to, sim_to) = self.ticks[0], self.ticks[-1]
        return (sim_to - sim_from) / NS_PER_S / (wall_to - wall_from)

    def _step(self) -> None:
        """Advance 10 ms, without skipping the substep at which a camera frame is due, and publish the joint states."""
        substeps = self.arm.substeps_to_joint_states()
        while substeps:
            to_frame = self.arm.substeps_to_frame()
            to_people = PEOPLE_SUBSTEPS - self.arm.step_count % PEOPLE_SUBSTEPS
            step = min(substeps, to_frame, to_people)
            self.arm.advance(step)
            substeps -= step
            if step == to_frame:
                message = fill_sim_state(SimState(task=self.task.name, people=self.settings.people), self.arm)
                message.real_time_factor = self.real_time_factor()
                self.sim_state_publisher.publish(message)
            if step == to_people and self.arm.world.people is not None:
                self.sim_people_publisher.publish(to_sim_people_msg(self.arm))
        self.people_truth.watch(self.arm.time_s)
        self.ticks.append((time.monotonic(), self.arm.time_ns))
        stamp = to_time(self.arm.time_ns)
        self.clock_publisher.publish(ClockMsg(clock=stamp))
        positions, velocities = self.arm.joint_states()
        message = JointState(name=self.names, position=to_field(positions), velocity=to_field(velocities))
        message.effort = to_field(self.arm.joint_efforts())
        message.header.stamp = stamp
        self.joint_states_publisher.publish(message)
        self.tool_frame.follow(positions[: len(self.spec.joint_names)], self.arm.time_ns)

    def _begin_episode(self) -> None:
        if self.settings.people != "none":
            self.arm.world.add_people(SCRIPTS[self.settings.people])
        if self.settings.held_tool != HeldTool.NONE:
            self.arm.world.hold_tool(self.settings.held_tool, TIP_M)
        self.people_truth = PeopleTruth(self.arm.world)
        self.began_s = self.arm.time_s
        self.judge = Judge(self.task.scene, self.spec, self.began_s)
        self.task_judge, self.errors_m = TaskJudge(self.task, self.arm.world), list[float]()
        self.arm.controller.on_accept = self.judge.on_command
        self.arm.on_substep = self.on_substep
        self.ticks.clear()

    def on_substep(self, t_s: float, *truth: Any) -> None:
        """Show the judge of limits and that of the task the truth after a physics substep."""
        self.judge.on_substep(t_s, *truth)
        self.task_judge.on_substep(t_s - self.began_s)
        self.errors_m.append(self.task.error(self.arm.world))

    def _pace_from_now(self) -> None:
        self.wall_origin_s = time.monotonic() - self.arm.time_s


def main() -> int:
    """Run the node."""
    return run_node("arm", lambda: ArmNode("arm"), urgent=True)


if __name__ == "__main__":
    sys.exit(main())
