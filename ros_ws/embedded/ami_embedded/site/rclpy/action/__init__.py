"""Goals that take time, give feedback and can be cancelled (https://design.ros2.org/articles/actions.html)."""

from rclpy.action.client import ActionClient, ClientGoalHandle
from rclpy.action.server import ActionServer, CancelResponse, GoalResponse, ServerGoalHandle

__all__ = ["ActionClient", "ActionServer", "CancelResponse", "ClientGoalHandle", "GoalResponse", "ServerGoalHandle"]
