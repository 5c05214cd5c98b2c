"""A disc that is pushed about in a picture: a world small enough to be learnt in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import ami_robot.learning
from ami_robot.learning.train import Provenance

REACH = Path(ami_robot.learning.__file__).with_name("reach.yaml")
PROVENANCE = Provenance("0" * 64, {"recipe": {"episodes": 48, "steps": 12, "seed": 0}}, "test")


def disc_arrays(episodes: int, steps: int, seed: int) -> dict[str, np.ndarray]:
    """A bright disc whose place in the picture is the tool's, moved by the actions; a square block lies still."""
    rng = np.random.default_rng(seed)
    actions = np.zeros((episodes, steps, 4), np.float32)
    actions[..., :2] = rng.uniform(-0.04, 0.04, (episodes, steps, 2))
    tool = np.zeros((episodes, steps + 1, 3), np.float32)
    tool[:, 0, :2] = rng.uniform(-0.15, 0.15, (episodes, 2))
    for step in range(steps):
        tool[:, step + 1] = np.clip(tool[:, step] + actions[:, step, :3], -0.25, 0.25)
    actions[..., :3] = np.diff(tool, axis=1)  # what really happened, also at the border
    blocks = np.zeros((episodes, steps + 1, 1, 3), np.float32)
    blocks[..., :2] = rng.uniform(-0.2, 0.2, (episodes, 1, 1, 2))
    line = np.linspace(-0.3, 0.3, 64, dtype=np.float32)
    x, y = line[:, None], line[None, :]
    disc = np.hypot(x - tool[..., None, None, 0], y - tool[..., None, None, 1]) < 0.04
    square = np.maximum(abs(x - blocks[..., 0, None, None, 0]), abs(y - blocks[..., 0, None, None, 1])) < 0.03
    images = np.full((*disc.shape, 3), 60, np.uint8)
    images[square] = (40, 40, 200)
    images[disc] = (230, 120, 20)
    proprio = np.zeros((episodes, steps + 1, 10), np.float32)
    proprio[..., 0:3] = proprio[..., 6:9] = tool
    return {"images": images, "proprio": proprio, "actions": actions, "blocks": blocks}
