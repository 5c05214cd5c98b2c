"""The DDS domains that tests join, one for each kind, other ones in each run of the tests (two may share a machine).

Two kinds that draw the same number do not hear their own processes any more: the first participant of a process decides
for all later ones of that domain how it is discovered.
"""

import os

_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
_RUN = os.getppid() + int(_WORKER) if _WORKER else os.getpid()

GRAPHS, EMBEDDED, PREFLIGHT, TERMINAL, NOBODYS, BENCHMARKS = (str(1 + _RUN % 16 * 6 + kind) for kind in range(6))
