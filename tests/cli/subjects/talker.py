"""The other process of test_ros.py: says something in every way there is, answers in two, keeps silent in two."""

import rclpy
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import ExternalShutdownException
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.task import Future
from sensor_msgs.msg import Image
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool, Trigger

LATCHED = QoSProfile(depth=3, durability=DurabilityPolicy.TRANSIENT_LOCAL)
BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
PERIOD_S, AGE_NS = 0.05, 200_000_000


def main():
    rclpy.init()
    node = rclpy.create_node("talker")
    node.declare_parameter("words", ["one"], ParameterDescriptor(description="nothing"))
    latched = node.create_publisher(String, "latched", LATCHED)
    for word in ("one", "two", "three"):
        latched.publish(String(data=word))
    node.create_publisher(String, "once", LATCHED).publish(String(data="once"))
    node.create_publisher(String, "silent", 10)
    node.create_publisher(String, "quarrel", 10)
    node.create_publisher(Bool, "quarrel", 10)
    node.create_publisher(String, "_hidden", 10)
    node.create_subscription(String, "ear", print, 10)
    reliable = node.create_publisher(String, "mixed", 10)
    unreliable = node.create_publisher(String, "mixed", BEST_EFFORT)
    camera = node.create_publisher(Image, "image", BEST_EFFORT)
    picture = Image(height=480, width=640, encoding="rgb8", step=1920, data=bytes(921600))

    def on_timer():
        seconds, nanoseconds = divmod(node.get_clock().now().nanoseconds - AGE_NS, 1_000_000_000)
        picture.header.stamp.sec, picture.header.stamp.nanosec = seconds, nanoseconds
        camera.publish(picture)
        reliable.publish(String(data="reliable"))
        unreliable.publish(String(data="unreliable"))

    def on_switch(request, response):
        response.success, response.message = request.data, f"switched {'on' if request.data else 'off'}"
        return response

    async def on_ponder(request, response):
        await Future()
        return response

    node.create_timer(PERIOD_S, on_timer)
    node.create_service(SetBool, "switch", on_switch)
    node.create_service(Trigger, "ponder", on_ponder, callback_group=ReentrantCallbackGroup())
    print("ready", flush=True)
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()
