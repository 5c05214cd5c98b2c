"""Raw-CDR transport on Cyclone DDS: participants, writers, readers, waitsets.

The Python classes of the `cyclonedds` wheel want an IDL class for each type and spend tens of milliseconds on an image,
so they are left aside: a topic here is a type *name* with one opaque octet behind it, and payloads are the CDR bytes
that ROS 2 puts on the wire (OMG DDS-XTYPES 1.3, XCDR1, little endian).

Every call that may wait releases the GIL; every object may be used from any thread.
"""

from __future__ import annotations

import ctypes as ct
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from ami_embedded.libddsc import (
    DDSError,
    EndpointSample,
    Iovec,
    SampleInfo,
    TopicDescriptor,
    checked,
    lib,
    memory,
    view_of,
)

T = TypeVar("T")

INFINITE_NS = 0x7FFFFFFFFFFFFFFF
_ANY_STATE = 0x7F  # any sample, view and instance state
_ALIVE = 0x1F  # any sample and view state, instance alive
_TIMEOUT, _GONE = -10, (-3, -9)  # DDS_RETCODE_*; a deleted handle is a bad parameter, or already deleted
_LOG_DEFAULT, _LOG_NONE = 0x1 | 0x2 | 0x4, 0x0  # fatal, error, warning

# A struct with one octet: ADR | TYPE_1BY at offset 0, then RTS. Types match by name alone, as in rmw_cyclonedds.
_OPS = (ct.c_uint32 * 3)(0x01 << 24 | 0x01 << 16, 0, 0)
_RESTRICT_DATA_REPRESENTATION, _XCDR1 = 1 << 7, 1 << 0


class QoS(NamedTuple):
    """The policies a ROS 2 endpoint sets; durations in ns."""

    reliable: bool = True
    transient_local: bool = False
    depth: int = 10  # KEEP_LAST depth; 0 = KEEP_ALL
    deadline_ns: int = INFINITE_NS
    lifespan_ns: int = INFINITE_NS
    user_data: str = ""


# A publisher waits this long for a reliable reader that does not keep up, then its publish fails.
_MAX_BLOCKING_NS = 1_000_000_000


def _with_qos(qos: QoS, create: Callable[[int], int]) -> int:
    handle = memory.dds_create_qos()
    try:
        memory.dds_qset_reliability(handle, int(qos.reliable), _MAX_BLOCKING_NS)
        memory.dds_qset_durability(handle, int(qos.transient_local))
        kind, depth = (0, qos.depth) if qos.depth else (1, -1)
        memory.dds_qset_history(handle, kind, depth)
        # What late joiners get is kept apart, one message unless said otherwise.
        memory.dds_qset_durability_service(handle, 0, kind, depth, -1, -1, -1)
        memory.dds_qset_deadline(handle, qos.deadline_ns)
        memory.dds_qset_lifespan(handle, qos.lifespan_ns)
        memory.dds_qset_writer_data_lifecycle(handle, False)
        data = qos.user_data.encode()
        memory.dds_qset_userdata(handle, data, len(data))
        return create(handle)
    finally:
        memory.dds_delete_qos(handle)


def user_data_of(qos_handle: int) -> str:
    """Return the USER_DATA policy of a dds_qos_t as text ("key=value;key=value;")."""
    data, size = ct.c_void_p(), ct.c_size_t()
    if not memory.dds_qget_userdata(qos_handle, ct.byref(data), ct.byref(size)) or not data.value:
        return ""
    try:
        return ct.string_at(data.value, size.value).decode("utf-8", "replace")
    finally:
        memory.dds_free(data)


