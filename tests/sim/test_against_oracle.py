"""Starts that are in reach, and what comparisons with the oracle amount to."""

import json

import numpy as np
import pytest

from ami_robot.configurator.configurator import ANALYTIC, REACH, load_task
from ami_sim.evaluation.against_oracle import ROWS, contestants_against_oracle, start_of
from ami_sim.evaluation.oracle_report import oracle_page, oracle_report
from ami_sim.evaluation.suites import EvaluationError, parse_suite
from ami_sim.oracle_model import OracleModel

HORIZON = 6


@pytest.fixture(scope="module")
def contestants():
    contestants = contestants_against_oracle(REACH, None)
    yield contestants
    contestants.env.close()


@pytest.mark.parametrize(("name", "seed"), [("reach", 3), ("push", 0)])
def test_from_a_start_the_expert_gets_there_within_the_horizon(name, seed, contestants):
    task, camera = parse_suite(name).episode(seed, contestants.camera)
    start = start_of(contestants, task, camera, HORIZON)
    assert 2 <= start.done_step - start.step <= HORIZON and start.expert.shape == (HORIZON, 4)
    env = contestants.env
    oracle = OracleModel(env, start.observation, task, contestants.encoder)
    errors_m = oracle.carry_out(start.expert).errors_m
    assert task.error(env.arm.world) > errors_m[-1] + 0.005 and errors_m[-1] < task.tolerance_m / 2


def test_an_episode_in_which_the_expert_fails_has_no_start(contestants, monkeypatch):
    task, camera = parse_suite("reach").episode(0, contestants.camera)
    monkeypatch.setattr(contestants, "actor", lambda *_: lambda *_: np.zeros(4))
    assert start_of(contestants, task, camera, HORIZON) is None


@pytest.mark.parametrize("task", [ANALYTIC, REACH.with_name("reach_gradient.yaml")])
def test_a_planner_that_asks_for_more_than_outcomes_is_refused_in_a_sentence(task):
    with pytest.raises(EvaluationError, match="takes the planner icem or mppi"):
        contestants_against_oracle(task, None)


def episode(seed, model, oracle, expert=(0.0, 1.0), done=4, **more):
    """Errors, m, and costs by row."""
    rows = {"model": model, "oracle": oracle, "expert": expert, "hold": (0.1, 9.0)}
    return {
        "seed": seed, "left_out": False, "expert_done_step": done, "start_step": 0, "start_error_m": 0.1,
        "errors_m": {row: error for row, (error, _) in rows.items()},
        "costs": {row: cost for row, (_, cost) in rows.items()},
        "imagined_cost": {"model": 0.5, "oracle": oracle[1]}, "refused": {}, "search_s": {"model": 1.0, "oracle": 9.0},
        **more,
    }  # fmt: skip


def test_what_goes_with_the_oracle_is_told_from_what_stays():
    episodes = [
        episode(2, (0.03, 2.0), (0.01, 1.5)),
        episode(0, (0.05, 3.0), (0.01, 0.5), done=9),
        episode(1, (0.01, 2.0), (0.01, 2.5)),
        {"seed": 3, "left_out": True},
    ]
    report = oracle_report(parse_suite("reach"), load_task(REACH), episodes)
    assert (report["seeds"], report["left_out"], report["starts"]) == ([0, 1, 2, 3], [3], 3)
    assert report["in_reach_at_the_tasks_start"] == 2
    assert report["oracle_minus_expert_m"]["mean"] == 0.01
    assert report["search_missed"] == 2  # the expert's actions cost 1
    nearer, regret = report["model_minus_oracle_m"], report["regret"]
    assert (nearer["less"], nearer["more"], nearer["of"], nearer["mean"], nearer["p_value"]) == (0, 2, 3, 0.02, 0.5)
    assert (regret["less"], regret["more"], regret["median"]) == (1, 2, 0.5) and regret["mean"] == 0.8333
    low, high = nearer["interval_95"]
    assert 0.0 <= low < 0.02 < high <= 0.04
    assert list(report["rows"]) == list(ROWS) and report["rows"]["oracle"]["error_m"] == {"mean": 0.01, "median": 0.01}
    page = oracle_page(report)
    assert "the model's plan ends 2.00 cm farther (95 %: " in page and "The oracle's ends 1.00 cm farther" in page
    assert "In 2 of 3 starts the expert's actions cost less" in page and "(left out, since it fails: 1)" in page
    json.dumps(report, allow_nan=False)


def test_an_error_that_has_no_distance_counts_as_farther_and_in_no_mean():
    episodes = [
        episode(0, (None, 2.0), (0.01, 1.0), start_error_m=None),
        episode(1, (0.02, 2.0), (0.01, 1.0)),
        episode(2, (None, 2.0), (None, 1.0), imagined_cost={"oracle": 1.0}, refused={"model": "too near"}),
    ]
    report = oracle_report(parse_suite("pick_place"), load_task(REACH), episodes)
    assert report["rows"]["model"]["error_m"] == {"mean": None, "median": None}
    assert report["rows"]["model"]["refused"] == 1 and report["rows"]["model"]["imagined_cost"]["mean"] == 0.5
    nearer = report["model_minus_oracle_m"]
    assert (nearer["more"], nearer["less"], nearer["of"], nearer["mean"]) == (2, 0, 3, 0.01)
    json.dumps(report, allow_nan=False)
    assert "- / -" in oracle_page(report)


def test_without_a_start_the_page_says_why():
    report = oracle_report(parse_suite("push"), load_task(REACH), [{"seed": 7, "left_out": True}])
    json.dumps(report, allow_nan=False)
    assert "failed in all episodes" in oracle_page(report)
