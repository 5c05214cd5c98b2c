"""Raw-CDR transport on Cyclone DDS: participants, writers, readers, waitsets, through ctypes.

The `cyclonedds` wheel ships libddsc with its full C interface. Its Python classes want an IDL class for each type and spend
tens of milliseconds on an image, so they are left aside: a topic here is a type *name* with one opaque octet behind it, and
payloads are the CDR bytes that ROS 2 puts on the wire (OMG DDS-XTYPES 1.3, XCDR1, little endian).

Every call that may wait releases the GIL; every object may be used from any thread. The structures are those of
`dds/dds.h` and `dds/ddsc/dds_public_impl.h` of Cyclone DDS 11.0, whose authors call the topic descriptor unstable:
`self_test` pins their sizes, and the distribution pins cyclonedds to 11.x.
"""

from __future__ import annotations

import ctypes as ct
import importlib.util
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

INFINITE_NS = 0x7FFFFFFFFFFFFFFF
_ANY_STATE = 0x7F  # any sample, view and instance state
_ALIVE = 0x1F  # any sample and view state, instance alive
_TIMEOUT, _ALREADY_DELETED, _BAD_PARAMETER = -10, -9, -3
_LOG_DEFAULT, _LOG_NONE = 0x1 | 0x2 | 0x4, 0x0  # fatal, error, warning


class DDSError(RuntimeError):
    """A call into Cyclone DDS failed; the message says which, on what, and why."""


class _Blob(ct.Structure):
    _fields_ = (("data", ct.c_void_p), ("size", ct.c_uint32))


class _TopicDescriptor(ct.Structure):
    _fields_ = (
        ("size", ct.c_uint32),
        ("align", ct.c_uint32),
        ("flags", ct.c_uint32),
        ("n_keys", ct.c_uint32),
        ("type_name", ct.c_char_p),
        ("keys", ct.c_void_p),
        ("n_ops", ct.c_uint32),
        ("ops", ct.c_void_p),
        ("meta", ct.c_char_p),
        ("type_information", _Blob),
        ("type_mapping", _Blob),
        ("data_representation", ct.c_uint32),
    )


class SampleInfo(ct.Structure):
    """What the reader knows of a sample (dds_sample_info_t); times in ns since the epoch."""

    _fields_ = (
        ("sample_state", ct.c_uint),
        ("view_state", ct.c_uint),
        ("instance_state", ct.c_uint),
        ("valid_data", ct.c_bool),
        ("source_timestamp", ct.c_int64),
        ("instance_handle", ct.c_uint64),
        ("publication_handle", ct.c_uint64),
        ("disposed_generation_count", ct.c_uint32),
        ("no_writers_generation_count", ct.c_uint32),
        ("sample_rank", ct.c_uint32),
        ("generation_rank", ct.c_uint32),
        ("absolute_generation_rank", ct.c_uint32),
    )


class _Iovec(ct.Structure):
    _fields_ = (("base", ct.c_void_p), ("length", ct.c_size_t))


class _Endpoint(ct.Structure):
    _fields_ = (
        ("key", ct.c_ubyte * 16),
        ("participant_key", ct.c_ubyte * 16),
        ("participant_instance_handle", ct.c_uint64),
        ("topic_name", ct.c_char_p),
        ("type_name", ct.c_char_p),
        ("qos", ct.c_void_p),
    )


def _library_path() -> str:
    """Where the wheel keeps libddsc. Found without importing `cyclonedds`, which would cost 0.1 s a process."""
    spec = importlib.util.find_spec("cyclonedds")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("the embedded ROS 2 layer needs the package cyclonedds 11: pip install 'cyclonedds>=11,<12'")
    package = Path(spec.submodule_search_locations[0])
    found = [*package.glob("../cyclonedds.libs/libddsc*"), *package.glob(".dylibs/libddsc*")]
    if not found:
        raise ImportError(f"no libddsc in {package.parent}: install a binary wheel of cyclonedds 11 (Linux or macOS)")
    return str(found[0])


_lib = ct.CDLL(_library_path())
_memory = ct.PyDLL(_lib._name)  # keeps the GIL: for calls that touch memory only and cost less than a hand-over
_view_of = ct.pythonapi.PyMemoryView_FromMemory
_view_of.restype, _view_of.argtypes = ct.py_object, (ct.c_void_p, ct.c_ssize_t, ct.c_int)

