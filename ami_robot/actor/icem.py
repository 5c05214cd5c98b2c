"""iCEM: the cross-entropy method with coloured noise, kept elites and a warm start (Pinneri et al., CoRL 2020)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ami_robot.actor.candidates import Pool
from ami_robot.actor.imagination import Query
from ami_robot.actor.sampling import Distribution, SamplingSearch
from ami_robot.actor.search import SearchSettings


@dataclass(frozen=True)
class ICEMSettings(SearchSettings):
    """Everything that can be set; the values are in the configurator's YAML."""

    elites: int
    kept_elites: int  # carried over into the next iteration with the cost they have
    momentum: float  # share of the old mean and standard deviation
    std_floor: float  # in units of the step limit; of the gripper's schedules, the share that nothing learnt changes

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.kept_elites <= self.elites <= self.candidates or self.elites < 1:
            raise ValueError("icem needs 0 <= kept_elites <= elites <= candidates and at least one elite")


class ICEM(SamplingSearch[ICEMSettings]):
    """Samples action sequences, masks those that break a guardrail, imagines the rest, and tightens round the best."""

    @property
    def fewest(self) -> int:
        """See `Search.fewest`."""
        return self.settings.elites

    def learn(self, query: Query, state: Distribution, pool: Pool) -> tuple[Pool, Distribution]:
        """Mean and standard deviation of the elites, with momentum and a floor."""
        elites, keep, floor = pool.best(self.settings.elites), self.settings.momentum, self.settings.std_floor
        drawn, schedules = elites.sequences.drawn, elites.sequences.schedules
        std = keep * state.std + (1 - keep) * drawn.std(axis=0)
        shares = self._gripper.refit(state.shares, schedules, np.ones(len(schedules)), keep, floor)
        mean = keep * state.mean + (1 - keep) * drawn.mean(axis=0)
        tighter = state.centred(mean, np.maximum(std, floor * query.limit_m), shares)
        return elites.best(max(1, self.settings.kept_elites)), tighter
