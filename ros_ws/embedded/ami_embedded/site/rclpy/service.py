"""Both ends of services.

On the wire a request and its reply carry 16 bytes before the body: the instance handle of the client's request writer
and a sequence number (rmw_cyclonedds). Both endpoints of a client announce one `clientid`, of a server one `serviceid`.
"""

from __future__ import annotations

import itertools
import struct
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from rosbags.serde import SerdeError

from ami_embedded import dds, graph, interfaces

from .logging import RcutilsLogger
from .qos import QoSProfile
from .task import Future

_numbers = itertools.count(1)
_HEADER = struct.Struct("<Qq")
_REPLY_READER_S = 0.1  # how long a server waits for discovery of the client's reply reader, as rmw_cyclonedds does


class _ServiceEndpoint:
    """A reader and a writer of the two topics of a service."""

    _inline = False

    def __init__(
        self,
        participant: dds.Participant,
        srv_type: Any,
        name: str,
        qos: QoSProfile,
        is_server: bool,
        logger: RcutilsLogger,
    ) -> None:
        self.srv_type, self.service_name, self.qos_profile, self._logger = srv_type, name, qos, logger
        base = srv_type._type_name
        self._request_type, self._response_type = f"{base}_Request", f"{base}_Response"
        for type_name in (self._request_type, self._response_type):
            interfaces.store.prepare(type_name)
        unique = participant.gid[:12] + struct.pack(">I", next(_numbers))
        key = "serviceid" if is_server else "clientid"
        self._identity = f"{key}={'.'.join(f'{byte:x}' for byte in unique)};"

        def endpoint(kind: Any, prefix: str, part: str) -> Any:
            data = self._identity + graph.user_data(base)
            topic = f"{prefix}{name}{'Request' if part == 'Request' else 'Reply'}"
            return kind(participant, topic, interfaces.dds_type_name(f"{base}_{part}"), qos._to_dds(data))

        request, reply = ("rq", "Request"), ("rr", "Response")
        self._reader: dds.Reader = endpoint(dds.Reader, *(request if is_server else reply))
        self._writer: dds.Writer = endpoint(dds.Writer, *(reply if is_server else request))
        self.condition = self._reader.condition

    def _write(self, client: int, number: int, message: Any) -> None:
        body = interfaces.serialize(message)
        body[4:4] = _HEADER.pack(client, number)
        self._writer.write(body)

    def _read(self, type_name: str, wanted: int | None) -> tuple[int, int, int, Any] | None:
        """Take one message: (client, sequence number, publication handle, body); body None when it is for others."""

        def decode(view: memoryview) -> tuple[int, int, Any]:
            if len(view) < 20:
                raise SerdeError(f"cannot read a {type_name}: {len(view)} bytes")
            client, number = _HEADER.unpack_from(view, 4)
            if wanted is not None and client != wanted:
                return client, number, None
            return client, number, interfaces.deserialize(bytes(view[:4]) + bytes(view[20:]), type_name)

        try:
            taken = self._reader.take(decode)
        except SerdeError as error:
            self._logger.error(
                f"dropped a message of the service {self.service_name}: {error}", throttle_duration_sec=1.0
            )
            return None
        return None if taken is None else (*taken[0][:2], taken[1].publication_handle, taken[0][2])

    def destroy(self) -> None:
        """Delete it; use the node's destroy method."""
        self._reader.close()
        self._writer.close()


class Service(_ServiceEndpoint):
    """Answers requests. Made by `Node.create_service`."""

    def __init__(self, *args: Any, callback: Callable[[Any, Any], Any], callback_group: Any) -> None:
        super().__init__(*args)
        self.callback, self.callback_group = callback, callback_group
        self._present: set[int] = set()  # request writers whose reply reader was seen

    @property
    def srv_name(self) -> str:
        """The fully qualified name."""
        return self.service_name

    def _take(self) -> Callable[[], Any] | None:
        taken = self._read(self._request_type, None)
        return None if taken is None else partial(self._answer, *taken)

    def _answer(self, client: int, number: int, publication: int, request: Any) -> Any:
        response = self.callback(request, self.srv_type.Response())
        if hasattr(response, "send"):  # a coroutine
            return self._answer_later(client, number, publication, response)
        self._send(client, number, publication, response)
        return None

    async def _answer_later(self, client: int, number: int, publication: int, coroutine: Any) -> None:
        self._send(client, number, publication, await coroutine)

    def _send(self, client: int, number: int, publication: int, response: Any) -> None:
        if not isinstance(response, self.srv_type.Response):
            raise TypeError(f"the callback of {self.service_name} has to return a Response, not {type(response)}")
        self._await_reply_reader(publication)
        self._write(client, number, response)

    def _await_reply_reader(self, publication: int) -> None:
        if publication in self._present:
            return
        deadline = time.monotonic() + _REPLY_READER_S
        while time.monotonic() < deadline:
            data = self._reader.matched_user_data(publication)
            if data is None:  # the client has gone
                return
            client = next((p for p in data.split(";") if p.startswith("clientid=")), None)
            handles = self._writer.matched_handles()
            if client is None or any(client in (self._writer.matched_user_data(h) or "").split(";") for h in handles):
                self._present.add(publication)
                return
            time.sleep(0.002)


class Client(_ServiceEndpoint):
    """Calls a service. Made by `Node.create_client`."""

    _inline = True  # the threads of a pool may all be waiting for responses

    def __init__(self, *args: Any, callback_group: Any, context: Any, executor: Callable[[], Any]) -> None:
        super().__init__(*args)
        self.callback_group, self._context, self._executor = callback_group, context, executor
        self._pending: dict[int, Future] = {}
        self._lock = threading.Lock()
        self._sent = 0
        self._handle = self._writer.instance_handle

    @property
    def srv_name(self) -> str:
        """The fully qualified name."""
        return self.service_name

    def call_async(self, request: Any) -> Future:
        """Send a request; the future gets the response when an executor spins this client's node.

        Raises:
            TypeError: not a Request of this service.
        """
        if not isinstance(request, self.srv_type.Request):
            raise TypeError(f"Expected {self.srv_type.Request}, got {type(request)}")
        future = Future(executor=self._executor)
        with self._lock:
            self._sent += 1
            number = self._sent
            self._pending[number] = future
        self._write(self._handle, number, request)
        return future

    def service_is_ready(self) -> bool:
        """Whether a server is connected, both ways."""
        return self._writer.matched_count > 0 and self._reader.matched_count > 0

    def wait_for_service(self, timeout_sec: float | None = None) -> bool:
        """Block until a server is there; False after the timeout or at shutdown."""
        deadline = None if timeout_sec is None else time.monotonic() + timeout_sec
        while self._context.ok():
            if self.service_is_ready():
                return True
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        return False

    def _take(self) -> Callable[[], Any] | None:
        """Hand a response to its future."""
        taken = self._read(self._response_type, self._handle)
        if taken is not None and taken[3] is not None:
            with self._lock:
                future = self._pending.pop(taken[1], None)
            if future is not None and not future.done():
                future.set_result(taken[3])
        return None
