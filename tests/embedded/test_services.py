"""Services within and between processes."""

import time

from core import WAIT_S, companion, namespace_of, running, spin_until
from rclpy.callback_groups import ReentrantCallbackGroup
from std_srvs.srv import SetBool, Trigger


def test_another_process_answers_an_asynchronous_call():
    with running() as (node, executor), companion(namespace_of(node)):
        client = node.create_client(SetBool, "switch")
        assert client.wait_for_service(timeout_sec=WAIT_S)
        futures = [client.call_async(SetBool.Request(data=bool(n % 2))) for n in range(10)]
        for future in futures:
            spin_until(executor, future.done)
        assert [f.result().message for f in futures] == ["switched off", "switched on"] * 5


def test_the_first_request_of_a_fresh_client_is_answered():
    """Discovery of the two directions ends at different times; the server waits for the client's reply reader."""
    with running() as (node, _), companion(namespace_of(node)):
        for number in range(20):
            with running(f"fresh_{number}", namespace_of(node)) as (fresh, executor):
                client = fresh.create_client(SetBool, "switch")
                assert client.wait_for_service(timeout_sec=WAIT_S)
                future = client.call_async(SetBool.Request(data=True))
                spin_until(executor, future.done)
                assert future.result().success


def test_two_clients_of_one_service_get_their_own_answers():
    with running() as (node, executor):
        node.create_service(SetBool, "echo", lambda q, r: SetBool.Response(success=q.data))
        clients = [node.create_client(SetBool, "echo") for _ in range(2)]
        assert all(c.wait_for_service(timeout_sec=WAIT_S) for c in clients)
        futures = [c.call_async(SetBool.Request(data=bool(n))) for n, c in enumerate(clients)]
        spin_until(executor, lambda: all(f.done() for f in futures))
        assert [f.result().success for f in futures] == [False, True]


def test_waiting_for_a_service_that_is_not_there_ends():
    with running() as (node, _):
        client = node.create_client(Trigger, "nowhere")
        before = time.monotonic()
        assert not client.wait_for_service(timeout_sec=0.1) and not client.service_is_ready()
        assert time.monotonic() - before < 1.0


def test_a_coroutine_callback_may_await_a_call():
    with running() as (node, executor):
        node.create_service(Trigger, "inner", lambda q, r: Trigger.Response(message="inner"))
        client = node.create_client(Trigger, "inner")

        async def outer(request, response):
            response.message = f"outer of {(await client.call_async(Trigger.Request())).message}"
            return response

        node.create_service(Trigger, "outer", outer, callback_group=ReentrantCallbackGroup())
        future = node.create_client(Trigger, "outer").call_async(Trigger.Request())
        spin_until(executor, future.done)
        assert future.result().message == "outer of inner"
