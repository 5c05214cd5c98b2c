"""The other process of the core tests: returns images, latches words, answers, and follows its parameters."""

import sys

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import String
from std_srvs.srv import SetBool


def main():
    rclpy.init()
    node = rclpy.create_node("companion", automatically_declare_parameters_from_overrides=True)
    images = node.create_publisher(Image, "image_out", 10)
    node.create_subscription(Image, "image_in", images.publish, 10)
    latched = node.create_publisher(String, "latched", QoSProfile(depth=3, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    for word in ("one", "two", "three", "four", "five"):
        latched.publish(String(data=word))
    unreliable = node.create_publisher(
        String, "unreliable", QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    )
    if not node.has_parameter("quiet"):
        node.create_timer(0.02, lambda: unreliable.publish(String(data="now")))

    def on_switch(request, response):
        response.success, response.message = request.data, f"switched {'on' if request.data else 'off'}"
        return response

    node.create_service(SetBool, "switch", on_switch)
    print("parameters", {n: p.value for n, p in sorted(node.get_parameters_by_prefix("").items())}, flush=True)
    print("ready", flush=True)
    if node.has_parameter("bare") and node.get_parameter("bare").value:
        rclpy.spin(node)  # a Ctrl-C that nobody catches
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException) as error:
        print(type(error).__name__, rclpy.ok(), file=sys.stderr)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
