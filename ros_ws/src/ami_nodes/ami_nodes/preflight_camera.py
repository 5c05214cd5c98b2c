"""The camera: its file, whether it sees what the checkpoint was trained on, and whether the device delivers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ami_nodes.preflight import FaultError, Skipped
from ami_nodes.preflight_files import checkpoints, settings_named
from ami_nodes.preflight_rehearsal import Tried
from ami_robot.perception.camera import CameraModel, camera_file, load_camera
from ami_robot.perception.capture import capture_frames, open_device
from ami_robot.perception.view import TrainingView

MOVED_M = 0.04
"""How far from where it was in training a camera was measured to do (README, 40 of 40 goals; with 8 cm 0 of 20)."""

TURNED_RAD = 0.04
"""What shifts a picture of things 1 m away as much."""

FIRST_PICTURE_S, MEASURED_S = 5.0, 2.0
RETRY_S = 0.05
"""A film that ends begins anew after this."""

LEAST_RATE = 0.8
"""Of the pictures a second that were asked for."""


def check_camera_file(tried: Sequence[Tried], max_age_days: float) -> str:
    """Present, sensible, and of a device not older than max_age_days."""
    sentences = []
    for label, file in _files(tried).items():
        camera = load_camera(file)
        sentences.append(f"{file} ({camera.width}x{camera.height}, {camera.method}) is of {camera.date}")
        if label not in settings_named(tried, "device"):
            sentences[-1] += ", which does not matter without a device"
        elif (age_days := _age_days(camera, file)) > max_age_days:
            raise FaultError(
                f"{file} is of {camera.date}, {age_days:.0f} days old, and {max_age_days:g} are allowed "
                "(--calibration-days); calibrate the camera again."
            )
    return f"{'; '.join(sentences)}."


def check_view(tried: Sequence[Tried]) -> str:
    """Whether pictures of this camera become those that the encoder was trained on: same optics, same place."""
    try:
        training = next(iter(checkpoints(tried).values())).training_camera
    except ValueError as error:
        raise Skipped("the checkpoint cannot be used.") from error
    sentences = []
    for file in _files(tried).values():
        try:
            camera = load_camera(file)
        except ValueError as error:
            raise Skipped("the camera file cannot be used.") from error
        TrainingView(camera, training)
        moved_m = float(np.linalg.norm(camera.position - training.position))
        turn = np.clip((np.trace(camera.rotation.T @ training.rotation) - 1.0) / 2.0, -1.0, 1.0)
        turned_rad = float(np.arccos(turn))
        where = f"{file} stands {100 * moved_m:.1f} cm and {turned_rad:.3f} rad from where the training camera stood"
        if moved_m > MOVED_M or turned_rad > TURNED_RAD:
            raise FaultError(f"{where}; {100 * MOVED_M:g} cm and {TURNED_RAD:g} rad are what the model can do with.")
        sentences.append(where)
    return f"{'; '.join(sentences)}, and sees all of its view."


def check_device(tried: Sequence[Tried]) -> str:
    """Look at each device for two seconds."""
    devices = [one for one in tried if "device" in one.settings]
    if not devices:
        raise Skipped("no camera is a device.")
    return " ".join(_look_at(one) for one in devices)


def _look_at(one: Tried) -> str:
    """The rate of one device. Raises FaultError."""
    device, wanted_hz = one.settings["device"], one.settings["fps"]
    try:
        camera = load_camera(_files([one])[one.label])
    except ValueError as error:
        raise Skipped("the camera file cannot be used.") from error
    open_it = partial(open_device, device, camera, wanted_hz, one.settings["fourcc"])
    _open_once(device, open_it)
    times_s: list[float] = []
    said: list[str] = []
    stop = threading.Event()
    thread = threading.Thread(
        target=capture_frames,
        args=(open_it, camera, lambda _, grabbed_s: times_s.append(grabbed_s), said.append, stop, RETRY_S),
        daemon=True,  # a driver that hangs does not hold us
    )
    thread.start()
    give_up_s = time.monotonic() + FIRST_PICTURE_S
    while not (times_s or said) and time.monotonic() < give_up_s:
        time.sleep(0.01)
    time.sleep(MEASURED_S if times_s else 0.0)
    stop.set()
    thread.join(MEASURED_S)
    if not times_s:
        raise FaultError(f"{device}: {said[0] if said else f'no picture came within {FIRST_PICTURE_S:g} s.'}")
    rate_hz = sum(at_s - times_s[0] <= MEASURED_S for at_s in times_s[1:]) / MEASURED_S
    if rate_hz < LEAST_RATE * wanted_hz:
        raise FaultError(
            f"{device} gives {rate_hz:.1f} new pictures a second, asked for were {wanted_hz:g}; one that "
            "equals the last to the bit is not new."
        )
    size = f"{camera.width}x{camera.height}"
    return f"{device} gives {rate_hz:.1f} pictures of {size} a second, asked for were {wanted_hz:g}."


def _open_once(device: str, open_it: Callable[[], Any]) -> None:
    """Raises FaultError when it cannot be opened."""
    capture = open_it()
    opened = capture.isOpened()
    capture.release()
    if not opened:
        there = ", ".join(map(str, sorted(Path("/dev").glob("video*")))) or "none"
        raise FaultError(f"{device} cannot be opened; V4L2 devices of this machine: {there}.")


def _files(tried: Sequence[Tried]) -> dict[str, Path]:
    """Camera file by node; raises Skipped when there is no camera."""
    files = {label: camera_file(file) for label, file in settings_named(tried, "camera_file").items()}
    if not files:
        raise Skipped("no camera is launched.")
    return files


def _age_days(camera: CameraModel, file: Path) -> float:
    try:
        date = datetime.fromisoformat(camera.date.replace("Z", "+00:00"))
    except ValueError:
        raise FaultError(
            f"{file} has the date {camera.date!r}, which is none (ISO 8601, as 2026-11-21), so nobody can tell how old "
            "the calibration is."
        ) from None
    if date.tzinfo is None:
        date = date.replace(tzinfo=timezone.utc)
    return (datetime.now(timezone.utc) - date).total_seconds() / 86400.0
