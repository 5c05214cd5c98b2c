"""The machine: room for a recording and for shared memory, and its clocks."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ami_nodes.preflight import FaultError, Skipped
from ami_nodes.preflight_files import settings_named
from ami_nodes.preflight_rehearsal import Tried
from ami_nodes.recorder import LITTLE_GB
from ami_robot.perception.camera import camera_file, load_camera

SIMULATED_FPS = 15.0
"""Of a camera that has no parameter fps."""

OTHER_BYTES_PER_S = 300_000.0
"""All topics but pictures: 200 kB/s with people and an arm at rest; a report on each motion comes on top."""

SHARED_MEMORY = Path("/dev/shm")
SHARED_MEMORY_MB = 32.0
"""Some MB for each process of a ROS 2 whose middleware uses it (Fast DDS does)."""

CLOCKS_S, CLOCKS_DIFFER_S = 0.5, 0.005
TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised


def check_recording(tried: Sequence[Tried], minutes: float) -> str:
    """A folder that can be made, on a disk that has room for so many minutes."""
    folders = settings_named(tried, "folder")
    if not folders:
        raise Skipped("nothing is recorded.")
    given = next(iter(folders.values()))
    folder = Path(given or "runs/bag")
    if given and folder.exists():
        raise FaultError(f"{folder} exists already; a recording wants a folder of its own.")
    parent = next(p for p in folder.absolute().parents if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise FaultError(f"{parent} is no folder that {folder} can be made in.")
    free_gb = shutil.disk_usage(parent).free / 1e9
    wanted_gb = minutes * 60.0 * (OTHER_BYTES_PER_S + _picture_bytes_per_s(tried)) / 1e9
    if free_gb < wanted_gb + LITTLE_GB:
        raise FaultError(
            f"{parent} has {free_gb:.1f} GB left, {minutes:g} minutes (--minutes) take about {wanted_gb:.1f} GB and "
            f"{LITTLE_GB:g} GB has to remain."
        )
    return f"{minutes:g} minutes take about {wanted_gb:.1f} GB of the {free_gb:.1f} GB left at {parent}."


def _picture_bytes_per_s(tried: Sequence[Tried]) -> float:
    total = 0.0
    for label, file in settings_named(tried, "camera_file").items():
        try:
            camera = load_camera(camera_file(file))
        except ValueError as error:
            raise Skipped("the camera file cannot be used, so the size is not known.") from error
        total += camera.width * camera.height * 3 * settings_named(tried, "fps").get(label, SIMULATED_FPS)
    return total


def check_shared_memory(embedded: bool) -> str:
    """Room in /dev/shm, where the middleware wants some."""
    if embedded:
        raise Skipped("without ROS 2 no shared memory is used.")
    if not SHARED_MEMORY.is_dir():
        raise Skipped(f"this system has no {SHARED_MEMORY}.")
    free_mb = shutil.disk_usage(SHARED_MEMORY).free / 1e6
    if free_mb < SHARED_MEMORY_MB:
        raise FaultError(f"{SHARED_MEMORY} has {free_mb:.1f} MB left, {SHARED_MEMORY_MB:g} are wanted; make it larger.")
    return f"{SHARED_MEMORY} has {free_mb:.0f} MB left."


def check_clock(other_hosts: bool) -> str:
    """The system clock runs as fast as the steady one; with nodes on other hosts it has to be synchronised, too."""
    wall_s, steady_s = time.time(), time.monotonic()
    time.sleep(CLOCKS_S)
    apart_s = (time.time() - wall_s) - (time.monotonic() - steady_s)
    if abs(apart_s) > CLOCKS_DIFFER_S:
        raise FaultError(
            f"the system clock moved by {1000 * apart_s:.1f} ms against the steady clock within {CLOCKS_S:g} s; wait "
            "until it is set."
        )
    synchronised = _synchronised()
    known = {True: "is synchronised", False: "is not synchronised", None: "may be synchronised or not"}[synchronised]
    if other_hosts and synchronised is False:
        raise FaultError(f"the system clock {known} with a time server, and nodes of other hosts are listened to.")
    return f"the system clock {known} with a time server" + (
        "." if other_hosts else "; all nodes are on this host (ROS_AUTOMATIC_DISCOVERY_RANGE), so it is the only one."
    )


def _synchronised() -> bool | None:
    """What the kernel says; None where it cannot be asked."""
    if sys.platform != "linux":
        return None
    buffer = ctypes.create_string_buffer(1024)  # struct timex is 208 bytes; its first field, modes, 0: only read
    state = ctypes.CDLL(None).adjtimex(buffer)
    return None if state < 0 else state != TIME_ERROR
