"""Parameter values and their message forms."""

from __future__ import annotations

from array import array
from enum import IntEnum
from typing import Any

import numpy as np


class _Type(IntEnum):
    """Types of a parameter, numbered as in rcl_interfaces/ParameterType."""

    NOT_SET = 0
    BOOL = 1
    INTEGER = 2
    DOUBLE = 3
    STRING = 4
    BYTE_ARRAY = 5
    BOOL_ARRAY = 6
    INTEGER_ARRAY = 7
    DOUBLE_ARRAY = 8
    STRING_ARRAY = 9

    @classmethod
    def from_parameter_value(cls, value: Any) -> _Type:
        """Return the type of a Python value.

        Raises:
            TypeError: no parameter can hold it.
        """
        if value is None:
            return cls.NOT_SET
        for kind, python_type in ((cls.BOOL, bool), (cls.INTEGER, int), (cls.DOUBLE, float), (cls.STRING, str)):
            if isinstance(value, python_type):
                return kind
        if isinstance(value, list | tuple | array | np.ndarray):
            for array_kind, element in (
                (cls.BYTE_ARRAY, bytes),
                (cls.BOOL_ARRAY, bool),
                (cls.INTEGER_ARRAY, int),
                (cls.DOUBLE_ARRAY, float),
                (cls.STRING_ARRAY, str),
            ):
                if all(isinstance(x, element) and not (element is int and isinstance(x, bool)) for x in value):
                    return array_kind
        raise TypeError(f"The given value is not one of the allowed types '{value}'.")

    def check(self, value: Any) -> bool:
        """Whether the value is of this type; an empty list is of every array type."""
        if self >= _Type.BYTE_ARRAY and isinstance(value, list | tuple | array) and not len(value):
            return True
        return _Type.from_parameter_value(value) == self


_FIELDS = {
    _Type.BOOL: "bool_value",
    _Type.INTEGER: "integer_value",
    _Type.DOUBLE: "double_value",
    _Type.STRING: "string_value",
    _Type.BYTE_ARRAY: "byte_array_value",
    _Type.BOOL_ARRAY: "bool_array_value",
    _Type.INTEGER_ARRAY: "integer_array_value",
    _Type.DOUBLE_ARRAY: "double_array_value",
    _Type.STRING_ARRAY: "string_array_value",
}


class Parameter:
    """A name with a typed value."""

    Type = _Type

    def __init__(self, name: str, type_: _Type | None = None, value: Any = None) -> None:
        if isinstance(value, tuple | np.ndarray):
            value = list(value) if isinstance(value, tuple) else value.tolist()
        self._type = _Type.from_parameter_value(value) if type_ is None else type_
        if type_ is not None and value is not None and not type_.check(value):
            raise ValueError(f"Type '{type_.name}' and value '{value}' do not agree")
        self._name, self._value = name, value

    @property
    def name(self) -> str:
        """The name, parts joined by dots."""
        return self._name

    @property
    def type_(self) -> _Type:
        """The type."""
        return self._type

    @property
    def value(self) -> Any:
        """The Python value."""
        return self._value

    def get_parameter_value(self) -> Any:
        """Return an rcl_interfaces/ParameterValue."""
        from rcl_interfaces.msg import ParameterValue

        message = ParameterValue(type=int(self._type))
        if self._type != _Type.NOT_SET:
            setattr(message, _FIELDS[self._type], self._value)
        return message

    def to_parameter_msg(self) -> Any:
        """Return an rcl_interfaces/Parameter."""
        from rcl_interfaces.msg import Parameter as Message

        return Message(name=self._name, value=self.get_parameter_value())

    @classmethod
    def from_parameter_msg(cls, message: Any) -> Parameter:
        """Read an rcl_interfaces/Parameter."""
        return cls(message.name, _Type(message.value.type), parameter_value_to_python(message.value))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Parameter):
            return NotImplemented
        return (self._name, self._type, self._value) == (other._name, other._type, other._value)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Parameter(name={self._name!r}, type_={self._type.name}, value={self._value!r})"


def parameter_value_to_python(message: Any) -> Any:
    """Return the Python value in an rcl_interfaces/ParameterValue.

    Raises:
        RuntimeError: an unknown type.
    """
    if message.type == _Type.NOT_SET:
        return None
    if message.type not in _FIELDS:
        raise RuntimeError(f"unexpected parameter type {message.type}")
    value = getattr(message, _FIELDS[_Type(message.type)])
    return list(value) if message.type >= _Type.BYTE_ARRAY else value
