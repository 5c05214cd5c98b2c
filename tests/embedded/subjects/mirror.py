"""A node that prints what reached it from its command line, then spins."""

import os
import sys

import rclpy
from rclpy.executors import ExternalShutdownException


def main():
    rclpy.init()
    node = rclpy.create_node("mirror")
    for name, default in (("rate", 1), ("gain", 0.5), ("label", "none"), ("joints", [""]), ("from_file", 0)):
        print(name, "=", repr(node.declare_parameter(name, default).value))
    print("topic =", node.resolve_topic_name("chatter"))
    print("node =", node.get_fully_qualified_name())
    print("who =", os.environ.get("WHO"))
    print("arguments =", [a for a in sys.argv[1:] if a.startswith("--my")])
    try:
        print("ready", flush=True)
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()
