"""The table of all nodes' parameters in docs/reference/graph.md, out of the classes that check them.

python -m ami_embedded.run ami_nodes.reference
"""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any

from ami_nodes.parameters import Param

NODES = {
    "arm": "arm.ArmNode",
    "loopback_arm": "loopback_arm.LoopbackArmNode",
    "robot_arm": "robot_arm.RobotArmNode",
    "simulated_camera": "simulated_camera.SimulatedCameraNode",
    "device_camera": "device_camera.DeviceCameraNode",
    "replay_camera": "replay_camera.ReplayCameraNode",
    "people": "people.PeopleNode",
    "encoder": "encoder.EncoderNode",
    "world_model": "world_model.WorldModelNode",
    "planner": "planner.PlannerNode",
    "planner_with_model": "planner_with_model.PlannerWithModelNode",
    "guardrail": "guardrail.GuardrailNode",
    "recorder": "recorder.RecorderNode",
    "lifecycle_manager": "lifecycle_manager.LifecycleManager",
}
"""Executable -> where its node is."""

HEAD = "| executable | parameter | default | meaning | values |\n|---|---|---|---|---|"


def markdown() -> str:
    """A line for each parameter of each node."""
    lines = [HEAD]
    for executable in NODES:
        lines += [
            f"| `{executable}` | `{param.name}` | {_value(param.default)} | {param.description} | {_values(param)} |"
            for param in node_class(executable).PARAMETERS
        ]
    return "\n".join(lines)


def node_class(executable: str) -> Any:
    """The class of a node; imports what it needs. Raises KeyError where it is none of ours."""
    module, name = NODES[executable].split(".")
    return getattr(import_module(f"ami_nodes.{module}"), name)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(item for item in value if item)
    return f"{value:g}" if isinstance(value, float) else str(value) or "''"


def _values(param: Param) -> str:
    """What is allowed, beside the type."""
    if param.choices:
        return ", ".join(param.choices)
    if not isinstance(param.default, int | float) or isinstance(param.default, bool):
        return ""
    low, high = param.minimum, param.maximum
    if math.isinf(high):
        return "" if math.isinf(low) else f"{low:g} or more"
    return f"{low:g} to {high:g}"


def main() -> int:
    """Print it."""
    print(markdown())
    return 0
