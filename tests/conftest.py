"""For all tests: rclpy and the message packages, ROS 2's own where they are, can be imported; Ctrl-C is heard."""

import signal

from ami_embedded import finder

finder.install()

pytest_plugins = "tests.stalls"

# A shell's background job ignores Ctrl-C, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
