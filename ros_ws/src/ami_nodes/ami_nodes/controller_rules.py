"""Can a robot's controller hold the promise that the last message alone brings the arm to rest?

By the parameters of ros2_controllers' joint_trajectory_controller (its parameter reference, Humble to Lyrical). Only a
controller that follows whole trajectories, from where it last wanted the arm to be, does what was checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.parameter import parameter_value_to_python

from ami_robot.types import Array

FROM_DESIRED = ("interpolate_from_desired_state", "open_loop_control")
"""The same switch, by its name since Jazzy and the one before."""

ASKED = (*FROM_DESIRED, "joints", "command_interfaces", "state_interfaces", "interpolation_method")
"""The parameters that decide."""


def read_parameters(ask: Callable[[Any, str, Any], Any]) -> dict[str, Any]:
    """Those of ASKED that a controller has. `ask(kind, name, request)` gives the answer of one of its services."""
    known = ask(ListParameters, "list_parameters", ListParameters.Request()).result.names
    names = [name for name in ASKED if name in known]
    values = ask(GetParameters, "get_parameters", GetParameters.Request(names=names)).values
    return {name: parameter_value_to_python(value) for name, value in zip(names, values, strict=True)}


def why_not(controller: str, parameters: Mapping[str, Any], joint_names: Sequence[str]) -> str | None:
    """One sentence on the first thing wrong with this controller; None when it will do.

    `parameters` as `read_parameters` gives them.
    """
    switches = [name for name in FROM_DESIRED if name in parameters]
    if "joints" not in parameters or not switches:
        return (
            f"{controller} is no joint_trajectory_controller: it takes no trajectories, so it would keep the last "
            "command for ever; load one, and name it in the parameter controller."
        )
    joints = list(parameters["joints"])
    if sorted(joints) != sorted(joint_names):
        return (
            f"{controller} moves {', '.join(joints) or 'no joints'}; the guardrail file names {', '.join(joint_names)}."
        )
    if not any(parameters[name] for name in switches):
        return (
            f"{controller} has {switches[0]}: false, so it would start each motion from where the arm is measured, "
            "not from where it was told to be; set it to true."
        )
    if parameters.get("interpolation_method", "splines") != "splines":
        return f"{controller} has interpolation_method: {parameters['interpolation_method']}; set it to splines."
    if not parameters.get("command_interfaces"):
        return f"{controller} has no command_interfaces; it moves nothing."
    missing = [state for state in ("position", "velocity") if state not in parameters.get("state_interfaces", ())]
    if missing:
        return f"{controller} lacks {' and '.join(missing)} in state_interfaces; the guardrail needs both measured."
    return None


def why_apart(
    controller: str, joint_names: Sequence[str], measured: Array, wanted: Mapping[str, float], most_rad: float
) -> str | None:
    """One sentence when a joint stands further than `most_rad` from where the controller wants it; None when none does.

    `measured` (J,), rad, in the order of `joint_names`; `wanted` by name.
    """
    if any(joint not in wanted for joint in joint_names):
        return f"{controller} holds {', '.join(wanted)}, not the guardrail's joints."
    offsets = np.abs(measured - [wanted[joint] for joint in joint_names])
    worst = int(offsets.argmax())
    if offsets[worst] <= most_rad:
        return None
    return (
        f"{joint_names[worst]} stands {offsets[worst]:.3f} rad from where {controller} wants it, more than {most_rad} "
        "rad: the first motion would jump."
    )
