"""Frames of a camera device, which may be unplugged, hang or repeat itself, until somebody says stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event
from typing import Any, Protocol

import cv2
import numpy as np

from ami_robot.perception.camera import CameraModel

Open = Callable[[], "_Device"]
OnFrame = Callable[[np.ndarray, float], None]
"""Called with a picture (H, W, 3), rgb8, and the monotonic time, s, at which the driver handed it over."""


class _Device(Protocol):
    """What of cv2.VideoCapture is used."""

    def isOpened(self) -> bool: ...  # noqa: N802 - OpenCV's names
    def grab(self) -> bool: ...
    def retrieve(self) -> tuple[bool, Any]: ...
    def release(self) -> None: ...


def open_device(source: str, camera: CameraModel, fps: float, fourcc: str = "") -> cv2.VideoCapture:
    """A V4L2 device (/dev/video0, or its number), a file or a URL by OpenCV, asked for the camera's size and this rate.

    One frame is buffered at most, where the driver can: an old picture is worth less than none.
    """
    number = source.removeprefix("/dev/video")
    capture = cv2.VideoCapture(int(number), cv2.CAP_V4L2) if number.isdecimal() else cv2.VideoCapture(source)
    if fourcc:
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*fourcc))
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, camera.width)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, camera.height)
    capture.set(cv2.CAP_PROP_FPS, fps)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture


def capture_frames(
    open_it: Open, camera: CameraModel, on_frame: OnFrame, say: Callable[[str], None], stop: Event, retry_s: float
) -> None:
    """Blocks until `stop` is set; takes the device up again every `retry_s` when it is gone.

    A frame that equals the last one bit by bit is not new: no sensor is that quiet, a pipeline that hangs is. So it is
    not handed on, and whoever waits for pictures finds out from the silence. `say` hears a sentence when the device
    comes, when it goes, and when its pictures are of another size than the camera file says; those are dropped.
    """
    there = True
    while not stop.is_set():
        device = open_it()
        try:
            if device.isOpened():
                there = True
                _follow(device, camera, on_frame, say, stop)
        finally:
            device.release()
        if there and not stop.is_set():
            say("The camera cannot be opened or gives no more pictures; trying again.")
            there = False
        stop.wait(retry_s)


def _follow(device: _Device, camera: CameraModel, on_frame: OnFrame, say: Callable[[str], None], stop: Event) -> None:
    """Hand on what one device gives until it ends."""
    last, told = None, ""
    while not stop.is_set() and device.grab():
        grabbed_s = time.monotonic()
        retrieved, frame = device.retrieve()
        if not retrieved or frame is None:
            return
        news = _why_useless(frame, camera)
        if news != told:
            told = news
            say(news or f"The camera gives pictures of {camera.width}x{camera.height}.")
        if not news and (last is None or not np.array_equal(frame, last)):
            on_frame(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), grabbed_s)
        last = frame


def _why_useless(frame: np.ndarray, camera: CameraModel) -> str:
    """One sentence, or nothing for a colour picture of the camera's size."""
    if frame.shape == (camera.height, camera.width, 3) and frame.dtype == np.uint8:
        return ""
    size = "x".join(str(n) for n in frame.shape[1::-1])
    channels = frame.shape[2] if frame.ndim == 3 else 1
    return (
        f"The camera gives pictures of {size} with {channels} channels of {frame.dtype}, "
        f"its file '{camera.name}' says {camera.width}x{camera.height} with 3 of uint8; they are dropped."
    )
