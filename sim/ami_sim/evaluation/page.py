"""report.html of an evaluation: one file, readable without network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from ami_robot.types import MODEL_STEP_S
from ami_sim.demo.html import STYLE, figure
from ami_sim.demo.svg import Axes, interval_chart
from ami_sim.evaluation.contestants import CONTROLS
from ami_sim.evaluation.film import pictures
from ami_sim.evaluation.suites import Key, parse_suite
from ami_sim.evaluation.summary import COLUMNS, Episode, cells, sentence
from ami_sim.judge import HOLD_S
from ami_sim.tasks import TASKS

GRID_WIDTH, GRID_NAME, GRID_LINE = 1000, 150, 22  # pixels
TOP_M = 0.3  # of the error curves: what is farther off is not told apart
MORE_STYLE = """
.curve { fill: none; stroke-width: 1.2; }
svg .curve.reached { stroke: #1c8c54; } svg .curve.missed { stroke: #c43c30; }
svg .cell.reached { fill: #58b083; } svg .cell.missed { fill: #d9756b; }
th { white-space: normal; vertical-align: bottom; line-height: 1.3; } .wide { margin: 0 0 10px; }
h3 { font-size: 16px; margin: 26px 0 10px; } section { margin-bottom: 24px; }
.films { display: grid; grid-template-columns: repeat(auto-fill, minmax(440px, 1fr)); gap: 16px; }
.films article { margin: 0; } .films video { width: 100%; border-radius: 6px; display: block; }
.films .strip { margin: 10px 0 0; } .films figure img { width: 128px; height: 128px; object-fit: cover; }
code { font-size: 13px; overflow-wrap: anywhere; }
"""


def page(results: Mapping[str, Any], episodes: Mapping[Key, Episode], films: Mapping[Key, Path]) -> str:
    """The whole page. films: of failed episodes."""
    suites = list(dict.fromkeys(row["suite"] for row in results["rows"]))
    controls = [f"<b>{name}</b> {escape(CONTROLS[name])}" for name in results["names"] if name in CONTROLS]
    title = f"Evaluation: {', '.join(suites)}"
    sections = [
        f"<h1>{escape(title)}</h1>",
        "<p>An episode succeeds when the task's error stays within its tolerance throughout the last "
        f"{HOLD_S:g} s of a fixed length. The simulator's truth decides; no episode is left out. Agents are shown the "
        "goal as a camera picture and nothing else; all rows act on the same episodes through the same guardrails.</p>",
        f'<p class="note">{"; ".join(controls)}.</p>' if controls else "",
        _overview(suites, results["rows"]) if len(suites) > 1 else "",
        *(_suite(suite, results, episodes, films) for suite in suites),
        _foot(results),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>ami eval: {escape(', '.join(suites))}</title><style>{STYLE}{MORE_STYLE}</style></head>"
        f"<body><main>{''.join(sections)}</main></body></html>"
    )


def _overview(suites: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Success rates, a line for each suite, a column for each row."""
    names = list(dict.fromkeys(row["name"] for row in rows))
    found = {(row["suite"], row["name"]): f"{row['successes']}/{row['episodes']}" for row in rows}
    head = "".join(f"<th>{escape(name)}</th>" for name in ("suite", *names))
    lines = "".join(
        f'<tr><td><a href="#{suite}">{escape(suite)}</a></td>'
        + "".join(f"<td>{found[suite, name]}</td>" for name in names)
        + "</tr>"
        for suite in suites
    )
    return f'<h2>All suites</h2><div class="wide"><table><tr>{head}</tr>{lines}</table></div>'


def _suite(suite: str, results: Mapping[str, Any], episodes: Mapping[Key, Episode], films: Mapping[Key, Path]) -> str:
    rows = [row for row in results["rows"] if row["suite"] == suite]
    of = {
        row["name"]: [e for (s, r, _), e in sorted(episodes.items()) if (s, r) == (suite, row["name"])] for row in rows
    }
    intervals = [(row["name"], row["successes"], row["episodes"], *row["interval_95"]) for row in rows]
    head = "".join(f"<th>{escape(name)}</th>" for name in COLUMNS[1:])
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells(row)[1:])}</tr>" for row in rows)
    pairs = "".join(f"<p>{escape(sentence(pair))}</p>" for pair in results["pairs"] if pair["suite"] == suite)
    curves = "".join(_curves(name, of[name], TASKS[parse_suite(suite).task](0).tolerance_m) for name in of)
    shown = "".join(_film(key, episodes[key], path) for key, path in films.items() if key[0] == suite)
    return (
        f'<section><h2 id="{suite}">{escape(suite)}</h2>{interval_chart(intervals)}'
        f'<div class="wide"><table><tr>{head}</tr>{lines}</table></div>{pairs}'
        f'<h3>Error over time</h3><div class="charts">{curves}</div>'
        f"<h3>Seed by seed</h3>{_grid(of)}"
        + (f'<h3>Failures</h3><div class="films">{shown}</div>' if shown else "")
        + "</section>"
    )


