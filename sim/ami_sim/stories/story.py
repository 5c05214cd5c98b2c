"""What a story is, and how one is played: a world, somebody who acts at every tick, and an oracle afterwards."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar
from zlib import crc32

import numpy as np

from ami_robot.types import Array
from ami_sim.stories.stage import Stage

SetUp = Callable[..., Any]
"""Stage, or what takes its arguments and gives something with its face: the live graph has one of its own."""


@dataclass(frozen=True)
class Outcome:
    """How a story ended, as the truth has it."""

    story: str
    seed: int
    guarded: bool
    broken: dict[str, str]  # what must not happen and did, by kind: a sentence each
    figures: dict[str, float]  # units in the keys; NaN where there was nothing to measure
    decisions: dict[str, int] = field(default_factory=dict)  # of the guardrail
    refusals: dict[str, int] = field(default_factory=dict)  # and brakes, by row

    @property
    def passed(self) -> bool:
        """Nothing that must not happen did."""
        return not self.broken


class Story(ABC):
    """One story with one seed. `stage` is ready to be played; `act` is called before every tick."""

    name: ClassVar[str]
    about: ClassVar[str]  # what happens; what has to hold
    breaks: ClassVar[str]  # the kind that breaks without guardrails
    duration_s: ClassVar[float]
    has_goal: ClassVar[bool] = False  # the tool is wanted where the scene has its goal

    stage: Stage

    def __init__(self, seed: int, guarded: bool = True):
        self.seed, self.guarded = seed, guarded
        self.rng = np.random.default_rng([seed, crc32(self.name.encode())])

    @abstractmethod
    def act(self) -> None:
        """Propose something, or change the world."""

    def broken(self) -> dict[str, str]:
        """What this story in particular forbids; `everywhere` comes on top."""
        return {}

    def figures(self) -> dict[str, float]:
        """What this story in particular measures."""
        return {}


def play(story: Story, on_tick: Callable[[Story], None] | None = None) -> Outcome:
    """Play it to its end and judge; the world is closed afterwards."""
    stage = story.stage
    try:
        while stage.t_s < story.duration_s - 1e-9:
            story.act()
            stage.tick()
            if on_tick is not None:
                on_tick(story)
        return Outcome(
            story.name,
            story.seed,
            story.guarded,
            everywhere(stage) | story.broken(),
            common_figures(stage) | story.figures(),
            dict(stage.decisions),
            dict(stage.refusals),
        )
    finally:
        stage.close()


def everywhere(stage: Stage) -> dict[str, str]:
    """What is forbidden in every story: broken limits, moving too near to people, touching them, the table, itself."""
    broken: dict[str, str] = {}
    violations = stage.judge.verdict().violations
    if violations:
        broken["limits"] = f"{len(violations)} limits were broken, first at {violations[0]}"
    if stage.rejected:
        broken["controller"] = f"The controller rejected what the guardrail sent: {stage.rejected[0]}"
    witness = stage.witness
    moves, distance_m, needed_m = witness.moves, witness.distance_m, witness.needed_m
    near = np.flatnonzero(moves & ~(distance_m >= needed_m))
    if near.size:
        worst = near[np.argmin(distance_m[near])]
        broken["people"] = (
            f"At {witness.times_s[worst]:.2f} s the arm moved at {witness.arm_speed[worst]:.2f} m/s, "
            f"{distance_m[worst]:.3f} m from somebody; at least {needed_m[worst]:.3f} m were needed."
        )
    touching = np.flatnonzero(moves & (distance_m <= 0.0))
    if touching.size:
        first = touching[0]
        broken["contact"] = (
            f"At {witness.times_s[first]:.2f} s the arm touched somebody at {witness.arm_speed[first]:.2f} m/s."
        )
    if not witness.clearance_m.min() > 0.0:
        broken["table"] = f"The arm touched the table, {-witness.clearance_m.min():.4f} m deep."
    if not witness.least_self_m > 0.0:
        broken["self"] = f"Two parts of the arm touched, {-witness.least_self_m:.4f} m deep."
    if not witness.least_box_m > 0.0:
        broken["obstacle"] = f"The arm touched an obstacle, {-witness.least_box_m:.4f} m deep."
    return broken


def common_figures(stage: Stage) -> dict[str, float]:
    """Measured in every story; NaN for what did not occur."""
    witness = stage.witness
    moving_m = witness.distance_m[witness.moves]
    return {
        "least_distance_m": _finite(witness.distance_m.min()),
        "least_distance_moving_m": _finite(moving_m.min(initial=np.inf)),
        "top_arm_speed_m_per_s": float(witness.arm_speed.max()),
        "top_tip_speed_m_per_s": float(witness.tip_speed.max()),
        "least_clearance_m": float(witness.clearance_m.min()),
        "travelled_m": float(travelled(witness.tip)),
    }


def travelled(tip: Array) -> Array:
    """Length, m, of a path (K, 3), in steps of 0.1 s, so that trembling does not count."""
    return np.linalg.norm(np.diff(tip[::12], axis=0), axis=1).sum()


def _finite(value: float) -> float:
    return float(value) if np.isfinite(value) else float("nan")
