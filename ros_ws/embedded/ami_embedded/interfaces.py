"""ROS 2 interface definitions: where they come from, what they contain, their RIHS01 type hashes, CDR.

A type is named as in ROS, `package/msg/Name`, and everything is looked up on first use: in the Jazzy definitions that
`rosbags` carries, else in a `package/{msg,srv,action}/Name.*` file of one of `roots()`. Services and actions are cut
into the messages that travel, as rosidl does: `package/srv/Name_Request`, `package/action/Name_SendGoal_Request`, ...
"""

from __future__ import annotations

import ast
import json
import os
import re
import struct
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from rosbags.interfaces import Msgdef, Nodetype
from rosbags.serde import SerdeError
from rosbags.serde.cdr import generate_deserialize_cdr, generate_getsize_cdr, generate_serialize_cdr
from rosbags.typesys.base import TypesysError, normalize_fieldname
from rosbags.typesys.msg import get_types_from_msg
from rosbags.typesys.store import TIDMAP, Typestore
from rosbags.typesys.stores import ros2_jazzy

Fields = list[tuple[str, Any]]  # (name, rosbags field description)
Constants = list[tuple[str, str, Any]]  # (name, type, value)

# Default values that rosbags drops from its definitions; files under roots() keep theirs.
_JAZZY_DEFAULTS = {"geometry_msgs/msg/Quaternion": {"w": 1.0}}


class InterfaceError(ImportError):
    """An interface is unknown or its file cannot be read; the message names it."""


@cache
def roots() -> tuple[Path, ...]:
    """Folders of interface packages: those of AMI_INTERFACES_PATH, then the bundled one (ami_interfaces by a link)."""
    named = [Path(p) for p in os.environ.get("AMI_INTERFACES_PATH", "").split(os.pathsep) if p]
    return (*named, Path(__file__).resolve().parent / "interfaces")


def _find_file(package: str, kind: str, name: str) -> Path | None:
    return next((f for root in roots() if (f := root / package / kind / f"{name}.{kind}").is_file()), None)


@cache
def names(package: str) -> dict[str, tuple[str, ...]]:
    """Return {"msg": names, "srv": names, "action": names} of a package; all empty when it is unknown."""
    found: dict[str, set[str]] = {"msg": set(), "srv": set(), "action": set()}
    for name in ros2_jazzy.FIELDDEFS:
        if name.startswith(f"{package}/msg/"):
            found["msg"].add(name.rpartition("/")[2])
    for kind, some in found.items():
        for root in roots():
            some.update(f.stem for f in (root / package / kind).glob(f"*.{kind}"))
    return {kind: tuple(sorted(some)) for kind, some in found.items()}


def _parse(name: str, text: str) -> tuple[Constants, Fields]:
    package = name.partition("/")[0]
    alias = f"{package}/msg/{name.rpartition('/')[2]}"  # so that relative types resolve to the package's messages
    try:
        found: Any = get_types_from_msg(text, alias)
    except TypesysError as error:
        raise InterfaceError(f"cannot read the interface {name}: {error}") from error
    return found[alias]


_DEFAULT = re.compile(r"^\s*[\w/<=\[\]]+\s+(\w+)\s+([^=\s#].*?)\s*(?:#.*)?$")


def _defaults(text: str) -> dict[str, Any]:
    """The default values of the fields: `type name value`."""
    result = {}
    for line in text.splitlines():
        if match := _DEFAULT.match(line):
            value = {"true": "True", "false": "False"}.get(match[2].lower(), match[2])
            try:
                result[normalize_fieldname(match[1])] = ast.literal_eval(value)
            except (ValueError, SyntaxError):
                result[normalize_fieldname(match[1])] = value
    return result


_UUID = ("goal_id", (Nodetype.NAME, "unique_identifier_msgs/msg/UUID"))


def _named(name: str, type_name: str) -> tuple[str, Any]:
    return name, (Nodetype.NAME, type_name)


def _event(service: str) -> Fields:
    """The introspection event of a service; only its hash is ever needed."""
    return [
        _named("info", "service_msgs/msg/ServiceEventInfo"),
        ("request", (Nodetype.SEQUENCE, ((Nodetype.NAME, f"{service}_Request"), 1))),
        ("response", (Nodetype.SEQUENCE, ((Nodetype.NAME, f"{service}_Response"), 1))),
    ]


