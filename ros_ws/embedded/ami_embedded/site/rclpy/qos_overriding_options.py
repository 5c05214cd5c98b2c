"""QoS that users change by parameters: `qos_overrides.<topic>.<publisher or subscription>.<policy>`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor

from .exceptions import ParameterAlreadyDeclaredException
from .qos import QoSDurabilityPolicy, QoSHistoryPolicy, QoSPolicyKind, QoSProfile, QoSReliabilityPolicy

_WORDS: dict[QoSPolicyKind, Any] = {
    QoSPolicyKind.HISTORY: QoSHistoryPolicy,
    QoSPolicyKind.RELIABILITY: QoSReliabilityPolicy,
    QoSPolicyKind.DURABILITY: QoSDurabilityPolicy,
}


class InvalidQosOverridesError(Exception):
    """The callback of the options refuses the profile that came of the parameters."""


class QoSOverridingOptions:
    """Which policies have a parameter, a callback that may refuse the outcome, an id to tell entities apart."""

    def __init__(
        self,
        policy_kinds: Iterable[QoSPolicyKind],
        *,
        callback: Callable[[QoSProfile], bool] | None = None,
        entity_id: str | None = None,
    ) -> None:
        self.policy_kinds, self.callback, self.entity_id = tuple(policy_kinds), callback, entity_id

    @classmethod
    def with_default_policies(
        cls, *, callback: Callable[[QoSProfile], bool] | None = None, entity_id: str | None = None
    ) -> QoSOverridingOptions:
        """History, depth and reliability."""
        kinds = (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY)
        return cls(kinds, callback=callback, entity_id=entity_id)


def overridden(node: Any, entity: str, topic: str, qos: QoSProfile, options: QoSOverridingOptions) -> QoSProfile:
    """The profile as the node's parameters have it; `entity` is publisher or subscription. Declares the parameters.

    Raises:
        RuntimeError: a value that the policy does not have.
        InvalidQosOverridesError: the callback refuses it.
    """
    qos = copy(qos)
    suffix = "" if options.entity_id is None else f"_{options.entity_id}"
    for kind in options.policy_kinds:
        policy = kind.name.lower()
        name, words = f"qos_overrides.{topic}.{entity}{suffix}.{policy}", _WORDS.get(kind)
        default = getattr(qos, policy)
        descriptor = ParameterDescriptor(description=f"{policy} for {entity} `{topic}`", read_only=True)
        try:
            value = node.declare_parameter(name, default.name.lower() if words else default, descriptor).value
        except ParameterAlreadyDeclaredException:
            value = node.get_parameter(name).value
        setattr(qos, policy, _checked(name, value, words))
    if options.callback is not None and not options.callback(qos):
        raise InvalidQosOverridesError(f"Provided QoS overrides for {entity} `{topic}`, are not valid")
    return qos


def _checked(name: str, value: Any, words: Any) -> Any:
    if words is None and type(value) is int and value >= 0:
        return value
    if words is not None and isinstance(value, str) and value.upper() in words.__members__:
        return words[value.upper()]
    valid = "a depth of 0 or more" if words is None else ", ".join(word.lower() for word in words.__members__)
    raise RuntimeError(f"Unexpected QoS override {name}: {value!r}, it has to be {valid}")
