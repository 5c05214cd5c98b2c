"""Whether what a world model says of its own doubt is true."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ami_robot.statistics import clopper_pearson

MISCOVERAGE = 0.1  # of the intervals that are tried
CURVE = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)  # coverages of the calibration curve
_RESAMPLED = 1000


def auroc(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """How often the score of a positive is greater than that of a negative, ties counting half; NaN without both.

    The area under the receiver operating characteristic (Hanley & McNeil 1982), by Mann and Whitney's ranks.
    """
    ordered, place = np.unique(scores, return_inverse=True)
    count = np.bincount(place, minlength=len(ordered))
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]  # of those that tie, their mean
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return math.nan
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def auroc_interval(
    scores: NDArray[np.floating], positive: NDArray[np.bool_], groups: NDArray[np.intp], seed: int
) -> list[float]:
    """95 % of the AUROCs of as many groups (episodes), drawn with replacement: a cluster bootstrap (Field, Welsh 2007).

    Draws without a positive or without a negative are left out.
    """
    rows = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    generator, areas = np.random.default_rng([seed, 6]), []
    for _ in range(_RESAMPLED):
        taken = np.concatenate([rows[i] for i in generator.integers(len(rows), size=len(rows))])
        areas.append(auroc(scores[taken], positive[taken]))
    return [round(float(bound), 4) for bound in np.nanpercentile(areas, [2.5, 97.5])]


def conformal_quantile(scores: NDArray[np.floating], miscoverage: float) -> float:
    """What a further score is at most, but for that share of cases; infinite where there are too few scores.

    Split conformal prediction (Vovk et al. 2005): the ceil((n + 1)(1 - miscoverage))-th smallest of n.
    """
    rank = math.ceil((len(scores) + 1) * (1 - miscoverage))
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else math.inf


def coverage(
    errors: NDArray[np.floating], spread: NDArray[np.floating], groups: NDArray[np.intp], seed: int
) -> dict[str, Any] | None:
    """How often intervals of radius factor * spread hold the error, with the factor from other cases.

    None of so few cases that only an infinite radius would be sure to hold it: that always does, which says nothing.

    Cases of one group (windows of an episode) are alike: of each group one is taken, half of them give the factor and
    the others count, so that the count is binomial.

    Args:
        errors: (N,), m.
        spread: (N,); all ones for intervals of one width.
        groups: (N,).
        seed: of what is taken, and of the halves.
    """
    order = np.random.default_rng([seed, 3]).permutation(len(errors))
    first = np.unique(groups[order], return_index=True)[1]
    taken = np.random.default_rng([seed, 4]).permutation(order[first])
    scores = errors[taken] / np.maximum(spread[taken], np.finfo(float).tiny)
    fitted, counted = np.array_split(scores, 2)
    factor = conformal_quantile(fitted, MISCOVERAGE)
    if factor == math.inf:
        return None
    held = int((counted <= factor).sum())
    return {
        "nominal": 1 - MISCOVERAGE,
        "calibrated_on": len(fitted),
        "held": held,
        "of": len(counted),
        "interval_95": [round(bound, 4) for bound in clopper_pearson(held, len(counted))],
        "curve": {
            share: round(float((counted <= conformal_quantile(fitted, 1 - share)).mean()), 3)
            for share in CURVE
            if conformal_quantile(fitted, 1 - share) < math.inf
        },
    }
