"""Who publishes, reads, serves and calls what, as the graph itself says; and what of it does not fit together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

from ami_nodes.preflight import FaultError

PUBLISHES, READS, SERVES, CALLS = "publishes", "reads", "serves", "calls"
TRAJECTORY, CLOCK = "trajectory_msgs/msg/JointTrajectory", "rosgraph_msgs/msg/Clock"
SOLE_WRITER = (TRAJECTORY, CLOCK)
"""Types of the topics on which a second voice moves the arm, or time."""

FROM_OUTSIDE = frozenset({"people", "held_tool", "e_stop", "deadman"})
"""Last names of topics that may stay silent: nobody has to stand by, and the guardrail file says what silence means."""

FOR_PICTURES = frozenset({"encode_image"})
"""Services that goals given as positions do without."""


@dataclass(frozen=True)
class Endpoint:
    """One end of a topic or a service. Reliable and latched: offered by who publishes, asked for by who reads."""

    node: str  # fully qualified
    does: str
    name: str
    kind: str  # type
    reliable: bool = False
    latched: bool = False


def endpoints(node: Any) -> list[Endpoint]:
    """All of the graph that a node sees."""
    found = []
    for topic, _ in node.get_topic_names_and_types():
        for does, infos in (
            (PUBLISHES, node.get_publishers_info_by_topic(topic)),
            (READS, node.get_subscriptions_info_by_topic(topic)),
        ):
            for info in infos:
                reliable = info.qos_profile.reliability == ReliabilityPolicy.RELIABLE
                latched = info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
                owner = f"{info.node_namespace.rstrip('/')}/{info.node_name}"
                found.append(Endpoint(owner, does, topic, info.topic_type, reliable, latched))
    for name, namespace in node.get_node_names_and_namespaces():
        for does, services in (
            (SERVES, node.get_service_names_and_types_by_node(name, namespace)),
            (CALLS, node.get_client_names_and_types_by_node(name, namespace)),
        ):
            owner = f"{namespace.rstrip('/')}/{name}"
            found += [Endpoint(owner, does, service, kind) for service, kinds in services for kind in kinds]
    return found


def check_topics(launched: Iterable[Endpoint], there: Iterable[Endpoint], needed: Collection[str] = ()) -> str:
    """Whether what the launched nodes say and ask for meets its like, among them or in the graph that is there.

    `needed` are names in FROM_OUTSIDE that may not stay silent. Raises FaultError.
    """
    groups: dict[tuple[bool, str], list[Endpoint]] = defaultdict(list)
    ours = set(launched)
    for end in sorted({*ours, *there}, key=lambda e: (e.name, e.node, e.does)):
        groups[end.does in (SERVES, CALLS), end.name].append(end)
    concerned = {key: ends for key, ends in groups.items() if ours.intersection(ends)}
    may_be_silent = (FROM_OUTSIDE | FOR_PICTURES) - set(needed)
    sentences = [s for (_, name), ends in concerned.items() for s in _faults(name, ends, may_be_silent)]
    if sentences:
        raise FaultError(*sentences)
    services = sum(is_service for is_service, _ in concerned)
    return f"{len(concerned) - services} topics and {services} services have one type each, and QoS that match."


def _faults(name: str, ends: list[Endpoint], may_be_silent: Collection[str]) -> list[str]:
    """What is wrong with one topic or service."""
    kinds = {end.kind for end in ends}
    if len(kinds) > 1:
        said = ", ".join(sorted({f"{end.node} {end.does} {end.kind}" for end in ends}))
        return [f"{name} has {len(kinds)} types: {said}."]
    givers = [end for end in ends if end.does in (PUBLISHES, SERVES)]
    takers = [end for end in ends if end.does in (READS, CALLS)]
    if takers and not givers:
        if name.rpartition("/")[2] in may_be_silent:
            return []
        gives = PUBLISHES if takers[0].does == READS else SERVES
        return [f"nobody {gives} {name}, which is wanted by {_names(takers)}."]
    if kinds == {TRAJECTORY} and not takers:
        return [f"no arm reads {name}, which is published by {_names(givers)}: is its controller active?"]
    writers = {end.node for end in givers}
    if kinds & set(SOLE_WRITER) and len(writers) > 1:
        return [f"{name} has the publishers {_names(givers)}; there may be one."]
    return [
        f"{taker.node} hears nothing from {giver.node} on {name}: it asks for {wanted}, which is not offered."
        for giver in givers
        for taker in takers
        for wanted in _not_offered(giver, taker)
    ]


def _not_offered(giver: Endpoint, taker: Endpoint) -> list[str]:
    """The policies by which DDS does not connect the two."""
    reliable = ["reliable messages"] if taker.reliable and not giver.reliable else []
    return reliable + (["latched (transient-local) messages"] if taker.latched and not giver.latched else [])


def _names(ends: Iterable[Endpoint]) -> str:
    return ", ".join(sorted({end.node for end in ends}))
