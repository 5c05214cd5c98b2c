"""report.html: one file, readable without network, of what happened in a run."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ami_robot.types import MODEL_STEP_S, Array
from ami_sim.demo.controls import CONTROLS
from ami_sim.demo.record import EpisodeRecord
from ami_sim.demo.report import OURS, rows
from ami_sim.demo.svg import histogram, interval_chart, line_chart
from ami_sim.judge import HOLD_S

PICTURE, JPEG_QUALITY = 160, 85  # pixels, 0..100
UNITS = {
    "joint_position": "rad",
    "joint_velocity": "rad/s",
    "joint_acceleration": "rad/s²",
    "joint_jerk": "rad/s³",
    "workspace": "m",
    "table": "m",
}
STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #fafaf8; color: #28282c; font: 16px/1.55 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 40px 24px 80px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -0.01em; }
h2 { font-size: 20px; margin: 48px 0 12px; }
p { max-width: 72ch; margin: 0 0 12px; }
.note, .cap { color: #6a6a70; font-size: 14px; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 12px; margin: 28px 0 8px; }
.figures div { background: #fff; border: 1px solid #e6e6e2; border-radius: 10px; padding: 14px 18px; }
.figures b { display: block; font-size: 26px; font-variant-numeric: tabular-nums; letter-spacing: -0.01em; }
.figures span { color: #6a6a70; font-size: 14px; }
.charts { display: flex; flex-wrap: wrap; gap: 16px; }
svg { background: #fff; border: 1px solid #e6e6e2; border-radius: 10px; max-width: 100%; height: auto; }
svg text { font: 12px system-ui, "Segoe UI", Roboto, sans-serif; fill: #28282c; }
svg .title { font-weight: 600; font-size: 12.5px; } svg .name { font-size: 14px; }
svg .tick { fill: #6a6a70; font-size: 11px; paint-order: stroke; stroke: #fff; stroke-width: 3px; }
svg .grid { stroke: #ececea; } svg .line { fill: none; stroke: #2662be; stroke-width: 1.8; stroke-linejoin: round; }
svg .bar { fill: #2662be; } svg .threshold { stroke: #6a6a70; stroke-dasharray: 4 3; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; background: #fff; }
th, td { text-align: right; padding: 6px 11px; border-bottom: 1px solid #ececea; white-space: nowrap; }
th { font-weight: 600; font-size: 14px; color: #6a6a70; } th:first-child, td:first-child { text-align: left; }
td a { color: #2662be; text-decoration: none; } td a:hover { text-decoration: underline; }
.reached { color: #14713f; } .missed { color: #b03226; font-weight: 600; }
article { background: #fff; border: 1px solid #e6e6e2; border-radius: 10px; padding: 16px 20px 20px; margin: 14px 0; }
article h3 { margin: 0 0 10px; font-size: 16px; } article svg { border: 0; }
.strip { display: flex; flex-wrap: wrap; gap: 8px; margin-bottom: 8px; }
figure { margin: 0; } figure img { display: block; border-radius: 6px; width: 137px; height: 137px; }
figure.goal img { outline: 3px solid #ff8c00; outline-offset: -3px; } figcaption { font-size: 12.5px; color: #6a6a70; }
"""


def write_html(
    path: Path,
    report: Mapping[str, Any],
    records: Sequence[EpisodeRecord],
    controls: Mapping[str, tuple[int, int]],
    strips: Mapping[int, Sequence[np.ndarray]],
) -> None:
    """Write the report so that it appears whole or not at all. strips: views of each episode by seed."""
    sections = [
        _head(report, records[0]),
        _comparison(report, controls),
        _timing(records),
        _margins(records),
        _table(records),
        "<h2>Every episode</h2>",
        *(_episode(record, strips.get(record.seed, ())) for record in records),
        _foot(report),
    ]
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>ami demo: {escape(report['task'])}</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(sections)}</main></body></html>"
    )
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(page, encoding="utf-8")
    os.replace(partial, path)