_i32, _u32, _i64, _ptr, _str, _size = ct.c_int32, ct.c_uint32, ct.c_int64, ct.c_void_p, ct.c_char_p, ct.c_size_t
for _library, _name, _result, *_arguments in (
    (_lib, "dds_create_domain", _i32, _u32, _str),
    (_lib, "dds_create_participant", _i32, _u32, _ptr, _ptr),
    (_lib, "dds_create_topic", _i32, _i32, _ptr, _str, _ptr, _ptr),
    (_lib, "dds_create_writer", _i32, _i32, _i32, _ptr, _ptr),
    (_lib, "dds_create_reader", _i32, _i32, _i32, _ptr, _ptr),
    (_lib, "dds_create_readcondition", _i32, _i32, _u32),
    (_lib, "dds_create_guardcondition", _i32, _i32),
    (_lib, "dds_set_guardcondition", _i32, _i32, ct.c_bool),
    (_lib, "dds_take_guardcondition", _i32, _i32, _ptr),
    (_lib, "dds_create_waitset", _i32, _i32),
    (_lib, "dds_waitset_attach", _i32, _i32, _i32, _size),
    (_lib, "dds_waitset_detach", _i32, _i32, _i32),
    (_lib, "dds_waitset_wait", _i32, _i32, _ptr, _size, _i64),
    (_lib, "dds_delete", _i32, _i32),
    (_lib, "dds_get_entity_sertype", _i32, _i32, _ptr),
    (_lib, "dds_get_guid", _i32, _i32, _ptr),
    (_lib, "dds_get_instance_handle", _i32, _i32, _ptr),
    (_lib, "dds_get_matched_subscriptions", _i32, _i32, _ptr, _size),
    (_lib, "dds_get_matched_publications", _i32, _i32, _ptr, _size),
    (_lib, "dds_get_matched_subscription_data", _ptr, _i32, ct.c_uint64),
    (_lib, "dds_get_matched_publication_data", _ptr, _i32, ct.c_uint64),
    (_lib, "dds_builtintopic_free_endpoint", None, _ptr),
    (_lib, "dds_wait_for_acks", _i32, _i32, _i64),
    (_lib, "dds_writecdr", _i32, _i32, _ptr),
    (_lib, "dds_takecdr", _i32, _i32, _ptr, _u32, _ptr, _u32),
    (_lib, "dds_read_mask", _i32, _i32, _ptr, _ptr, _size, _u32, _u32),
    (_lib, "dds_return_loan", _i32, _i32, _ptr, _i32),
    (_lib, "dds_set_log_mask", None, _u32),
    (_lib, "ddsi_serdata_from_ser_iov", _ptr, _ptr, ct.c_int, _size, _ptr, _size),
    (_memory, "ddsi_serdata_size", _u32, _ptr),
    (_memory, "ddsi_serdata_to_ser_ref", _ptr, _ptr, _size, _size, _ptr),
    (_memory, "ddsi_serdata_to_ser_unref", None, _ptr, _ptr),
    (_memory, "ddsi_serdata_unref", None, _ptr),
    (_memory, "dds_strretcode", _str, _i32),
    (_memory, "dds_free", None, _ptr),
    (_memory, "dds_create_qos", _ptr),
    (_memory, "dds_delete_qos", None, _ptr),
    (_memory, "dds_qset_reliability", None, _ptr, ct.c_int, _i64),
    (_memory, "dds_qset_durability", None, _ptr, ct.c_int),
    (_memory, "dds_qset_history", None, _ptr, ct.c_int, _i32),
    (_memory, "dds_qset_deadline", None, _ptr, _i64),
    (_memory, "dds_qset_lifespan", None, _ptr, _i64),
    (_memory, "dds_qset_writer_data_lifecycle", None, _ptr, ct.c_bool),
    (_memory, "dds_qset_userdata", None, _ptr, _str, _size),
    (_memory, "dds_qget_reliability", ct.c_bool, _ptr, _ptr, _ptr),
    (_memory, "dds_qget_durability", ct.c_bool, _ptr, _ptr),
    (_memory, "dds_qget_history", ct.c_bool, _ptr, _ptr, _ptr),
    (_memory, "dds_qget_userdata", ct.c_bool, _ptr, _ptr, _ptr),
):
    _function = getattr(_library, _name)  # type: ignore[attr-defined]
    _function.restype, _function.argtypes = _result, _arguments