def qos_of(qos_handle: int) -> QoS:
    """Return the policies of a dds_qos_t. History is not announced on the network: depth 10 then is a guess."""
    kind, blocking, depth = ct.c_int(), ct.c_int64(), ct.c_int32(10)
    memory.dds_qget_reliability(qos_handle, ct.byref(kind), ct.byref(blocking))
    reliable = bool(kind.value)
    memory.dds_qget_durability(qos_handle, ct.byref(kind))
    transient_local = kind.value >= 1
    if not memory.dds_qget_history(qos_handle, ct.byref(kind), ct.byref(depth)):
        kind.value = 0
    return QoS(reliable, transient_local, 0 if kind.value else depth.value, user_data=user_data_of(qos_handle))


class OtherConfigurationError(DDSError):
    """A domain cannot be configured twice in one process."""


class Entity:
    """A DDS entity with its process-wide handle; deleting twice, or after its participant, is harmless."""

    def __init__(self, handle: int) -> None:
        self.handle = handle

    def close(self) -> None:
        """Delete the entity and all that it contains."""
        handle, self.handle = self.handle, 0
        if handle:
            lib.dds_delete(handle)

    @property
    def gid(self) -> bytes:
        """The 16-byte GUID by which other processes know this entity."""
        guid = (ct.c_ubyte * 16)()
        checked(lib.dds_get_guid(self.handle, guid), "read a GUID")
        return bytes(guid)

    @property
    def instance_handle(self) -> int:
        """The local 64-bit name of this entity."""
        result = ct.c_uint64()
        checked(lib.dds_get_instance_handle(self.handle, ct.byref(result)), "read an instance handle")
        return result.value


class Participant(Entity):
    """Membership of one DDS domain; the owner of everything else.

    Args:
        domain_id: 0..232.
        config: Cyclone DDS XML. The first participant of a domain in a process sets it for all; the domain is never
            deleted again, since memory that it lent may outlive its participants.
        user_data: announced with the participant.

    Raises:
        DDSError: no participant could be created, with the likely reason.
        OtherConfigurationError: this process has joined that domain with another configuration.
    """

    def __init__(self, domain_id: int, config: str, user_data: str = "enclave=/;") -> None:
        with _LOCK:
            if _DOMAINS.get(domain_id, config) != config:
                raise OtherConfigurationError(
                    f"this process joined DDS domain {domain_id} before with another configuration: "
                    "its discovery range, peers and CYCLONEDDS_URI hold until it ends"
                )
            if domain_id not in _DOMAINS:
                lib.dds_set_log_mask(_LOG_NONE)  # its complaint is replaced by the exception's sentence
                code = lib.dds_create_domain(domain_id, config.encode())
                lib.dds_set_log_mask(_LOG_DEFAULT)
                if code < 0:
                    why = memory.dds_strretcode(code).decode()
                    raise DDSError(f"cannot join DDS domain {domain_id}: {why}")
                _DOMAINS[domain_id] = config
        super().__init__(
            checked(
                _with_qos(QoS(user_data=user_data), lambda q: lib.dds_create_participant(domain_id, q, None)),
                f"create a participant in DDS domain {domain_id}",
            )
        )

    def topic(self, name: str, type_name: str) -> Entity:
        """Create a topic named e.g. `rt/chatter` with a type named e.g. `std_msgs::msg::dds_::String_`."""
        descriptor = TopicDescriptor(
            size=1,
            align=1,
            flags=_RESTRICT_DATA_REPRESENTATION,
            type_name=type_name.encode(),
            n_ops=len(_OPS),
            ops=ct.addressof(_OPS),
            meta=b"",
            data_representation=_XCDR1,
        )
        handle = lib.dds_create_topic(self.handle, ct.byref(descriptor), name.encode(), None, None)
        return Entity(checked(handle, f"create topic {name} of type {type_name}"))


_LOCK = threading.Lock()
_DOMAINS: dict[int, str] = {}
_SERTYPES: set[int | None] = set()


