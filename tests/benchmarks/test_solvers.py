"""The comparison of solvers: its cells, what pairs say, and that it goes on where it was stopped."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from ami_robot.actor.arrival import Arrival
from ami_robot.actor.contacts import Contacts
from ami_robot.configurator.configurator import REACH, load_task, task_file
from ami_robot.pool import INTERRUPTED
from ami_robot.safety.monitor import Monitor
from ami_robot.types import Belief, Goal
from ami_sim.evaluation.contestants import Entry, entered
from ami_sim.evaluation.suites import EvaluationError, parse_suite
from ami_sim.evaluation.table import LINES
from benchmarks import solver_planner, solvers
from benchmarks.solver_cells import Cell, Solvers, parse_cell
from benchmarks.solver_summary import BAR, masks, matched, ratio, sentence

SHIPPED = load_task(REACH).icem
PUSH_ICEM = Path(solvers.__file__).with_name("push_icem.yaml")


@pytest.mark.parametrize("name", [*solvers.CELLS, "ours:8x1:unmasked", "icem:64x3:masked:whole"])
def test_a_cell_reads_as_it_is_called(name):
    assert parse_cell(name).name == name


def test_what_a_solver_does_as_it_ships_goes_without_saying():
    assert parse_cell("ours:64x2:masked") == parse_cell("ours:64x2") == Cell("ours", 64, 2, True)
    assert parse_cell("cem:64x2:unmasked") == parse_cell("cem:64x2") == Cell("cem", 64, 2, False)


@pytest.mark.parametrize("name", ["ours", "mppi:3x3", "ours:0x3", "ours:64", "cem:64x3:maybe", "ours:1x3", ""])
def test_what_is_no_cell_is_refused(name):
    with pytest.raises(EvaluationError, match="cell"):
        parse_cell(name)


def test_elites_keep_their_share_of_the_samples():
    assert parse_cell("ours:128x3").settings(SHIPPED) == SHIPPED
    small = parse_cell("ours:32x1").settings(SHIPPED)
    assert small == replace(SHIPPED, candidates=32, iterations=1, elites=3, kept_elites=1)
    assert parse_cell("ours:2x1").settings(SHIPPED).elites == 2
    theirs = parse_cell("cem:300x30").options(1.0, 0)
    assert theirs == {"num_samples": 300, "n_steps": 30, "topk": 30, "var_scale": 1.0, "seed": 0}
    assert parse_cell("icem:8x1").options(1.0, 0)["topk"] == 2


def test_with_the_whole_box_steps_near_the_goal_are_as_long_as_anywhere():
    start = np.array([0.5, 0.0, 0.2])
    belief, goal = Belief(0, start, np.concatenate([start, np.zeros(3), start, [0.04]]), np.zeros(7)), Goal(start)
    assert parse_cell("cem:8x1").box(SHIPPED).step_limit_m(belief, goal, 0.04) == SHIPPED.min_step_limit_m
    assert parse_cell("cem:8x1:whole").box(SHIPPED).step_limit_m(belief, goal, 0.04) == 0.04
    assert parse_cell("ours:8x1:whole").settings(SHIPPED).step_limit_m(belief, goal, 0.04) == 0.04


def episodes(successes, ms):
    """Four episodes, each with two plans that took `ms` of the thread's time and twice that on the wall."""
    return [
        {"row": "", "success": number < successes, "search_cpu_ms": [ms, ms], "search_ms": [2 * ms, 2 * ms]}
        for number in range(4)
    ]


def pairs(**cells):
    """By the name of their cell with _ for the colon: successes and ms."""
    lines = {name.replace("_", ":"): episodes(*cell) for name, cell in cells.items()}
    found = matched({name: parse_cell(name) for name in lines}, lines)
    return {pair["theirs"]: pair for pair in found}


def test_a_pair_is_with_our_cheapest_that_succeeded_at_least_as_often():
    found = pairs(
        ours_128x3=(4, 40.0), ours_64x2=(3, 20.0), ours_32x2=(3, 25.0), ours_16x1=(1, 5.0), cem_64x3=(3, 60.0),
        cem_128x6=(4, 100.0), icem_16x2=(0, 10.0),
    )  # fmt: skip
    assert [found[name]["ours"] for name in ("cem:64x3", "cem:128x6", "icem:16x2")] == [
        "ours:64x2", "ours:128x3", "ours:16x1",
    ]  # fmt: skip
    assert found["cem:64x3"]["cpu_ratio"]["p50"] == found["cem:64x3"]["wall_ratio"]["p50"] == 0.333
    assert found["cem:64x3"]["within_bar"] and not found["cem:128x6"]["within_bar"]


