"""Planners that draw sequences from a distribution: iCEM and MPPI differ only in what they make of what they see."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ami_robot.actor.candidates import Sequences
from ami_robot.actor.coloured_noise import coloured_noise
from ami_robot.actor.gripper import HOLD, Schedules
from ami_robot.actor.guide import Guide
from ami_robot.actor.imagination import Query
from ami_robot.actor.planner import clip_norm
from ami_robot.actor.search import Search, Settings
from ami_robot.types import Array


@dataclass(frozen=True)
class Distribution:
    """Where to look, and what to look at whatever is drawn."""

    mean: Array  # (H, 3), m
    std: Array  # (H, 3), m
    shares: Array  # (number of gripper schedules,)
    anchors: Array  # (n, H, 3), m
    schedules: Schedules  # (n,), of the anchors
    base: Array  # (H, 3), m: what mean and samples are added to; zero without a policy to search round

    def centred(self, mean: Array, std: Array, shares: Array) -> Distribution:
        """With another mean, which is the next anchor."""
        schedules = np.array([shares.argmax()])
        return replace(self, mean=mean, std=std, shares=shares, anchors=(self.base + mean)[None], schedules=schedules)


class SamplingSearch(Search[Settings, Distribution]):
    """Draws round a mean; with a residual guide, what is drawn is added to that policy's actions."""

    def begin(self, query: Query) -> Distribution:
        """Round the shifted last plan, or round the policy where what is searched is what to add to it."""
        anchors, schedules = self.anchors(query)
        mean, base = self.later(query), np.zeros_like(self.last)
        if guide := self._residual_guide(query):
            guided = guide.mean(query, self.settings.horizon)
            mean, base = base, guided[:, :3]
            anchors = np.concatenate([anchors, base[None]])
            schedules = np.concatenate([schedules, self.schedules_of(query, guided[None])])
        std = np.full(mean.shape, self.settings.initial_std * query.limit_m)
        return Distribution(mean, std, self._gripper.shares(), anchors, schedules, base)

    def propose(self, query: Query, state: Distribution) -> Sequences:
        """The anchors first, then samples round the mean."""
        count = max(0, self.settings.candidates - len(state.anchors))
        noise = coloured_noise(self._rng, (count, *state.mean.shape), self.settings.noise_beta)
        samples = clip_norm(state.mean + state.std * noise, query.limit_m)
        displacements, schedules = samples, self._gripper.draw(self._rng, state.shares, count)
        if guide := self._residual_guide(query):
            guided = guide.added(query, samples)
            displacements, schedules = guided[..., :3], self.schedules_of(query, guided)
        return self.sequences(
            query,
            np.concatenate([state.anchors, displacements]),
            np.concatenate([state.schedules, schedules]),
            np.concatenate([state.anchors - state.base, samples]),
        )

    def round_hold(self, state: Distribution) -> Distribution:
        """Half as wide."""
        hold = np.zeros_like(state.mean)
        return replace(state, mean=hold - state.base, std=state.std / 2, anchors=hold[None], schedules=np.array([HOLD]))

    def _residual_guide(self, query: Query) -> Guide | None:
        guide = self.guide_for(query)
        return guide if guide is not None and guide.residual else None
