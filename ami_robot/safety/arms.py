"""The arms that there are, by the name that a guardrail file gives."""

from __future__ import annotations

from ami_robot.safety.arm_panda import FR3, PANDA

ARMS = {"panda": PANDA, "fr3": FR3}