def test_the_pair_that_counts_is_with_their_cheapest_of_those_that_succeeded_most_often():
    found = pairs(
        ours_64x2=(3, 20.0), cem_300x30=(3, 900.0), cem_64x3=(3, 60.0), cem_16x2=(2, 30.0), cem_64x3_masked=(4, 90.0)
    )
    counts = {name: pair for name, pair in found.items() if pair["least"]}
    assert set(counts) == {"cem:64x3", "cem:64x3:masked"}
    assert f"ours:64x2 (3) takes 0.33 of its time (bar {BAR:.2f}: kept)" in sentence(counts["cem:64x3"])
    assert counts["cem:64x3:masked"]["ours"] is None
    assert sentence(counts["cem:64x3:masked"]).endswith("none of our cells succeeded as often.")


def test_our_cells_without_masks_or_step_limits_are_not_what_ships_and_match_nothing():
    assert (
        pairs(ours_64x2=(0, 1.0), ours_64x2_unmasked=(4, 1.0), ours_8x1_whole=(4, 1.0), cem_64x3=(1, 60.0))["cem:64x3"][
            "ours"
        ]
        is None
    )


def test_a_task_file_beside_the_cells_is_ours_too():
    lines = {"push": episodes(4, 10.0), "cem:64x3": episodes(1, 60.0)}
    (pair,) = matched({"cem:64x3": parse_cell("cem:64x3")}, lines)
    assert pair["ours"] == "push" and pair["ours_successes"] == 4 and pair["cpu_ratio"]["p50"] == 0.167


def test_the_masks_share_is_what_goes_away_without_them():
    lines = {"ours:64x2": episodes(4, 20.0), "ours:64x2:unmasked": episodes(4, 15.0), "ours:32x2": episodes(4, 9.0)}
    cells = {name: parse_cell(name) for name in lines}
    assert masks(cells, lines) == [{"cell": "ours:64x2", "share_of_cpu": 0.25}]


def test_times_are_compared_within_an_episode_and_one_without_a_plan_says_nothing():
    first = [{"row": "", "ms": ms} for ms in ([1.0], [30.0], [])]
    second = [{"row": "", "ms": ms} for ms in ([2.0], [60.0], [1.0])]
    assert ratio(first, second, "ms") == {"p5": 0.5, "p50": 0.5, "p95": 0.5}
    assert ratio(first[2:], second[2:], "ms") is None


@pytest.fixture
def run(tmp_path):
    """The command with a table and results of its own; returns the exit status."""

    def with_arguments(*arguments):
        own = ("--table", str(tmp_path / "table"), "--out", str(tmp_path / "out" / "solvers.json"))
        return solvers.main([*arguments, *own])

    return with_arguments


def lines_in(folder: Path) -> list[str]:
    path = folder / "table" / LINES
    return path.read_text().splitlines() if path.exists() else []


def test_our_cells_alone_need_no_package_and_what_was_stopped_goes_on(run, tmp_path, monkeypatch, capsys):
    played, real = [], solvers.attempt

    def stopped_at_the_second(*arguments):
        if len(played) == 1:
            raise KeyboardInterrupt
        played.append(arguments)
        return real(*arguments)

    cells = ("--cells", "ours:8x1", "ours:8x1:unmasked", "--episodes", "1")
    monkeypatch.setattr(solvers, "attempt", stopped_at_the_second)
    assert run(*cells) == 130
    assert capsys.readouterr().err.splitlines()[-1] == INTERRUPTED
    before = lines_in(tmp_path)
    assert len(before) == 1 and not (tmp_path / "out").exists()

    monkeypatch.setattr(solvers, "attempt", real)
    assert run(*cells) == 0
    assert lines_in(tmp_path)[:1] == before and len(lines_in(tmp_path)) == 2
    results = json.loads((tmp_path / "out" / "solvers.json").read_text())
    masked, unmasked = results["rows"]
    assert (masked["name"], unmasked["name"]) == ("ours:8x1", "ours:8x1:unmasked")
    assert masked["settings"]["candidates"] == 8 and masked["episodes"] == 1
    assert masked["plan_cpu_ms"]["p50"] > unmasked["plan_cpu_ms"]["p50"] * 0.5
    assert results["pairs"] == [] and [each["cell"] for each in results["masks"]] == ["ours:8x1"]
    assert "| ours:8x1 |" in (tmp_path / "out" / "solvers.md").read_text()