# A struct with one octet: ADR | TYPE_1BY at offset 0, then RTS. Types match by name alone, as in rmw_cyclonedds.
_OPS = (ct.c_uint32 * 3)(0x01 << 24 | 0x01 << 16, 0, 0)
_RESTRICT_DATA_REPRESENTATION, _XCDR1 = 1 << 7, 1 << 0


def _checked(code: int, action: str) -> int:
    if code < 0:
        raise DDSError(f"cannot {action}: {_memory.dds_strretcode(code).decode()}")
    return code


def self_test() -> None:
    """Refuse a libddsc whose structures cannot be those of 11.x, before memory is read through them.

    Raises:
        DDSError: the pointer size or a structure size is not the one this file was written for.
    """
    sizes = [ct.sizeof(s) for s in (_TopicDescriptor, SampleInfo, _Iovec, _Endpoint)]
    if sizes != [96, 64, 16, 64] or ".11." not in Path(_lib._name).name:
        raise DDSError(f"{_lib._name} is not Cyclone DDS 11 on a 64-bit machine (structure sizes {sizes})")


self_test()


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
    handle = _memory.dds_create_qos()
    try:
        _memory.dds_qset_reliability(handle, int(qos.reliable), _MAX_BLOCKING_NS)
        _memory.dds_qset_durability(handle, int(qos.transient_local))
        _memory.dds_qset_history(handle, 0 if qos.depth else 1, qos.depth)
        _memory.dds_qset_deadline(handle, qos.deadline_ns)
        _memory.dds_qset_lifespan(handle, qos.lifespan_ns)
        _memory.dds_qset_writer_data_lifecycle(handle, False)
        data = qos.user_data.encode()
        _memory.dds_qset_userdata(handle, data, len(data))
        return create(handle)
    finally:
        _memory.dds_delete_qos(handle)


def user_data_of(qos_handle: int) -> str:
    """Return the USER_DATA policy of a dds_qos_t as text ("key=value;key=value;")."""
    data, size = ct.c_void_p(), ct.c_size_t()
    if not _memory.dds_qget_userdata(qos_handle, ct.byref(data), ct.byref(size)) or not data.value:
        return ""
    try:
        return ct.string_at(data.value, size.value).decode("utf-8", "replace")
    finally:
        _memory.dds_free(data)


def qos_of(qos_handle: int) -> QoS:
    """Return the policies of a dds_qos_t. History is not announced on the network: depth 10 then is a guess."""
    kind, blocking, depth = ct.c_int(), ct.c_int64(), ct.c_int32(10)
    _memory.dds_qget_reliability(qos_handle, ct.byref(kind), ct.byref(blocking))
    reliable = bool(kind.value)
    _memory.dds_qget_durability(qos_handle, ct.byref(kind))
    transient_local = kind.value >= 1
    if not _memory.dds_qget_history(qos_handle, ct.byref(kind), ct.byref(depth)):
        kind.value = 0
    return QoS(reliable, transient_local, 0 if kind.value else depth.value, user_data=user_data_of(qos_handle))


class Entity:
    """A DDS entity with its process-wide handle; deleting twice, or after its participant, is harmless."""

    def __init__(self, handle: int) -> None:
        self.handle = handle

    def close(self) -> None:
        """Delete the entity and all that it contains."""
        handle, self.handle = self.handle, 0
        if handle:
            _lib.dds_delete(handle)

    @property
    def gid(self) -> bytes:
        """The 16-byte GUID by which other processes know this entity."""
        guid = (ct.c_ubyte * 16)()
        _checked(_lib.dds_get_guid(self.handle, guid), "read a GUID")
        return bytes(guid)

    @property
    def instance_handle(self) -> int:
        """The local 64-bit name of this entity."""
        result = ct.c_uint64()
        _checked(_lib.dds_get_instance_handle(self.handle, ct.byref(result)), "read an instance handle")
        return result.value


