"""The table of an ablation: a row for each variant, over its seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ami_robot.statistics import wilson_interval

COLUMNS = (
    *("variant", "push", "95 %", "of each seed", "block, cm", "tool, cm", "effective rank", "copy-last", "wrong/true"),
)


def printed(lines: Sequence[Mapping[str, Any]]) -> str:
    """As Markdown, in the order in which variants first come."""
    by_variant: dict[str, list[Mapping[str, Any]]] = {}
    for line in lines:
        by_variant.setdefault(line["variant"], []).append(line)
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(_row(name, of) for name, of in by_variant.items())]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _row(name: str, lines: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    won, of = (sum(line[key] for line in lines) for key in ("successes", "episodes"))
    low, high = wilson_interval(won, of)
    each = ", ".join(f"{line['successes'] / line['episodes']:.0%}" for line in lines)
    return (
        *(name, f"{won}/{of} = {won / of:.0%}", f"{low:.0%} to {high:.0%}", each),
        *(_mean(lines, key, "{:.2f}") for key in ("block_cm", "tool_cm")),
        _mean(lines, "effective_rank", "{:.0f}"),
        *(_mean(lines, key, "{:.2f}") for key in ("copy_last", "wrong_over_true_action")),
    )


def _mean(lines: Sequence[Mapping[str, Any]], key: str, shown: str) -> str:
    return shown.format(np.mean([line[key] for line in lines]))
