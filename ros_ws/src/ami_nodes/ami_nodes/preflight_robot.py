"""A robot that is brought up elsewhere: is it there, will its controller do, do the guardrails keep to its limits?"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from typing import Any

from sensor_msgs.msg import JointState
from std_msgs.msg import String

from ami_nodes import qos
from ami_nodes.controller_rules import read_parameters, why_not
from ami_nodes.convert import as_array
from ami_nodes.preflight import FaultError, Skipped
from ami_nodes.preflight_domain import Lookout
from ami_nodes.preflight_endpoints import PUBLISHES
from ami_nodes.preflight_files import guardrails
from ami_nodes.preflight_rehearsal import Tried
from ami_robot.safety.checks import read_joint_state
from ami_robot.safety.spec import Spec
from ami_robot.types import Refusal

LISTEN_S = 3.0
TOLERANCE = 1e-6


def check_robot(tried: Sequence[Tried], lookout: Lookout) -> str:
    """Names, posture, controller and limits: joint_states, parameters, robot_description. Raises FaultError."""
    if not all(one.whole for one in tried):
        raise Skipped("not every node can be brought up, so it is not known whether the arm is one of them.")
    node = lookout.node
    topic = node.resolve_topic_name("joint_states")
    if any(end.name == topic and end.does == PUBLISHES for one in tried for end in one.endpoints):
        raise Skipped("the arm is one of the launched nodes.")
    spec = guardrails(tried)
    states: list[JointState] = []
    texts: list[str] = []
    heard = [
        node.create_subscription(JointState, "joint_states", states.append, qos.LATEST_IN),
        node.create_subscription(String, "robot_description", lambda message: texts.append(message.data), qos.LATCHED),
    ]
    lookout.spin_until(lambda: bool(states and texts), LISTEN_S)
    for subscription in heard:
        node.destroy_subscription(subscription)
    if not states:
        raise FaultError(f"nothing came on {topic} within {LISTEN_S:g} s: bring the robot up first.")
    newest = states[-1]
    measured = read_joint_state(spec, newest.name, as_array(newest.position), as_array(newest.velocity))
    if isinstance(measured, Refusal):
        raise FaultError(f"{topic} does not fit the guardrail file: {measured.reason}")
    for controller in {one.settings["controller"] for one in tried if "controller" in one.settings}:
        if reason := why_not(controller, read_parameters(_asking(lookout, controller)), spec.joint_names):
            raise FaultError(reason)
    if not texts:
        raise FaultError(f"no robot_description came within {LISTEN_S:g} s, so the robot's limits are not known.")
    if sentences := differences(spec, texts[-1]):
        raise FaultError(*sentences)
    return f"{topic} has the joints {', '.join(spec.joint_names)}, within whose limits the guardrails are."


def _asking(lookout: Lookout, controller: str) -> Callable[[Any, str, Any], Any]:
    def ask(kind: Any, service: str, request: Any) -> Any:
        answer = lookout.ask(kind, f"{controller}/{service}", request, LISTEN_S)
        if answer is None:
            raise FaultError(f"{controller}/{service} did not answer within {LISTEN_S:g} s: is the controller loaded?")
        return answer

    return ask


def differences(spec: Spec, description: str) -> list[str]:
    """Where the guardrails allow more than the URDF does, a sentence each; commands are held against it."""
    try:
        joints = {joint.get("name"): joint for joint in ET.fromstring(description).iter("joint")}
    except ET.ParseError as error:
        return [f"robot_description is not XML: {error}."]
    commanded = {  # attribute of <limit>: the guardrails' numbers, -1 where they may not be less, 1 where not more
        "lower": (spec.joint_position.command_lower_rad, -1.0),
        "upper": (spec.joint_position.command_upper_rad, 1.0),
        "velocity": (spec.joint_velocity.command_limit_rad_per_s, 1.0),
        "effort": (spec.torque.command_limit_n_m, 1.0),
    }
    sentences = []
    for index, name in enumerate(spec.joint_names):
        limit = joints[name].find("limit") if name in joints else None
        if limit is None:
            sentences.append(f"robot_description has no limits of {name}, a joint of the guardrail file.")
            continue
        for key, (ours, sign) in commanded.items():
            theirs = float(limit.get(key, sign * float("inf")))
            if sign * (ours[index] - theirs) > TOLERANCE:
                sentences.append(
                    f"the guardrails let {name} go to {ours[index]:.4g} ({key}), robot_description says {theirs:.4g}."
                )
    return sentences
