"""An action server to test clients against: counts to ``tool_position.x``, a step each ``tool_position.y`` seconds."""

import time

import rclpy
from ami_interfaces.action import PursueGoal
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor

SUCCEED, ABORT, RAISE, FORGET, WRONG_RESULT, KEEP_ON = range(6)


def execute(goal_handle):
    goal = goal_handle.request
    done = 0
    while done < goal.tool_position.x:
        if goal_handle.is_cancel_requested:
            goal_handle.canceled()
            return PursueGoal.Result(outcome="cancelled", steps=done)
        time.sleep(goal.tool_position.y)
        done += 1
        goal_handle.publish_feedback(PursueGoal.Feedback(step=done))
    if goal.kind == RAISE:
        raise ValueError("the arm fell off")
    if goal.kind == ABORT:
        goal_handle.abort()
    elif goal.kind != FORGET:
        goal_handle.succeed()
    return None if goal.kind == WRONG_RESULT else PursueGoal.Result(outcome="counted", steps=done)


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
        goal_callback=lambda g: GoalResponse.REJECT if g.tool_position.x > 100 else GoalResponse.ACCEPT,
        cancel_callback=lambda h: CancelResponse.REJECT if h.request.kind == KEEP_ON else CancelResponse.ACCEPT,
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
