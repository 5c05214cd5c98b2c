"""A soak of the whole graph: which bars there are, and that a short one measures every node."""

import copy

import pytest

from benchmarks import soak
from benchmarks.own_domain import own_domain
from tests.domains import BENCHMARKS

WELL = {
    "minutes": 60.0,
    "goals": 400,
    "goals_disarmed": 0,
    "missed_share": {"guardrail": 0.01, "camera": 0.0, "planner": 0.0},
    "memory": {"planner": {"first_mb": 80.0, "last_mb": 81.0, "mb_per_h": 1.0}},
    "zombies": [],
    "left_in_dev_shm": [],
}


def broken(change):
    figures = copy.deepcopy(WELL)
    change(figures)
    return soak.broken(figures)


def test_a_node_that_grows_or_misses_a_zombie_and_a_file_left_behind_are_named():
    assert soak.broken(WELL) == []
    assert broken(lambda f: f["memory"]["planner"].update(mb_per_h=5.0)) == ["planner grows by 5.0 MB an hour."]
    assert len(broken(lambda f: f["memory"]["planner"].update(mb_per_h=float("nan")))) == 1
    assert broken(lambda f: f["missed_share"].update(camera=0.02)) == ["camera missed 2.00%."]
    assert broken(lambda f: f["zombies"].append("arm")) == ["arm is a zombie."]
    assert broken(lambda f: f["left_in_dev_shm"].append("iox")) == ["iox was left in /dev/shm."]
    assert "camera missed 2.00%." in soak.table(WELL | {"missed_share": {"camera": 0.02}})


@pytest.mark.slow
@pytest.mark.graph
def test_two_minutes_of_the_whole_graph_leave_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(soak, "SAMPLE_S", 5.0)
    monkeypatch.setenv("ROS_DOMAIN_ID", BENCHMARKS)
    with own_domain():
        figures = soak.run(2.0, tmp_path / "graph.log")
    assert figures["goals"] > 10 and figures["zombies"] == figures["left_in_dev_shm"] == []
    assert set(figures["memory"]) >= {"arm", "camera", "encoder", "guardrail", "planner", "world_model"}
    assert figures["missed_share"]["planner"] < 0.1 and figures["missed_share"]["camera"] < 0.1
