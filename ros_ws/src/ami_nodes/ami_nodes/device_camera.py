"""A real camera, by V4L2 or whatever else OpenCV opens; it may be unplugged and comes back by itself."""

from __future__ import annotations

import sys
import threading
import time
from functools import partial
from typing import Any

import numpy as np

from ami_nodes.camera import CameraNode
from ami_nodes.common import run_node
from ami_nodes.parameters import Param
from ami_robot.perception.capture import capture_frames, open_device
from ami_robot.types import NS_PER_S

LEAVE_S = 2.0
"""How long a frame that is waited for may hold the shutdown up."""


class DeviceCameraNode(CameraNode):
    """A device -> pictures of the size in the camera file, stamped with the time of their capture.

    That is when the driver handed the picture over, less `latency_s`, which a calibration measures.
    """

    PARAMETERS = (
        *CameraNode.PARAMETERS,
        Param("device", "/dev/video0", "V4L2 device or its number, file or URL that OpenCV opens"),
        Param("fps", 30.0, "pictures a second to ask for", minimum=1.0, maximum=240.0),
        Param("fourcc", "", "pixel format to ask for, such as MJPG; empty is the driver's"),
        Param("latency_s", 0.0, "from the exposure to the driver's hand-over", minimum=0.0, maximum=1.0),
        Param("retry_s", 1.0, "between two tries to open a device that is gone", minimum=0.01, maximum=60.0),
    )

    thread: threading.Thread | None = None

    def start(self) -> list[Any]:
        """Follow the device on a thread of its own: waiting for a frame must not hold up the executor."""
        made, settings = super().start(), self.settings
        self.stopping = threading.Event()
        self.newest: tuple[np.ndarray, float] | None = None
        self.arrival = self.create_guard_condition(self.on_arrival)
        open_it = partial(open_device, settings.device, self.camera, settings.fps, settings.fourcc)
        self.thread = threading.Thread(
            target=capture_frames,
            args=(open_it, self.camera, self.on_frame, self.get_logger().warning, self.stopping, settings.retry_s),
            name="device",
            daemon=True,
        )
        self.thread.start()
        return [*made, self.arrival]

    def stop(self) -> None:
        """Let the device go."""
        assert self.thread is not None  # there is one while the node is active
        self.stopping.set()
        self.thread.join(LEAVE_S)
        self.thread = None

    def destroy_node(self) -> None:
        """Let the device go, however the node ends."""
        if self.thread is not None:
            self.stop()
        super().destroy_node()

    def on_frame(self, image: np.ndarray, grabbed_s: float) -> None:
        """On the device's thread: the newest counts."""
        self.newest = image, grabbed_s
        self.arrival.trigger()

    def on_arrival(self) -> None:
        """Stamp it on the node's clock."""
        if self.newest is None:
            return
        (image, grabbed_s), self.newest = self.newest, None
        age_s = time.monotonic() - grabbed_s + self.settings.latency_s
        self.show(image, self.now_ns() - round(age_s * NS_PER_S))


def main() -> int:
    """Run the node."""
    return run_node("device_camera", lambda: DeviceCameraNode("camera"))


if __name__ == "__main__":
    sys.exit(main())
