"""A frozen backbone made into a checkpoint: its projection and the goal head are fitted, it stays as it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ami_robot.learning import probes
from ami_robot.learning.config import HeadConfig
from ami_robot.learning.dataset import Episodes
from ami_robot.learning.train import Provenance
from ami_robot.perception.backbone import BackboneConfig, BackboneEncoder, folder_sha256
from ami_robot.perception.checkpoint import Checkpoint, save_checkpoint
from ami_robot.perception.encoder import GoalHead, normalise_pictures
from ami_robot.strict import StrictError, plain, read_file
from ami_robot.types import TOOL_POSITION

DEFAULT_BACKBONE = Path(__file__).with_name("backbone.yaml")
_CHUNK = 32  # pictures encoded at once


@dataclass(frozen=True)
class BackboneSizes:
    """What is made of the backbone; see BackboneConfig."""

    pixels: int
    cells: int
    latent_dim: int
    head_hidden: int


@dataclass(frozen=True)
class FitConfig:
    """Everything that, with the data and the backbone, decides the checkpoint."""

    seed: int
    held_out_fraction: float  # of the episodes
    frames: int  # drawn from the training episodes; a tenth as many from those held out
    encoder: BackboneSizes
    head: HeadConfig

    def __post_init__(self) -> None:
        """Raise StrictError on values out of range."""
        for wrong, sentence in (
            (not 0 < self.held_out_fraction < 1, "held_out_fraction has to be between 0 and 1"),
            (self.frames < 10, "frames has to be at least 10"),
            (self.head.steps < 1, "head.steps has to be at least 1"),
        ):
            if wrong:
                raise StrictError(f"{sentence}.")


def load_fit_config(path: Path | str = DEFAULT_BACKBONE) -> FitConfig:
    """Read a configuration; raises StrictError when it cannot be read, or a key, type or range is wrong."""
    return read_file(path, FitConfig)


def fit_backbone(
    episodes: Episodes, folder: Path | str, config: FitConfig, provenance: Provenance, out: Path
) -> Checkpoint:
    """Fit projection and goal head on training frames, and write encoder and head as a checkpoint into `out`.

    Raises:
        CheckpointError: the backbone cannot be used, see BackboneEncoder.
        DataError: the episodes are too few to hold some out.
    """
    training, held_out = episodes.split(config.held_out_fraction, config.seed)
    sizes = BackboneConfig(str(folder), folder_sha256(folder), **asdict(config.encoder))
    encoder = sizes.build()
    features, positions = _featurise(encoder, training, config.frames, (config.seed, 1))
    encoder.fit(features, config.seed)
    latents = (features - encoder.mean) @ encoder.directions
    torch.manual_seed(config.seed)
    head = GoalHead(sizes)
    head.mean.copy_(positions.mean(0))
    head.std.copy_(positions.std(0).clamp_min(1e-3))
    labels = (positions - head.mean) / head.std
    settings = (config.head.steps, config.head.batch_frames, config.head.learning_rate, config.head.weight_decay)
    probes.fit_regression(head.layers, latents, labels, *settings, config.seed, "goal head")
    return save_checkpoint(
        out,
        {"encoder": encoder, "goal_head": head},
        {"encoder": sizes},
        {
            "revision": provenance.revision,
            "data": {"content_sha256": provenance.data_sha256, "episodes": len(episodes), "steps": episodes.steps},
            "fit": plain(config),
            "metrics": _metrics(encoder, head, features, latents, held_out, config),
        },
        provenance.preprocessing_id,
    )


@torch.inference_mode()
def _metrics(
    encoder: BackboneEncoder, head: GoalHead, features: Tensor, latents: Tensor, held_out: Episodes, config: FitConfig
) -> dict[str, Any]:
    """The goal head and the rank on held-out frames; the share of the features' variance that the latent keeps."""
    fresh, positions = _featurise(encoder, held_out, max(2, config.frames // 10), (config.seed, 2))
    found = (fresh - encoder.mean) @ encoder.directions
    scale = encoder.directions.norm(dim=0)
    return {
        "held_out_episodes": len(held_out),
        "goal_head": probes.distances(head(found), positions),
        "effective_rank": round(probes.effective_rank(found), 2),
        "variance_kept": round(float((latents / scale).var(0).sum() / features.var(0).sum()), 4),
    }


def _featurise(
    encoder: BackboneEncoder, episodes: Episodes, count: int, seed: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """(features (N, F), tool positions (N, 3) m) of `count` frames drawn by the seed, or of all if they are fewer."""
    total = len(episodes) * (episodes.steps + 1)
    chosen = np.random.default_rng(seed).choice(total, size=min(count, total), replace=False)
    frame = np.unravel_index(np.sort(chosen), (len(episodes), episodes.steps + 1))
    pictures = torch.from_numpy(episodes.images[frame])
    features = torch.cat([encoder.features(normalise_pictures(part)) for part in pictures.split(_CHUNK)])
    return features, torch.from_numpy(episodes.proprio[frame][:, TOOL_POSITION])
