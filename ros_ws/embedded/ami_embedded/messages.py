"""Message, service and action classes as rclpy users know them, generated on first use from `interfaces`.

Field values have the types that rosidl's Python has: int, float, bool, str, nested messages, `array.array` for
sequences of numbers (here a subclass), `numpy.ndarray` for arrays of fixed length, lists for everything else. A message
that was received owns its memory.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, ClassVar

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys.base import normalize_fieldname

from ami_embedded import interfaces

_TYPECODES = {
    **{"int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I"},
    **{"int64": "q", "uint64": "Q", "float32": "f", "float64": "d"},
}
_INT_RANGES = {
    f"{sign}int{bits}": (0, 2**bits - 1) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}
_IDL_NAMES = {"bool": "boolean", "byte": "octet", "float32": "float", "float64": "double"}


class Numbers(array):
    """A sequence of numbers: array.array plus the one method that the CDR writer wants of it."""

    __slots__ = ()

    def view(self, _: Any) -> memoryview:
        """The elements as bytes."""
        return memoryview(self).cast("B") if self else memoryview(b"")


class Flags(list):
    """A bool[] or byte[]: a list, plus what the CDR writer wants of it."""

    __slots__ = ()

    def view(self, _: Any) -> bytes:
        """The elements as bytes."""
        return b"".join(x if isinstance(x, bytes) else bytes((x,)) for x in self)


class Octet(bytes):
    """A byte: bytes of length 1, plus the number that the CDR writer wants of it, which takes it for an int8."""

    __slots__ = ()

    def __index__(self) -> int:
        return int.from_bytes(self, "little", signed=True)


class Message:
    """Base of the generated classes."""

    __slots__ = ()
    _type_name = ""
    _fields: ClassVar[dict[str, _Field]] = {}
    _from_wire: Callable[..., Any]

    def __init__(self, **kwargs: Any) -> None:
        for name, field in self._fields.items():
            if name in kwargs:
                setattr(self, name, kwargs.pop(name))
            else:
                field.store(self, field.default())
        if kwargs:
            raise TypeError(f"{self._type_name} has no field {sorted(kwargs)[0]!r}; it has {', '.join(self._fields)}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(_equal(getattr(self, name), getattr(other, name)) for name in self._fields)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        values = ((name, getattr(self, name)) for name in self._fields if name != _FILLER)
        shown = ((n, v.tolist() if isinstance(v, array | np.ndarray) else v) for n, v in values)
        return f"{type(self).__module__}.{type(self).__qualname__}({', '.join(f'{n}={v!r}' for n, v in shown)})"

    @classmethod
    def get_fields_and_field_types(cls) -> dict[str, str]:
        """Return {field: IDL type}, e.g. {"position": "sequence<double>"}."""
        return {name: field.idl_type for name, field in cls._fields.items() if name != _FILLER}


_FILLER = "structure_needs_at_least_one_member"


def _equal(a: Any, b: Any) -> bool:
    return bool(np.array_equal(a, b)) if isinstance(a, np.ndarray) else bool(a == b)


class _Field:
    """One field of a message: its default, the check on assignment, the way in from the wire."""

    def __init__(self, owner: str, name: str, description: Any, default: Any) -> None:
        self.name, self.slot = name, f"_{name}"
        self._owner = owner
        self.store: Callable[[Any, Any], None]  # slot descriptor's __set__, once the class exists
        kind, rest = description
        self.count, self.bound = None, None
        self.is_many = kind in (Nodetype.ARRAY, Nodetype.SEQUENCE)
        if kind == Nodetype.ARRAY:
            (kind, rest), self.count = rest
        elif kind == Nodetype.SEQUENCE:
            (kind, rest), bound = rest
            self.bound = bound or None
        self.nested = rest if kind == Nodetype.NAME else None
        self.base = "" if self.nested else rest[0]
        self.string_bound = rest[1] if self.base == "string" else 0
        self.typecode = _TYPECODES.get(self.base)
        self._default = default

    @property
    def idl_type(self) -> str:
        if self.nested:
            package, _, stem = self.nested.split("/")
            base = f"{package}/{stem}"
        else:
            base = _IDL_NAMES.get(self.base, self.base) + (f"<{self.string_bound}>" if self.string_bound else "")
        if not self.is_many:
            return base
        if self.count is not None:
            return f"{base}[{self.count}]"
        return f"sequence<{base}{f', {self.bound}' if self.bound else ''}>"

    def default(self) -> Any:
        """A fresh default value."""
        if self._default is not None:
            return self.checked(self._default)
        if not self.is_many:
            return message_class(self.nested)() if self.nested else _ZEROS.get(self.base, 0)
        if self.count is not None:
            if self.typecode:
                return np.zeros(self.count, self.base)
            one = (lambda: message_class(self.nested)()) if self.nested else (lambda: _ZEROS[self.base])
            values = [one() for _ in range(self.count)]
            return Flags(values) if self.base in ("bool", "byte") else values
        if self.typecode:
            return Numbers(self.typecode)
        return Flags() if self.base in ("bool", "byte") else []

    def wrong(self, value: Any, wanted: str) -> TypeError:
        return TypeError(f"{self._owner}.{self.name} takes {wanted}, not {value!r:.80}")

    def checked(self, value: Any) -> Any:
        """Return `value` as the field keeps it.

        Raises:
            TypeError: it has the wrong type; rclpy would fail too, some releases only when publishing.
            ValueError: out of range, or a wrong number of elements.
        """
        if not self.is_many:
            return self._checked_one(value)
        result: Any = self._checked_numbers(value) if self.typecode else self._checked_list(value)
        if self.count is not None and len(result) != self.count:
            raise ValueError(f"{self._owner}.{self.name} takes {self.count} elements, not {len(result)}")
        if self.bound is not None and len(result) > self.bound:
            raise ValueError(f"{self._owner}.{self.name} takes at most {self.bound} elements, not {len(result)}")
        return result

    def _checked_one(self, value: Any) -> Any:
        if self.nested:
            if isinstance(value, message_class(self.nested)):
                return value
            raise self.wrong(value, f"a {self.nested}")
        if limits := _INT_RANGES.get(self.base):
            if not isinstance(value, int):
                raise self.wrong(value, "an int")
            if not limits[0] <= value <= limits[1]:
                raise ValueError(f"{self._owner}.{self.name} takes {limits[0]} to {limits[1]}, not {value}")
            return value
        wanted: Any = _PYTHON_TYPES[self.base]
        if not isinstance(value, wanted):
            raise self.wrong(value, f"a {wanted.__name__}")
        if self.string_bound and len(value) > self.string_bound:
            raise ValueError(f"{self._owner}.{self.name} takes at most {self.string_bound} characters")
        if self.base == "byte" and len(value) != 1:
            raise ValueError(f"{self._owner}.{self.name} takes one byte, not {len(value)}")
        return Octet(value) if self.base == "byte" else value

    def _checked_numbers(self, value: Any) -> Any:
        code = self.typecode or ""
        if self.count is not None:
            if isinstance(value, str | bytes) or not isinstance(value, Iterable):
                raise self.wrong(value, f"{self.count} numbers")
            return np.array(value, dtype=self.base).reshape(-1)
        if type(value) is Numbers and value.typecode == code:
            return value
        try:
            if isinstance(value, np.ndarray):
                if not np.can_cast(value.dtype, self.base, "same_kind"):
                    raise TypeError(f"{value.dtype} would be cut")
                return _numbers(code, np.ascontiguousarray(value, dtype=self.base).reshape(-1))
            if isinstance(value, array) and value.typecode == code:
                return _numbers(code, np.frombuffer(value, self.base)) if value else Numbers(code)
            if code == "B" and isinstance(value, bytes | bytearray | memoryview):
                return Numbers(code, bytes(value))
            return Numbers(code, [x for x in value])
        except (TypeError, OverflowError) as error:
            raise self.wrong(value, f"a sequence of {self.base} ({error})") from error

    def _checked_list(self, value: Any) -> list[Any]:
        if isinstance(value, str | bytes) or not isinstance(value, Iterable):
            raise self.wrong(value, "a sequence")
        values = [self._checked_one(x) for x in value]
        return Flags(values) if self.base in ("bool", "byte") else values

    def from_wire(self, v: str) -> str:
        """Source of the expression that turns what rosbags read (variable `v`, views of lent memory) into our value."""
        if not self.is_many:
            return f"Octet(({v} & 255,))" if self.base == "byte" else v
        if self.typecode:
            return f"{v}.copy()" if self.count is not None else f"numbers({self.typecode!r}, {v})"
        if self.base == "bool":
            return f"Flags({v}.tolist())"
        return f"Flags(bytes((x & 255,)) for x in {v}.tolist())" if self.base == "byte" else v


_PYTHON_TYPES: dict[str, type] = {"bool": bool, "float32": float, "float64": float, "string": str, "byte": bytes}
_ZEROS: dict[str, Any] = {"bool": False, "float32": 0.0, "float64": 0.0, "string": "", "byte": Octet(1)}


def _numbers(typecode: str, view: np.ndarray) -> Numbers:
    result = Numbers(typecode)
    result.frombytes(view.view(np.uint8))  # type: ignore[arg-type]
    return result


def _property(field: _Field, slot: Any) -> property:
    store, checked = slot.__set__, field.checked
    if field.base in ("float32", "float64") and not field.is_many:  # the most frequent case, kept short

        def assign(self: Any, value: Any) -> None:
            store(self, value if type(value) is float else checked(value))
    else:

        def assign(self: Any, value: Any) -> None:
            store(self, checked(value))

    return property(slot.__get__, assign)


@cache
def message_class(name: str) -> Any:
    """Return the class of a message such as `std_msgs/msg/String` or `ami_interfaces/srv/ResetSim_Request`.

    Raises:
        InterfaceError: there is no such interface.
    """
    constants, entries = interfaces.definitions[name]
    package, kind, stem = name.split("/")
    defaults = interfaces.definitions.defaults.get(name, {})
    fields = {n: _Field(name, n, d, defaults.get(n)) for n, d in ((normalize_fieldname(n), d) for n, d in entries)}
    body: dict[str, Any] = {c: bytes((value,)) if base == "byte" else value for c, base, value in constants}
    body.update(__slots__=tuple(f.slot for f in fields.values()), __module__=f"{package}.{kind}")
    body.update(_type_name=name, _fields=fields, __doc__=f"Message class for {name}.")
    cls = type(stem, (Message,), body)
    for field in fields.values():
        slot = getattr(cls, field.slot)
        field.store = slot.__set__
        setattr(cls, field.name, _property(field, slot))
    source = [f"def from_wire({', '.join(f.slot for f in fields.values())}):", " self = new(cls)"]
    source += [f" self.{f.slot} = {f.from_wire(f.slot)}" for f in fields.values()]
    scope: dict[str, Any] = {"new": cls.__new__, "cls": cls, "numbers": _numbers, "Flags": Flags, "Octet": Octet}
    exec("\n".join([*source, " return self"]), scope)
    cls._from_wire = staticmethod(scope["from_wire"])  # type: ignore[attr-defined]
    return cls


def _namespace(name: str, body: dict[str, Any]) -> Any:
    package, kind, stem = name.split("/")
    return type(stem, (), {"_type_name": name, "__module__": f"{package}.{kind}", "__slots__": (), **body})


@cache
def service_class(name: str) -> Any:
    """Return the class of a service (`std_srvs/srv/Trigger`): a namespace with Request and Response."""
    return _namespace(name, {p: message_class(f"{name}_{p}") for p in ("Request", "Response")})


@cache
def action_class(name: str) -> Any:
    """Return the class of an action: a namespace with Goal, Result, Feedback and Impl, as rosidl generates it."""
    body: dict[str, Any] = {p: message_class(f"{name}_{p}") for p in ("Goal", "Result", "Feedback")}
    impl = {
        "SendGoalService": service_class(f"{name}_SendGoal"),
        "GetResultService": service_class(f"{name}_GetResult"),
        "FeedbackMessage": message_class(f"{name}_FeedbackMessage"),
        "CancelGoalService": service_class("action_msgs/srv/CancelGoal"),
        "GoalStatusMessage": message_class("action_msgs/msg/GoalStatusArray"),
    }
    return _namespace(name, {**body, "Impl": type("Impl", (), {"__slots__": (), **impl})})


def interface_class(name: str) -> Any:
    """Return the class for any `package/msg/Name`, `package/srv/Name` or `package/action/Name`."""
    kind = name.split("/")[1] if name.count("/") == 2 else ""
    makers: dict[str, Callable[[str], Any]] = {"msg": message_class, "srv": service_class, "action": action_class}
    if kind not in makers:
        raise interfaces.InterfaceError(f"{name!r} is not a ROS 2 interface name such as std_msgs/msg/String")
    return makers[kind](name)