def _derived(base: str) -> dict[str, Fields]:
    """The messages that rosidl derives from an action (rosidl design, "actions")."""
    return {
        f"{base}_SendGoal_Request": [_UUID, _named("goal", f"{base}_Goal")],
        f"{base}_SendGoal_Response": [
            ("accepted", (Nodetype.BASE, ("bool", 0))),
            _named("stamp", "builtin_interfaces/msg/Time"),
        ],
        f"{base}_GetResult_Request": [_UUID],
        f"{base}_GetResult_Response": [("status", (Nodetype.BASE, ("int8", 0))), _named("result", f"{base}_Result")],
        f"{base}_FeedbackMessage": [_UUID, _named("feedback", f"{base}_Feedback")],
    }


def _without_char(field: Any) -> Any:
    """Rosidl reads `char` as uint8, rosbags as a type of its own; the hash of every service would differ."""
    name, (kind, rest) = field
    if kind == Nodetype.BASE:
        return (name, (kind, ("uint8", 0))) if rest[0] == "char" else field
    if kind == Nodetype.NAME:
        return field
    return name, (kind, (_without_char((name, rest[0]))[1], rest[1]))


class _Definitions(dict):
    """type name -> (constants, fields), loaded on first use. Default values are in `.defaults`."""

    def __init__(self) -> None:
        self.defaults: dict[str, dict[str, Any]] = dict(_JAZZY_DEFAULTS)

    def __missing__(self, name: str) -> tuple[Constants, Fields]:
        package, kind, stem = name.split("/")
        jazzy: Any = ros2_jazzy.FIELDDEFS
        if name in jazzy:
            self._add(name, *jazzy[name])
        elif kind == "msg":
            self._load(package, kind, stem, ("",))
        elif kind == "srv":
            self._load(package, kind, stem.rpartition("_")[0], ("_Request", "_Response"))
        elif kind == "action":
            self._load(package, kind, stem.partition("_")[0], ("_Goal", "_Result", "_Feedback"))
        if name not in self:
            raise InterfaceError(f"there is no ROS 2 interface {name}")
        return self[name]

    def _load(self, package: str, kind: str, stem: str, suffixes: tuple[str, ...]) -> None:
        file = _find_file(package, kind, stem)
        if file is None:
            raise InterfaceError(f"there is no {stem}.{kind} in {package}; looked in {', '.join(map(str, roots()))}")
        parts = re.split(r"^---.*$", file.read_text(), flags=re.MULTILINE)
        if len(parts) != len(suffixes):
            raise InterfaceError(f"{file} has {len(parts) - 1} lines '---'; a .{kind} file has {len(suffixes) - 1}")
        base = f"{package}/{kind}/{stem}"
        for suffix, text in zip(suffixes, parts, strict=True):
            self.defaults[base + suffix] = _defaults(text)
            self._add(base + suffix, *_parse(base + suffix, text))
        if kind == "srv":
            self._add(f"{base}_Event", [], _event(base))
        elif kind == "action":
            for name, fields in _derived(base).items():
                self._add(name, [], fields)
            for service in (f"{base}_SendGoal", f"{base}_GetResult"):
                self._add(f"{service}_Event", [], _event(service))

    def _add(self, name: str, constants: Constants, fields: Fields) -> None:
        fields = fields or [("structure_needs_at_least_one_member", (Nodetype.BASE, ("uint8", 0)))]
        self[name] = (constants, [_without_char(f) for f in fields])


class _Store(Typestore):
    """The rosbags code generators on lazily loaded definitions; little-endian CDR only, which is what we speak."""

    def get_msgdef(self, typename: str) -> Msgdef[object]:
        if (known := self.cache.get(typename)) is not None:
            return known
        from ami_embedded import messages  # the classes need the definitions first

        message_class = messages.message_class(typename)
        entries = [(f"_{normalize_fieldname(name)}", description) for name, description in self.fielddefs[typename][1]]
        getsize, size = generate_getsize_cdr(entries, self)
        nothing: Any = None
        self.cache[typename] = Msgdef(
            typename,
            entries,
            message_class._from_wire,
            size,
            getsize,
            generate_serialize_cdr(entries, self, "le"),
            nothing,
            generate_deserialize_cdr(entries, self, "le"),
            *(nothing,) * 9,
        )
        return self.cache[typename]

    def prepare(self, typename: str) -> None:
        """Generate now what reads and writes this type: at its first message that would take a callback 5 to 30 ms."""
        kind: Any
        rest: Any
        for _, (kind, rest) in self.get_msgdef(typename).fields:
            while kind in (Nodetype.ARRAY, Nodetype.SEQUENCE):
                kind, rest = rest[0]
            if kind == Nodetype.NAME and rest not in self.cache:
                self.prepare(rest)


