"""Cyclone DDS 11's C library through ctypes: its structures and the functions that `dds` calls.

The structures are those of `dds/dds.h` and `dds/ddsc/dds_public_impl.h` of Cyclone DDS 11.0, whose authors call the
topic descriptor unstable: `self_test` pins library version and sizes, and the distribution pins cyclonedds to 11.x.
"""

from __future__ import annotations

import ctypes as ct
import importlib.util
import sys
from pathlib import Path


class DDSError(RuntimeError):
    """A call into Cyclone DDS failed; the message says which, on what, and why."""


class _Blob(ct.Structure):
    _fields_ = (("data", ct.c_void_p), ("size", ct.c_uint32))


class TopicDescriptor(ct.Structure):
    """dds_topic_descriptor_t: what a type looks like in memory."""

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


class Iovec(ct.Structure):
    """struct iovec: a piece of memory."""

    _fields_ = (("base", ct.c_void_p), ("length", ct.c_size_t))


class EndpointSample(ct.Structure):
    """dds_builtintopic_endpoint_t: a writer or reader as discovery announces it."""

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


lib = ct.CDLL(_library_path())
memory = ct.PyDLL(lib._name)  # keeps the GIL: for calls that touch memory only and cost less than a hand-over
view_of = ct.pythonapi.PyMemoryView_FromMemory
view_of.restype, view_of.argtypes = ct.py_object, (ct.c_void_p, ct.c_ssize_t, ct.c_int)

_i32, _u32, _i64, _ptr, _str, _size = ct.c_int32, ct.c_uint32, ct.c_int64, ct.c_void_p, ct.c_char_p, ct.c_size_t
for _library, _name, _result, *_arguments in (
    (lib, "dds_create_domain", _i32, _u32, _str),
    (lib, "dds_create_participant", _i32, _u32, _ptr, _ptr),
    (lib, "dds_create_topic", _i32, _i32, _ptr, _str, _ptr, _ptr),
    (lib, "dds_create_writer", _i32, _i32, _i32, _ptr, _ptr),
    (lib, "dds_create_reader", _i32, _i32, _i32, _ptr, _ptr),
    (lib, "dds_create_readcondition", _i32, _i32, _u32),
    (lib, "dds_create_guardcondition", _i32, _i32),
    (lib, "dds_set_guardcondition", _i32, _i32, ct.c_bool),
    (lib, "dds_create_waitset", _i32, _i32),
    (lib, "dds_waitset_attach", _i32, _i32, _i32, _size),
    (lib, "dds_waitset_detach", _i32, _i32, _i32),
    (lib, "dds_waitset_wait", _i32, _i32, _ptr, _size, _i64),
    (lib, "dds_delete", _i32, _i32),
    (lib, "dds_get_entity_sertype", _i32, _i32, _ptr),
    (lib, "ddsi_sertype_ref", _ptr, _ptr),
    (lib, "dds_get_guid", _i32, _i32, _ptr),
    (lib, "dds_get_instance_handle", _i32, _i32, _ptr),
    (lib, "dds_get_matched_subscriptions", _i32, _i32, _ptr, _size),
    (lib, "dds_get_matched_publications", _i32, _i32, _ptr, _size),
    (lib, "dds_get_matched_subscription_data", _ptr, _i32, ct.c_uint64),
    (lib, "dds_get_matched_publication_data", _ptr, _i32, ct.c_uint64),
    (lib, "dds_builtintopic_free_endpoint", None, _ptr),
    (lib, "dds_writecdr", _i32, _i32, _ptr),
    (lib, "dds_takecdr", _i32, _i32, _ptr, _u32, _ptr, _u32),
    (lib, "dds_read_mask", _i32, _i32, _ptr, _ptr, _size, _u32, _u32),
    (lib, "dds_return_loan", _i32, _i32, _ptr, _i32),
    (lib, "dds_set_log_mask", None, _u32),
    (lib, "ddsi_serdata_from_ser_iov", _ptr, _ptr, ct.c_int, _size, _ptr, _size),
    (memory, "ddsi_serdata_size", _u32, _ptr),
    (memory, "ddsi_serdata_to_ser_ref", _ptr, _ptr, _size, _size, _ptr),
    (memory, "ddsi_serdata_to_ser_unref", None, _ptr, _ptr),
    (memory, "ddsi_serdata_unref", None, _ptr),
    (memory, "dds_strretcode", _str, _i32),
    (memory, "dds_free", None, _ptr),
    (memory, "dds_create_qos", _ptr),
    (memory, "dds_delete_qos", None, _ptr),
    (memory, "dds_qset_reliability", None, _ptr, ct.c_int, _i64),
    (memory, "dds_qset_durability", None, _ptr, ct.c_int),
    (memory, "dds_qset_history", None, _ptr, ct.c_int, _i32),
    (memory, "dds_qset_durability_service", None, _ptr, _i64, ct.c_int, _i32, _i32, _i32, _i32),
    (memory, "dds_qset_deadline", None, _ptr, _i64),
    (memory, "dds_qset_lifespan", None, _ptr, _i64),
    (memory, "dds_qset_writer_data_lifecycle", None, _ptr, ct.c_bool),
    (memory, "dds_qset_userdata", None, _ptr, _str, _size),
    (memory, "dds_qget_reliability", ct.c_bool, _ptr, _ptr, _ptr),
    (memory, "dds_qget_durability", ct.c_bool, _ptr, _ptr),
    (memory, "dds_qget_history", ct.c_bool, _ptr, _ptr, _ptr),
    (memory, "dds_qget_userdata", ct.c_bool, _ptr, _ptr, _ptr),
):
    _function = getattr(_library, _name)  # type: ignore[attr-defined]
    _function.restype, _function.argtypes = _result, _arguments


def checked(code: int, action: str) -> int:
    """Return a non-negative return code.

    Raises:
        DDSError: it is negative; "cannot <action>: <Cyclone's reason>".
    """
    if code < 0:
        raise DDSError(f"cannot {action}: {memory.dds_strretcode(code).decode()}")
    return code


def self_test() -> None:
    """Refuse a libddsc whose structures cannot be those of 11.x, before memory is read through them.

    Raises:
        DDSError: the pointer size or a structure size is not the one this file was written for.
    """
    sizes = [ct.sizeof(s) for s in (TopicDescriptor, SampleInfo, Iovec, EndpointSample)]
    if sizes != [96, 64, 16, 64] or ".11." not in Path(lib._name).name:
        raise DDSError(f"{lib._name} is not Cyclone DDS 11 on a 64-bit machine (structure sizes {sizes})")


self_test()
if sys.byteorder != "little":
    raise ImportError("the embedded ROS 2 layer writes little-endian CDR only; this machine is big endian")
