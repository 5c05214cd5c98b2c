"""The ROS 2 graph: who is there, what they publish and offer, told and read as rmw_cyclonedds does.

DDS discovery knows endpoints; which node an endpoint belongs to travels on the topic `ros_discovery_info`, where every
process keeps its latest rmw_dds_common/ParticipantEntitiesInfo for late joiners.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from ami_embedded import interfaces
from ami_embedded.dds import BuiltinReader, Participant, QoS, Reader, RemoteEndpoint, Writer
from ami_embedded.messages import message_class

_INFO = "rmw_dds_common/msg/ParticipantEntitiesInfo"
# As many updates as can queue up between two looks at the graph, from all processes; older ones are overtaken anyway.
_BACKLOG = 1000


@dataclass
class NodeEntry:
    """A node of this process and the GUIDs of its endpoints."""

    namespace: str
    name: str
    readers: list[bytes] = field(default_factory=list)
    writers: list[bytes] = field(default_factory=list)


def user_data(type_name: str) -> str:
    """USER_DATA of an endpoint of this type: stock ROS 2 warns when the hash is missing."""
    return f"typehash={interfaces.type_hash(type_name)};"


class Graph:
    """Announces the nodes of one participant and answers questions about all."""

    def __init__(self, participant: Participant) -> None:
        type_name, data = interfaces.dds_type_name(_INFO), user_data(_INFO)
        self._gid = participant.gid
        self._writer = Writer(participant, "ros_discovery_info", type_name, QoS(True, True, 1, user_data=data))
        self._reader = Reader(participant, "ros_discovery_info", type_name, QoS(True, True, _BACKLOG, user_data=data))
        self._writers, self._readers = BuiltinReader(participant, True), BuiltinReader(participant, False)
        self._own: list[NodeEntry] = []
        self._known: dict[bytes, object] = {}
        self._lock = threading.RLock()
        self._held_back = 0
        self.announce()

    def add(self, node: NodeEntry) -> None:
        """Announce a node from now on."""
        with self._lock:
            self._own.append(node)
        self.announce()

    def remove(self, node: NodeEntry) -> None:
        """Announce a node no longer."""
        with self._lock:
            self._own = [n for n in self._own if n is not node]
        self.announce()

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Announce once at the end instead of at each change."""
        with self._lock:
            self._held_back += 1
        try:
            yield
        finally:
            with self._lock:
                self._held_back -= 1
            self.announce()

    def announce(self) -> None:
        """Publish the present state of this process."""
        gid, node_info = message_class("rmw_dds_common/msg/Gid"), message_class("rmw_dds_common/msg/NodeEntitiesInfo")

        def gids(values: list[bytes]) -> list[object]:
            return [gid(data=np.frombuffer(v, np.uint8)) for v in values]

        with self._lock:
            if self._held_back or not self._writer.handle:
                return
            nodes = [
                node_info(
                    node_namespace=n.namespace,
                    node_name=n.name,
                    reader_gid_seq=gids(n.readers),
                    writer_gid_seq=gids(n.writers),
                )
                for n in self._own
            ]
            info = message_class(_INFO)(gid=gids([self._gid])[0], node_entities_info_seq=nodes)
            self._writer.write(interfaces.serialize(info))

    def nodes(self) -> list[NodeEntry]:
        """Every node known now, of all live processes."""
        with self._lock:
            while taken := self._reader.take(lambda view: interfaces.deserialize(view, _INFO)):
                self._known[taken[0].gid.data.tobytes()] = taken[0]
            alive = {e.participant_gid for e in self._writers.endpoints()}
            self._known = {gid: info for gid, info in self._known.items() if gid in alive}
            return [
                NodeEntry(
                    n.node_namespace,
                    n.node_name,
                    [g.data.tobytes() for g in n.reader_gid_seq],
                    [g.data.tobytes() for g in n.writer_gid_seq],
                )
                for info in self._known.values()
                for n in info.node_entities_info_seq  # type: ignore[attr-defined]
            ]

    def writers(self) -> list[RemoteEndpoint]:
        """Every writer of the domain."""
        return self._writers.endpoints()

    def readers(self) -> list[RemoteEndpoint]:
        """Every reader of the domain."""
        return self._readers.endpoints()

    def topics(self, gids: list[bytes] | None = None) -> dict[str, set[str]]:
        """{ROS topic: {type}} of all endpoints, or of those with the given GUIDs."""
        return self._by_name([*self.writers(), *self.readers()], "rt", "", gids)

    def services(self, gids: list[bytes] | None = None) -> dict[str, set[str]]:
        """{ROS service: {type}} of all servers (readers of requests), or of those with the given GUIDs."""
        return self._by_name(self.readers(), "rq", "Request", gids)

    def clients(self, gids: list[bytes] | None = None) -> dict[str, set[str]]:
        """{ROS service: {type}} of all clients (writers of requests), or of those with the given GUIDs."""
        return self._by_name(self.writers(), "rq", "Request", gids)

    @staticmethod
    def _by_name(
        endpoints: list[RemoteEndpoint], prefix: str, suffix: str, gids: list[bytes] | None
    ) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for e in endpoints:
            known = e.topic_name.startswith(f"{prefix}/") and e.topic_name.endswith(suffix)
            if known and (gids is None or e.gid in gids):
                name = e.topic_name[len(prefix) : len(e.topic_name) - len(suffix)]
                type_name = interfaces.ros_type_name(e.type_name)
                found.setdefault(name, set()).add(type_name.removesuffix(f"_{suffix}") if suffix else type_name)
        return found
