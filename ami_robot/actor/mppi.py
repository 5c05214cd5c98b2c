"""MPPI: model predictive path integral control (Williams et al., "Information theoretic MPC", ICRA 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ami_robot.actor.candidates import Pool
from ami_robot.actor.imagination import Query
from ami_robot.actor.sampling import Distribution, SamplingSearch
from ami_robot.actor.search import SearchSettings


@dataclass(frozen=True)
class MPPISettings(SearchSettings):
    """Everything that can be set; the values are in the configurator's YAML."""

    temperature: float  # in units of the costs' standard deviation; small follows the best, great averages all
    fewest: int  # with fewer feasible candidates it looks again, round holding

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.temperature > 0 or not 0 <= self.fewest <= self.candidates:
            raise ValueError("mppi needs temperature > 0 and 0 <= fewest <= candidates")


class MPPI(SamplingSearch[MPPISettings]):
    """All candidates pull the mean, each by exp(-cost / temperature); the spread of the samples stays as it is.

    The paper carries the weighted mean out. Here that mean is one candidate of the next iteration, and what is
    carried out is the best candidate seen: a mean of feasible sequences need not be feasible.
    """

    @property
    def fewest(self) -> int:
        """See `Search.fewest`."""
        return self.settings.fewest

    def learn(self, query: Query, state: Distribution, pool: Pool) -> tuple[Pool, Distribution]:
        """The paper's weights, with costs in units of their own spread, so that one temperature suits all goals."""
        costs = pool.terms.sum(axis=1)
        scale = max(float(costs.std()), np.finfo(float).tiny)
        weights = np.exp(-(costs - costs.min()) / (self.settings.temperature * scale))
        mean = np.tensordot(weights / weights.sum(), pool.sequences.drawn, axes=1)
        shares = self._gripper.refit(state.shares, pool.sequences.schedules, weights, 0.0, 0.0)
        return pool.best(1), state.centred(mean, state.std, shares)
