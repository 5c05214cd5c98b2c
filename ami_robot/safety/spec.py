"""The guardrail file: every limit of the project, once. Strict: unknown, missing, twice or not finite is an error."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import yaml

from ami_robot.safety import rows
from ami_robot.safety.arms import ARMS
from ami_robot.types import Array

DEFAULT_SPEC = Path(__file__).with_name("panda.yaml")

_GREATEST = sys.float_info.max


class SpecError(ValueError):
    """The guardrail file cannot be used; the message says where and what would be right."""


@dataclass(frozen=True, eq=False)
class Spec:
    """The whole guardrail file. Rows are named as in the file; `sha256` is that of the file's bytes."""

    robot: str
    """Which of `arms` is meant: its kinematics, its shape and its weight."""
    joint_names: tuple[str, ...]
    joint_position: rows.JointPosition
    joint_velocity: rows.JointVelocity
    joint_acceleration: rows.JointAcceleration
    joint_jerk: rows.JointJerk
    torque: rows.Torque
    workspace: rows.Workspace
    arm_space: rows.ArmSpace
    table: rows.Table
    obstacles: rows.Obstacles
    self_collision: rows.SelfCollision
    singularity: rows.Singularity
    contact: rows.Contact
    people: rows.PeopleRow
    power_and_force: rows.PowerAndForce
    tool_hazard: rows.ToolHazard
    model_error: rows.ModelErrorRow
    tool_displacement: rows.ToolDisplacement
    command_rate: rows.CommandRate
    trajectory: rows.Trajectory
    gripper: rows.Gripper
    inverse_kinematics: rows.InverseKinematics
    staleness: rows.Staleness
    transport: rows.Transport
    tracking: rows.Tracking
    arming: rows.Arming
    e_stop: rows.EStop
    deadman: rows.Deadman
    sha256: str


def spec_file(name: str) -> Path:
    """The guardrail file that the name of a robot, or a path to a YAML, means."""
    return Path(name) if name.endswith((".yaml", ".yml")) else DEFAULT_SPEC.with_name(f"{name}.yaml")


def load_spec(path: Path | None = None) -> Spec:
    """Read the guardrail file, the package's own by default. Raises SpecError with one sentence."""
    path = DEFAULT_SPEC if path is None else Path(path)
    try:
        content = path.read_bytes()
        document = yaml.load(content, Loader=_UniqueKeyLoader)  # a SafeLoader
    except OSError as error:
        raise SpecError(f"{path}: the guardrail file cannot be read ({error.strerror}).") from error
    except (
        yaml.YAMLError,
        ValueError,
        RecursionError,
    ) as error:  # ValueError: bytes, or a number that is tagged as one
        raise SpecError(f"{path}: the guardrail file is not YAML ({' '.join(str(error).split())}).") from error
    if isinstance(document, dict) and "sha256" in document:
        raise SpecError(f"{path}: unknown key 'sha256'; it is computed from the file.")
    if isinstance(document, dict):
        document["sha256"] = hashlib.sha256(content).hexdigest()
    spec = _read(Spec, document, str(path))
    _check_together(spec, str(path))
    return spec


