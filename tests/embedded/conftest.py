"""Lends the tests the embedded rclpy and message packages before they import them."""

import os
import sys

from ami_embedded import finder

sys.path.insert(0, os.path.dirname(__file__))
finder.install()
