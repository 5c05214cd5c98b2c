"""The parameters of a node: declaration, ranges, and the six services by which others reach them."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from rcl_interfaces.msg import ListParametersResult, ParameterDescriptor, ParameterEvent, SetParametersResult
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    GetParameterTypes,
    ListParameters,
    SetParameters,
    SetParametersAtomically,
)

from .exceptions import (
    InvalidParameterException,
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterAlreadyDeclaredException,
    ParameterNotDeclaredException,
    ParameterUninitializedException,
)
from .parameter import Parameter
from .qos import qos_profile_parameter_events, qos_profile_parameters

_NOT_SET = Parameter.Type.NOT_SET


class ParametersMixin:
    """Part of Node."""

    def _init_parameters(self, overrides: dict[str, Parameter], allow_undeclared: bool, start_services: bool) -> None:
        self._parameters: dict[str, Parameter] = {}
        self._descriptors: dict[str, Any] = {}
        self._parameter_overrides = overrides
        self._allow_undeclared_parameters = allow_undeclared
        self._parameter_lock = threading.RLock()
        self._parameter_events = self.create_publisher(  # type: ignore[attr-defined]
            ParameterEvent, "/parameter_events", qos_profile_parameter_events
        )
        if start_services:
            for kind, name, callback in (
                (DescribeParameters, "describe_parameters", self._on_describe),
                (GetParameters, "get_parameters", self._on_get),
                (GetParameterTypes, "get_parameter_types", self._on_get_types),
                (ListParameters, "list_parameters", self._on_list),
                (SetParameters, "set_parameters", self._on_set_parameters),
                (SetParametersAtomically, "set_parameters_atomically", self._on_set_atomically),
            ):
                self.create_service(  # type: ignore[attr-defined]
                    kind, f"~/{name}", callback, qos_profile=qos_profile_parameters
                )

    def declare_parameter(
        self, name: str, value: Any = None, descriptor: Any = None, ignore_override: bool = False
    ) -> Parameter:
        """Declare a parameter with a default value, or with a Parameter.Type and no default."""
        argument = (name, value) if descriptor is None else (name, value, descriptor)
        return self.declare_parameters("", [argument], ignore_override)[0]

    def declare_parameters(
        self, namespace: str, parameters: Iterable[tuple[Any, ...]], ignore_override: bool = False
    ) -> list[Parameter]:
        """Declare (name), (name, default) or (name, default, descriptor) each; overrides win over defaults.

        Raises:
            ParameterAlreadyDeclaredException, InvalidParameterException, InvalidParameterTypeException,
            InvalidParameterValueException: nothing of the list from the offending one on is declared.
        """
        declared = []
        for given in parameters:
            name, default, descriptor = (*given, None, None)[:3]
            name = f"{namespace}.{name}" if namespace else name
            if not isinstance(name, str) or not name or "" in name.split("."):
                raise InvalidParameterException(name)
            if name in self._parameters:
                raise ParameterAlreadyDeclaredException(name)
            declared.append(self._declare(name, default, descriptor, ignore_override))
        return declared

    def _declare(self, name: str, default: Any, descriptor: Any, ignore_override: bool) -> Parameter:
        descriptor = ParameterDescriptor() if descriptor is None else descriptor
        if isinstance(default, Parameter.Type):
            wanted, default = default, None
        else:
            wanted = Parameter.Type.from_parameter_value(default)
            descriptor.dynamic_typing = descriptor.dynamic_typing or wanted == _NOT_SET
        override = None if ignore_override else self._parameter_overrides.get(name)
        parameter = override if override is not None else Parameter(name, None if default is None else wanted, default)
        if override is not None and not descriptor.dynamic_typing:
            if override.type_ != wanted and not wanted.check(override.value):
                raise InvalidParameterTypeException(override, wanted.name)
            parameter = Parameter(name, wanted, override.value)  # an empty list takes the declared type
        descriptor.name, descriptor.type = name, int(wanted if wanted != _NOT_SET else parameter.type_)
        if parameter.type_ != _NOT_SET:
            reason = _out_of_range(descriptor, parameter)
            if reason:
                raise InvalidParameterValueException(name, parameter.value, reason)
        with self._parameter_lock:
            self._descriptors[name], self._parameters[name] = descriptor, parameter
        self._applied([parameter], new=True)
        return parameter

    def has_parameter(self, name: str) -> bool:
        """Whether it is declared."""
        return name in self._parameters

    def get_parameter(self, name: str) -> Parameter:
        """Return a parameter.

        Raises:
            ParameterNotDeclaredException: not declared.
            ParameterUninitializedException: declared by type, and no value was given.
        """
        parameter = self._parameters.get(name)
        if parameter is not None:
            if parameter.type_ == _NOT_SET and not self._descriptors[name].dynamic_typing:
                raise ParameterUninitializedException(name)
            return parameter
        if self._allow_undeclared_parameters:
            return Parameter(name)
        raise ParameterNotDeclaredException(name)

    def get_parameters_by_prefix(self, prefix: str) -> dict[str, Parameter]:
        """Return {rest of the name: parameter} of all below a prefix; of all when it is empty."""
        start = f"{prefix}." if prefix else ""
        return {n[len(start) :]: p for n, p in self._parameters.items() if n.startswith(start)}

    def set_parameters(self, parameter_list: list[Parameter]) -> list[Any]:
        """Set each by itself; one SetParametersResult for each.

        Raises:
            ParameterNotDeclaredException: one is not declared.
        """
        return [self.set_parameters_atomically([p]) for p in parameter_list]

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> Any:
        """Set all or none; return a SetParametersResult.

        Raises:
            ParameterNotDeclaredException: one is not declared.
        """
        missing = [p.name for p in parameter_list if p.name not in self._parameters]
        if missing and not self._allow_undeclared_parameters:
            raise ParameterNotDeclaredException(missing)
        with self._parameter_lock:
            for p in parameter_list:
                descriptor = self._descriptors.get(p.name)
                if descriptor is not None and (reason := _not_settable(descriptor, p)):
                    return SetParametersResult(successful=False, reason=reason)
            for p in parameter_list:
                if p.name not in self._descriptors:
                    self._descriptors[p.name] = ParameterDescriptor(name=p.name, type=int(p.type_), dynamic_typing=True)
                self._parameters[p.name] = p
        self._applied(parameter_list, new=False)
        return SetParametersResult(successful=True)

    def describe_parameter(self, name: str) -> Any:
        """Return the ParameterDescriptor.

        Raises:
            ParameterNotDeclaredException: not declared.
        """
        if name not in self._descriptors:
            if self._allow_undeclared_parameters:
                return ParameterDescriptor()
            raise ParameterNotDeclaredException(name)
        return self._descriptors[name]

    def describe_parameters(self, names: list[str]) -> list[Any]:
        """Return several descriptors."""
        return [self.describe_parameter(name) for name in names]

    def list_parameters(self, prefixes: list[str], depth: int) -> Any:
        """Return a ListParametersResult with the names below the prefixes, at most `depth` parts deeper (0: all)."""
        names = []
        for name in self._parameters:
            if not prefixes and (depth == 0 or name.count(".") < depth):
                names.append(name)
            for prefix in prefixes:
                rest = name[len(prefix) + 1 :]
                inside = name == prefix or (name.startswith(f"{prefix}.") and (depth == 0 or rest.count(".") < depth))
                if inside and name not in names:
                    names.append(name)
        parents = sorted({n.rpartition(".")[0] for n in names if "." in n})
        return ListParametersResult(names=names, prefixes=parents)

    def _applied(self, parameters: list[Parameter], new: bool) -> None:
        for p in parameters:
            if p.name == "use_sim_time" and p.type_ == Parameter.Type.BOOL:
                self._time_source.use_sim_time(p.value)  # type: ignore[attr-defined]
        messages = [p.to_parameter_msg() for p in parameters]
        self._parameter_events.publish(
            ParameterEvent(
                stamp=self.get_clock().now().to_msg(),  # type: ignore[attr-defined]
                node=self.get_fully_qualified_name(),  # type: ignore[attr-defined]
                new_parameters=messages if new else [],
                changed_parameters=[] if new else messages,
            )
        )

    def _on_describe(self, request: Any, response: Any) -> Any:
        with suppress(ParameterNotDeclaredException):  # rclpy then answers with nothing
            response.descriptors = self.describe_parameters(request.names)
        return response

    def _on_get(self, request: Any, response: Any) -> Any:
        with suppress(ParameterNotDeclaredException, ParameterUninitializedException):
            response.values = [self.get_parameter(name).get_parameter_value() for name in request.names]
        return response

    def _on_get_types(self, request: Any, response: Any) -> Any:
        with suppress(ParameterNotDeclaredException, ParameterUninitializedException):
            response.types = [int(self.get_parameter(name).type_) for name in request.names]
        return response

    def _on_list(self, request: Any, response: Any) -> Any:
        response.result = self.list_parameters(request.prefixes, request.depth)
        return response

    def _on_set_parameters(self, request: Any, response: Any) -> Any:
        for message in request.parameters:
            response.results.append(self._set_from_messages([message]))
        return response

    def _on_set_atomically(self, request: Any, response: Any) -> Any:
        response.result = self._set_from_messages(request.parameters)
        return response

    def _set_from_messages(self, messages: list[Any]) -> Any:
        try:
            return self.set_parameters_atomically([Parameter.from_parameter_msg(m) for m in messages])
        except (ParameterNotDeclaredException, RuntimeError, ValueError) as error:
            return SetParametersResult(successful=False, reason=str(error))


def _not_settable(descriptor: Any, parameter: Parameter) -> str:
    """Why the descriptor forbids the new value; empty when it does not."""
    if descriptor.read_only:
        return f"Trying to set a read-only parameter: {parameter.name}."
    wanted = Parameter.Type(descriptor.type)
    if not descriptor.dynamic_typing and parameter.type_ != wanted:
        return f"Wrong parameter type, expected '{wanted.name}' got '{parameter.type_.name}'"
    return _out_of_range(descriptor, parameter)


def _out_of_range(descriptor: Any, parameter: Parameter) -> str:
    kind = parameter.type_
    if kind not in (Parameter.Type.INTEGER, Parameter.Type.DOUBLE):
        return ""
    ranges = descriptor.integer_range if kind == Parameter.Type.INTEGER else descriptor.floating_point_range
    for limits in ranges:
        low, high, step, value = limits.from_value, limits.to_value, limits.step, parameter.value
        if not low <= value <= high:
            return f"Parameter {parameter.name} out of range. Min: {low}, Max: {high}, value: {value}"
        if step and value != high and abs((value - low) / step - round((value - low) / step)) > 1e-9:
            return f"Parameter {parameter.name} is not a valid step. Min: {low}, step: {step}, value: {value}"
    return ""
