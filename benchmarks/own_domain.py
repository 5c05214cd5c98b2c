"""Where benchmarks that start a graph talk to it: a domain in which nobody else is."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def own_domain() -> Iterator[None]:
    """rclpy is initialised meanwhile, in ROS_DOMAIN_ID or, without one, in a domain at random."""
    import rclpy  # which one it is has been settled by now

    os.environ.setdefault("ROS_DOMAIN_ID", str(random.SystemRandom().randrange(1, 102)))  # above 101 ports may clash
    rclpy.init()
    try:
        yield
    finally:
        rclpy.try_shutdown()
