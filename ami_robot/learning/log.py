"""What a training run says while it goes: a line of JSON for each entry, a progress bar, TensorBoard if wanted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

LOG_FILE = "log.jsonl"
TENSORBOARD_FOLDER = "tensorboard"

Item = TypeVar("Item")


class LogError(ValueError):
    """A log that cannot be kept; one sentence saying why, and what would be right."""


class TrainingLog:
    """Entries are mappings with a `step`; TensorBoard gets their numbers, nested ones under `a/b/c`."""

    def __init__(self, out: Path, first: int, steps: int, tensorboard: bool = False, silent: bool = False) -> None:
        """Open the files in `out`; raises LogError when TensorBoard is wanted and not installed.

        Args:
            out: of the run.
            first: step to begin with.
            steps: of the whole run.
            tensorboard: whether to write its event files too.
            silent: write and show nothing at all.
        """
        self._first, self._steps, self._silent = first, steps, silent
        self._files = ExitStack()
        self._writer: Any = None
        if silent:
            return
        if tensorboard:
            self._writer = _tensorboard_writer(out / TENSORBOARD_FOLDER, first)
            self._files.callback(self._writer.close)
        self._file = self._files.enter_context((out / LOG_FILE).open("a"))

    def __enter__(self) -> TrainingLog:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def progress(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, one for each remaining step, with a bar that says how long it will still take."""
        return iter(tqdm(items, "train", initial=self._first, total=self._steps, disable=self._silent))

    def write(self, entry: Mapping[str, Any]) -> None:
        """Add an entry."""
        if self._silent:
            return
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()
        if self._writer is not None:
            for name, value in _numbers({key: value for key, value in entry.items() if key != "step"}):
                self._writer.add_scalar(name, value, entry["step"])


def _numbers(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value


def _tensorboard_writer(folder: Path, first: int) -> Any:
    """Entries from step `first` on, which a run that was killed may have written before, are replaced."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise LogError("TensorBoard is not installed; install ami-robot[tensorboard], or leave it away.") from error
    return SummaryWriter(str(folder), purge_step=first)
