"""Every story through the whole graph, on one seed each; `python -m benchmarks.scenarios --live` plays three."""

import sys

import pytest

from benchmarks.live_stories import LIVE, play_in_one_graph

pytestmark = pytest.mark.graph

LAUNCHER = [sys.executable, "-m", "ami_embedded.launch"]
CELLS = {kind: [name for name, live in LIVE.items() if live.cell == kind] for kind in (s.cell for s in LIVE.values())}


@pytest.mark.parametrize("kind", CELLS, ids=["-".join(names) for names in CELLS.values()])
def test_the_stories_of_one_cell_pass(client, kind):
    runs = [(name, seed) for name in CELLS[kind] for seed in LIVE[name].seeds(1)]
    for outcome in play_in_one_graph(kind, runs, client, LAUNCHER):
        assert outcome.broken == {}, outcome