class Participant(Entity):
    """Membership of one DDS domain; the owner of everything else.

    Args:
        domain_id: 0..232.
        config: Cyclone DDS XML. Only the first participant of a domain in a process can set it; the domain is never
            deleted again, since memory that it lent may outlive its participants.
        user_data: announced with the participant.

    Raises:
        DDSError: no participant could be created, with the likely reason.
    """

    def __init__(self, domain_id: int, config: str, user_data: str = "enclave=/;") -> None:
        with _DOMAINS_LOCK:
            if domain_id not in _DOMAINS:
                _lib.dds_set_log_mask(_LOG_NONE)  # its complaint is replaced by the exception's sentence
                code = _lib.dds_create_domain(domain_id, config.encode())
                _lib.dds_set_log_mask(_LOG_DEFAULT)
                if code < 0:
                    why = _memory.dds_strretcode(code).decode()
                    raise DDSError(f"cannot join DDS domain {domain_id}: {why}")
                _DOMAINS.add(domain_id)
        super().__init__(
            _checked(
                _with_qos(QoS(user_data=user_data), lambda q: _lib.dds_create_participant(domain_id, q, None)),
                f"create a participant in DDS domain {domain_id}",
            )
        )

    def topic(self, name: str, type_name: str) -> Entity:
        """Create a topic named e.g. `rt/chatter` with a type named e.g. `std_msgs::msg::dds_::String_`."""
        descriptor = _TopicDescriptor(
            size=1,
            align=1,
            flags=_RESTRICT_DATA_REPRESENTATION,
            type_name=type_name.encode(),
            n_ops=len(_OPS),
            ops=ct.addressof(_OPS),
            meta=b"",
            data_representation=_XCDR1,
        )
        handle = _lib.dds_create_topic(self.handle, ct.byref(descriptor), name.encode(), None, None)
        return Entity(_checked(handle, f"create topic {name} of type {type_name}"))


_DOMAINS: set[int] = set()
_DOMAINS_LOCK = threading.Lock()


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
        super().__init__(_checked(handle, f"create an endpoint on {topic_name}"))

    def close(self) -> None:
        """Delete the endpoint, then its topic."""
        super().close()
        self._topic.close()

    def matched_handles(self) -> list[int]:
        """Instance handles of the remote endpoints that this one is connected to."""
        count = _checked(self._matched(self.handle, None, 0), "count matches")
        if not count:
            return []
        handles = (ct.c_uint64 * count)()
        count = min(count, _checked(self._matched(self.handle, handles, count), "list matches"))
        return list(handles[:count])

    @property
    def matched_count(self) -> int:
        """How many remote endpoints this one is connected to."""
        return _checked(self._matched(self.handle, None, 0), "count matches")

    def matched_user_data(self, instance_handle: int) -> str | None:
        """USER_DATA of a connected endpoint, None when it is not connected (any more)."""
        data = self._matched_data(self.handle, instance_handle)
        if not data:
            return None
        try:
            return user_data_of(_Endpoint.from_address(data).qos)
        finally:
            _lib.dds_builtintopic_free_endpoint(data)


class Writer(Endpoint):
    """Sends CDR payloads."""

    _create, _matched = _lib.dds_create_writer, _lib.dds_get_matched_subscriptions
    _matched_data = _lib.dds_get_matched_subscription_data

    def __init__(self, participant: Participant, topic_name: str, type_name: str, qos: QoS) -> None:
        super().__init__(participant, topic_name, type_name, qos)
        self._name = topic_name
        sertype = ct.c_void_p()
        _checked(_lib.dds_get_entity_sertype(self.handle, ct.byref(sertype)), "find a topic's type")
        self._sertype = sertype

    def write(self, payload: bytearray) -> None:
        """Send one encapsulated CDR message (4 bytes of encapsulation, then the body); copied before it returns.

        Raises:
            DDSError: the writer is closed, or a reliable reader did not keep up for a second.
        """
        size = len(payload)
        vector = _Iovec(ct.addressof((ct.c_char * size).from_buffer(payload)), size)
        serdata = _lib.ddsi_serdata_from_ser_iov(self._sertype, 2, 1, ct.byref(vector), size)
        if not serdata:
            raise DDSError(f"cannot write {self._name}: the payload of {size} bytes is not CDR")
        code = _lib.dds_writecdr(self.handle, serdata)  # takes the serdata over, also when it fails
        if code < 0:
            _checked(code, f"write {self._name}")

    def wait_for_acks(self, timeout_ns: int) -> bool:
        """Wait until every reliable reader confirmed what was written; False after the timeout."""
        code = _lib.dds_wait_for_acks(self.handle, timeout_ns)
        return code == 0 if code == _TIMEOUT else _checked(code, "wait for acknowledgements") == 0


