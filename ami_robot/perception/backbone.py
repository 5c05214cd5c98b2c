"""A frozen encoder that others trained on many pictures (DINOv2, V-JEPA 2), read from a local folder.

What it says of each patch is averaged over a coarse grid and projected to the latent's length by principal components
of training pictures (DINO-WM, Zhou et al. 2024, plans on DINOv2's patches). Needs the extra `backbone`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ami_robot.perception.checkpoint import CheckpointError
from ami_robot.perception.conv import check_sizes

# Brightness of ImageNet's pictures: both families were trained on pictures normalised by it, as their
# preprocessor_config.json says.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_PICTURES, _CLIPS = ("dinov2", "dinov2_with_registers"), ("vjepa2",)  # as their config.json says in `model_type`


@dataclass(frozen=True)
class BackboneConfig:
    """Which backbone, what is made of it, and the size of the goal head."""

    kind: ClassVar[str] = "backbone"
    folder: str  # with config.json and *.safetensors; relative to where the program runs
    sha256: str  # of those files
    pixels: int  # side that the picture is enlarged to, a multiple of the backbone's patch
    cells: int  # along a side of the grid that patches are averaged over
    latent_dim: int
    head_hidden: int  # width of the goal head

    tokens: ClassVar[int] = 1  # parts of equal width that the latent consists of

    def __post_init__(self) -> None:
        """Raise StrictError on sizes that no network can have."""
        check_sizes((), pixels=self.pixels, cells=self.cells, latent_dim=self.latent_dim, head_hidden=self.head_hidden)

    def build(self) -> BackboneEncoder:
        """The encoder, its projection not yet fitted; raises CheckpointError, see BackboneEncoder."""
        return BackboneEncoder(self)


class BackboneEncoder(nn.Module):
    """64x64 picture -> latent (D,). Only the projection is its own: the backbone is no part of its tensors."""

    mean: Tensor
    directions: Tensor

    def __init__(self, config: BackboneConfig) -> None:
        """Read the backbone.

        Raises:
            CheckpointError: the folder is missing, altered or of another kind, or the extra `backbone` is missing.
        """
        super().__init__()
        self.config = config
        found = folder_sha256(config.folder)
        if found != config.sha256:
            raise CheckpointError(
                f"the backbone in {config.folder} is another one: its SHA-256 begins {found[:12]}, the checkpoint was "
                f"made with {config.sha256[:12]}; put that one there, or make the checkpoint again."
            )
        self._backbone = [_load(config)]  # in a list, so that its tensors are not taken for this module's
        width = self._backbone[0].config.hidden_size
        self.register_buffer("mean", torch.zeros(width * config.cells**2))
        self.register_buffer("directions", torch.zeros(width * config.cells**2, config.latent_dim))

    def _apply(self, fn: Any, recurse: bool = True) -> BackboneEncoder:
        """Where this module goes, the backbone goes too."""
        self._backbone[0]._apply(fn)
        return super()._apply(fn, recurse)

    @torch.no_grad()
    def features(self, pictures: Tensor) -> Tensor:
        """(N, 3, 64, 64) float from `normalise_pictures` -> (N, width * cells * cells), averages of its patches."""
        backbone, config = self._backbone[0], self.config
        mean, std = (pictures.new_tensor(values)[:, None, None] for values in (_MEAN, _STD))
        enlarged = functional.interpolate(
            pictures + 0.5, size=(config.pixels, config.pixels), mode="bicubic", antialias=True
        )
        inputs = (enlarged - mean) / std
        if backbone.config.model_type in _CLIPS:  # a picture is a clip of one tubelet in which nothing moves
            clip = inputs[:, None].expand(-1, backbone.config.tubelet_size, -1, -1, -1)
            tokens = backbone(pixel_values_videos=clip, skip_predictor=True).last_hidden_state
        else:
            tokens = backbone(pixel_values=inputs).last_hidden_state
        side = config.pixels // backbone.config.patch_size
        patches = tokens[:, -(side**2) :].transpose(1, 2).unflatten(2, (side, side))  # class and registers come first
        return functional.adaptive_avg_pool2d(patches, config.cells).flatten(1)

    @torch.no_grad()
    def fit(self, features: Tensor, seed: int) -> None:
        """Set the projection to the principal components of (N, F), scaled to a mean variance of 1.

        Raises:
            CheckpointError: fewer pictures or features than the latent's length.
        """
        size = self.config.latent_dim
        if min(features.shape) <= size:
            raise CheckpointError(
                f"{len(features)} pictures with {features.shape[1]} features are too few for {size} principal "
                "components; lower latent_dim or give more."
            )
        self.mean.copy_(features.mean(0))
        with torch.random.fork_rng():
            torch.manual_seed(seed)  # the search for the components starts at random
            _, _, directions = torch.pca_lowrank(features - self.mean, q=size, center=False, niter=6)
        spread = ((features - self.mean) @ directions).square().mean().sqrt()
        self.directions.copy_(directions / spread)

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, 64, 64) float from `normalise_pictures` -> (N, D); raises CheckpointError while it is not fitted."""
        if not self.directions.any():
            raise CheckpointError("the backbone's projection is not fitted; start from what `ami backbone` made.")
        return (self.features(pictures) - self.mean) @ self.directions


def folder_sha256(folder: Path | str) -> str:
    """A hash of a backbone's config.json and *.safetensors, names included; raises CheckpointError without them."""
    folder = Path(folder)
    files = [folder / "config.json", *sorted(folder.glob("*.safetensors"))]
    digest = hashlib.sha256()
    try:
        for file in files:
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            digest.update(f"{file.name} {content}\n".encode())
    except OSError as error:
        raise CheckpointError(
            f"cannot read the backbone {folder}: {error.filename}: {error.strerror}; download it there first (a "
            "model's folder on the Hugging Face hub, with config.json and model.safetensors)."
        ) from error
    if len(files) == 1:
        raise CheckpointError(f"the backbone {folder} has no *.safetensors; download it in that format.")
    return digest.hexdigest()


def _load(config: BackboneConfig) -> Any:
    """The Hugging Face model, for inference. Nothing is fetched, unpickled, or run from the folder."""
    try:
        from transformers import AutoConfig, AutoModel
    except ImportError as error:
        raise CheckpointError(
            "a pretrained backbone needs the extra `backbone` (Python 3.11 or later): pip install -c constraints.txt "
            "-e .[backbone]"
        ) from error
    sizes = AutoConfig.from_pretrained(config.folder, local_files_only=True)
    if sizes.model_type not in _PICTURES + _CLIPS:
        raise CheckpointError(
            f"the backbone {config.folder} is a '{sizes.model_type}'; usable are {', '.join(_PICTURES + _CLIPS)}."
        )
    if config.pixels % sizes.patch_size or config.pixels // sizes.patch_size < config.cells:
        raise CheckpointError(
            f"pixels has to be a multiple of the backbone's patch of {sizes.patch_size} and at least {config.cells} of "
            f"them, got {config.pixels}."
        )
    if sizes.model_type in _CLIPS:
        sizes.crop_size = config.pixels  # by which it numbers rows and columns; DINOv2 interpolates by itself
    model = AutoModel.from_pretrained(config.folder, config=sizes, local_files_only=True, use_safetensors=True)
    return model.eval().requires_grad_(False)
