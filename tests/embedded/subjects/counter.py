"""An action server to test clients against.

It counts to x of its goal's only point, with a step each y seconds, and ends as z says.
"""

import time

import rclpy
from ami_interfaces.action import PursueGoal
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor

SUCCEED, ABORT, RAISE, FORGET, WRONG_RESULT, KEEP_ON = range(6)


def asked(goal):
    (point,) = goal.shown.tool_positions
    return point.x, point.y, int(point.z)


def execute(goal_handle):
    steps, period_s, kind = asked(goal_handle.request)
    done = 0
    while done < steps:
        if goal_handle.is_cancel_requested:
            goal_handle.canceled()
            return PursueGoal.Result(outcome="cancelled", steps=done)
        time.sleep(period_s)
        done += 1
        goal_handle.publish_feedback(PursueGoal.Feedback(step=done))
    if kind == RAISE:
        raise ValueError("the arm fell off")
    if kind == ABORT:
        goal_handle.abort()
    elif kind != FORGET:
        goal_handle.succeed()
    return None if kind == WRONG_RESULT else PursueGoal.Result(outcome="counted", steps=done)


def main():
    rclpy.init()
    node = rclpy.create_node("counter")
    timeout_s = node.declare_parameter("result_timeout", 10.0).value
    ActionServer(
        node,
        PursueGoal,
        "count",
        execute,
        callback_group=ReentrantCallbackGroup(),
        goal_callback=lambda g: GoalResponse.REJECT if asked(g)[0] > 100 else GoalResponse.ACCEPT,
        cancel_callback=lambda h: CancelResponse.REJECT if asked(h.request)[2] == KEEP_ON else CancelResponse.ACCEPT,
        result_timeout=timeout_s,
    )
    executor = MultiThreadedExecutor(num_threads=6)
    executor.add_node(node)
    try:
        print("ready", flush=True)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()
