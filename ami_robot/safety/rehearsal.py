"""What a process does before it guards an arm: its first decisions, which take ten times as long as later ones.

They load compiled loops and fill tables. Made by a guardrail of their own, nothing waits for them and nothing moves.
"""

from __future__ import annotations

import numpy as np

from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.guardrail import Guardrail
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import Spec
from ami_robot.types import NS_PER_S, HeldTool, JointState, People, Person, Proposal

_SOURCE = "rehearsal"
_ASIDE_M, _ABOVE_M = 3.0, 0.05  # where somebody stands; where the tool is, above the lowest that it may be
_STEPS = np.array([[0.03, 0.0, 0.0], [0.03, 0.0, -0.025]])  # one that is taken as it is, and one that is bent


def rehearse(spec: Spec, kinematics: Kinematics, dynamics: Dynamics) -> None:
    """Decide on two steps of the tool and brake, as if a tool were held and somebody about. Changes nothing."""
    lower, upper = spec.workspace.lower_m, spec.workspace.upper_m
    tool = np.append((lower + upper)[:2] / 2.0, lower[2] + _ABOVE_M)
    q, still = kinematics.inverse(tool)[0], np.zeros(len(spec.joint_names))
    feet = tool + np.array([_ASIDE_M, 0.0, 0.0])
    somebody = Person(feet, feet + np.array([0.0, 0.0, 1.0]), 0.2, np.zeros(3), 0.0)
    now_ns = NS_PER_S
    for number, step in enumerate(_STEPS):
        guardrail = Guardrail(spec, kinematics, dynamics)
        guardrail.select_source(_SOURCE)
        guardrail.people(People(now_ns, (somebody,)))
        guardrail.held_tool(HeldTool(now_ns, "edge", np.array([0.0, 0.0, 0.05]), 0.1))
        guardrail.arm(JointState(q, still, still), now_ns, now_ns)
        guardrail.propose(Proposal(_SOURCE, number, now_ns, now_ns, 1.0, 0.0, tool_displacement=step))
        guardrail.step(spec.joint_names, q, still, now_ns, now_ns)
        guardrail.e_stop(True, now_ns)
