"""The rows of the guardrail file as frozen records, each number with the range in which it makes sense."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from ami_robot.types import Array


@dataclass(frozen=True)
class Allowed:
    """Which numbers make sense: above, not below, not above, how many of them, and whether only whole ones."""

    above: float | None = None
    least: float | None = None
    most: float | None = None
    length: int | None = None
    whole: bool = False


Positive = Annotated[float, Allowed(above=0.0)]
NotNegative = Annotated[float, Allowed(least=0.0)]
Fraction = Annotated[float, Allowed(above=0.0, most=1.0)]
Cosine = Annotated[float, Allowed(least=-1.0, most=1.0)]
Count = Annotated[float, Allowed(least=1.0, whole=True)]
Point = Annotated[Array, Allowed(length=3)]
Joints = Array  # as many as the arm has: J
PositiveJoints = Annotated[Array, Allowed(above=0.0)]


@dataclass(frozen=True, eq=False)
class JointPosition:
    """End stops (J,), rad, and the distance that a command keeps from them, rad."""

    lower_rad: Joints
    upper_rad: Joints
    margin_rad: NotNegative
    source: str

    @property
    def command_lower_rad(self) -> Array:
        """Least commanded position (J,), rad."""
        return self.lower_rad + self.margin_rad

    @property
    def command_upper_rad(self) -> Array:
        """Greatest commanded position (J,), rad."""
        return self.upper_rad - self.margin_rad


@dataclass(frozen=True, eq=False)
class JointVelocity:
    """Greatest speed of each joint (J,), rad/s."""

    limit_rad_per_s: PositiveJoints
    command_fraction: Fraction
    source: str

    @property
    def command_limit_rad_per_s(self) -> Array:
        """Greatest commanded speed (J,), rad/s."""
        return self.limit_rad_per_s * self.command_fraction


@dataclass(frozen=True, eq=False)
class JointAcceleration:
    """Greatest acceleration of each joint (J,), rad/s^2."""

    limit_rad_per_s2: PositiveJoints
    command_fraction: Fraction
    source: str

    @property
    def command_limit_rad_per_s2(self) -> Array:
        """Greatest commanded acceleration (J,), rad/s^2."""
        return self.limit_rad_per_s2 * self.command_fraction


@dataclass(frozen=True, eq=False)
class JointJerk:
    """Greatest jerk of each joint (J,), rad/s^3."""

    limit_rad_per_s3: PositiveJoints
    command_fraction: Fraction
    source: str

    @property
    def command_limit_rad_per_s3(self) -> Array:
        """Greatest commanded jerk (J,), rad/s^3."""
        return self.limit_rad_per_s3 * self.command_fraction


@dataclass(frozen=True, eq=False)
class Workspace:
    """Box (3,), m, base_link, that the tool stays in. Targets exactly, the motion between them with a tolerance."""

    lower_m: Point
    upper_m: Point
    path_tolerance_m: NotNegative
    source: str


@dataclass(frozen=True)
class Table:
    """Height of the table top and least distance of any part of the arm above it, m, base_link."""

    height_m: float
    clearance_m: NotNegative
    source: str


@dataclass(frozen=True)
class ToolDisplacement:
    """Greatest norm of the displacement of the tool target in one model step, m."""

    max_m_per_step: Positive
    tolerance_m: NotNegative
    source: str


@dataclass(frozen=True)
class CommandRate:
    """Least time between two commands, s."""

    min_interval_s: Positive
    source: str


@dataclass(frozen=True)
class Trajectory:
    """How long, s, and of how many points a proposed trajectory may be."""

    max_duration_s: Positive
    max_points: Count
    source: str


@dataclass(frozen=True)
class Gripper:
    """Range of the gripper's width, m; each of its joints opens by an equal share."""

    joint_names: tuple[str, ...]
    lower_m: NotNegative
    upper_m: Positive
    tolerance_m: NotNegative
    source: str


@dataclass(frozen=True)
class InverseKinematics:
    """Greatest distance between the asked and the solved tool position, m."""

    max_error_m: Positive
    source: str


@dataclass(frozen=True)
class Staleness:
    """Greatest ages of inputs, and how far in the future a stamp may lie, s."""

    joint_state_s: Positive
    proposal_s: Positive
    frame_s: Positive
    people_s: Positive
    held_tool_s: Positive
    future_s: NotNegative
    source: str