def without_package(monkeypatch):
    monkeypatch.delitem(solver_planner.sys.modules, solver_planner.PACKAGE, raising=False)
    monkeypatch.setattr(solver_planner, "find_spec", lambda name: None)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--cells", "cem:64x3"), "stable-worldmodel is not in the environment"),
        (("--cells", "cem:64"), "there is no cell 'cem:64'"),
        (("--task", "juggle"), "there is no suite 'juggle'"),
        (("--config", "analytic", "--cells", "ours:8x1"), "does not search with icem alone"),
        (("--config", str(task_file("reach_mppi")), "--cells", "ours:8x1"), "does not search with icem alone"),
        (("--checkpoint", "/nowhere", "--cells", "ours:8x1"), "nowhere"),
        (("--seed", "999999", "--episodes", "2"), "not held out"),
    ],
)
def test_what_cannot_be_compared_ends_in_one_sentence(arguments, says, run, tmp_path, monkeypatch, capsys):
    without_package(monkeypatch)
    assert run(*arguments) == 2
    error = capsys.readouterr().err.strip()
    assert says in error and error.startswith("solvers: error: ") and "\n" not in error
    assert list(tmp_path.iterdir()) == []


def test_another_task_file_in_the_same_table_is_refused(run, tmp_path, capsys):
    cells = ("--cells", "ours:8x1", "--episodes", "1")
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "evaluation.json").write_text(json.dumps({"suite": "reach"}))
    assert run(*cells) == 2
    assert "holds another evaluation" in capsys.readouterr().err


def solvers_of(folder, cell, **changes):
    """With a task file that is `reach` changed."""
    task = yaml.safe_load(REACH.read_text()) | changes
    path = folder / "changed.yaml"
    path.write_text(yaml.safe_dump(task))
    return Solvers(Entry((), (path,), None, False), {"a": parse_cell(cell)}, 1.0)


def test_the_search_is_exchanged_within_what_the_task_puts_round_it(tmp_path):
    arrival = {"latent_distance": 0.1, "tool_distance_m": 0.02, "leave_factor": 1.5, "most_steps": 9}
    planner = solvers_of(tmp_path, "ours:8x1", arrival=arrival).agent("a").planner
    assert isinstance(planner, Arrival) and planner.planner.settings.candidates == 8


def test_a_task_file_beside_the_cells_plays_as_it_says():
    entry = entered([], [PUSH_ICEM, task_file("push")], None, full=False)
    both = Solvers(entry, {"a": parse_cell("ours:8x1")}, 1.0, unwatched=True)
    both.check()
    assert both.agent("a").monitor is None and isinstance(both.agent("push").monitor, Monitor)
    assert isinstance(both.agent("push").planner, Contacts) and both.agent("a").planner.settings.candidates == 8
    assert both.settings("push") == {"task_sha256": both.tasks["push"].sha256}


def test_a_task_that_searches_the_gripper_is_for_our_search_alone(tmp_path):
    searched = yaml.safe_load(REACH.read_text())["icem"] | {"gripper": "search"}
    assert solvers_of(tmp_path, "ours:8x1", icem=searched).agent("a").planner.settings.gripper == "search"
    with pytest.raises(EvaluationError, match="gripper: search"):
        solvers_of(tmp_path, "cem:8x1", icem=searched)


def commands():
    """Those that --help and the docs tell people to type."""
    page = Path(__file__).parents[2] / "docs" / "how-to" / "evaluate.md"
    lines = [*solvers.EXAMPLES.splitlines(), *page.read_text().splitlines()]
    found = [line.partition("python -m benchmarks.solvers ")[2].split("   ")[0] for line in lines]
    return [each for each in found if each.startswith("--")]


@pytest.mark.parametrize("command", commands())
def test_what_people_are_told_to_type_is_accepted(command):
    args = solvers.options(shlex.split(command))
    assert [parse_cell(name).name for name in args.cells] == list(args.cells)
    parse_suite(args.task)


def test_there_is_something_that_people_are_told_to_type():
    assert len(commands()) >= 5