store = _Store()
definitions = store.fielddefs = _Definitions()  # type: ignore[assignment]


def serialize(message: Any) -> bytearray:
    """Return the encapsulated little-endian CDR of a message."""
    definition = store.get_msgdef(message._type_name)
    buffer = bytearray(4 + definition.getsize_cdr(0, message, store))
    buffer[1] = 1
    definition.serialize_cdr_le(memoryview(buffer)[4:], 0, message, store)
    return buffer


def deserialize(data: bytes | bytearray | memoryview, type_name: str) -> Any:
    """Return the message in an encapsulated little-endian CDR payload; nothing of `data` is kept.

    Raises:
        SerdeError: the bytes are not such a message.
    """
    view = memoryview(data)
    if len(view) < 4 or view[0] != 0 or view[1] != 1:
        raise SerdeError(f"cannot read a {type_name}: not little-endian CDR")
    definition = store.get_msgdef(type_name)
    try:
        return definition.deserialize_cdr_le(view[4:], 0, definition.cls, store)[0]
    except (struct.error, UnicodeDecodeError, ValueError) as error:
        raise SerdeError(f"cannot read a {type_name}: {error}") from error


def _type_description(name: str) -> dict[str, Any]:
    """The IndividualTypeDescription of a type as REP-2016 writes it; `name` may be a service or an action."""
    _, kind, stem = name.split("/")
    is_service = kind == "srv" and not stem.endswith(("_Request", "_Response", "_Event"))
    if is_service or (kind == "action" and stem.endswith(("_SendGoal", "_GetResult"))):
        fields = [_named(f"{p.lower()}_message", f"{name}_{p}") for p in ("Request", "Response", "Event")]
    elif kind == "action" and "_" not in stem:
        fields = [_named(p, f"{name}_{p.title()}") for p in ("goal", "result", "feedback")]
        fields += [
            _named("send_goal_service", f"{name}_SendGoal"),
            _named("get_result_service", f"{name}_GetResult"),
            _named("feedback_message", f"{name}_FeedbackMessage"),
        ]
    else:
        fields = definitions[name][1]
    return {"type_name": name, "fields": [_field_description(*f) for f in fields]}


def _field_description(name: str, description: Any) -> dict[str, Any]:
    kind, rest = description
    offset = capacity = string_capacity = 0
    nested = ""
    if kind == Nodetype.ARRAY:
        (kind, rest), capacity = rest
        offset = 48
    elif kind == Nodetype.SEQUENCE:
        (kind, rest), capacity = rest
        offset = 96 if capacity else 144
    if kind == Nodetype.NAME:
        type_id, nested = 1, rest
    elif rest[0] == "string" and rest[1]:
        type_id, string_capacity = TIDMAP["bounded_string"], rest[1]
    else:
        type_id = TIDMAP[rest[0]]
    return {
        "name": name,
        "type": {
            "type_id": type_id + offset,
            "capacity": capacity,
            "string_capacity": string_capacity,
            "nested_type_name": nested,
        },
    }


@cache
def type_hash(name: str) -> str:
    """Return the RIHS01 hash (REP-2016) of a message, service or action, e.g. `RIHS01_df66...`."""
    seen: dict[str, dict[str, Any]] = {}

    def visit(type_name: str) -> None:
        if type_name not in seen:
            seen[type_name] = _type_description(type_name)
            for field in seen[type_name]["fields"]:
                if nested := field["type"]["nested_type_name"]:
                    visit(nested)

    visit(name)
    referenced = [seen[n] for n in sorted(seen) if n != name]
    document = {"type_description": seen[name], "referenced_type_descriptions": referenced}
    return "RIHS01_" + sha256(json.dumps(document).encode()).hexdigest()


def dds_type_name(name: str) -> str:
    """`std_msgs/msg/String` -> `std_msgs::msg::dds_::String_`."""
    package, kind, stem = name.split("/")
    return f"{package}::{kind}::dds_::{stem}_"


def ros_type_name(dds_name: str) -> str:
    """`std_msgs::msg::dds_::String_` -> `std_msgs/msg/String`; a foreign name stays as it is."""
    parts = dds_name.split("::")
    return f"{parts[0]}/{parts[1]}/{parts[3][:-1]}" if len(parts) == 4 and parts[2] == "dds_" else dds_name
