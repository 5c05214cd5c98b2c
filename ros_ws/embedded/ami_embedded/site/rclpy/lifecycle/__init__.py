"""Managed nodes (https://design.ros2.org/articles/node_lifecycle.html), with rclpy.lifecycle's names."""

from rclpy.lifecycle.managed_entity import ManagedEntity, SimpleManagedEntity
from rclpy.lifecycle.node import LifecycleNode, LifecycleNodeMixin
from rclpy.lifecycle.publisher import LifecyclePublisher
from rclpy.lifecycle.state_machine import LifecycleState, TransitionCallbackReturn

Node = LifecycleNode
State = LifecycleState
Publisher = LifecyclePublisher

__all__ = [
    "LifecycleNode",
    "LifecycleNodeMixin",
    "LifecyclePublisher",
    "LifecycleState",
    "ManagedEntity",
    "SimpleManagedEntity",
    "TransitionCallbackReturn",
]
