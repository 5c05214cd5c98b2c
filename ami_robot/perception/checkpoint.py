"""A trained model on disk: `model.safetensors`, and `checkpoint.yaml` that says what it is. Nothing is unpickled."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
import yaml
from torch import Tensor, nn

from ami_robot.perception.camera import CameraModel
from ami_robot.perception.view import FRONT_VIEW, ViewError, training_camera
from ami_robot.strict import StrictError, check_keys, plain, read, read_yaml

DEFAULT_CHECKPOINT = Path(__file__).parents[1] / "checkpoints" / "reach"
TENSOR_FILE = "model.safetensors"
DESCRIPTION_FILE = "checkpoint.yaml"
_KEYS = ("model_sha256", "preprocessing_id", "config", "record")

Module = TypeVar("Module", bound=nn.Module)


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; one sentence saying what, where, and what would be right."""


@dataclass(frozen=True)
class Checkpoint:
    """Tensors that were verified against their SHA-256, and what they are for."""

    tensors: Mapping[str, Tensor]  # "<module>.<parameter>"
    config: Mapping[str, Any]  # sizes, by module
    sha256: str  # of the tensor file
    preprocessing_id: str
    record: Mapping[str, Any] = field(default_factory=dict)  # how it was made and how good it is
    source: str = "a checkpoint"  # for error messages

    @property
    def training_camera(self) -> CameraModel:
        """Whose view the encoder takes."""
        return training_camera(self.preprocessing_id)

    def sizes(self, name: str, kind: Any) -> Any:
        """The sizes of a module as the dataclass, or one of the union, `kind` that it is built from.

        Raises:
            CheckpointError: they are no such sizes.
        """
        try:
            return read(self.config.get(name), kind, name)
        except StrictError as error:
            raise CheckpointError(f"{self.source} has no usable sizes of the {name}: {error}") from error

    def fill(self, module: Module, name: str) -> Module:
        """The module with this checkpoint's tensors, for inference; raises CheckpointError when they do not fit."""
        prefix = f"{name}."
        mine = {key[len(prefix) :]: tensor for key, tensor in self.tensors.items() if key.startswith(prefix)}
        try:
            module.load_state_dict(mine)
        except RuntimeError as error:
            raise CheckpointError(
                f"the tensors of '{name}' in {self.source} do not fit its configuration; make the checkpoint again."
            ) from error
        return module.eval().requires_grad_(False)


def checkpoint_folder(name: Path | str) -> Path:
    """The folder that the name of a shipped checkpoint, or a path, means."""
    shipped = DEFAULT_CHECKPOINT.parent / name
    return shipped if shipped.is_dir() else Path(name)


def load_checkpoint(directory: Path | str | None = None) -> Checkpoint:
    """Read and verify a checkpoint, in a folder or by the name of one that ships; by default that of reach.

    Raises:
        CheckpointError: a file is missing, cut short or altered, or the checkpoint wants another training view.
    """
    directory = DEFAULT_CHECKPOINT if directory is None else checkpoint_folder(directory)
    description = read_description(directory)
    path = directory / TENSOR_FILE
    try:
        content = path.read_bytes()  # read once: what is hashed is what is loaded
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}; make it with `make checkpoint`.") from error
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != description["model_sha256"]:
        raise CheckpointError(
            f"{path} was altered or cut short: its SHA-256 begins {sha256[:12]}, {DESCRIPTION_FILE} says "
            f"{str(description['model_sha256'])[:12]}; restore both files together."
        )
    try:
        training_camera(description["preprocessing_id"])
    except ViewError as error:
        raise CheckpointError(f"{directory}: {error} Use the checkpoint that belongs to this version.") from error
    try:
        tensors = safetensors.torch.load(content)
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path} is not a safetensors file: {error}.") from error
    return Checkpoint(
        tensors,
        description["config"],
        sha256,
        description["preprocessing_id"],
        description["record"],
        source=str(directory),
    )


def save_checkpoint(
    directory: Path | str,
    modules: Mapping[str, nn.Module],
    sizes: Mapping[str, Any],
    record: Mapping[str, Any],
    preprocessing_id: str = FRONT_VIEW,
) -> Checkpoint:
    """Write the modules' tensors and their description; each file appears whole or not at all.

    Args:
        directory: made if missing.
        modules: by the name that `Checkpoint.fill` will ask for.
        sizes: dataclasses, by the name that `Checkpoint.sizes` will ask for.
        record: plain YAML values: data, training configuration, revision, metrics.
        preprocessing_id: of the pictures that the encoder was trained on.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{name}.{key}": tensor.detach().contiguous()
        for name, module in modules.items()
        for key, tensor in module.state_dict().items()
    }
    content = safetensors.torch.save(tensors)
    description = {
        "model_sha256": hashlib.sha256(content).hexdigest(),
        "preprocessing_id": preprocessing_id,
        "config": {name: plain(dataclass) for name, dataclass in sizes.items()},
        "record": dict(record),
    }
    write_whole(directory / TENSOR_FILE, content)
    write_description(directory, description)
    return load_checkpoint(directory)


def read_description(directory: Path | str) -> dict[str, Any]:
    """`checkpoint.yaml` as a dict with all of its keys; raises CheckpointError."""
    path = Path(directory) / DESCRIPTION_FILE
    try:
        description = read_yaml(path)
        check_keys(description, _KEYS, str(path))
    except StrictError as error:
        raise CheckpointError(f"{error} Make it again with `make checkpoint`.") from error
    return description


def write_description(directory: Path | str, description: Mapping[str, Any]) -> None:
    """Replace `checkpoint.yaml`."""
    text = yaml.safe_dump(dict(description), sort_keys=False, width=120)
    write_whole(Path(directory) / DESCRIPTION_FILE, text.encode())


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it appears whole or not at all, also after a power cut."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
