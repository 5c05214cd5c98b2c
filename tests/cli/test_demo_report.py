"""The report: figures that follow from the record, pages that need no network."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from demo_doubles import ROWS, record_of

from ami_sim.demo.controls import ControlResult, run_control, run_controls, success_counts
from ami_sim.demo.html import write_html
from ami_sim.demo.record import EpisodeRecord
from ami_sim.demo.report import build_report, format_table, write_report
from ami_sim.demo.svg import histogram, line_chart, ticks
from ami_sim.env import TabletopEnv
from ami_sim.scene import Scene

NODES = [{"name": "arm", "pid": 41}, {"name": "planner", "pid": 42}]
CYCLES = {
    "cycles": 1600, "late": 3, "worst_ms": 21.5, "worst_gap_ms": 30.0, "cpu_ms_p50": 0.41234, "cpu_ms_p99": 2.5,
}  # fmt: skip
CONTROLS = {"hold": (0, 2), "analytic_ik": (2, 2)}


@pytest.fixture(scope="module")
def records():
    return [record_of(0), record_of(1, success=False, violations=("2.1 s: joint 4 was fast.",))]


@pytest.fixture
def report(records):
    return build_report("reach", records, CONTROLS, NODES, "embedded", "c0ffee", CYCLES)


def test_the_report_has_exactly_the_agreed_keys(report):
    assert list(report) == [
        "task", "episodes", "success_rate", "success_interval_95", "controls", "plan_ms", "camera_to_command_ms",
        "planner_rate_hz", "real_time_factor", "guardrail", "nodes", "rclpy", "versions", "checkpoint_sha256",
    ]  # fmt: skip
    assert list(report["episodes"][0]) == ["seed", "success", "final_distance_m", "steps", "refusals", "stops"]
    assert list(report["guardrail"]) == ["violations", "interventions", "checked_commands", *CYCLES]
    assert list(report["plan_ms"]) == list(report["camera_to_command_ms"]) == ["p50", "p95"]


def test_the_figures_follow_from_the_records(records, report):
    assert report["success_rate"] == 0.5
    assert report["controls"] == {"hold": 0.0, "analytic_ik": 1.0}
    assert report["guardrail"] == {"violations": 1, "interventions": 4, "checked_commands": 76, **CYCLES} | {
        "cpu_ms_p50": 0.4123
    }
    everything = np.concatenate([record.plan_ms for record in records])
    assert report["plan_ms"]["p95"] == pytest.approx(np.percentile(everything, 95), abs=1e-3)
    assert report["planner_rate_hz"] == pytest.approx(5.0)
    assert report["nodes"] == NODES
    assert report["versions"]["numpy"] == np.__version__


def test_the_final_distance_is_that_at_8_s(records):
    record = record_of(0)
    record.distances_m[record.judged_s > 8.0] = 0.9  # what happens afterwards is not part of the episode
    assert record.final_distance_m == pytest.approx(records[0].final_distance_m)


def test_a_run_without_plans_has_no_invented_latency():
    record = record_of(0)
    record.plan_ms = record.plans_s = record.camera_to_command_ms = np.empty(0)
    report = build_report("reach", [record], {}, NODES, "embedded", "", {})
    assert report["plan_ms"] == {"p50": None, "p95": None}
    assert report["planner_rate_hz"] == 0.0
    assert "p95 - ms" in format_table(report, {})


def test_the_json_appears_whole(report, tmp_path):
    write_report(tmp_path / "report.json", report)
    assert json.loads((tmp_path / "report.json").read_text()) == report
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_the_table_shows_ours_first_with_intervals(report):
    lines = format_table(report, CONTROLS).splitlines()
    assert lines[1].split()[:3] == ["ami", "1/2", "50%"]
    assert lines[3].split()[:3] == ["analytic_ik", "2/2", "100%"]
    assert any("3 of 1600 cycles late, the longest 21.5 ms; CPU p50 0.4 ms, p99 2.5 ms" in line for line in lines)


class Page(HTMLParser):
    """Counts tags, collects what would be fetched, and checks that every tag is closed."""

    VOID = frozenset({"meta", "img", "line", "circle", "rect", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: dict[str, int] = {}
        self.fetched: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.fetched += [value for name, value in attrs if name in ("src", "href") and not value.startswith("data:")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert tag in self.VOID or self.open.pop() == tag


def test_the_page_is_complete_and_needs_no_network(records, report, tmp_path):
    strips = {record.seed: [record.goal_image] * 6 for record in records}
    write_html(tmp_path / "report.html", report, records, CONTROLS, strips)
    text = (tmp_path / "report.html").read_text()
    page = Page()
    page.feed(text)
    assert not page.open
    assert page.fetched == ["#scene0", "#scene1"]
    assert not re.search(r"https?://|@import|url\(|<script", text)
    assert page.tags["img"] == 2 * 7
    assert page.tags["svg"] == 1 + 2 + len(ROWS) + 2 * 2
    assert "joint 4 was fast" in text
    assert "<b>3 of 1600</b>" in text


def test_the_page_of_a_run_without_plans_says_so(tmp_path):
    record = record_of(0)
    record.plan_ms = record.plans_s = record.plan_costs = record.camera_to_command_ms = record.reports_s = np.empty(0)
    record.margins, record.margin_rows = np.empty((0, 0)), []
    report = build_report("reach", [record], {}, NODES, "embedded", "", {})
    write_html(tmp_path / "report.html", report, [record], {}, {})
    assert "Time to plan: nothing was measured." in (tmp_path / "report.html").read_text()


def test_words_from_outside_cannot_become_markup(records, report, tmp_path):
    record = record_of(0)
    record.reason, record.stops = "<script>alert(1)</script>", ["<script>alert(2)</script>"]
    write_html(tmp_path / "report.html", report, [record], CONTROLS, {})
    assert "<script>" not in (tmp_path / "report.html").read_text()


def test_a_record_survives_the_disk(records, tmp_path):
    records[1].save(tmp_path / "episode.npz")
    loaded = EpisodeRecord.load(tmp_path / "episode.npz")
    for name, value in vars(records[1]).items():
        np.testing.assert_equal(getattr(loaded, name), value)
    assert type(loaded.success) is bool


def test_lines_leave_gaps_where_nothing_is_known():
    chart = line_chart("cost", "s", np.arange(5.0), np.array([1.0, 2.0, np.nan, 2.0, 1.0]))
    assert chart.count("<polyline") == 2
    assert "nan" not in chart


def test_charts_of_constant_values_can_be_drawn():
    assert "nan" not in line_chart("cost", "s", np.arange(3.0), np.zeros(3)) + histogram("ms", "ms", np.zeros(4))


def test_ticks_are_round_and_inside():
    assert ticks(0.0, 37.0) == [0.0, 10.0, 20.0, 30.0]
    assert ticks(-0.2, 0.2) == [-0.2, -0.1, 0.0, 0.1, 0.2]


def test_hold_stays_and_the_true_goal_is_reached_while_a_wrong_reading_is_not():
    wrong = Scene.from_seed(2).goal_position + np.array([0.0, 0.0, 0.1])
    results = {result.control: result for result in run_controls("reach", 2, wrong)}
    assert results["analytic_ik"].success
    assert not results["hold"].success
    assert not results["random"].success
    assert not results["decoded_goal_ik"].success
    assert results["decoded_goal_ik"].final_distance_m == pytest.approx(0.1, abs=0.01)
    assert not any(result.violations for result in results.values())


def test_a_block_is_left_where_it_is_by_who_never_moves_and_brought_there_by_who_knows_where_it_is():
    results = {result.control: result for result in run_controls("push", 2, None)}
    assert results.keys() == {"hold", "random", "expert"}
    assert [result.success for result in results.values()] == [False, False, True]
    assert results["hold"].final_distance_m > 0.05 > results["expert"].final_distance_m


def test_a_control_that_gets_disarmed_is_a_miss_and_not_the_end_of_the_run():
    scene, env = Scene.from_seed(2), TabletopEnv(fast=True)
    steps = iter(range(100))

    def straight_until_disarmed(target):
        if next(steps) == 1:
            env.guardrail.disarm(env.arm.time_ns)
        return 0.04 * (scene.goal_position - target) / max(0.04, np.linalg.norm(scene.goal_position - target))

    result = run_control("analytic_ik", straight_until_disarmed, env, scene)
    env.close()
    assert not result.success
    assert next(steps) == 40  # no episode ends early
    assert result.final_distance_m > 0.03
    assert not result.violations


def test_controls_are_counted_by_name():
    results = [ControlResult("hold", seed, seed == 1, 0.1, ()) for seed in range(3)]
    assert success_counts(results) == {"hold": (1, 3)}