def _head(report: Mapping[str, Any], record: EpisodeRecord) -> str:
    moved = "the tool" if record.task == "reach" else "the block"
    reached, episodes = sum(e["success"] for e in report["episodes"]), len(report["episodes"])
    low, high = report["success_interval_95"]
    guardrail, plan, command = report["guardrail"], report["plan_ms"], report["camera_to_command_ms"]
    figures = [
        (f"{reached} of {episodes}", f"goals reached; 95 % interval {low:.0%} to {high:.0%}"),
        (f"{guardrail['violations']}", f"limits broken in {guardrail['checked_commands']} commands"),
        (
            f"{guardrail['late'] or 0:.0f} of {guardrail['cycles'] or 0:.0f}",
            f"cycles of the guardrail late; the longest took {_ms(guardrail['worst_ms'])}, 99 % at most "
            f"{_ms(guardrail['cpu_ms_p99'])} of CPU time",
        ),
        (_ms(plan["p95"]), f"to plan, 95th percentile; median {_ms(plan['p50'])}"),
        (_ms(command["p95"]), f"from camera to command, 95th percentile; median {_ms(command['p50'])}"),
        (f"{report['planner_rate_hz'] or 0:.1f} Hz", "plans a second"),
        (f"{report['real_time_factor'] or 0:.2f}", "simulated seconds in a second"),
    ]
    cards = "".join(f"<div><b>{escape(value)}</b><span>{escape(meaning)}</span></div>" for value, meaning in figures)
    return (
        f"<h1>{escape(report['task'].capitalize())}</h1>"
        f"<p>A goal counts as reached when {moved} stays within {100 * record.tolerance_m:g} cm of it throughout the "
        f"last {HOLD_S:g} s of {record.length_s:g} s. The simulator's truth decides, with code that the agent cannot "
        f'see; no episode is left out.</p><div class="figures">{cards}</div>'
    )


def _comparison(report: Mapping[str, Any], controls: Mapping[str, tuple[int, int]]) -> str:
    meanings = "; ".join(f"<b>{name}</b> {escape(CONTROLS[name])}" for name in controls)
    note = f'<p class="note">Same scenes, same judge. <b>{OURS}</b> is this run; {meanings}.</p>'
    return f"<h2>Beside the controls</h2>{interval_chart(rows(report, controls))}{note}"


def _timing(records: Sequence[EpisodeRecord]) -> str:
    plan = np.concatenate([record.plan_ms for record in records])
    command = np.concatenate([record.camera_to_command_ms for record in records])
    charts = histogram("Time to plan", "ms", plan) + histogram("From camera frame to command sent", "ms", command)
    return f'<h2>Latency</h2><div class="charts">{charts}</div>'


def _margins(records: Sequence[EpisodeRecord]) -> str:
    """The least margin of any episode at each moment, row by row."""
    known = [record for record in records if record.margin_rows and len(record.margins) == len(record.reports_s)]
    if not known:
        return ""
    edges = np.arange(0.0, known[0].length_s + MODEL_STEP_S, MODEL_STEP_S)
    charts = []
    for row in known[0].margin_rows:
        times = np.concatenate([r.reports_s for r in known if row in r.margin_rows])
        margins = np.concatenate([r.margins[:, r.margin_rows.index(row)] for r in known if row in r.margin_rows])
        unit = UNITS.get(row, "")
        title = f"{row.replace('_', ' ')}{', ' + unit if unit else ''}"
        charts.append(line_chart(title, "s", edges[:-1], _least_in_bins(times, margins, edges), threshold=0.0))
    return (
        "<h2>Guardrail margins</h2><p>How far the motions that were sent stay from each limit: the least of all "
        "episodes at each moment. At 0 a limit is met, below it would be broken.</p>"
        f'<div class="charts">{"".join(charts)}</div>'
    )


