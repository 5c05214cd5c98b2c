"""Lends the tests rclpy and message packages before they import them: ROS 2's own where they are, else the embedded."""

import os
import sys

import pytest

from ami_embedded import finder

sys.path.insert(0, os.path.dirname(__file__))
EMBEDDED = finder.install()


def pytest_collection_modifyitems(items):
    for item in items:
        if not EMBEDDED and item.get_closest_marker("embedded"):
            item.add_marker(pytest.mark.skip(reason="of the embedded layer alone; this is ROS 2's own rclpy"))
