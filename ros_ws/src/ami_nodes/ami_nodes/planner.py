"""The planner: pursues one goal at a time, on a thread of its own, and proposes what the guardrail may let through."""

from __future__ import annotations

import itertools
import sys
import threading
from typing import Any, ClassVar

import numpy as np
import rclpy
from ami_interfaces.action import PursueGoal
from ami_interfaces.msg import GuardrailReport as GuardrailReportMsg
from ami_interfaces.msg import Latent as LatentMsg
from ami_interfaces.msg import PersonArray, ProposedCommand, PursuedGoal
from ami_interfaces.msg import Plan as PlanMsg
from ami_interfaces.srv import EncodeImage
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from ami_nodes import qos
from ami_nodes.common import COMPLAIN_EVERY_S, GUARDRAIL_FILE, AmiNode, result_within, run_node
from ami_nodes.convert import (
    as_array,
    from_latent_msg,
    from_people_msg,
    to_ns,
    to_plan_msg,
    to_point,
    to_proposal_msg,
    to_time,
    xyz,
)
from ami_nodes.health import Health, Meter
from ami_nodes.parameters import Param
from ami_nodes.proprioception import JointHistory
from ami_nodes.pursuit import Ending, Inbox, Step, pursue
from ami_nodes.shown_goal import goal_of
from ami_nodes.world_model_client import WorldModelClient
from ami_robot.configurator.configurator import build_agent, load_task, task_file
from ami_robot.safety.kinematics import Kinematics
from ami_robot.types import ACTION_DIM, MODEL_STEP_S, NS_PER_S, Goal, Latent, Plan, Proposal, Refusal

NO_LATENT = np.zeros(0)
"""The image latent where no picture is looked at."""


