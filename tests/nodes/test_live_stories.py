"""Stories through the whole graph, on one seed each: those of one cell in `make test`, all in `make test-all`.

`python -m benchmarks.scenarios --live` plays three seeds.
"""

import sys

import pytest

from benchmarks.live_stories import LIVE, play_in_one_graph

pytestmark = pytest.mark.graph

LAUNCHER = [sys.executable, "-m", "ami_embedded.launch"]
CELLS = {kind: [name for name, live in LIVE.items() if live.cell == kind] for kind in (s.cell for s in LIVE.values())}


FIRST, *OTHERS = CELLS


@pytest.mark.parametrize(
    "kind", [FIRST, *(pytest.param(kind, marks=pytest.mark.slow) for kind in OTHERS)], ids=map("-".join, CELLS.values())
)
def test_the_stories_of_one_cell_pass(client, kind):
    runs = [(name, seed) for name in CELLS[kind] for seed in LIVE[name].seeds(1)]
    for outcome in play_in_one_graph(kind, runs, client, LAUNCHER):
        assert outcome.broken == {}, outcome
