"""Messages <-> the library's records. Arrays cross without per-element Python, with stock and embedded rclpy alike.

Stock rclpy hands out `array.array` and takes it without looking at each element; both it and the embedded rclpy's
numpy views are buffers, so `numpy.asarray` reads either.
"""

from __future__ import annotations

import array
from typing import Any

import numpy as np
from ami_interfaces.msg import GuardrailReport as GuardrailReportMsg
from ami_interfaces.msg import HeldTool as HeldToolMsg
from ami_interfaces.msg import Latent as LatentMsg
from ami_interfaces.msg import Person as PersonMsg
from ami_interfaces.msg import PersonArray, ProposedCommand
from ami_interfaces.msg import Plan as PlanMsg
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Point, Vector3
from sensor_msgs.msg import CameraInfo, Image
from trajectory_msgs.msg import JointTrajectory as JointTrajectoryMsg
from trajectory_msgs.msg import JointTrajectoryPoint

from ami_robot.perception.camera import CameraModel
from ami_robot.types import (
    NS_PER_S,
    Array,
    GuardrailReport,
    HeldTool,
    JointTrajectory,
    Latent,
    People,
    Person,
    Plan,
    Proposal,
    Refusal,
)

BASE_FRAME, TOOL_FRAME = "base_link", "tool"


def as_array(field: Any, dtype: type = np.float64) -> np.ndarray:
    """A numeric array field as numpy."""
    return np.asarray(field, dtype)


def to_field(values: Any, typecode: str = "d") -> array.array:
    """Numbers as what a numeric array field takes: typecode d float64, f float32, B uint8."""
    return array.array(typecode, np.ascontiguousarray(values, np.dtype(typecode)).tobytes())


def to_ns(stamp: Any) -> int:
    """A builtin_interfaces Time or Duration in ns."""
    return stamp.sec * NS_PER_S + stamp.nanosec


