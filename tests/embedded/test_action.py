"""Actions between two processes: the server is subjects/counter.py."""

import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
import rclpy
from action_msgs.msg import GoalInfo, GoalStatus, GoalStatusArray
from action_msgs.srv import CancelGoal
from ami_interfaces.action import PursueGoal
from ami_interfaces.msg import ShownGoal
from core import WAIT_S, spin_until
from geometry_msgs.msg import Point
from peers import importing_from, subject, unique_namespace
from rclpy.action import ActionClient, ActionServer, CancelResponse
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import qos_profile_action_status_default
from rclpy.task import Future
from unique_identifier_msgs.msg import UUID

SUCCEED, ABORT, RAISE, FORGET, WRONG_RESULT, KEEP_ON = range(6)


class Asker:
    """A client node in this process, spun while it waits."""

    def __init__(self, namespace):
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("asker", namespace=namespace, context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.client = ActionClient(self.node, PursueGoal, "count")

    def wait(self, future):
        spin_until(self.executor, future.done)
        return future.result()

    def send(self, steps, period_s=0.0, kind=SUCCEED, **kwargs):
        point = Point(x=float(steps), y=period_s, z=float(kind))
        goal = PursueGoal.Goal(shown=ShownGoal(tool_positions=[point]))
        return self.wait(self.client.send_goal_async(goal, **kwargs))

    def close(self):
        self.executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()


@contextmanager
def cancel_service(node, action):
    """Client of the service behind the action client's cancel_goal_async, which asks for one goal of its own only."""
    client = node.create_client(CancelGoal, f"{action}/_action/cancel_goal")
    assert client.wait_for_service(timeout_sec=WAIT_S)
    yield client
    node.destroy_client(client)


@pytest.fixture(scope="module")
def namespace():
    namespace = unique_namespace()
    with subject("counter", namespace):
        yield namespace


@pytest.fixture
def asker(namespace):
    asker = Asker(namespace)
    spin_until(asker.executor, asker.client.server_is_ready)
    yield asker
    asker.close()


def test_feedback_comes_in_order_and_the_result_after_the_end(asker):
    steps = []
    handle = asker.send(8, 0.01, feedback_callback=lambda message: steps.append(message.feedback.step))
    assert handle.accepted
    response = asker.wait(handle.get_result_async())
    assert (response.status, response.result.outcome, response.result.steps) == (
        GoalStatus.STATUS_SUCCEEDED,
        "counted",
        8,
    )
    assert steps == list(range(1, len(steps) + 1)) and len(steps) >= 7  # the last may still be under way
    spin_until(asker.executor, lambda: handle.status == GoalStatus.STATUS_SUCCEEDED)


def test_a_rejected_goal_says_so_and_has_no_result(asker):
    handle = asker.send(101)
    assert not handle.accepted
    assert asker.wait(handle.get_result_async()).status == GoalStatus.STATUS_UNKNOWN


def test_cancelling_ends_the_goal_in_the_middle(asker):
    seen = []
    handle = asker.send(100, 0.02, feedback_callback=seen.append)
    spin_until(asker.executor, lambda: len(seen) >= 3)
    result = handle.get_result_async()
    answer = asker.wait(handle.cancel_goal_async())
    assert answer.return_code == CancelGoal.Response.ERROR_NONE
    assert [bytes(info.goal_id.uuid) for info in answer.goals_canceling] == [bytes(handle.goal_id.uuid)]
    response = asker.wait(result)
    assert (response.status, response.result.outcome) == (GoalStatus.STATUS_CANCELED, "cancelled")
    assert 3 <= response.result.steps < 100


def test_a_refused_cancel_leaves_the_goal_running(asker):
    handle = asker.send(20, 0.01, kind=KEEP_ON)
    answer = asker.wait(handle.cancel_goal_async())
    assert not answer.goals_canceling
    assert asker.wait(handle.get_result_async()).status == GoalStatus.STATUS_SUCCEEDED


@pytest.mark.embedded
def test_a_refused_cancel_says_that_it_was_refused(asker):
    """In Jazzy its return code is that of a success."""
    answer = asker.wait(asker.send(20, 0.01, kind=KEEP_ON).cancel_goal_async())
    assert answer.return_code == CancelGoal.Response.ERROR_REJECTED


def test_cancelling_what_has_ended_or_never_was_is_answered_with_its_code(asker):
    handle = asker.send(1)
    asker.wait(handle.get_result_async())
    answer = asker.wait(handle.cancel_goal_async())
    assert answer.return_code == CancelGoal.Response.ERROR_GOAL_TERMINATED
    stranger = CancelGoal.Request(goal_info=GoalInfo(goal_id=UUID(uuid=list(range(1, 17)))))
    with cancel_service(asker.node, "count") as cancel:
        assert asker.wait(cancel.call_async(stranger)).return_code == CancelGoal.Response.ERROR_UNKNOWN_GOAL_ID


@pytest.mark.parametrize("kind", [ABORT, RAISE, FORGET])
def test_a_goal_that_goes_wrong_is_aborted(asker, kind):
    response = asker.wait(asker.send(2, kind=kind).get_result_async())
    assert response.status == GoalStatus.STATUS_ABORTED
    assert response.result.outcome == ("" if kind == RAISE else "counted")


@pytest.mark.embedded
def test_a_result_of_the_wrong_type_is_sent_as_an_empty_one(asker):
    response = asker.wait(asker.send(1, kind=WRONG_RESULT).get_result_async())
    assert (response.status, response.result.outcome) == (GoalStatus.STATUS_SUCCEEDED, "")


def test_two_goals_run_side_by_side_with_their_own_feedback(asker):
    slow_steps, fast_steps = [], []
    slow = asker.send(8, 0.1, feedback_callback=lambda m: slow_steps.append(m.feedback.step))
    fast = asker.send(4, 0.01, feedback_callback=lambda m: fast_steps.append(m.feedback.step))
    assert asker.wait(fast.get_result_async()).result.steps == 4
    assert len(slow_steps) < 8
    assert asker.wait(slow.get_result_async()).result.steps == 8
    assert max(fast_steps) <= 4 and max(slow_steps) > 4


def test_the_result_can_be_asked_for_before_the_end_after_it_and_twice(asker):
    handle = asker.send(5, 0.02)
    early, twin = handle.get_result_async(), handle.get_result_async()
    assert asker.wait(early).result.steps == 5
    assert asker.wait(twin).result.steps == 5
    assert asker.wait(handle.get_result_async()).result.steps == 5


def test_the_same_goal_id_is_not_accepted_twice(asker):
    goal_id = UUID(uuid=[7] * 16)
    assert asker.send(1, goal_uuid=goal_id).accepted
    assert not asker.send(1, goal_uuid=goal_id).accepted


def test_a_late_listener_gets_the_last_status(asker):
    handle = asker.send(1)
    asker.wait(handle.get_result_async())
    heard = []
    asker.node.create_subscription(
        GoalStatusArray, "count/_action/status", heard.append, qos_profile_action_status_default
    )
    spin_until(asker.executor, lambda: heard)
    statuses = {bytes(s.goal_info.goal_id.uuid): s.status for s in heard[-1].status_list}
    assert statuses[bytes(handle.goal_id.uuid)] == GoalStatus.STATUS_SUCCEEDED


def test_a_wrong_goal_type_is_refused_at_once(asker):
    with pytest.raises(TypeError):
        asker.client.send_goal_async(PursueGoal.Result())


@pytest.mark.embedded
def test_what_is_refused_as_a_goal_is_told_the_right_type(asker):
    with pytest.raises(TypeError, match=r"PursueGoal\.Goal"):
        asker.client.send_goal_async(PursueGoal.Result())


def test_a_client_that_vanishes_in_the_middle_does_not_disturb_the_next(asker, namespace, tmp_path):
    code = (
        "import rclpy\nfrom rclpy.action import ActionClient\nfrom ami_interfaces.action import PursueGoal\n"
        "from geometry_msgs.msg import Point\n"
        "def main():\n"
        "    rclpy.init(); node = rclpy.create_node('leaver'); client = ActionClient(node, PursueGoal, 'count')\n"
        "    while not client.server_is_ready(): rclpy.spin_once(node, timeout_sec=0.1)\n"
        "    def wait(future):\n"
        "        while not future.done(): rclpy.spin_once(node)\n"
        "    goal = PursueGoal.Goal(); goal.shown.tool_positions = [Point(x=5.0, y=0.05)]\n"
        "    future = client.send_goal_async(goal); wait(future)\n"
        "    result = future.result().get_result_async(); print('asked', flush=True)\n"
        "    wait(result)\n"
    )
    (tmp_path / "leaver.py").write_text(code)
    command = [sys.executable, "-m", "ami_embedded.run", "leaver", "--ros-args", "-r", f"__ns:={namespace}"]
    leaver = subprocess.Popen(command, env=importing_from(tmp_path), stdout=subprocess.PIPE, text=True)
    assert leaver.stdout is not None and leaver.stdout.readline() == "asked\n"
    leaver.send_signal(signal.SIGKILL)
    leaver.communicate()
    assert asker.wait(asker.send(20, 0.02).get_result_async()).result.steps == 20  # beyond the end of the orphan


def test_a_result_expires():
    namespace = unique_namespace()
    with subject("counter", namespace, result_timeout=0.2):
        asker = Asker(namespace)
        spin_until(asker.executor, asker.client.server_is_ready)
        handle = asker.send(1)
        assert asker.wait(handle.get_result_async()).status == GoalStatus.STATUS_SUCCEEDED
        time.sleep(0.3)
        assert asker.wait(handle.get_result_async()).status == GoalStatus.STATUS_UNKNOWN
        asker.close()


@pytest.mark.embedded  # rclpy says that the feedback could not be published
def test_ctrl_c_in_the_middle_of_a_goal_ends_the_server_quietly():
    namespace = unique_namespace()
    with subject("counter", namespace) as server:
        asker = Asker(namespace)
        spin_until(asker.executor, asker.client.server_is_ready)
        assert asker.send(90, 0.02).accepted
        server.send_signal(signal.SIGINT)
        said, _ = server.communicate(timeout=3)
        assert (server.returncode, said) == (0, "")
        asker.close()


class OneThread:
    """A server and a client in one single-threaded executor; the execute callback is a coroutine."""

    def __init__(self, execute, **callbacks):
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        namespace = unique_namespace()
        self.nodes = [rclpy.create_node(n, namespace=namespace, context=self.context) for n in ("server", "client")]
        self.executor = SingleThreadedExecutor(context=self.context)
        for node in self.nodes:
            self.executor.add_node(node)
        self.server = ActionServer(self.nodes[0], PursueGoal, "pursue", execute, **callbacks)
        self.client = ActionClient(self.nodes[1], PursueGoal, "pursue")
        spin_until(self.executor, self.client.server_is_ready)

    def wait(self, future):
        spin_until(self.executor, future.done)
        return future.result()

    def close(self):
        self.executor.shutdown()
        for node in self.nodes:
            node.destroy_node()
        self.context.try_shutdown()


def test_a_coroutine_goal_leaves_its_single_thread_free_for_the_cancel_request():
    asked_to_cancel = Future()

    async def execute(goal_handle):
        await asked_to_cancel
        assert goal_handle.is_cancel_requested
        goal_handle.canceled()
        return PursueGoal.Result(outcome="cancelled")

    async def cancel(goal_handle):
        return CancelResponse.ACCEPT

    one = OneThread(execute, cancel_callback=cancel)
    handle = one.wait(one.client.send_goal_async(PursueGoal.Goal()))
    result = handle.get_result_async()
    assert len(one.wait(handle.cancel_goal_async()).goals_canceling) == 1
    asked_to_cancel.set_result(None)
    assert one.wait(result).status == GoalStatus.STATUS_CANCELED
    one.close()


def test_an_accepted_goal_can_be_kept_for_later_and_cancelled_before_it_starts():
    waiting = []

    def execute(goal_handle):
        assert goal_handle.is_cancel_requested
        goal_handle.canceled()
        return PursueGoal.Result(outcome="never started")

    one = OneThread(execute, handle_accepted_callback=waiting.append, cancel_callback=lambda _: CancelResponse.ACCEPT)
    handle = one.wait(one.client.send_goal_async(PursueGoal.Goal()))
    one.wait(handle.cancel_goal_async())
    assert [goal.status for goal in waiting] == [GoalStatus.STATUS_CANCELING]
    waiting[0].execute()
    response = one.wait(handle.get_result_async())
    assert (response.status, response.result.outcome) == (GoalStatus.STATUS_CANCELED, "never started")
    with pytest.raises(RuntimeError):
        waiting[0].succeed()
    one.close()


def test_one_request_cancels_all_goals():
    one = OneThread(lambda g: PursueGoal.Result(), handle_accepted_callback=lambda _: None)
    one.server.register_cancel_callback(lambda _: CancelResponse.ACCEPT)
    handles = [one.wait(one.client.send_goal_async(PursueGoal.Goal())) for _ in range(3)]
    with cancel_service(one.nodes[1], "pursue") as cancel:
        answer = one.wait(cancel.call_async(CancelGoal.Request()))
    assert {bytes(i.goal_id.uuid) for i in answer.goals_canceling} == {bytes(h.goal_id.uuid) for h in handles}
    one.close()


def test_a_feedback_callback_may_be_a_coroutine_function():
    steps = []

    def execute(goal_handle):
        goal_handle.publish_feedback(PursueGoal.Feedback(step=1))
        goal_handle.succeed()
        return PursueGoal.Result()

    async def hear(message):
        steps.append(message.feedback.step)

    one = OneThread(execute)
    one.wait(one.client.send_goal_async(PursueGoal.Goal(), feedback_callback=hear))
    spin_until(one.executor, lambda: steps)
    assert steps == [1]
    one.close()
