"""The short version of `make bench-safety`, and whether its oracle would notice if a layer were gone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from ami_robot.safety import choice
from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.gate import Verdict
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.people_watch import PeopleVerdict, PeopleWatch
from ami_robot.safety.rows import Box
from ami_robot.safety.spec import load_spec
from ami_robot.statistics import upper_bound
from ami_sim.trials.baselines import Baseline
from ami_sim.trials.cell import Cell
from ami_sim.trials.fault_list import FAULTS
from ami_sim.trials.kinematic import Guarded, KinematicCell
from ami_sim.trials.trial import FAMILIES, Tool, draw
from ami_sim.walks import approaching, standing
from benchmarks import safety_blocks, safety_faults
from benchmarks.safety_blocks import KINEMATIC, Block, Shards, blocks_of, run_block
from benchmarks.safety_layers import LAYERS, layers
from benchmarks.safety_search import KNOTS, OBJECTIVES, attacked
from benchmarks.safety_summary import summary

SPEC = load_spec()
KINEMATICS, DYNAMICS = Kinematics(), Dynamics()
EPISODES = 4


@pytest.fixture(scope="module")
def cell():
    made = Cell(KINEMATICS, DYNAMICS)
    yield made
    made.close()


@pytest.fixture(scope="module")
def kinematic_cell():
    made = KinematicCell(KINEMATICS)
    yield made
    made.close()


def trial(family, seed):
    return draw(family, seed, SPEC, KINEMATICS, DYNAMICS)


@pytest.mark.parametrize("series", [*FAMILIES, KINEMATIC])
def test_nobody_breaks_a_guardrail(series):
    line = run_block(Block(series, 0, EPISODES))
    assert line["events"] == []
    assert line["episodes"] == EPISODES
    assert line["motion_rad"] > 0.0  # an arm that never moves harms nobody


def near_a_box():
    box = Box("box", np.array([0.4, 0.05, 0.1]), np.array([0.6, 0.2, 0.4]))
    return attacked_at([0.5, -0.1, 0.3], "obstacles", "hazard", obstacles=replace(SPEC.obstacles, boxes=(box,)))


def with_an_intruder():
    return replace(with_somebody(approaching(0.0, 1.5, 1.6)), attack="smooth")


def with_a_blade_towards_a_bystander():
    blade = Tool("edge", np.array([0.15, 0.0, 0.0]), 0.2, told=True)
    return replace(with_somebody(standing(np.array([1.3, 0.0]))), tool=blade, attack="smooth")


def with_somebody(walk):
    people = replace(SPEC.people, source_of_people="topic")
    quiet = attacked_at([0.5, 0.0, 0.2], "people", "smooth", people=people)
    return replace(quiet, walks=(walk,), sensor_delay_s=0.05, sensor_noise_m=0.0)


def attacked_at(place, family, attack, **rows):
    """A trial without surprises."""
    start, _ = KINEMATICS.inverse(np.array(place))
    drawn = trial(family, 0)
    return replace(
        drawn, spec=replace(SPEC, **rows), start=start, walks=(), tool=None, attack=attack, hasty=False, feels=False
    )


@pytest.mark.parametrize(
    ("without", "attack", "event"),
    [
        ("gate", near_a_box, "the arm touched the obstacle"),
        ("people", with_an_intruder, "a moving arm touched a person"),
        ("caps", with_a_blade_towards_a_bystander, "the tip was too fast with a person in reach"),
        ("caps", with_a_blade_towards_a_bystander, "a moving blade pointed at a person"),
    ],
)
def test_the_oracle_notices_when_a_layer_is_gone(cell, without, attack, event):
    gone = {
        "gate": [mock.patch.object(choice, "check_motion", lambda *_, **__: Verdict({}, None))],
        "people": [
            mock.patch.object(PeopleWatch, "why_stop", lambda *_: None),
            mock.patch.object(PeopleWatch, "check", lambda *_: PeopleVerdict({})),
        ],
        "caps": [mock.patch.object(PeopleWatch, "_near", lambda *_, **__: PeopleVerdict({}))],
    }[without]
    for patch in gone:
        patch.start()
    try:
        events = cell.run(attack()).events
    finally:
        mock.patch.stopall()
    assert event in events
    assert cell.run(attack()).events == []


def test_an_exception_in_the_guardrail_is_an_event(cell):
    with mock.patch.object(choice, "check_motion", side_effect=ArithmeticError("no")):
        outcome = cell.run(trial("limits", 0))
    assert any(event.startswith("an exception: ArithmeticError") for event in outcome.events)


def test_a_seed_is_one_world_and_one_outcome(cell):
    first, again = trial("people", 5), trial("people", 5)
    assert first.digest == again.digest != trial("people", 6).digest
    one, other = cell.run(first), cell.run(again)
    assert (one.motion_rad, one.least, one.decisions) == (other.motion_rad, other.least, other.decisions)


@pytest.mark.parametrize(
    ("family", "event"),
    [("obstacles", "the arm touched the obstacle"), ("singularity", "the arm came to a singular posture")],
)
def test_a_clamp_alone_lets_happen_what_the_guardrail_does_not(kinematic_cell, family, event):
    harmed = 0
    for seed in range(4):
        attack = replace(trial(family, seed), attack="hazard")
        assert kinematic_cell.run(attack, Guarded(attack, KINEMATICS, DYNAMICS)).events == []
        harmed += event in kinematic_cell.run(attack, Baseline("clamp", attack, KINEMATICS)).events
    assert harmed >= 1


def test_there_are_22_faults_and_their_rows_hold():
    assert len({fault.name for fault in FAULTS}) == 22
    with mock.patch.object(safety_faults, "FAULTS", FAULTS[::4]):
        rows = safety_faults.fault_table(trials=1)
    assert len(rows) == 6
    for row in rows:
        assert row["brake_ms"] <= row["bound_ms"], row["name"]


def test_a_fault_that_nothing_brakes_is_seen():
    with mock.patch("ami_robot.safety.joint_watch.JointWatch.fault", lambda *_, **__: None):
        stale = safety_faults.FAULTS[:1]
        with mock.patch.object(safety_faults, "FAULTS", stale):
            (row,) = safety_faults.fault_table(trials=1)
    assert not row["brake_ms"] <= row["bound_ms"]


def test_what_the_search_varies_is_a_trial():
    base = trial("people", 0)
    x = np.full(4 * KNOTS + 5, 0.5)
    attack = attacked(base, x)
    assert attack.knots.shape == (KNOTS, 4)
    assert np.allclose(attack.knots[:, :3], (SPEC.workspace.lower_m + SPEC.workspace.upper_m) / 2)
    assert 0.0 <= attack.least_delay_s <= SPEC.transport.jitter_s
    assert set(OBJECTIVES) == set(FAMILIES)


def test_every_layer_is_timed():
    times = layers(episodes=len(FAMILIES))
    assert set(LAYERS) - {"filter"} <= set(times)  # few proposals need the filter
    assert all(0.0 < layer["p50"] <= layer["p99"] for layer in times.values())


def a_line(**changes):
    return {
        "first_seed": 0, "episodes": 100, "events": [], "motion_rad": 1.0, "decisions": {"accepted": 3},
        "least": {"table_m": [0.02, 7]}, "worlds_sha256": "", "spec_sha256": "spec", "code_sha256": "code",
        "cpu_s": 1.0,
    } | changes  # fmt: skip


def test_blocks_that_are_known_are_not_run_again(tmp_path: Path):
    shards = Shards(tmp_path, "spec")
    shards.append("limits", a_line())
    assert shards.missing(blocks_of("limits", 250)) == [Block("limits", 100), Block("limits", 200, 50)]


def test_blocks_of_another_guardrail_file_are_thrown_away(tmp_path: Path):
    shards = Shards(tmp_path, "another")
    shards.append("limits", a_line())
    assert shards.missing(blocks_of("limits", 100)) == [Block("limits", 0)]
    assert (tmp_path / "limits.jsonl").read_text() == ""


@pytest.mark.parametrize(("renew", "left"), [(False, 0), (True, 1)])
def test_blocks_of_other_code_are_run_again_when_they_are_to_be_renewed(tmp_path: Path, renew, left):
    Shards(tmp_path, "spec").append("limits", a_line())
    assert len(Shards(tmp_path, "spec", renew).missing(blocks_of("limits", 100))) == left


def test_the_summary_counts_an_episode_with_two_events_once(tmp_path: Path):
    shards = Shards(tmp_path, "spec")
    event = {"seed": 3, "family": "limits", "what": "the arm touched itself"}
    shards.append("limits", a_line(events=[event, event | {"what": "the arm touched the table"}]))
    shards.append("limits", a_line(first_seed=100, least={"table_m": [0.01, 150]}))
    (tmp_path / "faults.json").write_text(json.dumps({"spec_sha256": "old", "faults": [1]}))
    found = summary(shards, tmp_path, "spec")
    limits = found["families"][0]
    assert (limits["name"], limits["episodes"], limits["events"]) == ("limits", 200, 1)
    assert limits["upper_95"] == pytest.approx(upper_bound(1, 200), abs=1e-6)
    assert limits["worst"]["table_m"] == {"margin": 0.01, "seed": 150}
    assert found["faults"] == []  # of another guardrail file
    assert found["families"][1]["upper_95"] == 1.0  # nothing is known


def test_comments_do_not_change_the_code_that_was_tested():
    safety_blocks.code_sha256.cache_clear()
    before = safety_blocks.code_sha256()
    read = Path.read_text
    safety_blocks.code_sha256.cache_clear()
    with mock.patch.object(Path, "read_text", lambda path: read(path) + "\n# a remark\n"):
        assert safety_blocks.code_sha256() == before
    safety_blocks.code_sha256.cache_clear()
    with mock.patch.object(Path, "read_text", lambda path: read(path) + "\nx = 1\n"):
        assert safety_blocks.code_sha256() != before
    safety_blocks.code_sha256.cache_clear()


CONTACT = [
    0.741924,
    0.649506,
    0.455396,
    0.440114,
    0.824402,
    0.541341,
    0.642687,
    0.526225,
    0.646794,
    0.855141,
    0.142964,
    0.321388,
    0.515502,
    0.4291,
    0.290594,
    0.229569,
    0.695961,
    0.262869,
    0.45251,
    0.531243,
    0.925036,
    0.647198,
    0.24277,
    0.184796,
    0.944285,
    0.579008,
    0.710867,
    0.592654,
    0.908682,
]
"""With spoilt inputs (seed 3): the clock jumps while the arm speeds up, when no brake can be verified; somebody comes
in. Found by the search; the arm went on to the end of its motion."""


def test_an_arm_for_which_no_brake_holds_at_a_fault_brakes_as_soon_as_one_does(cell):
    base = draw("inputs", 3, SPEC, KINEMATICS, DYNAMICS)
    assert cell.run(attacked(base, np.array(CONTACT))).events == []
