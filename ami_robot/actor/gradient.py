"""The gradient planner: Adam on action sequences, through the world model and the cost, from several starts at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ami_robot.actor.candidates import Pool, Sequences
from ami_robot.actor.coloured_noise import coloured_noise
from ami_robot.actor.gripper import Schedules
from ami_robot.actor.guide import Guide
from ami_robot.actor.imagination import Query
from ami_robot.actor.planner import PathMask, clip_norm
from ami_robot.actor.search import Search, SearchSettings
from ami_robot.cost.cost import Imagined, WeightedSum
from ami_robot.types import Array
from ami_robot.world_model.protocol import LocalWorldModel

_BETAS, _EPSILON = (0.9, 0.999), 1e-8  # Kingma & Ba, "Adam" (2015), as they propose


@dataclass(frozen=True)
class GradientSettings(SearchSettings):
    """Everything that can be set; `candidates` is the number of starts, `iterations` one more than steps of Adam."""

    learning_rate: float  # of Adam, in units of the step limit: about how far a displacement moves in one iteration

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.learning_rate > 0:
            raise ValueError("gradient.learning_rate must be positive")


@dataclass(frozen=True)
class Descent:
    """Where all starts have come to."""

    displacements: Array  # (N, H, 3), m
    usable: Array  # (N, H, 3), m: where each was last within the guardrails; to hold, before it was anywhere
    schedules: Schedules  # (N,), of the gripper: those are drawn and stay, a width has no slope
    first: Array  # (N, H, 3), running means of the gradient ...
    second: Array  # ... and of its square
    steps: Array  # (N, 1, 1): of Adam, since the last start


class Gradient(Search[GradientSettings, Descent]):
    """The mask judges every point that the descent visits; one that it forbids is left half way back."""

    def __init__(
        self,
        settings: GradientSettings,
        mask: PathMask,
        world_model: LocalWorldModel,
        cost: WeightedSum,
        guide: Guide | None = None,
        max_spread: float = np.inf,
    ) -> None:
        """Put together from its parts, those of `Search`."""
        self._differentiable = world_model
        super().__init__(settings, mask, world_model, cost, guide, max_spread)

    @property
    def fewest(self) -> int:
        """Holding is one of the starts, so there is nothing else to look at."""
        return 0

    def begin(self, query: Query) -> Descent:
        """From the anchors, and from samples round the last plan."""
        anchors, schedules = self.anchors(query)
        shape = (max(0, self.settings.candidates - len(anchors)), *self.last.shape)
        noise = coloured_noise(self._rng, shape, self.settings.noise_beta)
        samples = clip_norm(self.later(query) + self.settings.initial_std * query.limit_m * noise, query.limit_m)
        drawn = self._gripper.draw(self._rng, self._gripper.shares(), len(samples))
        displacements = np.concatenate([anchors, samples])
        nothing = np.zeros_like(displacements)
        steps = np.zeros((len(displacements), 1, 1))
        return Descent(displacements, nothing, np.concatenate([schedules, drawn]), nothing, nothing, steps)

    def propose(self, query: Query, state: Descent) -> Sequences:
        """The points that the descent has come to."""
        return self.sequences(query, state.displacements, state.schedules)

    def round_hold(self, state: Descent) -> Descent:
        """Never asked for."""
        return state

    def learn(self, query: Query, state: Descent, pool: Pool) -> tuple[Pool, Descent]:
        """One step of Adam from every usable point, then back within the step limit; the others start again nearer."""
        seen = pool.sequences.drawn
        usable = (state.displacements[:, None] == seen).all(axis=(2, 3)).any(axis=1)[:, None, None]
        slope, steps = self._slope(query, state), state.steps + 1
        first = _BETAS[0] * state.first + (1 - _BETAS[0]) * slope
        second = _BETAS[1] * state.second + (1 - _BETAS[1]) * slope**2
        direction = first / (1 - _BETAS[0] ** steps) / (np.sqrt(second / (1 - _BETAS[1] ** steps)) + _EPSILON)
        moved = clip_norm(state.displacements - self.settings.learning_rate * query.limit_m * direction, query.limit_m)
        following = Descent(
            np.where(usable, moved, (state.displacements + state.usable) / 2),
            np.where(usable, state.displacements, state.usable),
            state.schedules,
            np.where(usable, first, 0.0),
            np.where(usable, second, 0.0),
            np.where(usable, steps, 0.0),
        )
        return pool.best(1), following

    def _slope(self, query: Query, state: Descent) -> Array:
        """(N, H, 3): of each candidate's cost in its displacements; zero where it is not finite."""
        belief, actions = query.belief, self.propose(query, state).actions
        outcomes, pull_back = self._differentiable.differentiate(belief.image_latent, belief.proprio, actions)
        slopes = query.cost.slopes(Imagined(belief, query.goal, actions, outcomes))
        through = pull_back(slopes.image_latents, slopes.proprio)
        return np.nan_to_num((slopes.actions + through)[..., :3], nan=0.0, posinf=0.0, neginf=0.0)
