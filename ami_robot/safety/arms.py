"""The arms that there are, by the name that a guardrail file gives."""

from __future__ import annotations

from ami_robot.safety.arm_panda import FR3, PANDA
from ami_robot.safety.arm_ur5e import UR5E

ARMS = {"panda": PANDA, "fr3": FR3, "ur5e": UR5E}