def to_time(stamp_ns: int) -> Time:
    """ns as a message."""
    return Time(sec=stamp_ns // NS_PER_S, nanosec=stamp_ns % NS_PER_S)


def to_duration(seconds: float) -> Duration:
    """s as a message."""
    ns = round(seconds * NS_PER_S)
    return Duration(sec=ns // NS_PER_S, nanosec=ns % NS_PER_S)


def xyz(message: Any) -> np.ndarray:
    """A Point or Vector3 as (3,)."""
    return np.array([message.x, message.y, message.z])


def to_point(values: Array) -> Point:
    """(3,) as a Point."""
    return Point(x=float(values[0]), y=float(values[1]), z=float(values[2]))


def to_vector3(values: Array) -> Vector3:
    """(3,) as a Vector3."""
    return Vector3(x=float(values[0]), y=float(values[1]), z=float(values[2]))


def to_trajectory_msg(trajectory: JointTrajectory) -> JointTrajectoryMsg:
    """The message has stamp 0, "start now"."""
    message = JointTrajectoryMsg(joint_names=list(trajectory.joint_names))
    rows = zip(trajectory.times_s, trajectory.positions, trajectory.velocities, trajectory.accelerations, strict=True)
    for time_s, *values in rows:
        positions, velocities, accelerations = (to_field(row) for row in values)
        message.points.append(
            JointTrajectoryPoint(
                positions=positions,
                velocities=velocities,
                accelerations=accelerations,
                time_from_start=to_duration(time_s),
            )
        )
    return message


def from_trajectory_msg(message: Any) -> JointTrajectory:
    """Points without velocities or accelerations give (K, 0) arrays. Raises ValueError when points differ in shape."""
    points = message.points
    width = len(message.joint_names)
    columns = []
    for name in ("positions", "velocities", "accelerations"):
        rows = [as_array(getattr(point, name)) for point in points]
        lengths = {len(row) for row in rows}
        if len(lengths) > 1 or not lengths <= {0, width}:
            raise ValueError(f"every point has to have {width} {name}, or none; got {sorted(lengths)}.")
        columns.append(np.array(rows).reshape(len(points), -1) if points else np.empty((0, 0)))
    times_s = np.array([to_ns(point.time_from_start) / NS_PER_S for point in points])
    return JointTrajectory(tuple(message.joint_names), times_s, *columns)


def to_proposal_msg(proposal: Proposal) -> ProposedCommand:
    """See ProposedCommand.msg."""
    message = ProposedCommand(
        source=proposal.source,
        sequence=proposal.sequence,
        gripper_width=float(proposal.gripper_width),
        observation_stamp=to_time(proposal.observation_stamp_ns),
        valid_for=to_duration(proposal.valid_for_s),
        model_error_bound=float(proposal.model_error_bound_m),
        checkpoint_sha256=proposal.checkpoint_sha256,
    )
    message.header.stamp = to_time(proposal.stamp_ns)
    message.header.frame_id = BASE_FRAME
    if proposal.tool_displacement is not None:
        message.kind = ProposedCommand.TOOL_DISPLACEMENT
        message.tool_displacement = to_vector3(proposal.tool_displacement)
    elif proposal.trajectory is not None:
        message.kind = ProposedCommand.TRAJECTORY
        message.trajectory = to_trajectory_msg(proposal.trajectory)
    return message


def from_proposal_msg(message: Any) -> Proposal:
    """Raises ValueError on a kind that is none of the two, or a malformed trajectory."""
    if message.kind not in (ProposedCommand.TOOL_DISPLACEMENT, ProposedCommand.TRAJECTORY):
        raise ValueError(f"kind {message.kind} of the proposal is neither TOOL_DISPLACEMENT (0) nor TRAJECTORY (1).")
    moves_tool = message.kind == ProposedCommand.TOOL_DISPLACEMENT
    return Proposal(
        source=message.source,
        sequence=message.sequence,
        stamp_ns=to_ns(message.header.stamp),
        observation_stamp_ns=to_ns(message.observation_stamp),
        valid_for_s=to_ns(message.valid_for) / NS_PER_S,
        gripper_width=message.gripper_width,
        tool_displacement=xyz(message.tool_displacement) if moves_tool else None,
        trajectory=None if moves_tool else from_trajectory_msg(message.trajectory),
        model_error_bound_m=message.model_error_bound,
        checkpoint_sha256=message.checkpoint_sha256,
    )


def to_person_msg(person: Person) -> PersonMsg:
    """See Person.msg."""
    return PersonMsg(
        end_a=to_point(person.end_a),
        end_b=to_point(person.end_b),
        radius=float(person.radius),
        velocity=to_vector3(person.velocity),
        radius_error=float(person.radius_error),
    )


def from_person_msg(message: Any) -> Person:
    """Raises ValueError on what is not a capsule: numbers that are not finite, a negative radius or error."""
    person = Person(xyz(message.end_a), xyz(message.end_b), message.radius, xyz(message.velocity), message.radius_error)
    numbers = np.array([*person.end_a, *person.end_b, *person.velocity, person.radius, person.radius_error])
    if not np.isfinite(numbers).all():
        raise ValueError("a person's ends, velocity, radius and radius error have to be finite.")
    if not (person.radius >= 0.0 and person.radius_error >= 0.0):
        raise ValueError(f"a person has radius {person.radius} m and error {person.radius_error} m, neither below 0.")
    return person


def to_people_msg(people: People) -> PersonArray:
    """See PersonArray.msg."""
    message = PersonArray(persons=[to_person_msg(person) for person in people.persons])
    message.header.stamp, message.header.frame_id = to_time(people.stamp_ns), BASE_FRAME
    return message


def from_people_msg(message: Any) -> People:
    """All of them or ValueError: one person who cannot be read must not become one person less."""
    _check_frame(message, BASE_FRAME, "people")
    return People(to_ns(message.header.stamp), tuple(from_person_msg(person) for person in message.persons))


def to_held_tool_msg(held_tool: HeldTool) -> HeldToolMsg:
    """See HeldTool.msg."""
    message = HeldToolMsg(hazard=held_tool.hazard, tip=to_vector3(held_tool.tip), mass=float(held_tool.mass_kg))
    message.header.stamp, message.header.frame_id = to_time(held_tool.stamp_ns), TOOL_FRAME
    return message


def from_held_tool_msg(message: Any) -> HeldTool:
    """The hazard as it is told; ValueError when tip or mass make no sense, or the frame is another one."""
    _check_frame(message, TOOL_FRAME, "held tool")
    tip, mass_kg = xyz(message.tip), message.mass
    if not (np.isfinite(tip).all() and 0.0 <= mass_kg < np.inf):
        raise ValueError(f"a held tool with its tip at {tip.tolist()} m and a mass of {mass_kg} kg cannot be.")
    return HeldTool(to_ns(message.header.stamp), message.hazard, tip, mass_kg)


def _check_frame(message: Any, frame_id: str, what: str) -> None:
    if message.header.frame_id != frame_id:
        raise ValueError(f"the {what} must be given in the frame {frame_id!r}, got {message.header.frame_id!r}.")


def to_report_msg(report: GuardrailReport) -> GuardrailReportMsg:
    """See GuardrailReport.msg."""
    message = GuardrailReportMsg(
        decision=report.decision,
        armed=report.armed,
        source=report.source,
        proposal_sequence=report.proposal_sequence,
        observation_stamp=to_time(report.observation_stamp_ns),
        sequence=report.sequence,
        target_joint_positions=to_field(report.target_joint_positions),
        target_tool_position=to_point(report.target_tool_position),
        gripper_width=float(report.gripper_width),
        margin_rows=list(report.margins),
        margins=to_field(list(report.margins.values())),
        spec_sha256=report.spec_sha256,
        model_error_bound=float(report.model_error_bound_m),
        checkpoint_sha256=report.checkpoint_sha256,
        people_known=report.people is not None,
        held_tool_known=report.held_tool is not None,
        e_stopped=report.e_stopped,
    )
    message.header.stamp = to_time(report.stamp_ns)
    message.header.frame_id = BASE_FRAME
    if report.sent is not None:
        message.sent = to_trajectory_msg(report.sent)
    if report.refusal is not None:
        message.reason, message.guardrail = report.refusal.reason, report.refusal.guardrail
        message.margin = float(report.refusal.margin)
    if report.people is not None:
        message.people = to_people_msg(report.people)
    if report.held_tool is not None:
        message.held_tool = to_held_tool_msg(report.held_tool)
    return message


def to_latent_msg(latent: Latent, frame_id: str) -> LatentMsg:
    """See Latent.msg."""
    message = LatentMsg(
        image_latent=to_field(latent.image_latent, "f"),
        tool_position=to_point(latent.tool_position),
        tool_velocity=to_vector3(latent.tool_velocity),
        gripper_width=float(latent.gripper_width),
        checkpoint_sha256=latent.checkpoint_sha256,
        preprocessing_id=latent.preprocessing_id,
        block_position=[] if latent.block_position is None else [to_point(latent.block_position)],
    )
    message.header.stamp = to_time(latent.stamp_ns)
    message.header.frame_id = frame_id
    return message


def from_latent_msg(message: Any) -> Latent:
    """See Latent.msg."""
    return Latent(
        stamp_ns=to_ns(message.header.stamp),
        image_latent=as_array(message.image_latent),
        tool_position=xyz(message.tool_position),
        tool_velocity=xyz(message.tool_velocity),
        gripper_width=message.gripper_width,
        checkpoint_sha256=message.checkpoint_sha256,
        preprocessing_id=message.preprocessing_id,
        block_position=next(map(xyz, message.block_position), None),
    )


def to_plan_msg(planned: Plan | Refusal, stamp_ns: int) -> PlanMsg:
    """What a Plan or a Refusal says; the caller adds what only it knows: stamps of frames, goal, timing."""
    message = PlanMsg(refused=isinstance(planned, Refusal), margin=float(planned.margin))
    message.header.stamp = to_time(stamp_ns)
    message.header.frame_id = BASE_FRAME
    if isinstance(planned, Refusal):
        message.reason, message.guardrail = planned.reason, planned.guardrail
        return message
    message.actions = to_field(planned.actions)
    message.imagined_tool_path = [to_point(position) for position in planned.imagined_tool_path]
    message.cost = float(planned.cost)
    message.cost_names = list(planned.cost_terms)
    message.cost_terms = to_field(list(planned.cost_terms.values()))
    message.candidates, message.masked = planned.candidates, planned.masked
    message.iterations = planned.iterations
    return message


def to_image_msg(image: np.ndarray, stamp_ns: int, frame_id: str) -> Image:
    """(H, W, 3) uint8 rgb."""
    height, width = image.shape[:2]
    message = Image(height=height, width=width, encoding="rgb8", step=3 * width, data=to_field(image, "B"))
    message.header.stamp = to_time(stamp_ns)
    message.header.frame_id = frame_id
    return message


def from_image_msg(message: Any) -> np.ndarray:
    """(H, W, C) uint8; raises ValueError when the size, step and data do not agree."""
    data = as_array(message.data, np.uint8)
    height, width, step = message.height, message.width, message.step
    channels = step // width if width else 0
    if not (height and channels) or data.size != height * step:
        raise ValueError(f"an image of {width}x{height} with step {step} cannot have {data.size} bytes.")
    return data.reshape(height, step)[:, : width * channels].reshape(height, width, channels)


def to_camera_info_msg(camera: CameraModel, stamp_ns: int) -> CameraInfo:
    """Intrinsics (REP 104): no rectification, projection = matrix."""
    projection = np.column_stack([camera.matrix, np.zeros(3)])
    message = CameraInfo(
        height=camera.height,
        width=camera.width,
        distortion_model="plumb_bob",
        d=to_field(camera.distortion),
        k=camera.matrix.ravel(),
        r=np.eye(3).ravel(),
        p=projection.ravel(),
    )
    message.header.stamp = to_time(stamp_ns)
    message.header.frame_id = camera.frame_id
    return message


def from_camera_info_msg(message: Any) -> CameraModel:
    """The intrinsics of a camera whose pose nobody told: it is at the origin. Raises CameraError when uncalibrated."""
    distortion = as_array(message.d)
    if len(distortion) not in (0, 5):
        raise ValueError(
            f"camera_info has {len(distortion)} distortion coefficients, only the 5 of plumb_bob are read."
        )
    return CameraModel(
        name=message.header.frame_id,
        frame_id=message.header.frame_id,
        width=message.width,
        height=message.height,
        matrix=as_array(message.k).reshape(3, 3),
        distortion=distortion if len(distortion) else np.zeros(5),
        position=np.zeros(3),
        rotation=np.eye(3),
        method="camera_info",
        date="",
    )
