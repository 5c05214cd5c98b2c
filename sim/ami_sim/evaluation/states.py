"""Where everything was in an episode that failed, on disk: what its film is drawn from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ami_sim.evaluation.suites import Key
from ami_sim.world import Snapshot

FAILURES = "failures"
"""The folder, in that of an evaluation."""


def state_file(key: Key) -> str:
    """The name of an episode's file in FAILURES."""
    suite, row, seed = key
    return f"{suite.replace(':', '-')}_{row}_{seed}.npz"


def save_states(path: Path, states: Sequence[Snapshot]) -> None:
    """Write them whole or not at all."""
    partial_path = path.with_name(f".{path.name}.partial")
    with partial_path.open("wb") as file:
        np.savez_compressed(
            file,
            joint_positions=np.array([state.joint_positions for state in states]),
            block_positions=np.array([state.block_positions for state in states]),
            block_orientations=np.array([state.block_orientations for state in states]),
        )
    os.replace(partial_path, path)


def load_states(path: Path) -> list[Snapshot]:
    """What save_states wrote."""
    with np.load(path, allow_pickle=False) as file:
        columns = (file["joint_positions"], file["block_positions"], file["block_orientations"])
        return [Snapshot(*state) for state in zip(*columns, strict=True)]
