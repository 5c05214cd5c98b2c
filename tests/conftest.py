"""For all tests: rclpy and the message packages, ROS 2's own where they are, can be imported; Ctrl-C is heard."""

import signal
from pathlib import Path

import pytest

from ami_embedded import finder

EMBEDDED = finder.install()

pytest_plugins = "tests.stalls"

SLOW_S = 3600.0
"""What a slow test may take; for the others pyproject.toml says it."""

ALONE = [Path(__file__).parent / folder for folder in ("embedded", "nodes")]


@pytest.hookimpl(tryfirst=True)  # before -m looks
def pytest_collection_modifyitems(items) -> None:
    """Mark what does not run beside other tests, what takes long, and what ROS 2's own rclpy cannot be asked."""
    for item in items:
        if not EMBEDDED and item.get_closest_marker("embedded"):
            item.add_marker(pytest.mark.skip(reason="of the embedded layer alone; this is ROS 2's own rclpy"))
        if item.get_closest_marker("graph") or any(folder in item.path.parents for folder in ALONE):
            item.add_marker("alone")
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(SLOW_S))


# A shell's background job ignores Ctrl-C, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