class Reader(Endpoint):
    """Receives CDR payloads."""

    _create, _matched = _lib.dds_create_reader, _lib.dds_get_matched_publications
    _matched_data = _lib.dds_get_matched_publication_data

    def __init__(self, participant: Participant, topic_name: str, type_name: str, qos: QoS) -> None:
        super().__init__(participant, topic_name, type_name, qos)
        self.condition = _checked(_lib.dds_create_readcondition(self.handle, _ANY_STATE), "create a read condition")

    def take(self, decode: Callable[[memoryview], T]) -> tuple[T, SampleInfo] | None:
        """Take the oldest message: `decode(view of the encapsulated CDR)` and its sample info, None when there is none.

        The view is lent: `decode` has to copy what it keeps (BufferError when it does not). What it raises passes
        through; the message is consumed all the same.
        """
        serdata, info, vector = ct.c_void_p(), SampleInfo(), _Iovec()
        while _lib.dds_takecdr(self.handle, ct.byref(serdata), 1, ct.byref(info), _ANY_STATE) > 0:
            try:
                if not info.valid_data:  # a writer went away; ROS has no use for that
                    continue
                size = _memory.ddsi_serdata_size(serdata)
                held = _memory.ddsi_serdata_to_ser_ref(serdata, 0, size, ct.byref(vector))
                try:
                    with _view_of(vector.base, size, 0x100) as view:  # 0x100: PyBUF_READ
                        return decode(view), info
                finally:
                    _memory.ddsi_serdata_to_ser_unref(held, ct.byref(vector))
            finally:
                _memory.ddsi_serdata_unref(serdata)
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
        handle = _lib.dds_create_reader(participant.handle, topic, None, None)
        super().__init__(_checked(handle, "read the discovery data"))
        self._lock = threading.Lock()

    def endpoints(self) -> list[RemoteEndpoint]:
        """Return the endpoints that live now."""
        samples, infos = (ct.c_void_p * self._MOST)(), (SampleInfo * self._MOST)()
        with self._lock:  # one loan at a time
            count = _lib.dds_read_mask(self.handle, samples, infos, self._MOST, self._MOST, _ALIVE)
            _checked(count, "read the discovery data")
            try:
                return [_remote(samples[i]) for i in range(count) if infos[i].valid_data]
            finally:
                _lib.dds_return_loan(self.handle, samples, count)


def _remote(address: int | None) -> RemoteEndpoint:
    e = _Endpoint.from_address(address or 0)
    names = e.topic_name.decode(), e.type_name.decode()
    return RemoteEndpoint(bytes(e.key), bytes(e.participant_key), *names, qos_of(e.qos))


class GuardCondition(Entity):
    """Wakes the waitsets it is attached to until it is taken."""

    def __init__(self, participant: Participant) -> None:
        super().__init__(_checked(_lib.dds_create_guardcondition(participant.handle), "create a guard condition"))

    def trigger(self) -> None:
        """Raise the flag; harmless after `close`."""
        _lib.dds_set_guardcondition(self.handle, True)

    def clear(self) -> None:
        """Lower the flag."""
        _lib.dds_set_guardcondition(self.handle, False)


class WaitSet(Entity):
    """Waits for any of the attached conditions."""

    _MOST = 64

    def __init__(self, participant: Participant) -> None:
        super().__init__(_checked(_lib.dds_create_waitset(participant.handle), "create a waitset"))
        self._ready = (ct.c_size_t * self._MOST)()

    def attach(self, condition: int, key: int) -> None:
        """Report `key` whenever the condition with this handle holds."""
        _checked(_lib.dds_waitset_attach(self.handle, condition, key), "attach to a waitset")

    def detach(self, condition: int) -> None:
        """Stop watching a condition; harmless when it is already gone."""
        _lib.dds_waitset_detach(self.handle, condition)

    def wait(self, timeout_ns: int) -> list[int]:
        """Block until a condition holds or the time is up; return the keys of those that hold (at most 64).

        Raises:
            DDSError: the waitset or its participant is gone.
        """
        count = _lib.dds_waitset_wait(self.handle, self._ready, self._MOST, timeout_ns)
        if count <= 0:
            if count == 0 or count == _TIMEOUT:
                return []
            _checked(count, "wait")
        return self._ready[: min(count, self._MOST)]


if sys.byteorder != "little":
    raise ImportError("the embedded ROS 2 layer writes little-endian CDR only; this machine is big endian")
