"""Intervals of a rate, from how often something was seen in how many trials, and a test of two rates in pairs."""

from __future__ import annotations

from math import comb, exp, lgamma, log, log1p, sqrt

_Z_95 = 1.959964  # standard deviations that hold 95 % of a normal distribution
_HALVINGS = 60


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % score interval of a success rate (E. B. Wilson, 1927); (0, 1) without trials."""
    if trials == 0:
        return 0.0, 1.0
    rate, z2 = successes / trials, _Z_95**2
    centre = rate + z2 / (2 * trials)
    spread = _Z_95 * sqrt(rate * (1 - rate) / trials + z2 / (4 * trials**2))
    scale = 1 + z2 / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def clopper_pearson(events: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact two-sided interval of a rate (C. Clopper & E. Pearson, 1934); (0, 1) without trials.

    Raises ValueError for more events than trials, or fewer than none.
    """
    one_sided = (1.0 + confidence) / 2.0
    return 1.0 - upper_bound(trials - events, trials, one_sided), upper_bound(events, trials, one_sided)


def upper_bound(events: int, trials: int, confidence: float = 0.95) -> float:
    """Clopper and Pearson's one-sided bound: were the rate greater, so few events would be rarer than 1 - confidence.

    No event in 3,000 trials gives 0.000998, no trials give 1. Raises ValueError for more events than trials, or fewer
    than none.
    """
    if not 0 <= events <= trials:
        raise ValueError(f"{events} events in {trials} trials cannot be.")
    if events == trials:
        return 1.0
    low, high = events / trials, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if _at_most(events, trials, middle) > 1.0 - confidence else (low, middle)
    return high


def mcnemar_exact(first_only: int, second_only: int) -> float:
    """The two-sided p-value of two methods on the same trials being equally good (Q. McNemar, 1947; binomial form).

    Args:
        first_only: trials in which the first alone succeeded.
        second_only: trials in which the second alone did. Trials in which both or neither did say nothing.
    """
    discordant = first_only + second_only
    tail = sum(comb(discordant, k) for k in range(min(first_only, second_only) + 1))
    return min(1.0, 2 * tail / 2**discordant)


def _at_most(events: int, trials: int, p: float) -> float:
    """Probability of no more than so many events when each trial has one with probability p in (0, 1)."""
    if not 0.0 < p < 1.0:
        return float(p <= 0.0)
    return sum(
        exp(lgamma(trials + 1) - lgamma(k + 1) - lgamma(trials - k + 1) + k * log(p) + (trials - k) * log1p(-p))
        for k in range(events + 1)
    )
