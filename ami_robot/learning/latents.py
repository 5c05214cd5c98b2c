"""Episodes seen by an encoder once: what heads, probes, policies and novelty are learnt from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from tqdm import tqdm

from ami_robot.learning.dataset import DataError, Episodes, split_episodes
from ami_robot.perception.checkpoint import write_whole
from ami_robot.perception.encoder import ImageEncoder, normalise_pictures
from ami_robot.types import TOOL_POSITION

CACHE_FILE = "latents.safetensors"
_CHUNK = 512  # pictures encoded at once


@dataclass(frozen=True)
class LatentEpisodes:
    """E episodes of T steps with latents in place of pictures."""

    latents: Tensor  # (E, T + 1, D)
    proprio: Tensor  # (E, T + 1, P)
    actions: Tensor  # (E, T, A)
    blocks: Tensor  # (E, T + 1, B, 3), m

    @property
    def tool_position(self) -> Tensor:
        """(E, T + 1, 3), m."""
        return self.proprio[..., TOOL_POSITION]

    def split(self, held_out_fraction: float, seed: int) -> tuple[LatentEpisodes, LatentEpisodes]:
        """(training, held out) by episode; raises DataError where there are too few."""
        training, held_out = split_episodes(len(self.latents), held_out_fraction, seed)
        return self._take(torch.from_numpy(training)), self._take(torch.from_numpy(held_out))

    def _take(self, chosen: Tensor) -> LatentEpisodes:
        return LatentEpisodes(self.latents[chosen], self.proprio[chosen], self.actions[chosen], self.blocks[chosen])


@torch.inference_mode()
def encode_episodes(encoder: nn.Module, episodes: Episodes) -> LatentEpisodes:
    """Encode all frames as at run time, on the encoder's device: no augmentation, stored statistics."""
    encoder.eval()
    device = next(iter(encoder.state_dict().values())).device  # a frozen one has no parameters
    images = torch.from_numpy(episodes.images)
    flat = images.flatten(0, 1)
    chunks = tqdm(flat.split(_CHUNK), "encode", leave=False, disable=None)
    latents = torch.cat([encoder(normalise_pictures(part.to(device))).cpu() for part in chunks])
    rest = (torch.from_numpy(values) for values in (episodes.proprio, episodes.actions, episodes.blocks))
    return LatentEpisodes(latents.unflatten(0, images.shape[:2]), *rest)


def cached_latents(
    shards: Iterable[dict[str, np.ndarray]], data_sha256: str, encoder: ImageEncoder, out: Path
) -> LatentEpisodes:
    """The latents of a data set: out of the folder `out` where they are there already, else encoded and put there.

    Raises:
        DataError: the episodes lack something or hold what is not finite, or `out` has latents of other pictures.
    """
    path, identity = out / CACHE_FILE, f"{data_sha256} {encoder.checkpoint_sha256}"
    if path.exists():
        with safetensors.safe_open(path, "pt") as file:
            if (file.metadata() or {}).get("identity") != identity:
                raise DataError(f"{path} is of other data or another encoder; give another --out, or remove the file.")
            return LatentEpisodes(**{field.name: file.get_tensor(field.name) for field in fields(LatentEpisodes)})
    parts: dict[str, list[np.ndarray]] = {field.name: [] for field in fields(LatentEpisodes)}
    for arrays in tqdm(shards, "encode", unit="shard"):
        episodes = Episodes.from_arrays(arrays)
        pictures = episodes.images.reshape(-1, *episodes.images.shape[2:])
        chunks = [encoder.encode_many(pictures[first : first + _CHUNK]) for first in range(0, len(pictures), _CHUNK)]
        parts["latents"].append(np.concatenate(chunks).reshape(*episodes.images.shape[:2], -1))
        for name in ("proprio", "actions", "blocks"):
            parts[name].append(getattr(episodes, name))
    encoded = {name: torch.from_numpy(np.concatenate(values)) for name, values in parts.items()}
    out.mkdir(parents=True, exist_ok=True)
    write_whole(path, safetensors.torch.save(encoded, metadata={"identity": identity}))
    return LatentEpisodes(**encoded)
