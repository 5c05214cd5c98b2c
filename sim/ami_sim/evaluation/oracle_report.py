"""What comparisons with the oracle amount to: figures over all starts, and a section of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ami_robot.configurator.configurator import TaskSettings
from ami_robot.statistics import mcnemar_exact
from ami_robot.types import Array
from ami_sim.evaluation.against_oracle import ROWS
from ami_sim.evaluation.run import finite
from ami_sim.evaluation.suites import Suite

Episode = Mapping[str, Any]

_RESAMPLES = 10_000


def oracle_report(suite: Suite, settings: TaskSettings, episodes: Sequence[Episode]) -> dict[str, Any]:
    """All figures, as plain values; lengths m. None where one is infinite or there is nothing.

    By how much farther from the goal the model's plan ends than the expert is split into what goes with the oracle's
    dynamics (`model_minus_oracle_m`) and what stays (`oracle_minus_expert_m`). `search_missed` counts the starts in
    which the expert's actions cost less than the oracle's plan: that plan is not the best by its own measure.
    """
    judged = sorted((e for e in episodes if not e["left_out"]), key=lambda e: e["seed"])
    search = settings.search
    assert search is not None  # nothing else is held against an oracle
    errors, costs = ({row: _column(judged, key, row) for row in ROWS} for key in ("errors_m", "costs"))
    return {
        "suite": suite.name,
        "seeds": sorted(episode["seed"] for episode in episodes),
        "left_out": sorted(episode["seed"] for episode in episodes if episode["left_out"]),
        "starts": len(judged),
        "in_reach_at_the_tasks_start": sum(e["expert_done_step"] <= search.horizon for e in judged),
        "horizon": search.horizon,
        "candidates": search.candidates,
        "iterations": search.iterations,
        "start_error_m": _middle(np.array([_number(e["start_error_m"]) for e in judged])),
        "rows": {
            row: {
                "error_m": _middle(errors[row]),
                "cost": _middle(costs[row]),
                "imagined_cost": _middle(_column(judged, "imagined_cost", row)) if row in ("model", "oracle") else None,
                "refused": sum(row in e["refused"] for e in judged),
            }
            for row in ROWS
        },
        "model_minus_oracle_m": _paired(errors["model"], errors["oracle"]),
        "oracle_minus_expert_m": _paired(errors["oracle"], errors["expert"]),
        "regret": _paired(costs["model"], costs["oracle"]),
        "search_missed": int((costs["expert"] < costs["oracle"]).sum()),
        "episodes": judged,
    }


def oracle_page(report: Mapping[str, Any]) -> str:
    """The figures as a section of a page of Markdown."""
    starts, horizon = report["starts"], report["horizon"]
    head = "## Planner against oracle dynamics"
    if not starts:
        return f"{head}\n\nThe expert of {report['suite']} failed in all episodes, so no start is known to be in reach."
    rows: list[tuple[str, ...]] = [("planned with", "error at the end", "cost", "cost as imagined", "refused")]
    rows.append(("---",) * len(rows[0]))
    for name, row in report["rows"].items():
        imagined = "-" if row["imagined_cost"] is None else _said(row["imagined_cost"])
        error, cost = _said(row["error_m"], 100), _said(row["cost"])
        rows.append((f"{name}: {ROWS[name]}", error, cost, imagined, str(row["refused"])))
    regret = report["regret"]
    parts = [
        head,
        f"{report['suite']}, seeds {report['seeds'][0]} to {report['seeds'][-1]}: {starts} starts, 2 to {horizon} "
        f"steps before the expert is done (left out, since it fails: {len(report['left_out'])}). From the "
        f"task's own start the goal is within reach of a plan of {horizon} steps in "
        f"{report['in_reach_at_the_tasks_start']} of {starts}. Each search looks at {report['candidates']} x "
        f"{report['iterations']} sequences; each plan is carried out to its end. Mean / median; errors in cm, at the "
        f"start {_said(report['start_error_m'], 100)}.",
        "\n".join("| " + " | ".join(row) + " |" for row in rows),
        f"In pairs, the model's plan ends {_farther(report['model_minus_oracle_m'])} than the oracle's: that is the "
        f"world model's doing. The oracle's ends {_farther(report['oracle_minus_expert_m'])} than the expert: that is "
        "the cost's or the search's.",
        f"In {report['search_missed']} of {starts} starts the expert's actions cost less than the oracle's plan: there "
        "the search missed them. In the others the cost does not prefer the expert's.",
        f"Regret, the cost of the model's plan minus that of the oracle's, both of what really comes of them: "
        f"{_plain(regret['mean'])} (95 %: {_interval(regret)}), median {_plain(regret['median'])}; above 0 in "
        f"{regret['more']}, below in {regret['less']} of {regret['of']}. Below 0, the search with the oracle found the "
        "worse plan of the two.",
    ]
    return "\n\n".join(parts)


def _column(episodes: Sequence[Episode], key: str, row: str) -> Array:
    """(N,), NaN where that row has none."""
    return np.array([_number(e[key][row]) if row in e[key] else np.nan for e in episodes])


def _number(value: float | None) -> float:
    """What `finite` made None was infinite."""
    return np.inf if value is None else value


def _middle(values: Array) -> dict[str, float | None]:
    there = values[~np.isnan(values)]
    if not there.size:
        return {"mean": None, "median": None}
    return {"mean": finite(float(np.mean(there))), "median": finite(float(np.median(there)))}


def _between(first: Array, second: Array) -> Array:
    """The differences, where both are finite."""
    there = np.isfinite(first) & np.isfinite(second)
    return first[there] - second[there]


def _paired(first: Array, second: Array) -> dict[str, Any]:
    """Of the differences; mean, median and their bootstrap interval where both are finite, the sign test of all."""
    less, more = int((first < second).sum()), int((first > second).sum())
    there = _between(first, second)
    interval: list[float | None] = [None, None]
    if there.size > 1:
        drawn = np.random.default_rng(0).choice(there, (_RESAMPLES, there.size)).mean(axis=1)
        interval = [finite(float(bound)) for bound in np.percentile(drawn, [2.5, 97.5])]
    return {
        **_middle(there),
        "interval_95": interval,
        "less": less,
        "more": more,
        "of": len(first),
        "p_value": mcnemar_exact(less, more),
    }


def _said(middle: Mapping[str, float | None], times: float = 1.0) -> str:
    return f"{_plain(middle['mean'], times)} / {_plain(middle['median'], times)}"


def _interval(pair: Mapping[str, Any], times: float = 1.0) -> str:
    low, high = pair["interval_95"]
    return "unknown" if low is None or high is None else f"{_plain(low, times)} to {_plain(high, times)}"


def _farther(pair: Mapping[str, Any]) -> str:
    return (
        f"{_plain(pair['mean'], 100)} cm farther (95 %: {_interval(pair, 100)}; median {_plain(pair['median'], 100)}; "
        f"farther in {pair['more']}, nearer in {pair['less']} of {pair['of']}, exact sign test p = "
        f"{pair['p_value']:.2g})"
    )


def _plain(value: float | None, times: float = 1.0) -> str:
    return "-" if value is None else f"{times * value:.2f}" if times > 1 else f"{value:.3f}"