class Endpoint(Entity):
    """A writer or a reader together with its topic."""

    _create: Any
    _matched: Any
    _matched_data: Any

    def __init__(self, participant: Participant, topic_name: str, type_name: str, qos: QoS) -> None:
        self._topic = participant.topic(topic_name, type_name)
        handle = _with_qos(qos, lambda q: self._create(participant.handle, self._topic.handle, q, None))
        if handle < 0:
            self._topic.close()
        super().__init__(checked(handle, f"create an endpoint on {topic_name}"))
        self._name = topic_name
        sertype = ct.c_void_p()
        checked(lib.dds_get_entity_sertype(self.handle, ct.byref(sertype)), "find a topic's type")
        with _LOCK:
            # Another thread may write or take while this entity is deleted: what describes its type stays for good.
            # That is one small structure for each type, since Cyclone shares them between endpoints.
            if sertype.value not in _SERTYPES:
                lib.ddsi_sertype_ref(sertype)
                _SERTYPES.add(sertype.value)
        self._sertype = sertype

    def close(self) -> None:
        """Delete the endpoint, then its topic."""
        super().close()
        self._topic.close()

    def matched_handles(self) -> list[int]:
        """Instance handles of the remote endpoints that this one is connected to."""
        count = checked(self._matched(self.handle, None, 0), "count matches")
        if not count:
            return []
        handles = (ct.c_uint64 * count)()
        count = min(count, checked(self._matched(self.handle, handles, count), "list matches"))
        return list(handles[:count])

    @property
    def matched_count(self) -> int:
        """How many remote endpoints this one is connected to."""
        return checked(self._matched(self.handle, None, 0), "count matches")

    def matched_user_data(self, instance_handle: int) -> str | None:
        """USER_DATA of a connected endpoint, None when it is not connected (any more)."""
        data = self._matched_data(self.handle, instance_handle)
        if not data:
            return None
        try:
            return user_data_of(EndpointSample.from_address(data).qos)
        finally:
            lib.dds_builtintopic_free_endpoint(data)


class Writer(Endpoint):
    """Sends CDR payloads."""

    _create, _matched = lib.dds_create_writer, lib.dds_get_matched_subscriptions
    _matched_data = lib.dds_get_matched_subscription_data

    def write(self, payload: bytearray) -> None:
        """Send one encapsulated CDR message (4 bytes of encapsulation, then the body); copied before it returns.

        Raises:
            DDSError: the writer is closed, or a reliable reader did not keep up for a second.
        """
        if not self.handle:
            raise DDSError(f"cannot write {self._name}: the writer was deleted")
        size = len(payload)
        vector = Iovec(ct.addressof((ct.c_char * size).from_buffer(payload)), size)
        serdata = lib.ddsi_serdata_from_ser_iov(self._sertype, 2, 1, ct.byref(vector), size)
        if not serdata:
            raise DDSError(f"cannot write {self._name}: the payload of {size} bytes is not CDR")
        code = lib.dds_writecdr(self.handle, serdata)  # takes the serdata over, also when it fails
        if code in _GONE:
            raise DDSError(f"cannot write {self._name}: its participant was deleted (rclpy was shut down)")
        checked(code, f"write {self._name}")


class Reader(Endpoint):
    """Receives CDR payloads."""

    _create, _matched = lib.dds_create_reader, lib.dds_get_matched_publications
    _matched_data = lib.dds_get_matched_publication_data

    def __init__(self, participant: Participant, topic_name: str, type_name: str, qos: QoS) -> None:
        super().__init__(participant, topic_name, type_name, qos)
        self.condition = checked(lib.dds_create_readcondition(self.handle, _ANY_STATE), "create a read condition")

    def take(self, decode: Callable[[memoryview], T]) -> tuple[T, SampleInfo] | None:
        """Take the oldest message: `decode(view of the encapsulated CDR)` and its sample info, None when there is none.

        The view is lent: `decode` has to copy what it keeps (BufferError when it does not). What it raises passes
        through; the message is consumed all the same.
        """
        serdata, info, vector = ct.c_void_p(), SampleInfo(), Iovec()
        while lib.dds_takecdr(self.handle, ct.byref(serdata), 1, ct.byref(info), _ANY_STATE) > 0:
            try:
                if not info.valid_data:  # a writer went away; ROS has no use for that
                    continue
                size = memory.ddsi_serdata_size(serdata)
                held = memory.ddsi_serdata_to_ser_ref(serdata, 0, size, ct.byref(vector))
                try:
                    with view_of(vector.base, size, 0x100) as view:  # 0x100: PyBUF_READ
                        return decode(view), info
                finally:
                    memory.ddsi_serdata_to_ser_unref(held, ct.byref(vector))
            finally:
                memory.ddsi_serdata_unref(serdata)
        return None