def _table(records: Sequence[EpisodeRecord]) -> str:
    lines = []
    for record in records:
        word = "reached" if record.success else "missed"
        start = record.distances_m[0] if len(record.distances_m) else float("nan")
        cells = (
            f'<a href="#scene{record.seed}">scene {record.seed}</a>',
            f'<span class="{word}">{word}</span>',
            f"{100 * start:.1f} cm",
            f"{100 * record.final_distance_m:.1f} cm",
            f"{record.steps}",
            f"{record.refusals}",
            f"{record.interventions}",
            f"{len(record.violations)}",
            f"{100 * record.min_clearance_m:.1f} cm",
            f"{record.max_measured_acceleration:.0f} rad/s²",
        )
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "".join(
        f"<th>{name}</th>"
        for name in (
            "episode", "verdict", "at start", "at the end", "plans", "refused", "interventions", "violations",
            "least clearance", "top acceleration",
        )
    )  # fmt: skip
    note = '<p class="note">Clearance of the arm to the table is measured up to 15 cm.</p>'
    return f'<h2>Episodes</h2><div class="wide"><table><tr>{head}</tr>{"".join(lines)}</table></div>{note}'


def _episode(record: EpisodeRecord, views: Sequence[np.ndarray]) -> str:
    word = "reached" if record.success else "missed"
    times = np.linspace(0, record.length_s, len(views))
    pictures = [figure(record.goal_image, "goal", "goal")]
    pictures += [figure(view, f"{t:.1f} s", "") for view, t in zip(views, times, strict=True)]
    sparse = slice(None, None, max(1, len(record.judged_s) // 200))
    charts = line_chart("Distance to the goal, cm", "s", record.judged_s[sparse], 100 * record.distances_m[sparse],
                        threshold=100 * record.tolerance_m)  # fmt: skip
    charts += line_chart("Cost of the plan", "s", record.plans_s, record.plan_costs)
    notes = [f"{record.outcome}: {record.reason}"] if record.reason else []
    notes += [f"The guardrail stopped: {stop}" for stop in record.stops[:5]]
    said = "".join(f'<p class="note">{escape(note)}</p>' for note in notes)
    broken = "".join(f'<p class="missed">{escape(violation)}</p>' for violation in record.violations[:5])
    return (
        f'<article id="scene{record.seed}"><h3>Scene {record.seed}: <span class="{word}">{word}</span>, '
        f"{100 * record.final_distance_m:.1f} cm at the end</h3>"
        f'<div class="strip">{"".join(pictures)}</div>{said}{broken}<div class="charts">{charts}</div></article>'
    )


def _foot(report: Mapping[str, Any]) -> str:
    nodes = ", ".join(f"{node['name']} ({node['pid']})" for node in report["nodes"])
    versions = ", ".join(f"{name} {value}" for name, value in report["versions"].items())
    checkpoint = report["checkpoint_sha256"] or "none"
    return (
        f'<h2>Made with</h2><p class="note">{len(report["nodes"])} node processes: {escape(nodes)}. rclpy: '
        f"{escape(report['rclpy'])}. {escape(versions)}. Checkpoint SHA-256: {escape(checkpoint)}.</p>"
    )


def figure(image: np.ndarray, caption: str, kind: str) -> str:
    """A picture (height, width, 3) uint8 rgb, small and inside the page; `kind` is its class."""
    small = cv2.resize(image, (PICTURE, PICTURE), interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    source = f"data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}"
    words = f"<figcaption>{caption}</figcaption>"
    return f'<figure class="{kind}"><img alt="{caption}" src="{source}">{words}</figure>'


def _least_in_bins(times: Array, values: Array, edges: Array) -> Array:
    """The least value in each bin, NaN in empty ones."""
    places = np.digitize(times, edges) - 1
    inside = [values[places == number] for number in range(len(edges) - 1)]
    return np.array([part.min() if part.size else np.nan for part in inside])


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"
