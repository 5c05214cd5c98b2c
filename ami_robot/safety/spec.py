"""The guardrail file as frozen records. Strict: what is unknown, missing, twice or not finite is an error."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import yaml

from ami_robot.types import Array

DEFAULT_SPEC = Path(__file__).with_name("panda.yaml")


class SpecError(ValueError):
    """The guardrail file cannot be used; the message says where and what would be right."""


@dataclass(frozen=True, eq=False)
class JointPosition:
    """End stops (7,), rad, and the distance that a command keeps from them, rad."""

    lower_rad: Array
    upper_rad: Array
    margin_rad: float
    source: str

    @property
    def command_lower_rad(self) -> Array:
        """Least commanded position (7,), rad."""
        return self.lower_rad + self.margin_rad

    @property
    def command_upper_rad(self) -> Array:
        """Greatest commanded position (7,), rad."""
        return self.upper_rad - self.margin_rad


@dataclass(frozen=True, eq=False)
class JointVelocity:
    """Greatest speed of each joint (7,), rad/s."""

    limit_rad_per_s: Array
    command_fraction: float
    source: str

    @property
    def command_limit_rad_per_s(self) -> Array:
        """Greatest commanded speed (7,), rad/s."""
        return self.limit_rad_per_s * self.command_fraction


@dataclass(frozen=True, eq=False)
class JointAcceleration:
    """Greatest acceleration of each joint (7,), rad/s^2."""

    limit_rad_per_s2: Array
    command_fraction: float
    source: str

    @property
    def command_limit_rad_per_s2(self) -> Array:
        """Greatest commanded acceleration (7,), rad/s^2."""
        return self.limit_rad_per_s2 * self.command_fraction


@dataclass(frozen=True, eq=False)
class JointJerk:
    """Greatest jerk of each joint (7,), rad/s^3."""

    limit_rad_per_s3: Array
    command_fraction: float
    source: str

    @property
    def command_limit_rad_per_s3(self) -> Array:
        """Greatest commanded jerk (7,), rad/s^3."""
        return self.limit_rad_per_s3 * self.command_fraction


@dataclass(frozen=True, eq=False)
class Workspace:
    """Box (3,), m, base_link, that the tool stays in. Targets exactly, the motion between them with a tolerance."""

    lower_m: Array
    upper_m: Array
    path_tolerance_m: float
    source: str


@dataclass(frozen=True)
class Table:
    """Height of the table top and least distance of any part of the arm above it, m, base_link."""

    height_m: float
    clearance_m: float
    source: str


@dataclass(frozen=True)
class ToolDisplacement:
    """Greatest norm of the displacement of the tool target in one model step, m."""

    max_m_per_step: float
    tolerance_m: float
    source: str


@dataclass(frozen=True)
class CommandRate:
    """Least time between two commands, s."""

    min_interval_s: float
    source: str


@dataclass(frozen=True)
class Trajectory:
    """How long, s, and of how many points a proposed trajectory may be."""

    max_duration_s: float
    max_points: float
    source: str


@dataclass(frozen=True)
class Gripper:
    """Range of the gripper's width, m."""

    lower_m: float
    upper_m: float
    tolerance_m: float
    source: str


@dataclass(frozen=True)
class InverseKinematics:
    """Greatest distance between the asked and the solved tool position, m."""

    max_error_m: float
    source: str


@dataclass(frozen=True)
class Staleness:
    """Greatest ages of inputs, and how far in the future a stamp may lie, s."""

    joint_state_s: float
    proposal_s: float
    frame_s: float
    future_s: float
    source: str


@dataclass(frozen=True)
class Transport:
    """By how much the delay of a trajectory on its way to the controller varies, s."""

    jitter_s: float
    source: str


@dataclass(frozen=True)
class Tracking:
    """Greatest distance of a measured joint position from the commanded one, rad."""

    max_error_rad: float
    source: str


@dataclass(frozen=True)
class Arming:
    """Below which joint speed the arm counts as at rest, rad/s."""

    rest_velocity_rad_per_s: float
    source: str


@dataclass(frozen=True, eq=False)
class Spec:
    """The whole guardrail file. Rows are named as in the file; `sha256` is that of the file's bytes."""

    joint_names: tuple[str, ...]
    joint_position: JointPosition
    joint_velocity: JointVelocity
    joint_acceleration: JointAcceleration
    joint_jerk: JointJerk
    workspace: Workspace
    table: Table
    tool_displacement: ToolDisplacement
    command_rate: CommandRate
    trajectory: Trajectory
    gripper: Gripper
    inverse_kinematics: InverseKinematics
    staleness: Staleness
    transport: Transport
    tracking: Tracking
    arming: Arming
    sha256: str


def load_spec(path: Path | None = None) -> Spec:
    """Read the guardrail file, the package's own by default. Raises SpecError with one sentence."""
    path = DEFAULT_SPEC if path is None else Path(path)
    try:
        content = path.read_bytes()
        document = yaml.load(content, Loader=_UniqueKeyLoader)  # a SafeLoader
    except OSError as error:
        raise SpecError(f"{path}: the guardrail file cannot be read ({error.strerror}).") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: the guardrail file is not YAML ({' '.join(str(error).split())}).") from error
    if isinstance(document, dict) and "sha256" in document:
        raise SpecError(f"{path}: unknown key 'sha256'; it is computed from the file.")
    if isinstance(document, dict):
        document["sha256"] = hashlib.sha256(content).hexdigest()
    spec = _read(Spec, document, str(path))
    _check_ranges(spec, str(path))
    return spec