class RemoteEndpoint(NamedTuple):
    """A writer or reader somewhere in the domain, as discovery announces it."""

    gid: bytes
    participant_gid: bytes
    topic_name: str
    type_name: str
    qos: QoS


class BuiltinReader(Entity):
    """Reads what discovery knows: every live writer or reader of the domain, the own ones included."""

    _PUBLICATIONS, _SUBSCRIPTIONS = 0x7FFF0003, 0x7FFF0004
    _MOST = 4096

    def __init__(self, participant: Participant, writers: bool) -> None:
        topic = self._PUBLICATIONS if writers else self._SUBSCRIPTIONS
        handle = lib.dds_create_reader(participant.handle, topic, None, None)
        super().__init__(checked(handle, "read the discovery data"))
        self._lock = threading.Lock()

    def endpoints(self) -> list[RemoteEndpoint]:
        """Return the endpoints that live now."""
        samples, infos = (ct.c_void_p * self._MOST)(), (SampleInfo * self._MOST)()
        with self._lock:  # one loan at a time
            count = lib.dds_read_mask(self.handle, samples, infos, self._MOST, self._MOST, _ALIVE)
            checked(count, "read the discovery data")
            try:
                return [_remote(samples[i]) for i in range(count) if infos[i].valid_data]
            finally:
                lib.dds_return_loan(self.handle, samples, count)


def _remote(address: int | None) -> RemoteEndpoint:
    e = EndpointSample.from_address(address or 0)
    names = e.topic_name.decode(), e.type_name.decode()
    return RemoteEndpoint(bytes(e.key), bytes(e.participant_key), *names, qos_of(e.qos))


class GuardCondition(Entity):
    """Wakes the waitsets it is attached to until it is taken."""

    def __init__(self, participant: Participant) -> None:
        super().__init__(checked(lib.dds_create_guardcondition(participant.handle), "create a guard condition"))

    def trigger(self) -> None:
        """Raise the flag; harmless after `close`."""
        lib.dds_set_guardcondition(self.handle, True)

    def clear(self) -> None:
        """Lower the flag."""
        lib.dds_set_guardcondition(self.handle, False)


class WaitSet(Entity):
    """Waits for any of the attached conditions."""

    _MOST = 64

    def __init__(self, participant: Participant) -> None:
        super().__init__(checked(lib.dds_create_waitset(participant.handle), "create a waitset"))
        self._ready = (ct.c_size_t * self._MOST)()

    def attach(self, condition: int, key: int) -> None:
        """Report `key` whenever the condition with this handle holds."""
        checked(lib.dds_waitset_attach(self.handle, condition, key), "attach to a waitset")

    def detach(self, condition: int) -> None:
        """Stop watching a condition; harmless when it is already gone."""
        lib.dds_waitset_detach(self.handle, condition)

    def wait(self, timeout_ns: int) -> list[int]:
        """Block until a condition holds or the time is up; return the keys of those that hold (at most 64).

        Raises:
            DDSError: the waitset or its participant is gone.
        """
        count = lib.dds_waitset_wait(self.handle, self._ready, self._MOST, timeout_ns)
        if count <= 0:
            if count == 0 or count == _TIMEOUT:
                return []
            checked(count, "wait")
        return self._ready[: min(count, self._MOST)]
