"""The guardrail: the only writer of the arm's topic. Every proposal is checked here, last, before anything moves."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import Any

from ami_interfaces.msg import CycleTimes, Deadman, PersonArray, ProposedCommand
from ami_interfaces.msg import GuardrailReport as GuardrailReportMsg
from ami_interfaces.msg import HeldTool as HeldToolMsg
from ami_interfaces.srv import SelectSource
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from ami_nodes import qos
from ami_nodes.common import COMPLAIN_EVERY_S, GUARDRAIL_FILE, AmiNode, run_node
from ami_nodes.convert import (
    as_array,
    from_held_tool_msg,
    from_people_msg,
    from_proposal_msg,
    to_ns,
    to_report_msg,
    to_time,
)
from ami_nodes.cycles import PERIOD_S, Cycles
from ami_nodes.health import Health, Meter
from ami_nodes.parameters import Param
from ami_nodes.urgency import rest_after
from ami_robot.safety.checks import read_joint_state
from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.guardrail import Guardrail
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.rehearsal import rehearse
from ami_robot.types import NS_PER_S, GuardrailReport, Refusal

STATUS_HZ = 10
WATCHDOG_HZ = 100


class GuardrailNode(AmiNode):
    """Proposals and joint_states -> Guardrail -> whole safe motions, a report on each decision and 10 times a second.

    It steps on each joint_states message. Silence is measured on the steady clock, since simulated time stands still
    when the arm does.
    """

    PARAMETERS = (
        GUARDRAIL_FILE,
        Param("source", "planner", "whose proposals are listened to until select_source says otherwise"),
    )

    def build(self) -> None:
        """Read the guardrail file; disarmed until guardrail/arm is called."""
        self.spec = self.load_spec()
        self.sensed_s, self.written_ns = float("-inf"), 0
        kinematics, dynamics = Kinematics(self.spec.robot), Dynamics(self.spec.robot)
        rehearse(self.spec, kinematics, dynamics)
        self.guardrail = Guardrail(self.spec, kinematics, dynamics, self.late_s)
        self.guardrail.select_source(self.settings.source)
        self.trajectory_publisher = self.publisher(
            JointTrajectory, "joint_trajectory_controller/joint_trajectory", qos.COMMAND
        )
        self.gripper_publisher = self.publisher(Float64, "gripper_controller/command", qos.COMMAND)
        self.report_publisher = self.publisher(GuardrailReportMsg, "guardrail_report", qos.EVENTS)
        self.cycles_publisher = self.publisher(CycleTimes, "guardrail_cycles", qos.LATCHED)
        self.latest: JointState | None = None
        self.heard_s = float("-inf")
        self.silent, self.overdue_ticks, self.told_ns = True, 0, 0
        self.cycles, self.told_cycles = Cycles(), 0
        self.joint_states, self.decisions = Meter("joint_states"), Counter[str]()

    def start(self) -> list[Any]:
        """Listen; nothing moves until it is armed."""
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        return [
            self.subscription(JointState, "joint_states", self.on_joint_states, qos.LATEST_IN),
            self.subscription(ProposedCommand, "proposed_command", self.on_proposal, qos.EVENTS),
            self.subscription(PersonArray, "people", self.on_people, qos.LATEST_IN),
            self.subscription(HeldToolMsg, "held_tool", self.on_held_tool, qos.LATEST_IN),
            self.subscription(Bool, "e_stop", self.on_e_stop, qos.SWITCH),
            self.subscription(Deadman, "deadman", self.on_deadman, qos.EVENTS),
            self.create_service(SetBool, "guardrail/arm", self.on_arm),
            self.create_service(Trigger, "guardrail/reset_e_stop", self.on_reset_e_stop),
            self.create_service(SelectSource, "select_source", self.on_select_source),
            self.create_timer(1.0 / STATUS_HZ, self.on_status, clock=steady),
            self.create_timer(1.0 / WATCHDOG_HZ, self.on_watchdog, clock=steady),
        ]

    def stop(self) -> None:
        """Brake and disarm while the publishers still speak."""
        self.publish(self.guardrail.disarm(self.sense_ns()))
        self.tell_cycles()

    def health(self) -> Health:
        """Whether joint states come, how punctual the loop is, and what was decided since it was configured."""
        figures: dict[str, object] = {**self.joint_states.read()}
        age_s = time.monotonic() - self.heard_s
        figures |= {"armed": self.guardrail.armed, "cycles": self.cycles.count, "late_cycles": self.cycles.late}
        figures |= {f"reports {what}": count for what, count in self.decisions.most_common()}
        return Health("no joint states" if age_s > self.spec.staleness.joint_state_s else "", figures)

    def sense_ns(self) -> int:
        """The node clock. Simulated time may reach us after what it stamps: it is behind no joint state and no report.

        A system clock is taken as it is: the guardrail has to see one that was set back.
        """
        self.sensed_s, now_ns = time.monotonic(), self.now_ns()
        if not self.get_clock().ros_time_is_active:
            return now_ns
        return max(now_ns, to_ns(self.latest.header.stamp) if self.latest else 0, self.told_ns)

    def late_s(self) -> float:
        """How long ago sense_ns was right. Simulated time came with the joint states, and waited with them."""
        if not self.get_clock().ros_time_is_active:
            return time.monotonic() - self.sensed_s
        return max(0.0, (time.time_ns() - self.written_ns) / NS_PER_S)

    def on_joint_states(self, message: JointState, info: Any) -> None:
        """One step of the guardrail."""
        self.written_ns = info["source_timestamp"]
        self.latest, self.heard_s, self.silent, self.overdue_ticks = message, time.monotonic(), False, 0
        self.joint_states.tick()
        stamp_ns = to_ns(message.header.stamp)
        with self.cycles.timed(stamp_ns, counts=self.guardrail.armed):
            report = self.guardrail.step(
                message.name,
                as_array(message.position),
                as_array(message.velocity),
                stamp_ns,
                self.sense_ns(),
                as_array(message.effort) if len(message.effort) else None,
            )
            self.publish(report)
        busy_s = time.monotonic() - self.heard_s
        if busy_s > PERIOD_S:  # the next one is waiting already: nothing else would let go of the core
            rest_after(busy_s)

    def on_proposal(self, message: ProposedCommand) -> None:
        """Keep it for the next step; what cannot even be read is dropped with a sentence."""
        try:
            self.guardrail.propose(from_proposal_msg(message))
        except ValueError as error:
            self.get_logger().error(f"proposal {message.sequence} of '{message.source}' dropped: {error}")

    def on_people(self, message: PersonArray) -> None:
        """Who is near. What cannot be read is dropped, and so counts as silence, never as nobody."""
        try:
            self.guardrail.people(from_people_msg(message))
        except ValueError as error:
            self.get_logger().error(f"people dropped: {error}", throttle_duration_sec=COMPLAIN_EVERY_S)

    def on_held_tool(self, message: HeldToolMsg) -> None:
        """What the gripper holds. What cannot be read is dropped; after a while the tool counts as a point."""
        try:
            self.guardrail.held_tool(from_held_tool_msg(message))
        except ValueError as error:
            self.get_logger().error(f"held tool dropped: {error}", throttle_duration_sec=COMPLAIN_EVERY_S)

    def on_e_stop(self, message: Bool) -> None:
        """Brake within this callback, whatever the joint states do."""
        self.publish(self.guardrail.e_stop(message.data, self.sense_ns()))

    def on_deadman(self, message: Deadman) -> None:
        """As old as its stamp says: a switch that was held some time ago may have been let go since."""
        heard_ns = min(to_ns(message.header.stamp), self.sense_ns())
        self.guardrail.deadman(message.source, message.pressed, heard_ns)

    def on_watchdog(self) -> None:
        """Brake once when the joint states fall silent.

        Overdue at two ticks in a row: when this process itself was busy or did not run, a message may be waiting at the
        first, and has been read before the second.
        """
        overdue = time.monotonic() - self.heard_s > self.spec.staleness.joint_state_s
        self.overdue_ticks = self.overdue_ticks + 1 if overdue else 0
        if not self.silent and self.overdue_ticks > 1:
            self.publish(self.guardrail.silence(self.sense_ns()))
            self.silent = not self.guardrail.armed  # else no brake holds at this moment

    def on_status(self) -> None:
        """The heartbeat: armed or not, and where the arm will come to rest; and a look round for other writers."""
        if self.guardrail.armed and (reason := self.why_not_alone()):
            self.publish(self.guardrail.disarm(self.sense_ns(), Refusal(reason, "sequence", float("nan"))))
        self.publish(self.guardrail.status(self.sense_ns()))
        if not self.guardrail.armed:
            self.tell_cycles()

    def tell_cycles(self) -> None:
        """How punctual all cycles have been, once after each time of being armed: it takes a millisecond."""
        if self.cycles.count == self.told_cycles:
            return
        self.told_cycles = self.cycles.count
        message = CycleTimes(**self.cycles.figures()._asdict())
        message.header.stamp = to_time(self.sense_ns())
        self.cycles_publisher.publish(message)

    def why_not_alone(self) -> str:
        """Who else could move the arm; empty when there is one writer, this node."""
        for topic in (self.trajectory_publisher.topic_name, self.gripper_publisher.topic_name):
            if (writers := self.count_publishers(topic)) > 1:
                return f"{writers} publishers write to {topic}; there has to be one, the guardrail."
        return ""

    def on_arm(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        """Arm at the measured state, or brake and disarm."""
        if not request.data:
            self.publish(self.guardrail.disarm(self.sense_ns()))
            response.success = True
            response.message = "disarming, as soon as a brake holds" if self.guardrail.armed else "disarmed"
            return response
        if self.latest is None or time.monotonic() - self.heard_s > self.spec.staleness.joint_state_s:
            response.message = "refused: no joint states are coming in, so it is unknown where the arm is."
            return response
        if reason := self.why_not_alone():
            response.message = f"refused: {reason}"
            return response
        refusal = self.arm_at(self.latest)
        response.success = refusal is None
        response.message = "armed" if refusal is None else f"refused: {refusal.reason}"
        self.on_status()
        return response

    def arm_at(self, message: JointState) -> Refusal | None:
        """Take the measured state as the commanded one, or say why not."""
        measured = read_joint_state(self.spec, message.name, as_array(message.position), as_array(message.velocity))
        if isinstance(measured, Refusal):
            return measured
        return self.guardrail.arm(measured, to_ns(message.header.stamp), self.sense_ns())

    def on_reset_e_stop(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Unlatch the e-stop, or say why not; arming is another act."""
        refusal = self.guardrail.reset_e_stop(self.sense_ns())
        response.success = refusal is None
        response.message = "reset" if refusal is None else f"refused: {refusal.reason}"
        return response

    def on_select_source(self, request: SelectSource.Request, response: SelectSource.Response) -> SelectSource.Response:
        """Listen to another source."""
        try:
            self.guardrail.select_source(request.source)
        except ValueError as error:
            response.message = f"refused: {error}"
            return response
        response.success, response.message = True, f"listening to {request.source}"
        return response

    def publish(self, report: GuardrailReport | None) -> None:
        """First what moves the arm, then what is said about it: the report carries the sent trajectory verbatim."""
        if report is None:  # there was nothing to decide
            return
        self.told_ns = report.stamp_ns
        message = to_report_msg(report)
        row = report.refusal.guardrail if report.refusal is not None else ""
        self.decisions[" ".join(filter(None, (report.decision, row)))] += 1
        if report.sent is not None:
            self.trajectory_publisher.publish(message.sent)
            self.gripper_publisher.publish(Float64(data=float(report.gripper_width)))
        self.report_publisher.publish(message)
        if report.refusal is not None:
            sentence = f"{report.decision}: {report.refusal.reason}"
            if report.decision == "brake":
                self.get_logger().warning(sentence)
            else:  # may come with every proposal
                self.get_logger().warning(sentence, throttle_duration_sec=COMPLAIN_EVERY_S)


def main() -> int:
    """Run the node."""
    return run_node("guardrail", lambda: GuardrailNode("guardrail"), urgent=True)


if __name__ == "__main__":
    sys.exit(main())
