"""Looks round a graph from outside, as `ros2 topic` and its like do: who is there, what is said, what is answered."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

from rclpy.parameter import Parameter

from ami_nodes import qos
from ami_nodes.convert import to_ns
from ami_nodes.interfaces import interface_class
from ami_nodes.message_yaml import from_yaml, to_yaml
from ami_nodes.rhythm import Rhythm
from ami_nodes.visitor import DISCOVERY_S, QUIET_S, Visitor, domain_hint

T = TypeVar("T")
Names = dict[str, list[str]]
"""{name: types}."""

POLL_S = 0.05
DEPTH = 100


class VisitorError(ValueError):
    """There is no such topic or service, or this machine does not know its type; one sentence."""


class SilenceError(RuntimeError):
    """Nothing was heard, or not answered, in time; one sentence."""

    exit_status = 1


class GraphVisitor(Visitor):
    """A hidden node, for one question."""

    def __init__(self) -> None:
        super().__init__(f"_ami_ros_{os.getpid()}", enable_rosout=False, start_parameter_services=False)

    def listing(self, kinds: Sequence[str], hidden: bool) -> str:
        """Nodes, topics, services, with their types; hidden ones only when asked for.

        A name is hidden when a part of it begins with _. Raises SilenceError where nobody is.
        """
        self._settled(lambda: (self._nodes(), self._topics(), self._services()) if self._nodes() else None)
        if not self._nodes():
            raise SilenceError(f"nobody is there: {domain_hint(self.context)}")
        rows: dict[str, list[tuple[str, ...]]] = {
            "nodes": [(name,) for name in self._nodes()],
            "topics": [
                (name, ", ".join(types), _count(len(self._others(name, "publishers")), "publisher")
                 + ", " + _count(len(self._others(name, "subscriptions")), "subscription"))
                for name, types in self._topics().items()
            ],
            "services": [(name, ", ".join(types)) for name, types in self._services().items()],
        }  # fmt: skip
        return "\n".join(_section(kind, [row for row in rows[kind] if hidden or "/_" not in row[0]]) for kind in kinds)

    def messages(self, topic: str, timeout_s: float) -> Iterator[str]:
        """Each message of a topic as YAML, for ever.

        Raises VisitorError, and SilenceError when nobody publishes it or nothing comes for `timeout_s`.
        """
        received: list[Any] = []
        name = self._listen(topic, received.append)
        while self.spin_until(lambda: bool(received), timeout_s):
            yield to_yaml(received.pop(0))
        raise SilenceError(f"{name} has a publisher, but no message came within {timeout_s:g} s.")

    def rhythm(self, topic: str, seconds: float) -> Rhythm:
        """How often messages come and how old they are, from this many seconds. Raises as `messages` does."""
        rhythm = Rhythm()

        def on_message(message: Any) -> None:
            rhythm.arrivals_s.append(time.monotonic())
            stamp_ns = to_ns(message.header.stamp) if hasattr(message, "header") else 0
            now_ns = self.node.get_clock().now().nanoseconds
            if stamp_ns and now_ns:  # simulated time is 0 until its first tick
                rhythm.ages_s.append((now_ns - stamp_ns) / 1e9)

        name = self._listen(topic, on_message)
        if self._others("/clock", "publishers"):
            self.node.set_parameters([Parameter("use_sim_time", Parameter.Type.BOOL, True)])
        self.spin_until(lambda: False, seconds)
        if not rhythm.arrivals_s:
            raise SilenceError(f"{name} has a publisher, but no message came within {seconds:g} s.")
        return rhythm

    def call(self, service: str, request: str, timeout_s: float) -> str:
        """The answer to a request, both YAML.

        Raises VisitorError, MessageError, and SilenceError when none came in time.
        """
        name = _absolute(service)
        self._settled(lambda: self._services().get(name))
        kind = self._class("service", name, self._services())
        filled = from_yaml(kind.Request, request)
        answer = self.ask(kind, name, filled, timeout_s)
        if answer is None:
            raise SilenceError(f"{name} did not answer within {timeout_s:g} s.")
        return to_yaml(answer)

    def _listen(self, topic: str, callback: Callable[[Any], None]) -> str:
        """Subscribe with what the publishers offer; the topic's whole name."""
        name = _absolute(topic)
        offers = self._settled(lambda: [info.qos_profile for info in self._others(name, "publishers")])
        kind = self._class("topic", name, self._topics())
        if not offers:
            raise SilenceError(f"nobody publishes {name}: it has subscriptions alone.")
        self.node.create_subscription(kind, name, callback, qos.matching(offers, DEPTH))
        return name

    def _class(self, what: str, name: str, known: Names) -> Any:
        if name not in known:
            nearest = get_close_matches(name, known, n=3)
            found = f"the nearest: {', '.join(nearest)}" if nearest else f"{_count(len(known), what)} in all"
            raise VisitorError(f"there is no {what} {name} ({found}): {domain_hint(self.context)}")
        if len(known[name]) != 1:
            raise VisitorError(f"the {what} {name} has more than one type: {', '.join(known[name])}.")
        try:
            return interface_class(known[name][0])
        except (ImportError, AttributeError) as error:
            raise VisitorError(f"this machine does not know {known[name][0]}, the type of {name}: {error}") from error

    def _settled(self, look: Callable[[], T]) -> T:
        """What is seen once something is, and nothing new turned up for a while; or whatever is seen in the end."""
        seen, since_s = look(), time.monotonic()
        give_up_s = since_s + DISCOVERY_S
        while time.monotonic() < (since_s + QUIET_S if seen else give_up_s) and time.monotonic() < give_up_s:
            time.sleep(POLL_S)
            if (now := look()) != seen:
                seen, since_s = now, time.monotonic()
        return seen

    def _nodes(self) -> list[str]:
        names = {f"{space.rstrip('/')}/{name}" for name, space in self.node.get_node_names_and_namespaces()}
        return sorted(names - {self.node.get_fully_qualified_name()})

    def _topics(self) -> Names:
        """Those that others publish or subscribe to."""
        found = sorted(self.node.get_topic_names_and_types())
        return {n: types for n, types in found if self._others(n, "publishers") or self._others(n, "subscriptions")}

    def _services(self) -> Names:
        own = f"{self.node.get_fully_qualified_name()}/"
        return {n: types for n, types in sorted(self.node.get_service_names_and_types()) if not n.startswith(own)}

    def _others(self, topic: str, ends: str) -> list[Any]:
        """What is known of the publishers or subscriptions of a topic, this node's own left out."""
        infos = getattr(self.node, f"get_{ends}_info_by_topic")(topic)
        return [info for info in infos if info.node_name != self.node.get_name()]


def _absolute(name: str) -> str:
    return name if name.startswith("/") else f"/{name}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _section(kind: str, rows: list[tuple[str, ...]]) -> str:
    """A headline, and the rows in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([f"{kind} ({len(rows)})", *(f"  {line}" for line in lines)])