class _UniqueKeyLoader(yaml.SafeLoader):
    """PyYAML lets the last of two equal keys win without a word; here the second is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"key {twice[0]!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _read(kind: type, value: Any, where: str) -> Any:
    """`value` of the document as a `kind`: a record, an array, a number, names or a text."""
    if is_dataclass(kind):
        return _read_record(kind, value, where)
    if kind is float:
        return float(_numbers([value], where)[0])
    if kind is str:
        if not isinstance(value, str) or not value.strip():
            raise SpecError(f"{where}: expected a text, got {value!r}.")
        return value
    if not isinstance(value, list):
        raise SpecError(f"{where}: expected a list, got {value!r}.")
    if kind == tuple[str, ...]:
        return tuple(_read(str, item, where) for item in value)
    return _numbers(value, where)


def _read_record(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise SpecError(f"{where}: expected keys and values, got {value!r}.")
    hints = get_type_hints(kind)
    names = [item.name for item in fields(kind)]
    for key in value:
        if key not in names:
            raise SpecError(f"{where}: unknown key {key!r}; valid keys are {', '.join(names)}.")
    for name in names:
        if name not in value:
            raise SpecError(f"{where}: key {name!r} is missing.")
    return kind(**{name: _read(hints[name], value[name], f"{where}: {name}") for name in names})


def _numbers(values: list[Any], where: str) -> Array:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise SpecError(f"{where}: expected a finite number, got {value!r}.")
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


def _check_ranges(spec: Spec, where: str) -> None:
    """Lengths, order and signs: a limit that allows nothing or everything is a mistake in the file."""
    joints = 7
    position, workspace, gripper = spec.joint_position, spec.workspace, spec.gripper
    lengths: dict[str, tuple[Array, int]] = {
        "joint_position.lower_rad": (position.lower_rad, joints),
        "joint_position.upper_rad": (position.upper_rad, joints),
        "joint_velocity.limit_rad_per_s": (spec.joint_velocity.limit_rad_per_s, joints),
        "joint_acceleration.limit_rad_per_s2": (spec.joint_acceleration.limit_rad_per_s2, joints),
        "joint_jerk.limit_rad_per_s3": (spec.joint_jerk.limit_rad_per_s3, joints),
        "workspace.lower_m": (workspace.lower_m, 3),
        "workspace.upper_m": (workspace.upper_m, 3),
    }
    for name, (array, length) in lengths.items():
        if len(array) != length:
            raise SpecError(f"{where}: {name} has {len(array)} numbers, it needs {length}.")
    if not len(spec.joint_names) == len(set(spec.joint_names)) == joints:
        raise SpecError(f"{where}: joint_names must be the {joints} different names of the arm's joints.")
    ordered: dict[str, tuple[Array | float, Array | float]] = {
        "joint_position": (position.command_lower_rad, position.command_upper_rad),
        "workspace": (workspace.lower_m, workspace.upper_m),
        "gripper": (gripper.lower_m, gripper.upper_m),
    }
    for name, (lower, upper) in ordered.items():
        if not np.all(np.less(lower, upper)):
            raise SpecError(f"{where}: {name} is empty, each lower value must lie below its upper one.")
    for name in ("joint_velocity", "joint_acceleration", "joint_jerk"):
        if not 0.0 < getattr(spec, name).command_fraction <= 1.0:
            raise SpecError(f"{where}: {name}.command_fraction must lie above 0 and not above 1.")
    positive: dict[str, Array | float] = {
        "joint_velocity.limit_rad_per_s": spec.joint_velocity.limit_rad_per_s,
        "joint_acceleration.limit_rad_per_s2": spec.joint_acceleration.limit_rad_per_s2,
        "joint_jerk.limit_rad_per_s3": spec.joint_jerk.limit_rad_per_s3,
        "tool_displacement.max_m_per_step": spec.tool_displacement.max_m_per_step,
        "command_rate.min_interval_s": spec.command_rate.min_interval_s,
        "trajectory.max_duration_s": spec.trajectory.max_duration_s,
        "trajectory.max_points": spec.trajectory.max_points,
        "inverse_kinematics.max_error_m": spec.inverse_kinematics.max_error_m,
        "staleness.joint_state_s": spec.staleness.joint_state_s,
        "staleness.proposal_s": spec.staleness.proposal_s,
        "staleness.frame_s": spec.staleness.frame_s,
        "tracking.max_error_rad": spec.tracking.max_error_rad,
        "arming.rest_velocity_rad_per_s": spec.arming.rest_velocity_rad_per_s,
    }
    not_negative = {
        "joint_position.margin_rad": position.margin_rad,
        "workspace.path_tolerance_m": workspace.path_tolerance_m,
        "table.clearance_m": spec.table.clearance_m,
        "tool_displacement.tolerance_m": spec.tool_displacement.tolerance_m,
        "gripper.tolerance_m": spec.gripper.tolerance_m,
        "staleness.future_s": spec.staleness.future_s,
        "transport.jitter_s": spec.transport.jitter_s,
    }
    for name, value in positive.items():
        if not np.all(np.greater(value, 0.0)):
            raise SpecError(f"{where}: {name} must be positive.")
    for name, number in not_negative.items():
        if not number >= 0.0:
            raise SpecError(f"{where}: {name} must not be negative.")
