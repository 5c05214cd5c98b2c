"""Where the tool is, for whoever draws the cell: base_link -> tool on /tf."""

from __future__ import annotations

from tf2_msgs.msg import TFMessage

from ami_nodes import qos
from ami_nodes.common import AmiNode
from ami_nodes.transforms import stamped_transform
from ami_robot.safety.kinematics import Kinematics
from ami_robot.types import NS_PER_S, Array

EVERY_NS = NS_PER_S // 20
"""Between two transforms; joint states come five times as often, and nobody looks as fast."""


class ToolFrame:
    """Follows the joint states of an arm's node."""

    def __init__(self, node: AmiNode, robot: str) -> None:
        """To be made in `build`."""
        self._publisher = node.publisher(TFMessage, "/tf", qos.EVENTS)
        self._kinematics, self._due_ns = Kinematics(robot), 0

    def follow(self, positions: Array, stamp_ns: int) -> None:
        """Joint positions (J,), rad, measured at this time."""
        if not (stamp_ns >= self._due_ns or stamp_ns < self._due_ns - EVERY_NS):  # a clock may go back
            return
        self._due_ns = stamp_ns + EVERY_NS
        pose = self._kinematics.tool_pose(positions)
        message = TFMessage(transforms=[stamped_transform("base_link", "tool", pose[:3, 3], pose[:3, :3], stamp_ns)])
        self._publisher.publish(message)
