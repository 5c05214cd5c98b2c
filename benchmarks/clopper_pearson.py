"""How often can something happen that was seen so many times in so many trials? Clopper and Pearson, 1934."""

from __future__ import annotations

from math import exp, lgamma, log, log1p

_HALVINGS = 60


def upper_bound(events: int, trials: int, confidence: float = 0.95) -> float:
    """One-sided upper bound of a probability: were it greater, so few events would be rarer than 1 - confidence.

    No event in 3,000 trials gives 0.000998. Raises ValueError for more events than trials, or fewer than none.
    """
    if not (trials >= 1 and 0 <= events <= trials):
        raise ValueError(f"{events} events in {trials} trials cannot be.")
    if events == trials:
        return 1.0
    low, high = events / trials, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if _at_most(events, trials, middle) > 1.0 - confidence else (low, middle)
    return high


def _at_most(events: int, trials: int, p: float) -> float:
    """Probability of no more than so many events when each trial has one with probability p in (0, 1)."""
    if not 0.0 < p < 1.0:
        return float(p <= 0.0)
    return sum(
        exp(lgamma(trials + 1) - lgamma(k + 1) - lgamma(trials - k + 1) + k * log(p) + (trials - k) * log1p(-p))
        for k in range(events + 1)
    )