@dataclass(frozen=True)
class Transport:
    """By how much the time from a decision's clock to the controller varies, and what of it deciding may take, s."""

    jitter_s: NotNegative
    decision_s: NotNegative
    source: str


@dataclass(frozen=True)
class Tracking:
    """Greatest distance of a measured joint position from the commanded one, rad."""

    max_error_rad: Positive
    source: str


@dataclass(frozen=True)
class Arming:
    """Below which joint speed the arm counts as at rest, rad/s."""

    rest_velocity_rad_per_s: Positive
    source: str


@dataclass(frozen=True, eq=False)
class Torque:
    """Greatest torque of each joint (J,), N m, of the rigid-body model along a motion."""

    limit_n_m: PositiveJoints
    command_fraction: Fraction
    source: str

    @property
    def command_limit_n_m(self) -> Array:
        """Greatest commanded torque (J,), N m."""
        return self.limit_n_m * self.command_fraction


@dataclass(frozen=True, eq=False)
class ArmSpace:
    """Box (3,), m, base_link, that every sphere of the moving arm stays in."""

    lower_m: Point
    upper_m: Point
    source: str


@dataclass(frozen=True)
class SelfCollision:
    """Least distance, m, between spheres of links that are not neighbours."""

    clearance_m: NotNegative
    source: str


@dataclass(frozen=True, eq=False)
class Box:
    """An axis-aligned box (3,), m, base_link."""

    name: str
    lower_m: Point
    upper_m: Point


@dataclass(frozen=True)
class Obstacles:
    """Boxes that nothing of the arm may touch, and the least distance, m, that it keeps from them."""

    clearance_m: NotNegative
    boxes: tuple[Box, ...]
    source: str


@dataclass(frozen=True)
class Singularity:
    """Least singular value of the tool's Jacobian (linear rows in m/rad, angular rows as they are)."""

    min_singular_value: Positive
    source: str


@dataclass(frozen=True)
class Contact:
    """What may happen near the table: speed of coming down, and the external torque at which the arm brakes."""

    approach_height_m: Positive
    approach_speed_m_per_s: Positive
    max_external_torque_n_m: Positive
    source: str


@dataclass(frozen=True)
class PeopleRow:
    """Speed-and-separation (ISO/TS 15066, 5.5.4): how fast a person may come, and what is added to the distance.

    `source_of_people` is `topic` (silence brakes, an empty array is a statement) or `none_fenced_cell`.
    """

    source_of_people: Literal["topic", "none_fenced_cell"]
    max_speed_m_per_s: Positive
    intrusion_m: NotNegative
    measurement_error_m: NotNegative
    reaction_s: Positive
    reach_horizon_s: Positive
    source: str


@dataclass(frozen=True)
class BodyRegion:
    """Transient force limit, N, effective spring constant, N/m, and effective mass, kg (ISO/TS 15066, Annex A)."""

    name: str
    max_force_n: Positive
    stiffness_n_per_m: Positive
    mass_kg: Positive


@dataclass(frozen=True)
class PowerAndForce:
    """Speed cap while a person is in reach: v <= F / sqrt(mu k), 1 / mu = 1 / m_H + 1 / (M / 2 + load)."""

    moving_mass_kg: Positive
    regions: tuple[BodyRegion, ...]
    source: str


@dataclass(frozen=True)
class ToolClass:
    """A kind of held tool and the energy, J, that its tip may bring into a clamped person; whether it may face them."""

    name: Literal["blunt", "edge", "point"]
    max_energy_j: Positive
    may_face_people: bool


@dataclass(frozen=True)
class ToolHazard:
    """Tip speed cap while a person can reach the tip within people.reach_horizon_s: v <= sqrt(2 E / m)."""

    effective_mass_kg: Positive
    max_facing_cosine: Cosine
    classes: tuple[ToolClass, ...]
    source: str


@dataclass(frozen=True)
class ModelErrorRow:
    """Conformal bound on decoded quantities: miscoverage delta, and the monitor that trips on `trips` of `window`."""

    miscoverage: Fraction
    max_bound_m: Positive
    window: Count
    trips: Count
    source: str


@dataclass(frozen=True)
class EStop:
    """Age, s, above which the e-stop's line counts as pressed; 0 where it is wired and no heartbeat is sent."""

    max_silence_s: NotNegative
    source: str


@dataclass(frozen=True)
class Deadman:
    """Sources that move the arm only while somebody holds the switch, and the age, s, at which it counts as let go."""

    sources: tuple[str, ...]
    max_age_s: Positive
    source: str
