"""Executors, timers, callback groups, futures."""

import threading
import time
from contextlib import suppress

import pytest
import rclpy
from core import running, spin_until
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.task import Future
from std_msgs.msg import String


def threads(number):
    return lambda context: MultiThreadedExecutor(number, context=context)


def spin_in_thread(executor):
    def spin():
        with suppress(ExternalShutdownException):
            executor.spin()

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    return thread


def test_timers_keep_their_phase():
    with running() as (node, executor):
        calls_s = []
        node.create_timer(0.02, lambda: calls_s.append(time.monotonic()), clock=Clock(clock_type=ClockType.STEADY_TIME))
        begin = time.monotonic()
        spin_until(executor, lambda: len(calls_s) == 25)
        assert 0.48 < calls_s[-1] - begin < 0.8


def test_a_cancelled_timer_is_silent_until_it_is_reset():
    with running() as (node, executor):
        calls = []
        timer = node.create_timer(0.01, lambda: calls.append(1))
        spin_until(executor, lambda: len(calls) == 2)
        timer.cancel()
        executor.spin_once(timeout_sec=0.05)
        assert len(calls) == 2
        timer.reset()
        spin_until(executor, lambda: len(calls) == 3)


def test_spinning_with_nothing_to_do_ends_in_time_and_costs_nothing():
    with running() as (_, executor):
        before, cpu = time.monotonic(), time.thread_time()
        executor.spin_once(timeout_sec=0.3)
        assert 0.29 < time.monotonic() - before < 0.6
        assert time.thread_time() - cpu < 0.03


@pytest.mark.parametrize("busy", ["group", "pool"])
def test_what_cannot_run_yet_is_waited_for_without_polling(busy):
    """DDS conditions are level triggered: a loop that only skipped them would spin at full speed."""
    with running(executor_class=threads(3 if busy == "group" else 1)) as (node, executor):
        release, received = threading.Event(), []
        group = MutuallyExclusiveCallbackGroup()
        timer = node.create_timer(0.01, lambda: release.wait(5.0), callback_group=group)
        node.create_subscription(String, "chatter", received.append, 10, callback_group=group)
        publisher = node.create_publisher(String, "chatter", 10)
        thread = spin_in_thread(executor)
        time.sleep(0.1)
        publisher.publish(String(data="waits"))
        cpu = time.process_time()
        time.sleep(0.3)
        assert time.process_time() - cpu < 0.1 and not received
        timer.cancel()
        release.set()
        deadline = time.monotonic() + 5.0
        while not received and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [m.data for m in received] == ["waits"]
        executor.context.try_shutdown()
        thread.join(5.0)
        assert not thread.is_alive()


def test_a_blocking_callback_does_not_starve_another_group():
    with running(executor_class=threads(2)) as (node, executor):
        release, ticks = threading.Event(), []
        node.create_timer(0.01, lambda: release.wait(5.0), callback_group=MutuallyExclusiveCallbackGroup())
        node.create_timer(0.01, lambda: ticks.append(1), callback_group=MutuallyExclusiveCallbackGroup())
        spin_until(executor, lambda: len(ticks) >= 10)
        release.set()


def test_a_reentrant_group_runs_one_callback_at_the_same_time_as_itself():
    with running(executor_class=threads(2)) as (node, executor):
        both = threading.Barrier(2)
        met = []

        def on_message(_):
            both.wait(5.0)
            met.append(1)

        node.create_subscription(String, "chatter", on_message, 10, callback_group=ReentrantCallbackGroup())
        publisher = node.create_publisher(String, "chatter", 10)
        for _ in range(2):
            publisher.publish(String())
        spin_until(executor, lambda: len(met) == 2)


def test_a_mutually_exclusive_group_never_overlaps():
    with running(executor_class=threads(4)) as (node, executor):
        inside, most, calls = [], [0], []

        def on_timer():
            inside.append(1)
            most[0] = max(most[0], len(inside))
            time.sleep(0.002)
            inside.pop()
            calls.append(1)

        for _ in range(3):
            node.create_timer(0.003, on_timer)
        spin_until(executor, lambda: len(calls) > 30)
        assert most[0] == 1


@pytest.mark.parametrize("executor_class", [rclpy.executors.SingleThreadedExecutor, threads(2)])
def test_an_exception_in_a_callback_comes_out_of_spin(executor_class):
    with running(executor_class=executor_class) as (node, executor):

        def fail():
            raise ValueError("the arm fell off")

        node.create_timer(0.01, fail)
        with pytest.raises(ValueError, match="fell off"):
            spin_until(executor, lambda: False)


def test_a_coroutine_task_waits_for_a_future():
    with running() as (_, executor):
        future = Future()

        async def work():
            return f"{await future}!"

        task = executor.create_task(work())
        executor.spin_once(timeout_sec=0.1)
        assert not task.done()
        future.set_result("ready")
        spin_until(executor, task.done)
        assert task.result() == "ready!"


def test_shutdown_ends_a_spin_that_waits():
    with running() as (_, executor):
        outcome = []

        def spin():
            try:
                executor.spin()
            except ExternalShutdownException as error:
                outcome.append(error)

        thread = threading.Thread(target=spin)
        thread.start()
        time.sleep(0.05)
        executor.context.shutdown()
        thread.join(1.0)
        assert not thread.is_alive() and outcome


def test_a_guard_condition_calls_back_once():
    with running() as (node, executor):
        calls = []
        guard = node.create_guard_condition(lambda: calls.append(1))
        threading.Timer(0.05, guard.trigger).start()
        spin_until(executor, lambda: calls)
        executor.spin_once(timeout_sec=0.05)
        assert calls == [1]


def test_rclpy_can_be_shut_down_and_initialised_again():
    for _ in range(3):
        rclpy.init(args=[], signal_handler_options=rclpy.SignalHandlerOptions.NO)
        node, calls = rclpy.create_node("again"), []
        node.create_timer(0.01, lambda calls=calls: calls.append(1))
        while not calls:
            rclpy.spin_once(node, timeout_sec=1.0)
        node.destroy_node()
        rclpy.shutdown()
    assert not rclpy.ok()
