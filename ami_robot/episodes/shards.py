"""Episodes on disk: numbered shards of stacked arrays beside one manifest.

A data set is a folder with `shard_00012.npz` files and `manifest.json`. A shard holds the episodes
`12 * episodes_per_shard ...` of the set, each array stacked along a new first axis, uncompressed, so that reading is
one copy. Files appear whole or not at all (written under another name, then renamed), so a folder that was left
half-way can be continued.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

MANIFEST = "manifest.json"
Episode = Mapping[str, np.ndarray]
"""One episode: arrays by name. What a collector stores is said in its manifest's recipe."""


class EpisodesError(ValueError):
    """A data set that cannot be read or continued; one sentence saying what, where, and what would be right."""


def shard_path(folder: Path, index: int) -> Path:
    """Where shard number `index` lies."""
    return folder / f"shard_{index:05d}.npz"


def write_shard(folder: Path, index: int, episodes: list[Episode]) -> Path:
    """Stack episodes of equal shapes and write them as one shard; raises EpisodesError when shapes differ."""
    try:
        stacked = {name: np.stack([episode[name] for episode in episodes]) for name in episodes[0]}
    except (KeyError, ValueError) as error:
        raise EpisodesError(f"the episodes of shard {index} differ in their arrays or shapes: {error}.") from error
    path = shard_path(folder, index)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            np.savez(file, allow_pickle=False, **stacked)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def read_shard(path: Path) -> dict[str, np.ndarray]:
    """The stacked arrays of one shard, by name; raises EpisodesError when the file is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise EpisodesError(f"cannot read the shard {path}: {error}.") from error


def content_sha256(folder: Path) -> str:
    """A hash of what the shards hold: names, types, shapes and bytes of every array, in order; not of file dates."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("shard_*.npz")):
        for name, values in sorted(read_shard(path).items()):
            digest.update(f"{path.name} {name} {values.dtype.str} {values.shape}\n".encode())
            digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write manifest.json whole."""
    partial = folder / f"{MANIFEST}.partial"
    partial.write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
    os.replace(partial, folder / MANIFEST)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a data set; raises EpisodesError when there is none."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text())
    except OSError as error:
        raise EpisodesError(f"{folder} is no data set: {path} cannot be read ({error.strerror}).") from error
    except json.JSONDecodeError as error:
        raise EpisodesError(f"{path} is not JSON: {error}.") from error
    if not isinstance(manifest, dict):
        raise EpisodesError(f"{path} has to hold a mapping.")
    return manifest


@dataclass(frozen=True)
class EpisodeSet:
    """A finished data set, opened for reading."""

    folder: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, folder: Path | str) -> EpisodeSet:
        """Open a folder; raises EpisodesError when the collection is unfinished or shards are missing."""
        folder = Path(folder)
        manifest = read_manifest(folder)
        if "content_sha256" not in manifest:
            raise EpisodesError(f"the data set {folder} is unfinished; run the same collection again to continue it.")
        found = len(list(folder.glob("shard_*.npz")))
        if found != manifest["shards"]:
            raise EpisodesError(f"the data set {folder} has {found} shards, its manifest says {manifest['shards']}.")
        return cls(folder, manifest)

    @property
    def sha256(self) -> str:
        """The content hash written when the set was finished: what a model card names."""
        return str(self.manifest["content_sha256"])

    def shards(self) -> Iterator[dict[str, np.ndarray]]:
        """The stacked arrays of each shard, in order."""
        for path in sorted(self.folder.glob("shard_*.npz")):
            yield read_shard(path)

    def load(self) -> dict[str, np.ndarray]:
        """All episodes at once, each array (E, ...); about 0.5 MB an episode of 40 steps."""
        shards = list(self.shards())
        return {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}
