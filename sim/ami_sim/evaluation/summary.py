"""What the episodes of an evaluation amount to: a row each with its interval, and agents compared in pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain, combinations
from typing import Any

import numpy as np

from ami_robot.statistics import mcnemar_exact, wilson_interval

Episode = Mapping[str, Any]
COLUMNS = (
    *("suite", "row", "success", "95 %", "of nominal", "worst cm in last s, p50", "at goal after s, p50"),
    *("guardrail refused", "planner refused", "disarmed", "search ms, p50 / p95", "other answers"),
)


def row_of(
    suite: str, name: str, episodes: Sequence[Episode], nominal: Sequence[Episode] | None = None
) -> dict[str, Any]:
    """One row of results.json; `nominal`: of a shifted suite, the same task's episodes without a shift.

    Errors that are infinite count as such in the median.
    """
    won = [episode for episode in episodes if episode["success"]]
    refusals: Counter[str] = Counter()
    for episode in episodes:
        refusals.update(episode.get("planner_refusals", {}))
    return {
        "name": name,
        "suite": suite,
        "successes": len(won),
        "episodes": len(episodes),
        "interval_95": [round(bound, 4) for bound in wilson_interval(len(won), len(episodes))],
        "of_nominal": _ratio(episodes, nominal),
        "error_m_p50": _median([np.inf if episode["error_m"] is None else episode["error_m"] for episode in episodes]),
        "arrival_s_p50": _median([episode["arrival_s"] for episode in won]),
        "guardrail_refusals": sum(episode["guardrail_refusals"] for episode in episodes),
        "disarmed": sum(episode["disarmed"] for episode in episodes),
        "planner_refusals": dict(refusals),
        "plan_ms": _quantiles(episodes, "search_ms"),
        "plan_cpu_ms": _quantiles(episodes, "search_cpu_ms"),
        "unsearched_ms": _quantiles(episodes, "unsearched_ms"),
    }


def card_entries(results: Mapping[str, Any]) -> dict[str, Any]:
    """By suite, what a model card says of an evaluation's results."""
    entries: dict[str, Any] = {}
    for row in results["rows"]:
        entry = entries.setdefault(
            row["suite"],
            {key: results[key] for key in ("command", "commit")} | {"seeds": results["seeds"][row["suite"]]},
        )
        told = {key: row[key] for key in ("successes", "episodes", "interval_95")}
        entry[row["name"]] = told | ({"search_ms": row["plan_ms"]} if row["plan_ms"] else {})
    return entries


def pairs_of(suite: str, agents: Mapping[str, Sequence[Episode]]) -> list[dict[str, Any]]:
    """Each two agents of a suite on the same seeds, in the same order."""
    found = []
    for first, second in combinations(agents, 2):
        both = list(zip(agents[first], agents[second], strict=True))
        first_only = sum(a["success"] and not b["success"] for a, b in both)
        second_only = sum(b["success"] and not a["success"] for a, b in both)
        found.append(
            {
                "suite": suite,
                "first": first,
                "second": second,
                "episodes": len(both),
                "first_only": first_only,
                "second_only": second_only,
                "p_value": mcnemar_exact(first_only, second_only),
            }
        )
    return found


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """A row under COLUMNS."""
    won, of, (low, high) = row["successes"], row["episodes"], row["interval_95"]
    refused = ", ".join(f"{count} {name}" for name, count in row["planner_refusals"].items())
    return (
        *(row["suite"], row["name"], f"{won}/{of} = {won / of:.0%}", f"{low:.0%} to {high:.0%}"),
        "-" if row["of_nominal"] is None else f"{row['of_nominal']:.0%}",
        "-" if row["error_m_p50"] is None else f"{100 * row['error_m_p50']:.1f}",
        "-" if row["arrival_s_p50"] is None else f"{row['arrival_s_p50']:.1f}",
        *(str(row["guardrail_refusals"]), refused or "0", str(row["disarmed"])),
        *(_ms(row["plan_ms"]), _ms(row["unsearched_ms"])),
    )


def sentence(pair: Mapping[str, Any]) -> str:
    """A pair in words."""
    return (
        f"{pair['suite']}: {pair['first']} alone succeeded in {pair['first_only']}, {pair['second']} alone in "
        f"{pair['second_only']} of {pair['episodes']} paired episodes; exact McNemar p = {pair['p_value']:.2g}"
    )


def printed(rows: Sequence[Mapping[str, Any]], pairs: Sequence[Mapping[str, Any]]) -> str:
    """All of it as Markdown."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *(cells(row) for row in rows)]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return "\n\n".join([table, *(sentence(pair) for pair in pairs)])


def _ratio(shifted: Sequence[Episode], nominal: Sequence[Episode] | None) -> float | None:
    """Of success rates; None where there is nothing to compare with."""
    rates = [np.mean([episode["success"] for episode in episodes]) for episodes in (shifted, nominal) if episodes]
    return round(float(rates[0] / rates[1]), 4) if len(rates) == 2 and rates[1] > 0 else None


def _ms(quantiles: Mapping[str, float] | None) -> str:
    return "-" if quantiles is None else f"{quantiles['p50']:.0f} / {quantiles['p95']:.0f}"


def _median(values: Sequence[float]) -> float | None:
    middle = float(np.median(values)) if values else np.inf
    return round(middle, 4) if np.isfinite(middle) else None


def _quantiles(episodes: Sequence[Episode], key: str) -> dict[str, float] | None:
    """Over all calls of all episodes; None where there was no call."""
    values = list(chain.from_iterable(episode.get(key, ()) for episode in episodes))
    if not values:
        return None
    return {f"p{q}": round(float(np.percentile(values, q)), 2) for q in (50, 95)}
