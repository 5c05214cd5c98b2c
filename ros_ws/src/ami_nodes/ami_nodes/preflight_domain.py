"""The graph that is there already, in the domain that the launch would join: who is in the way, and who is awaited."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from ami_nodes.preflight import FaultError
from ami_nodes.preflight_endpoints import CLOCK, PUBLISHES, SOLE_WRITER, Endpoint, endpoints
from ami_nodes.preflight_rehearsal import Tried
from ami_nodes.visitor import QUIET_S, Visitor

LEAST_S, MOST_S = 1.0, 5.0
"""Nodes are discovered within tens of ms, on a busy machine in more: listened for as long as more of them appear."""


class Lookout(Visitor):
    """Looks and listens in the namespace of the nodes that would be launched."""

    def __init__(self, namespace: str) -> None:
        """Join the domain; raises RuntimeError or ValueError where that cannot be done."""
        super().__init__(f"preflight_{os.getpid()}", namespace=namespace)

    def others(self) -> list[Endpoint]:
        """What there is beside us, once nothing more appears."""
        began_s = changed_s = time.monotonic()
        seen: set[Endpoint] = set()

        def quiet() -> bool:
            nonlocal seen, changed_s
            if (found := set(endpoints(self.node))) != seen:
                seen, changed_s = found, time.monotonic()
            return time.monotonic() > max(began_s + LEAST_S, changed_s + QUIET_S)

        self.spin_until(quiet, MOST_S)
        return [end for end in seen if end.node != self.node.get_fully_qualified_name()]


def check_domain(tried: Sequence[Tried], there: Sequence[Endpoint], domain: int) -> str:
    """Whether somebody has the name of a node of ours, moves the arm, or owns the time."""
    names = {one.node for one in tried}
    writes = {end.name for one in tried for end in one.endpoints if end.does == PUBLISHES and end.kind in SOLE_WRITER}
    sentences = [
        f"{name} runs already in domain {domain}: end the other graph, or set another ROS_DOMAIN_ID."
        for name in sorted(names & {end.node for end in there})
    ]
    sentences += [
        f"{end.node} publishes {end.name} in domain {domain}: there may be one who does."
        for end in sorted(there, key=lambda e: (e.name, e.node))
        if end.does == PUBLISHES and (end.name in writes or end.kind == CLOCK) and end.node not in names
    ]
    if sentences:
        raise FaultError(*sentences)
    strangers = sorted({end.node for end in there})
    company = f"with {', '.join(strangers)}, who are not in the way" if strangers else "empty"
    return f"domain {domain} is {company}."
