"""One start of the small graph: active, moved, interrupted, and nothing of it is left."""

from dataclasses import replace

import pytest

from benchmarks import bringup_time
from benchmarks.own_domain import own_domain
from tests.domains import BENCHMARKS

LOOPBACK = bringup_time.KINDS[-1]


@pytest.mark.graph
def test_a_graph_that_is_interrupted_while_the_arm_moves_ends_well(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", BENCHMARKS)
    with own_domain():
        one = bringup_time.start(LOOPBACK, move=True)
    assert (one.exit_status, one.left) == (0, []) and one.active_s > 0.0 and one.end_s > 0.0


def test_a_start_that_is_slow_fails_or_leaves_something_is_not_kept():
    well = bringup_time.Start(active_s=LOOPBACK.active_s, end_s=bringup_time.END_S, exit_status=0, left=[])
    assert bringup_time.row(LOOPBACK, [well, well])["kept"]
    for wrong in ({"active_s": 4.1}, {"end_s": 2.1}, {"exit_status": 1}, {"left": ["arm"]}):
        assert not bringup_time.row(LOOPBACK, [well, replace(well, **wrong)])["kept"]


def test_a_first_start_finds_neither_bytecode_nor_cached_files(monkeypatch, tmp_path):
    bytecode, compiled = tmp_path / "sim" / "__pycache__" / "a.pyc", tmp_path / "sim" / "__pycache__" / "a.nbc"
    bytecode.parent.mkdir(parents=True)
    for file in (bytecode, compiled):
        file.touch()
    monkeypatch.setattr(bringup_time, "CHECKOUT", tmp_path)
    monkeypatch.setattr(bringup_time, "PAGE_CACHE", tmp_path / "drop_caches")
    bringup_time.forget_earlier_starts()
    assert not bytecode.exists() and compiled.exists()
    assert (tmp_path / "drop_caches").read_text() == "3"