class PlannerNode(AmiNode):
    """latent (joint_states for a planner without world model) and guardrail_report -> proposed_command and plan."""

    PARAMETERS: ClassVar[tuple[Param, ...]] = (
        GUARDRAIL_FILE,
        Param("config", "reach", "task file: a name in ami_robot/configurator (reach, analytic) or a path to a YAML"),
        Param("source", "planner", "by which name the guardrail knows our proposals"),
        Param("step_by_step", False, "proposes one action for each call of planner/step, as in a first run on a robot"),
        Param("answer_timeout_s", 0.5, "longest wait for the world model or the encoder", minimum=0.01, maximum=10.0),
    )

    def build(self) -> None:
        """Build the agent that the task file describes."""
        self.task = load_task(task_file(self.settings.config))
        self.spec = self.load_spec()
        self.concurrent = ReentrantCallbackGroup()
        self.world_model = self.make_world_model() if self.task.uses_world_model else None
        self.agent = build_agent(self.task, self.spec, Kinematics(self.spec.robot), self.world_model)
        self.encoder = self.create_client(EncodeImage, "encode_image", callback_group=self.concurrent)
        self.history = JointHistory(self.spec)
        self.inbox = Inbox()
        self.sequence = 0  # of the last proposal
        self.became = 0  # the number of the proposal that the last plan became; 0 when it was held back
        self.asked_for_step = threading.Event()
        self.plans, self.refused, self.plan_ms = Meter("plans"), 0, float("nan")
        self.guardrail_sha256 = ""  # of the file that the guardrail decides by; empty until it said so
        self.busy, self.stopping = threading.Lock(), threading.Event()
        self.proposal_publisher = self.publisher(ProposedCommand, "proposed_command", qos.COMMAND)
        self.plan_publisher = self.publisher(PlanMsg, "plan", qos.EVENTS)
        self.goal_publisher = self.publisher(PursuedGoal, "pursued_goal", qos.LATCHED)

    def make_world_model(self) -> Any:
        """What imagines, with the checkpoint it has to be of in `expected_sha256`: here the node world_model."""
        return WorldModelClient(self, self.concurrent, self.settings.answer_timeout_s)

    def start(self) -> list[Any]:
        """Accept goals."""
        self.stopping.clear()
        if self.world_model:
            frames = self.subscription(LatentMsg, "latent", self.on_latent, qos.SENSOR_IN)
        else:
            frames = self.subscription(JointState, "joint_states", self.on_joint_states, qos.SENSOR_IN)
        server = ActionServer(
            self,
            PursueGoal,
            "pursue_goal",
            self.execute,
            callback_group=self.concurrent,
            goal_callback=self.on_goal,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )
        reports = self.subscription(GuardrailReportMsg, "guardrail_report", self.on_report, qos.EVENTS)
        people = self.subscription(PersonArray, "people", self.on_people, qos.SENSOR_IN)
        steps = [self.create_service(Trigger, "~/step", self.on_ask_for_step)] if self.settings.step_by_step else []
        return [frames, reports, people, server, *steps]

    def stop(self) -> None:
        """Stop proposing; the last motion sent ends at rest by itself."""
        self.stopping.set()
        with self.busy:
            pass

    def discard(self) -> None:
        """Drop the service clients."""
        self.destroy_client(self.encoder)
        if self.world_model:
            self.world_model.close()

    def health(self) -> Health:
        """How many plans, and how long the last one took."""
        return Health(figures={**self.plans.read(), "last_plan_ms": self.plan_ms, "refused": self.refused})

    def on_latent(self, message: LatentMsg) -> None:
        """A frame, encoded."""
        if self.world_model:
            self.world_model.expected_sha256 = message.checkpoint_sha256
        self.inbox.put_latent(from_latent_msg(message))

    def on_joint_states(self, message: JointState) -> None:
        """A frame without a picture."""
        self.history.add(message)
        stamp_ns = to_ns(message.header.stamp)
        proprio = self.history.at(stamp_ns)
        self.inbox.put_latent(
            Latent(stamp_ns, NO_LATENT, proprio.tool_position, proprio.tool_velocity, proprio.gripper_width, "", "")
        )

    def on_report(self, message: GuardrailReportMsg) -> None:
        """What was really executed."""
        self.guardrail_sha256 = message.spec_sha256
        self.inbox.put_report(
            as_array(message.target_joint_positions),
            xyz(message.target_tool_position),
            message.gripper_width,
            to_ns(message.header.stamp),
            message.proposal_sequence if message.source == self.settings.source else 0,
        )

    def on_people(self, message: PersonArray) -> None:
        """Who is near. What cannot be read is dropped, and so counts as silence, never as nobody."""
        try:
            self.inbox.put_people(from_people_msg(message))
        except ValueError as error:
            self.get_logger().error(f"people dropped: {error}", throttle_duration_sec=COMPLAIN_EVERY_S)

    def on_ask_for_step(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """The next plan is proposed; those after it are not, until asked again."""
        response.success = self.busy.locked()
        response.message = "the next plan will be proposed" if response.success else "no goal is pursued."
        if response.success:
            self.asked_for_step.set()
        return response

    def on_goal(self, request: PursueGoal.Goal) -> GoalResponse:
        """One goal at a time, and no goal for no time."""
        free = not self.busy.locked() and not self.stopping.is_set()
        return GoalResponse.ACCEPT if free and to_ns(request.duration) > 0 else GoalResponse.REJECT

    def execute(self, handle: Any) -> PursueGoal.Result:
        """Pursue the goal on this thread of the executor; the others go on serving callbacks."""
        with self.busy:
            self.asked_for_step.clear()
            goal = self.goal_of(handle.request)
            if isinstance(goal, Refusal):
                ending = Ending("refused", goal, 0, 0, float("nan"))
            else:
                self.publish_goal(handle.request)
                ending = self.pursue(handle, goal)
        finish = {"done": handle.succeed, "cancelled": handle.canceled, "refused": handle.abort}[ending.outcome]
        if ending.outcome == "cancelled" and not handle.is_cancel_requested:
            finish = handle.abort  # the node was deactivated
        finish()
        result = PursueGoal.Result(
            outcome=ending.outcome, steps=ending.steps, refusals=ending.refusals, goal_distance=ending.goal_distance_m
        )
        if ending.refusal is not None:
            result.reason, result.guardrail = ending.refusal.reason, ending.refusal.guardrail
            result.margin = float(ending.refusal.margin)
        return result

    def pursue(self, handle: Any, goal: Goal) -> Ending:
        """The loop, with everything it says published."""
        counter = itertools.count(1)

        def on_step(step: Step) -> None:
            self.plans.tick()
            self.refused += isinstance(step.planned, Refusal)
            self.plan_ms = round(step.plan_ms, 1)
            self.publish_plan(step, goal)
            cost = step.planned.cost if isinstance(step.planned, Plan) else float("nan")
            feedback = PursueGoal.Feedback(step=next(counter), goal_distance=step.goal_distance_m, cost=float(cost))
            feedback.goal, feedback.goals = self.agent.goals_passed + 1, len(goal.way) + 1
            handle.publish_feedback(feedback)

        return pursue(
            self.agent,
            goal,
            to_ns(handle.request.duration) / NS_PER_S,
            self.inbox,
            self.now_ns,
            lambda: handle.is_cancel_requested or self.stopping.is_set() or not rclpy.ok(),
            on_step,
            self.propose,
        )

    def goal_of(self, request: PursueGoal.Goal) -> Goal | Refusal:
        """Positions as they are, pictures by way of the encoder; neither where the guardrail has another file."""
        if self.guardrail_sha256 not in ("", self.spec.sha256):
            theirs, ours = self.guardrail_sha256[:12], self.spec.sha256[:12]
            reason = f"the guardrail decides by the file {theirs}, the planner plans with {ours}"
            return Refusal(f"{reason}; start both with one guardrail_file", "guardrail_file", float("nan"))
        return goal_of(request.shown, self.see)

    def see(self, image: Any, camera_info: Any, preprocessing_id: str) -> Latent | Refusal:
        """What the encoder sees in a picture; to be called on the thread that pursues."""
        if self.stopping.is_set():
            return Refusal("the planner is being deactivated", "encoder", float("nan"))
        if not self.encoder.service_is_ready():
            return Refusal("the picture cannot be encoded: is the encoder active?", "encoder", float("nan"))
        question = EncodeImage.Request(image=image, camera_info=camera_info, preprocessing_id=preprocessing_id)
        answer = result_within(self.encoder.call_async(question), self.settings.answer_timeout_s)
        if answer is None:
            reason = f"the encoder did not answer within {self.settings.answer_timeout_s} s."
            return Refusal(reason, "encoder", float("nan"))
        if not answer.success:
            return Refusal(answer.message, "encoder", float("nan"))
        return from_latent_msg(answer.latent)

    def propose(self, plan: Plan, latent: Latent) -> int:
        """The first action of the plan, which takes effect now; returns the number of the last proposal."""
        self.became = 0
        if self.settings.step_by_step and not self.asked_for_step.is_set():
            return self.sequence
        self.asked_for_step.clear()
        action = plan.actions[0]
        self.sequence += 1
        proposal = Proposal(
            source=self.settings.source,
            sequence=self.sequence,
            stamp_ns=self.now_ns(),
            observation_stamp_ns=latent.stamp_ns,
            valid_for_s=MODEL_STEP_S,
            gripper_width=float(action[ACTION_DIM - 1]),
            tool_displacement=action[:3],
            model_error_bound_m=plan.model_error_bound_m,
            checkpoint_sha256=plan.checkpoint_sha256,
        )
        self.proposal_publisher.publish(to_proposal_msg(proposal))
        self.became = proposal.sequence
        return proposal.sequence

    def publish_goal(self, request: PursueGoal.Goal) -> None:
        """For people and recordings."""
        message = PursuedGoal(shown=request.shown, task_sha256=self.task.sha256)
        message.header.stamp = to_time(self.now_ns())
        self.goal_publisher.publish(message)

    def publish_plan(self, step: Step, goal: Goal) -> None:
        """For people, plots and recordings."""
        message = to_plan_msg(step.planned, self.now_ns())
        message.sequence = 0 if message.refused else self.became
        heard = step.heard
        message.observation_stamp = to_time(heard.latent.stamp_ns if heard.latent else 0)
        message.begun, message.report_stamp = to_time(step.begun_ns), to_time(heard.report_stamp_ns)
        message.people_stamp = to_time(heard.people_stamp_ns)
        nowhere = np.full(3, np.nan)
        message.goal_tool_position = to_point(nowhere if goal.tool_position is None else goal.tool_position)
        message.goal_distance, message.plan_ms = step.goal_distance_m, step.plan_ms
        self.plan_publisher.publish(message)


def main() -> int:
    """Run the node: one thread pursues, the others serve callbacks and the answers to its questions."""
    return run_node("planner", lambda: PlannerNode("planner"), threads=4)


if __name__ == "__main__":
    sys.exit(main())
