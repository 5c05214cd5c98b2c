"""A camera that shows the pictures of a recording, as if they were captured now."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ami_nodes.camera import CameraNode
from ami_nodes.common import run_node
from ami_nodes.parameters import Param
from ami_robot.episodes.pictures import PictureRecording, restamped
from ami_robot.episodes.recording import RecordingError


class ReplayCameraNode(CameraNode):
    """A recording -> its pictures and their CameraInfo, to the bit but for their stamps: the time they are published.

    Encoder and planner refuse what is old, so a recorded stamp would be of no use to them. The intervals are those of
    the recorded stamps, on the node's clock; what comes late makes the rest later, and nothing is left out. Where the
    camera stands is in the camera file. It begins anew whenever it is activated.
    """

    PARAMETERS = (
        *CameraNode.PARAMETERS,
        Param("recording", "", "folder of a rosbag2 recording with pictures, in MCAP"),
        Param("topic", "", "of its pictures, the whole name; empty is the only one there is"),
        Param("loop", True, "after the last picture comes the first"),
        Param("rate", 1.0, "how many times as fast as recorded", minimum=0.01, maximum=100.0),
    )

    def build(self) -> None:
        """Open the recording."""
        if not self.settings.recording:
            raise ValueError("the parameter recording has to name the folder of a recording.")
        self.recording = PictureRecording(Path(self.settings.recording), self.settings.topic)
        super().build()
        if self.recording.frame_id != self.camera.frame_id:
            self.get_logger().warning(
                f"/tf_static says where '{self.camera.frame_id}' of the camera file is, "
                f"but these pictures are in '{self.recording.frame_id}'"
            )

    def start(self) -> list[Any]:
        """Show the first picture."""
        made = super().start()
        self.playing = self.recording.play(self.settings.loop)
        _, self.picture = next(self.playing)
        self.due_ns = self.now_ns()
        self.timer = self.create_timer(0.0, self.on_due)
        return [*made, self.timer]

    def discard(self) -> None:
        """Let the file go."""
        self.recording.close()

    def on_due(self) -> None:
        """Show a picture; only then read the next one, which takes its time."""
        self.pictures.tick()
        now_ns = self.now_ns()
        self.info_publisher.publish(restamped(self.picture.info, now_ns))
        self.image_publisher.publish(restamped(self.picture.image, now_ns))
        try:
            interval_ns, self.picture = next(self.playing)
        except StopIteration:
            self.timer.cancel()
            self.get_logger().info("the recording is over")
        except RecordingError as error:
            self.timer.cancel()
            self.get_logger().error(str(error))
        else:
            self.due_ns = max(self.due_ns + round(interval_ns / self.settings.rate), now_ns)
            self.timer.timer_period_ns = max(self.due_ns - self.now_ns(), 0)
            self.timer.reset()


def main() -> int:
    """Run the node."""
    return run_node("replay_camera", lambda: ReplayCameraNode("camera"))


if __name__ == "__main__":
    sys.exit(main())
