"""Pictures alone, without what was done between them: what encoders are pretrained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ami_robot.learning.dataset import DataError, split_episodes
from ami_robot.perception.encoder import normalise_pictures
from ami_robot.perception.view import VIEW_PIXELS


@dataclass(frozen=True)
class Frames:
    """E episodes of T consecutive training views."""

    images: NDArray[np.uint8]  # (E, T, 64, 64, 3)

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Frames:
        """Pick and check the pictures; raises DataError when there are none or they are no training views."""
        if "images" not in arrays:
            raise DataError("the episodes lack the array images; collect them with `ami collect`.")
        images = arrays["images"]
        if images.ndim != 5 or images.shape[2:] != (VIEW_PIXELS, VIEW_PIXELS, 3) or images.dtype != np.uint8:
            raise DataError(
                f"the array 'images' is {images.shape} {images.dtype}, it has to be (E, T, 64, 64, 3) uint8."
            )
        return cls(images)

    def __len__(self) -> int:
        return len(self.images)

    def split(self, held_out_fraction: float, seed: int) -> tuple[Frames, Frames]:
        """(training, held out), drawn by episode; the same episodes as `Episodes.split` holds out."""
        training, held_out = split_episodes(len(self), held_out_fraction, seed)
        return Frames(self.images[training]), Frames(self.images[held_out])

    def draw(self, count: int, frames: int, seed: tuple[int, ...]) -> NDArray[np.uint8]:
        """`count` clips (N, frames, 64, 64, 3) of consecutive pictures, decided by the seed alone."""
        length = self.images.shape[1]
        if frames > length:
            raise DataError(f"clips of {frames} frames do not fit into episodes of {length}; lower clip.frames.")
        generator = np.random.default_rng(seed)
        episode = generator.integers(len(self), size=(count, 1))
        first = generator.integers(length - frames + 1, size=(count, 1))
        return self.images[episode, first + np.arange(frames)]


def normalise_clips(clips: NDArray[np.uint8]) -> Tensor:
    """(N, F, 64, 64, 3) uint8 -> (N, 3, F, 64, 64) float in -0.5..0.5."""
    count = len(clips)
    return normalise_pictures(torch.from_numpy(clips).flatten(0, 1)).unflatten(0, (count, -1)).transpose(1, 2)
