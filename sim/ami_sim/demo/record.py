"""What is kept of one episode: the simulator's verdict, and what was seen, planned and let through."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from ami_robot.types import Array

TEXTS = ("violations", "stops", "margin_rows")
_ROUNDING_S = 1e-6


@dataclass(eq=False)
class EpisodeRecord:
    """One goal pursued. Times are s of simulated time since the start of the episode.

    K judged samples, S simulator states, B blocks, P plans of horizon H, R reports of sent motions with M margins, C
    commands.
    """

    task: str  # of TASKS
    seed: int
    length_s: float
    tolerance_m: float
    goal_image: np.ndarray  # (height, width, 3) uint8 rgb
    success: bool
    judged_s: Array  # (K,)
    distances_m: Array  # (K,): the task's error
    violations: list[str]
    checked_commands: int
    max_measured_acceleration: float  # rad/s^2
    min_clearance_m: float
    outcome: str  # of the action: done, refused or cancelled
    reason: str
    steps: int
    refusals: int
    interventions: int  # proposals changed or refused by the guardrail, and brakes
    stops: list[str]  # why the guardrail stopped listening, a sentence each time
    real_time_factor: float
    states_s: Array  # (S,)
    joint_positions: Array  # (S, 9), rad and m
    block_positions: Array  # (S, B, 3), m
    block_orientations: Array  # (S, B, 4), quaternions x y z w
    plans_s: Array  # (P,)
    plan_ms: Array  # (P,)
    plan_costs: Array  # (P,), NaN where the planner refused
    tool_paths: Array  # (P, H, 3), m, as far as they were imagined, then as planned; NaN where the planner refused
    camera_to_command_ms: Array  # (C,)
    reports_s: Array  # (R,)
    margin_rows: list[str]  # (M,)
    margins: Array  # (R, M), in each row's unit

    @property
    def final_distance_m(self) -> float:
        """The task's error when the episode was over; NaN without samples."""
        within = self.distances_m[self.judged_s <= self.length_s + _ROUNDING_S]
        return float(within[-1]) if within.size else float("nan")

    def save(self, path: Path) -> None:
        """Write it as .npz that `load` reads back."""
        np.savez_compressed(path, **{entry.name: getattr(self, entry.name) for entry in fields(self)})

    @classmethod
    def load(cls, path: Path) -> EpisodeRecord:
        """Read what `save` wrote; nothing is unpickled."""
        with np.load(path, allow_pickle=False) as file:
            values = {entry.name: file[entry.name] for entry in fields(cls)}
        scalars = {name: value.item() for name, value in values.items() if value.ndim == 0}
        texts = {name: [str(text) for text in values[name]] for name in TEXTS}
        return cls(**{**values, **scalars, **texts})
