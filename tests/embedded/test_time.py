"""Simulated time: clocks, timers and sleeps follow /clock."""

import time

import pytest
from core import running, spin_until
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from rosgraph_msgs.msg import Clock as ClockMessage

SIM = [Parameter("use_sim_time", value=True)]


class Simulator:
    """Publishes /clock, remapped into the test's namespace so that tests on one machine do not mix."""

    def __init__(self, node, executor):
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.publisher, self.executor, self.node = node.create_publisher(ClockMessage, "/clock", qos), executor, node
        spin_until(executor, lambda: self.publisher.get_subscription_count())

    def set(self, seconds):
        message = ClockMessage()
        message.clock.sec, message.clock.nanosec = divmod(round(seconds * 1e9), 10**9)
        self.publisher.publish(message)
        spin_until(self.executor, lambda: self.node.get_clock().now().nanoseconds == round(seconds * 1e9))


@pytest.fixture
def simulated():
    remap = ["--ros-args", "-r", f"/clock:=/clock_{time.time_ns()}"]
    with running(parameter_overrides=SIM, args=remap) as (node, executor):
        yield node, executor, Simulator(node, executor)


def test_the_clock_stands_at_zero_until_the_first_message(simulated):
    node, _, simulator = simulated
    assert node.get_clock().now() == Time(clock_type=ClockType.ROS_TIME)
    simulator.set(12.5)
    assert node.get_clock().now().nanoseconds == 12_500_000_000


def test_timers_follow_simulated_time_only(simulated):
    node, executor, simulator = simulated
    simulator.set(100.0)
    calls = []
    node.create_timer(1.0, lambda: calls.append(node.get_clock().now().nanoseconds * 1e-9))
    executor.spin_once(timeout_sec=0.05)
    for seconds in (100.5, 100.9, 101.0, 101.5, 102.25, 103.0):
        simulator.set(seconds)
        executor.spin_once(timeout_sec=0.02)
    assert calls == [101.0, 102.25, 103.0]


def test_a_steady_timer_ignores_simulated_time(simulated):
    node, executor, _ = simulated
    calls = []
    node.create_timer(0.01, lambda: calls.append(1), clock=Clock(clock_type=ClockType.STEADY_TIME))
    spin_until(executor, lambda: len(calls) > 3)


def test_a_jump_backwards_restarts_timers(simulated):
    node, executor, simulator = simulated
    simulator.set(100.0)
    calls = []
    node.create_timer(1.0, lambda: calls.append(1))
    simulator.set(5.0)
    simulator.set(6.5)
    executor.spin_once(timeout_sec=0.02)
    assert calls == [1]


def test_switching_simulated_time_off_returns_to_the_system_clock(simulated):
    node, _, simulator = simulated
    simulator.set(3.0)
    assert node.set_parameters([Parameter("use_sim_time", value=False)])[0].successful
    assert abs(node.get_clock().now().nanoseconds - time.time_ns()) < 1e9


def test_times_and_durations_calculate_as_in_rclpy():
    begin = Time(seconds=1, nanoseconds=5, clock_type=ClockType.ROS_TIME)
    end = begin + Duration(seconds=0.5)
    assert end - begin == Duration(nanoseconds=500_000_000) and end > begin
    assert (end.to_msg().sec, end.to_msg().nanosec) == (1, 500_000_005)
    message = Duration(seconds=-0.25).to_msg()
    assert (message.sec, message.nanosec) == (-1, 750_000_000)
    with pytest.raises(TypeError):
        _ = begin < Time(seconds=1)
    with pytest.raises(ValueError, match="negative"):
        Time(nanoseconds=-1)