def _curves(name: str, episodes: Sequence[Episode], tolerance_m: float) -> str:
    """The error of each episode over time, green where it succeeded."""
    longest = max(len(episode["errors_m"]) for episode in episodes)
    axes = Axes(f"{name}: cm from the goal", "s", (0.0, longest * MODEL_STEP_S), (0.0, 100 * TOP_M))
    level = axes.down(100 * tolerance_m)
    ends = f'x1="{axes.across(0):.1f}" x2="{axes.across(longest * MODEL_STEP_S):.1f}" y1="{level:.1f}" y2="{level:.1f}"'
    drawn = f'<line {ends} class="threshold"/>'
    opacity = float(np.clip(12 / len(episodes), 0.2, 0.8))
    for episode in episodes:
        errors_m = np.array([np.inf if e is None else e for e in episode["errors_m"]])
        points = " ".join(
            f"{axes.across((step + 1) * MODEL_STEP_S):.1f},{axes.down(100 * min(error_m, TOP_M)):.1f}"
            for step, error_m in enumerate(errors_m)
        )
        drawn += f'<polyline points="{points}" class="curve {_word(episode)}" opacity="{opacity:.2f}"/>'
    return axes.draw(drawn)


def _grid(of: Mapping[str, Sequence[Episode]]) -> str:
    """A line for each row, a cell for each seed: who fails where the others do not."""
    most = max(len(episodes) for episodes in of.values())
    wide = min(16.0, (GRID_WIDTH - GRID_NAME) / most)
    height = GRID_LINE * len(of) + 6
    parts = [f'<svg viewBox="0 0 {GRID_WIDTH} {height}" width="{GRID_WIDTH}" role="img" aria-label="seed by seed">']
    for line, (name, episodes) in enumerate(of.items()):
        y = 4 + GRID_LINE * line
        parts.append(f'<text x="{GRID_NAME - 12}" y="{y + 14}" text-anchor="end" class="name">{escape(name)}</text>')
        for place, episode in enumerate(episodes):
            parts.append(
                f'<rect x="{GRID_NAME + place * wide:.1f}" y="{y}" width="{0.88 * wide:.1f}" height="{GRID_LINE - 4}" '
                f'class="cell {_word(episode)}"><title>seed {episode["seed"]}: {_word(episode)}, '
                f"{_error(episode)}</title></rect>"
            )
    return "".join([*parts, "</svg>"])


def _film(key: Key, episode: Episode, path: Path) -> str:
    _, row, seed = key
    strip = "".join(figure(picture, name, name) for name, picture in pictures(path).items())
    source = f"data:video/mp4;base64,{base64.b64encode(path.read_bytes()).decode()}"
    refused = ", ".join(f"{count} {name}" for name, count in episode["planner_refusals"].items())
    said = f'<p class="note">planner refused: {escape(refused)}</p>' if refused else ""
    return (
        f'<article><h3>{escape(row)}, seed {seed}: <span class="missed">{_error(episode)} at worst in the last '
        f'{HOLD_S:g} s</span></h3><video controls muted loop preload="metadata" src="{source}"></video>'
        f'<div class="strip">{strip}</div>{said}</article>'
    )


def _foot(results: Mapping[str, Any]) -> str:
    made = ("commit", "machine", "load_average", "workers", "checkpoint_sha256", "guardrails_sha256")
    lines = "; ".join(f"{name.replace('_', ' ')}: {results[name] or 'none'}" for name in made)
    note = (
        "Search ms is the wall time of calls that gave a plan by searching, one thread each; with as many workers as "
        "cores, or other work on the machine, it is longer than on an idle one (plan_cpu_ms in results.json is not)."
    )
    command = f"<p><code>{escape(results['command'])}</code></p>"
    return f'<h2>Made with</h2>{command}<p class="note">{escape(lines)}.</p><p class="note">{note}</p>'


def _word(episode: Episode) -> str:
    return "reached" if episode["success"] else "missed"


def _error(episode: Episode) -> str:
    return "no distance" if episode["error_m"] is None else f"{100 * episode['error_m']:.1f} cm"
