"""A goal as it is shown to the graph: pictures or positions, the last of them the goal, those before it on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ami_interfaces.msg import ShownGoal as ShownGoalMsg

from ami_nodes.convert import to_camera_info_msg, to_image_msg, to_point, xyz
from ami_robot.agent import image_goal, in_turn, told_goal
from ami_robot.episodes.goals import GoalError, ShownGoal
from ami_robot.perception.view import VIEW_PIXELS, training_camera
from ami_robot.types import Goal, Latent, Refusal

See = Callable[[Any, Any, str], Latent | Refusal]
"""(sensor_msgs/Image, sensor_msgs/CameraInfo, preprocessing id) -> what the encoder sees in it, or why it cannot."""


def to_shown_goal_msg(shown: ShownGoal) -> ShownGoalMsg:
    """See ShownGoal.msg. Raises ViewError for pictures of a view that nobody makes."""
    message = ShownGoalMsg(
        preprocessing_id=shown.preprocessing_id,
        tool_positions=[to_point(position) for position in shown.tool_positions],
        block_positions=[to_point(position) for position in shown.block_positions],
    )
    if len(shown.pictures):
        camera = training_camera(shown.preprocessing_id).resized(VIEW_PIXELS, VIEW_PIXELS)
        message.pictures = [to_image_msg(picture, 0, camera.frame_id) for picture in shown.pictures]
        message.camera_info = to_camera_info_msg(camera, 0)
    return message


def goal_of(message: Any, see: See) -> Goal | Refusal:
    """What the agent is to pursue; a refusal where the message makes no sense or a picture cannot be seen."""
    if not len(message.pictures):
        return _told(message)
    if len(message.tool_positions) or len(message.block_positions):
        return _senseless("it has pictures and positions; it has to have one or the other")
    count, steps = len(message.pictures), []
    expected = message.camera_info.width, message.camera_info.height
    for number, picture in enumerate(message.pictures, 1):  # all of them, before the first is looked at
        if (size := (picture.width, picture.height)) != expected:
            return _senseless(
                f"picture {number} of {count} is {size[0]}x{size[1]}, camera_info says {expected[0]}x{expected[1]}; "
                "all pictures of a goal are of one camera"
            )
    for number, picture in enumerate(message.pictures, 1):
        seen = see(picture, message.camera_info, message.preprocessing_id)
        if isinstance(seen, Refusal):
            which = f"picture {number} of {count}: " if count > 1 else ""
            return Refusal(which + seen.reason, seen.guardrail, seen.margin)
        steps.append(image_goal(seen))
    return in_turn(steps)


def _told(message: Any) -> Goal | Refusal:
    tool, block = (
        np.array([xyz(point) for point in points]).reshape(-1, 3)
        for points in (message.tool_positions, message.block_positions)
    )
    try:
        return told_goal(ShownGoal(tool_positions=tool, block_positions=block))
    except GoalError as error:
        return _senseless(str(error))


def _senseless(why: str) -> Refusal:
    return Refusal(f"the goal cannot be read: {why}", "goal", float("nan"))
