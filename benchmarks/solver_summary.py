"""What the comparison of solvers amounts to: whose plan costs how much of whose, at the same success."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.solver_cells import OURS, Cell

BAR = 1 / 3
"""The most that our time may be of theirs, at matched success."""

COLUMNS = ("cell", "reached", "95 %", "plan ms, wall p50 / p95", "of the thread p50 / p95", "refused: plan, command")

Lines = Sequence[Mapping[str, Any]]
"""Of the episodes of one cell, in the order of their seeds."""

Episodes = Mapping[str, Lines]
"""By the name of their cell."""


def matched(cells: Mapping[str, Cell], episodes: Episodes) -> list[dict[str, Any]]:
    """For each of their cells, our cheapest as it ships that succeeded in at least as many of the same episodes.

    Ours are the cells of our search, and what is no cell: task files as they are.

    The cheapest has the least median time of the thread; None where none succeeded as often and planned there, too.
    `least` says that theirs is its solver's cheapest among those that succeeded most often: the pair that counts.
    """
    ours = [name for name, cell in cells.items() if cell.solver == OURS and cell.masked and not cell.whole]
    ours += [name for name in episodes if name not in cells]
    theirs = [name for name, cell in cells.items() if cell.solver != OURS]
    kinds: dict[tuple[str, bool, bool], list[str]] = {}
    for name in theirs:
        cell = cells[name]
        kinds.setdefault((cell.solver, cell.masked, cell.whole), []).append(name)
    least = {_best(names, episodes) for names in kinds.values()}
    found = []
    for name in theirs:
        won = _won(episodes[name])
        cpu = {own: ratio(episodes[own], episodes[name], "search_cpu_ms") for own in ours if _won(episodes[own]) >= won}
        as_often = [own for own, each in cpu.items() if each is not None]
        pair = {"theirs": name, "ours": None, "least": name in least, "theirs_successes": won}
        pair["episodes"] = len(episodes[name])
        if as_often:
            own = min(as_often, key=lambda each: _cpu_ms(episodes[each]))
            pair |= {"ours": own, "ours_successes": _won(episodes[own]), "cpu_ratio": cpu[own]}
            pair["wall_ratio"] = ratio(episodes[own], episodes[name], "search_ms")
            pair["within_bar"] = cpu[own]["p50"] <= BAR
        found.append(pair)
    return found


def masks(cells: Mapping[str, Cell], episodes: Episodes) -> list[dict[str, Any]]:
    """Where a cell was played with the guardrails' masks and without: how much of the time they are."""
    found = []
    for name, cell in cells.items():
        other = replace(cell, masked=False).name
        if cell.masked and other in cells and (without := ratio(episodes[other], episodes[name], "search_cpu_ms")):
            found.append({"cell": name, "share_of_cpu": round(1 - without["p50"], 3)})
    return found


def ratio(first: Lines, second: Lines, key: str) -> dict[str, float] | None:
    """Of the median times of a plan in the first and in the second, in each episode; percentiles over the episodes.

    Episodes in which one of them never planned say nothing; None when no other is left.
    """
    pairs = [(a[key], b[key]) for a, b in zip(first, second, strict=True) if a[key] and b[key]]
    ratios = [np.median(a) / np.median(b) for a, b in pairs]
    return {f"p{q}": round(float(np.percentile(ratios, q)), 3) for q in (5, 50, 95)} if ratios else None


def printed(results: Mapping[str, Any]) -> str:
    """All of it as Markdown."""
    low, high = results["seeds"]
    lines = [
        f"{results['suite']}, seeds {low} to {high}; {results['package']}; load {results['load_average']}.",
        "",
        *_table(COLUMNS, [_row_cells(row) for row in results["rows"]]),
        "",
        *_table(("theirs", "ours", "time of the thread, ours / theirs (5 to 95 %)", "wall"), _pairs(results["pairs"])),
        "",
        *(f"{each['cell']}: masks are {each['share_of_cpu']:.0%} of the thread's time." for each in results["masks"]),
        *(sentence(pair) for pair in results["pairs"] if pair["least"]),
    ]
    return "\n".join(lines)


def sentence(pair: Mapping[str, Any]) -> str:
    """The pair that counts for one of their solvers, in words."""
    theirs = (
        f"{pair['theirs']} is the cheapest with its solver's most, {pair['theirs_successes']} of {pair['episodes']}"
    )
    if pair["ours"] is None:
        return f"{theirs}; none of our cells succeeded as often."
    share, kept = pair["cpu_ratio"]["p50"], "kept" if pair["within_bar"] else "not kept"
    return f"{theirs}; {pair['ours']} ({pair['ours_successes']}) takes {share:.2f} of its time (bar {BAR:.2f}: {kept})."


def _row_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    won, of, (low, high) = row["successes"], row["episodes"], row["interval_95"]
    times = [row[key] for key in ("plan_ms", "plan_cpu_ms")]
    shown = ["-" if each is None else f"{each['p50']:.1f} / {each['p95']:.1f}" for each in times]
    refused = f"{sum(row['planner_refusals'].values())}, {row['guardrail_refusals']}"
    return row["name"], f"{won}/{of}", f"{low:.0%} to {high:.0%}", *shown, refused


def _pairs(pairs: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    lines = []
    for pair in pairs:
        theirs, of = f"{pair['theirs']} ({pair['theirs_successes']}/{pair['episodes']})", pair["episodes"]
        if pair["ours"] is None:
            lines.append((theirs, "none as often", "-", "-"))
            continue
        cpu = pair["cpu_ratio"]
        shown = f"{cpu['p50']:.2f} ({cpu['p5']:.2f} to {cpu['p95']:.2f})"
        lines.append(
            (theirs, f"{pair['ours']} ({pair['ours_successes']}/{of})", shown, f"{pair['wall_ratio']['p50']:.2f}")
        )
    return lines


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(line) + " |" for line in (columns, ("---",) * len(columns), *rows)]


def _best(names: Sequence[str], episodes: Episodes) -> str:
    """The cheapest of those that succeeded most often."""
    return min(names, key=lambda name: (-_won(episodes[name]), _cpu_ms(episodes[name])))


def _won(lines: Lines) -> int:
    return sum(line["success"] for line in lines)


def _cpu_ms(lines: Lines) -> float:
    """Median of all plans; infinite without one."""
    spent = [ms for line in lines for ms in line["search_cpu_ms"]]
    return float(np.median(spent)) if spent else np.inf
