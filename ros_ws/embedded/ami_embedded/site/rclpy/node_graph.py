"""Questions a node can ask about the ROS graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ami_embedded import interfaces
from ami_embedded.dds import RemoteEndpoint
from ami_embedded.graph import NodeEntry

from .qos import QoSProfile


@dataclass(frozen=True)
class TopicEndpointInfo:
    """A publisher or subscription somewhere in the graph."""

    node_name: str
    node_namespace: str
    topic_type: str
    qos_profile: QoSProfile


class GraphMixin:
    """Part of Node."""

    context: Any

    def get_node_names_and_namespaces(self) -> list[tuple[str, str]]:
        """[(name, namespace)] of all nodes."""
        return [(n.name, n.namespace) for n in self.context.graph.nodes()]

    def get_topic_names_and_types(self, no_demangle: bool = False) -> list[tuple[str, list[str]]]:
        """[(topic, [type])] of all topics."""
        return _listed(self.context.graph.topics())

    def get_service_names_and_types(self) -> list[tuple[str, list[str]]]:
        """[(service, [type])] of all services."""
        return _listed(self.context.graph.services())

    def get_service_names_and_types_by_node(self, node_name: str, node_namespace: str) -> list[tuple[str, list[str]]]:
        """[(service, [type])] that a node serves."""
        return _listed(self.context.graph.services(self._node_entry(node_name, node_namespace).readers))

    def get_client_names_and_types_by_node(self, node_name: str, node_namespace: str) -> list[tuple[str, list[str]]]:
        """[(service, [type])] that a node calls."""
        return _listed(self.context.graph.clients(self._node_entry(node_name, node_namespace).writers))

    def _node_entry(self, name: str, namespace: str) -> NodeEntry:
        found = [n for n in self.context.graph.nodes() if (n.name, n.namespace) == (name, namespace)]
        if not found:
            raise RuntimeError(f"Node {namespace.rstrip('/')}/{name} is not known")
        return found[0]

    def get_publishers_info_by_topic(self, topic_name: str, no_mangle: bool = False) -> list[TopicEndpointInfo]:
        """Who publishes a topic."""
        return self._infos(topic_name, self.context.graph.writers(), "writers")

    def get_subscriptions_info_by_topic(self, topic_name: str, no_mangle: bool = False) -> list[TopicEndpointInfo]:
        """Who subscribes to a topic."""
        return self._infos(topic_name, self.context.graph.readers(), "readers")

    def _infos(self, topic_name: str, endpoints: list[RemoteEndpoint], kind: str) -> list[TopicEndpointInfo]:
        owner = {gid: n for n in self.context.graph.nodes() for gid in getattr(n, kind)}
        stranger = NodeEntry("_NODE_NAMESPACE_UNKNOWN_", "_CREATED_BY_BARE_DDS_APP_")
        result = []
        for e in self._on_topic(topic_name, endpoints):
            node = owner.get(e.gid, stranger)
            kind_name, qos = interfaces.ros_type_name(e.type_name), QoSProfile._from_dds(e.qos)
            result.append(TopicEndpointInfo(node.name, node.namespace, kind_name, qos))
        return result

    def _on_topic(self, topic_name: str, endpoints: list[RemoteEndpoint]) -> list[RemoteEndpoint]:
        full = self.resolve_topic_name(topic_name)  # type: ignore[attr-defined]
        return [e for e in endpoints if e.topic_name == f"rt{full}"]

    def count_publishers(self, topic_name: str) -> int:
        """How many publishers a topic has."""
        return len(self._on_topic(topic_name, self.context.graph.writers()))


def _listed(found: dict[str, set[str]]) -> list[tuple[str, list[str]]]:
    return [(name, sorted(types)) for name, types in sorted(found.items())]