class _UniqueKeyLoader(yaml.SafeLoader):
    """PyYAML lets the last of two equal keys win without a word; here the second is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"key {twice[0]!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _read(kind: Any, value: Any, where: str) -> Any:
    """`value` of the document as a `kind`: a record, records, an array, a number, names, a text or a flag."""
    if is_dataclass(kind):
        return _read_record(kind, value, where)
    if get_origin(kind) is Annotated:
        plain, allowed = get_args(kind)
        checked = _read(plain, value, where)
        _check_allowed(checked, allowed, where)
        return checked
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise SpecError(f"{where} must be one of {', '.join(get_args(kind))}, got {value!r}.")
        return value
    if kind is float:
        return float(_numbers([value], where)[0])
    if kind is bool:
        if not isinstance(value, bool):
            raise SpecError(f"{where}: expected true or false, got {value!r}.")
        return value
    if kind is str:
        if not isinstance(value, str) or not value.strip():
            raise SpecError(f"{where}: expected a text, got {value!r}.")
        return value
    if not isinstance(value, list):
        raise SpecError(f"{where}: expected a list, got {value!r}.")
    if get_origin(kind) is tuple:
        return tuple(_read(get_args(kind)[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    return _numbers(value, where)


def _read_record(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise SpecError(f"{where}: expected keys and values, got {value!r}.")
    hints = get_type_hints(kind, include_extras=True)
    names = [item.name for item in fields(kind)]
    for key in value:
        if key not in names:
            valid = ", ".join(name for name in names if name != "sha256")  # this one is computed
            raise SpecError(f"{where}: unknown key {key!r}; valid keys are {valid}.")
    for name in names:
        if name not in value:
            raise SpecError(f"{where}: key {name!r} is missing.")
    return kind(**{name: _read(hints[name], value[name], f"{where}.{name}") for name in names})


def _check_allowed(value: Any, allowed: rows.Allowed, where: str) -> None:
    """A limit that allows nothing or everything is a mistake in the file."""
    if allowed.length is not None and len(value) != allowed.length:
        raise SpecError(f"{where} has {len(value)} numbers, it needs {allowed.length}.")
    if allowed.most is not None and not value <= allowed.most:
        raise SpecError(f"{where} must not be above {allowed.most:g}.")
    if allowed.above is not None and not np.all(np.greater(value, allowed.above)):
        raise SpecError(f"{where} must be positive.")
    if allowed.least is not None and not value >= allowed.least:
        raise SpecError(f"{where} must not be below {allowed.least:g}.")
    if allowed.whole and not float(value).is_integer():
        raise SpecError(f"{where} must be a whole number.")


def _numbers(values: list[Any], where: str) -> Array:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _GREATEST:
            raise SpecError(f"{where}: expected a finite number, got {value!r:.40}.")
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


def _check_together(spec: Spec, where: str) -> None:
    """What one number alone cannot show: names, order of bounds, and that every class and region is there."""
    if spec.robot not in ARMS:
        raise SpecError(f"{where}: robot must be one of {', '.join(ARMS)}, got {spec.robot!r}.")
    joints = ARMS[spec.robot].joints
    for row in (spec.joint_position, spec.joint_velocity, spec.joint_acceleration, spec.joint_jerk, spec.torque):
        for name, value in vars(row).items():
            if isinstance(value, np.ndarray) and len(value) != joints:
                raise SpecError(f"{where}: {name} has {len(value)} numbers, it needs {joints}.")
    if not len(spec.joint_names) == len(set(spec.joint_names)) == joints:
        raise SpecError(f"{where}: joint_names must be the {joints} different names of the arm's joints.")
    fingers = spec.gripper.joint_names
    if not fingers or len({*fingers, *spec.joint_names}) < len(fingers) + joints:
        raise SpecError(f"{where}: gripper.joint_names must be one different name or more, none of them the arm's.")
    ordered: dict[str, tuple[Array | float, Array | float]] = {
        "joint_position": (spec.joint_position.command_lower_rad, spec.joint_position.command_upper_rad),
        "workspace": (spec.workspace.lower_m, spec.workspace.upper_m),
        "arm_space": (spec.arm_space.lower_m, spec.arm_space.upper_m),
        "gripper": (spec.gripper.lower_m, spec.gripper.upper_m),
        **{f"obstacles.boxes: {box.name}": (box.lower_m, box.upper_m) for box in spec.obstacles.boxes},
    }
    for name, (lower, upper) in ordered.items():
        if not np.all(np.less(lower, upper)):
            raise SpecError(f"{where}: {name} is empty, each lower value must lie below its upper one.")
    classes = sorted(tool.name for tool in spec.tool_hazard.classes)
    if classes != ["blunt", "edge", "point"]:
        raise SpecError(f"{where}: tool_hazard.classes must hold blunt, edge and point once each, got {classes}.")
    for what, named in (
        ("obstacles.boxes", spec.obstacles.boxes),
        ("power_and_force.regions", spec.power_and_force.regions),
    ):
        names = [item.name for item in named]
        if len(names) != len(set(names)):
            raise SpecError(f"{where}: {what} has a name twice; margins could not be told apart.")
    if not spec.power_and_force.regions:
        raise SpecError(f"{where}: power_and_force.regions is empty; name at least one region of the body.")
    if spec.model_error.trips > spec.model_error.window:
        raise SpecError(f"{where}: model_error.trips is greater than its window; the monitor could never trip.")
