"""How regularly messages arrive, and how old they are then."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Rhythm:
    """When messages arrived, s on the steady clock, and how old their stamps were then, s on the graph's clock."""

    arrivals_s: list[float] = field(default_factory=list)
    ages_s: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        """Rate and gaps from two messages on, ages where there are stamps."""
        number = len(self.arrivals_s)
        gaps = [after - before for before, after in zip(self.arrivals_s, self.arrivals_s[1:], strict=False)]
        if not gaps:
            return f"{number} message: too few for a rate"
        lines = [f"{len(gaps) / sum(gaps):.2f} Hz, {number} messages in {sum(gaps):.2f} s", _spread("gap", gaps)]
        return "\n".join([*lines, _spread("age", self.ages_s)] if self.ages_s else lines)


def _spread(what: str, values_s: Sequence[float]) -> str:
    least, mean, most, std = (
        1e3 * value for value in (min(values_s), statistics.fmean(values_s), max(values_s), statistics.pstdev(values_s))
    )
    return f"{what}  min {least:.2f} ms, mean {mean:.2f} ms, max {most:.2f} ms, std {std:.2f} ms"
