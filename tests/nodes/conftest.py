"""The message packages and rclpy that the nodes import: the real ones where ROS 2 is, else the embedded ones."""

from ami_embedded import finder

finder.install()
