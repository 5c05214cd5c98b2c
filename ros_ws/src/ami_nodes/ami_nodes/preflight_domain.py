"""The graph that is there already, in the domain that the launch would join: who is in the way, and who is awaited."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticArray

from ami_nodes import qos
from ami_nodes.convert import to_ns
from ami_nodes.health import EVERY_S
from ami_nodes.preflight import FaultError, Skipped
from ami_nodes.preflight_endpoints import CLOCK, PUBLISHES, SOLE_WRITER, Endpoint, endpoints
from ami_nodes.preflight_rehearsal import Tried
from ami_nodes.visitor import QUIET_S, Visitor
from ami_robot.types import NS_PER_S

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


def check_domain(tried: Sequence[Tried], elsewhere: Sequence[Tried], there: Sequence[Endpoint], domain: int) -> str:
    """Whether somebody has the name of a node of ours, moves the arm, or owns the time.

    Nodes of the other half of the launch, `elsewhere`, may be there already.
    """
    names = {one.node for one in tried}
    expected = names | {one.node for one in elsewhere}
    writes = {end.name for one in tried for end in one.endpoints if end.does == PUBLISHES and end.kind in SOLE_WRITER}
    sentences = [
        f"{name} runs already in domain {domain}: end the other graph, or set another ROS_DOMAIN_ID."
        for name in sorted(names & {end.node for end in there})
    ]
    sentences += [
        f"{end.node} publishes {end.name} in domain {domain}: there may be one who does."
        for end in sorted(there, key=lambda e: (e.name, e.node))
        if end.does == PUBLISHES and (end.name in writes or end.kind == CLOCK) and end.node not in expected
    ]
    if sentences:
        raise FaultError(*sentences)
    strangers = sorted({end.node for end in there})
    company = f"with {', '.join(strangers)}, who are not in the way" if strangers else "empty"
    return f"domain {domain} is {company}."


def check_other_clocks(lookout: Lookout, there: Sequence[Endpoint], most_s: float) -> str:
    """Whether the clocks of the nodes that are there agree with ours, by the stamps on /diagnostics. Raises FaultError.

    An offset holds what the message took on its way, so it is known to some milliseconds.
    """
    if any(end.kind == CLOCK and end.does == PUBLISHES for end in there):
        raise Skipped("the graph follows /clock, so the hosts' clocks do not matter.")
    ages_s: dict[str, float] = {}  # the youngest of each node

    def on_diagnostics(message: DiagnosticArray) -> None:
        age_s = (time.time_ns() - to_ns(message.header.stamp)) / NS_PER_S
        for status in message.status:
            ages_s[status.name] = min(age_s, ages_s.get(status.name, age_s))

    heard = lookout.node.create_subscription(DiagnosticArray, "/diagnostics", on_diagnostics, qos.EVENTS)
    lookout.spin_until(lambda: False, 2 * EVERY_S)
    lookout.node.destroy_subscription(heard)
    if not ages_s:
        raise Skipped("nobody speaks on /diagnostics yet: start one half, then look from the other host.")
    wrong = {name: age_s for name, age_s in sorted(ages_s.items()) if abs(age_s) > most_s}
    if wrong:
        raise FaultError(
            *(
                f"the clock of {name} is {abs(age_s):.3f} s {'behind' if age_s > 0.0 else 'ahead of'} ours, at most "
                f"{most_s:g} s are allowed: let one host's follow the other's (chrony)."
                for name, age_s in wrong.items()
            )
        )
    return (
        f"those of {', '.join(sorted(ages_s))} agree with ours within {1000 * max(map(abs, ages_s.values())):.0f} ms."
    )
