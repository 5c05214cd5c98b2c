"""The table of an evaluation on disk: a line for each episode, added when it is done, and what they are episodes of."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ami_robot.perception.checkpoint import write_whole
from ami_sim.evaluation.suites import EvaluationError, Key

IDENTITY, LINES = "evaluation.json", "episodes.jsonl"


class Table:
    """Opened for one evaluation; whatever ended the process before, whole lines count."""

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        """Make the folder, or go on in it. Raises EvaluationError when it holds something else."""
        self.folder = folder
        self.identity: dict[str, Any] = json.loads(json.dumps(identity))  # as it reads on disk
        self.episodes: dict[Key, dict[str, Any]] = {}
        _claim(folder, self.identity)
        self._path = folder / LINES
        if self._path.exists():
            self._read()

    def add(self, episode: Mapping[str, Any]) -> None:
        """One more, on disk before this returns."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(episode) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.episodes[_key(episode)] = dict(episode)

    def _read(self) -> None:
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:  # cut off in the middle of a line
            write_whole(self._path, whole)
        for number, line in enumerate(whole.decode().splitlines(), start=1):
            try:
                episode = json.loads(line)
                self.episodes[_key(episode)] = episode
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                raise EvaluationError(
                    f"{self._path}: line {number} is no episode ({error}); choose a new --out."
                ) from error


def _key(episode: Mapping[str, Any]) -> Key:
    return episode["suite"], episode["row"], episode["seed"]


def _claim(folder: Path, identity: Mapping[str, Any]) -> None:
    path = folder / IDENTITY
    if not path.exists():
        if folder.is_dir() and any(folder.iterdir()):
            raise EvaluationError(f"{folder} is not empty and holds no evaluation; choose a new --out.")
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, (json.dumps(identity, indent=1) + "\n").encode())
        return
    try:
        present = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise EvaluationError(f"{path} is not JSON ({error}); choose a new --out.") from error
    for key, value in identity.items():
        if not isinstance(present, dict) or present.get(key) != value:
            had = present.get(key) if isinstance(present, dict) else present
            raise EvaluationError(f"{folder} holds another evaluation ({key}: {had}, now {value}); choose a new --out.")
