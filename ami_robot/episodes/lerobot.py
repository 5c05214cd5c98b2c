"""LeRobotDataset v3.0 on disk, written with pyarrow and PyAV alone: what huggingface/lerobot 0.6 loads.

    data/chunk-000/file-000.parquet                 a row for each frame, a row group for each episode
    videos/observation.images.close/chunk-000/...   the frames of the same episodes
    meta/episodes/chunk-000/...                     a row for each episode: where its frames are
    meta/tasks.parquet  meta/stats.json  meta/info.json

Episodes come in groups, each of which is a file of each kind. Needs the extra `lerobot`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import av
import numpy as np

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError:  # said by the writer
    pa = pq = None

VERSION = "v3.0"
CHUNK = 1000  # files in a folder
VIDEO = "video"
CODEC: Final = "libx264"
PIXELS = "yuv420p"
SHORT_GROUPS = {"g": "2", "bf": "0", "crf": "18"}  # every other frame stands alone: a random frame is read at once
PICTURES_FOR_STATS = 10  # one of so many is looked at

_DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_VIDEOS = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
_EPISODES = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_QUANTILES = (0.01, 0.10, 0.50, 0.90, 0.99)
_TASKS_BY_NAME = {  # tells pandas which column is the index; without it tasks read as numbers
    "index_columns": ["task"],
    "columns": [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy_kind, "metadata": None}
        for name, kind, numpy_kind in (("task_index", "int64", "int64"), ("task", "unicode", "object"))
    ],
    "column_indexes": [],
}


class LeRobotError(ValueError):
    """What cannot be written as a LeRobotDataset; one sentence saying what, and what would be right."""


@dataclass(frozen=True)
class Feature:
    """What a frame has one of."""

    dtype: str  # of numpy, or VIDEO: uint8 rgb
    shape: tuple[int, ...]
    names: tuple[str, ...] | None = None  # of its components, or axes


_OF_EVERY_FRAME = {
    "timestamp": Feature("float32", (1,)),  # s, from the episode's first frame on
    **{name: Feature("int64", (1,)) for name in ("frame_index", "episode_index", "index", "task_index")},
}


class LeRobotWriter:
    """Writes a data set into an empty folder: `add` groups of episodes, then `finish`. Without that it is none."""

    def __init__(self, folder: Path, fps: int, features: Mapping[str, Feature], robot_type: str) -> None:
        """Raises LeRobotError where pyarrow is not installed."""
        if pa is None:
            raise LeRobotError(
                "LeRobot's format needs the extra `lerobot`: pip install -c constraints.txt -e .[lerobot]."
            )
        self._folder, self._fps, self._robot_type = folder, fps, robot_type
        self._features = {**features, **_OF_EVERY_FRAME}
        self._tasks: dict[str, int] = {}
        self._groups = self._episodes = self._frames = 0
        self._seen: dict[str, list[np.ndarray]] = {name: [] for name in self._features}

    def add(
        self, episodes: Sequence[Mapping[str, np.ndarray]], tasks: Sequence[str], notes: Sequence[Mapping[str, Any]]
    ) -> None:
        """Write a group of episodes: of each its features (T, *shape), its task, and columns of its own (int, bool)."""
        at = {"chunk_index": self._groups // CHUNK, "file_index": self._groups % CHUNK}
        rows = self._write_frames(at, episodes, tasks)
        self._write_films(at, episodes, rows)
        for row, note in zip(rows, notes, strict=True):
            row |= {f"meta/episodes/{key}": value for key, value in at.items()}
            row |= note
        pq.write_table(pa.Table.from_pylist(rows), self._path(_EPISODES, at))
        self._groups += 1

    def finish(self) -> None:
        """What makes it a data set; `info.json` last."""
        tasks = pa.table({"task_index": pa.array(self._tasks.values(), pa.int64()), "task": list(self._tasks)})
        tasks = tasks.replace_schema_metadata({"pandas": json.dumps(_TASKS_BY_NAME)})
        pq.write_table(tasks, self._folder / "meta/tasks.parquet")
        stats = {name: _statistics(np.concatenate(seen)) for name, seen in self._seen.items()}
        _write_json(self._folder / "meta/stats.json", stats)
        info = {
            "codebase_version": VERSION,
            "robot_type": self._robot_type,
            "total_episodes": self._episodes,
            "total_frames": self._frames,
            "total_tasks": len(self._tasks),
            "chunks_size": CHUNK,
            "data_files_size_in_mb": 100,
            "video_files_size_in_mb": 200,
            "fps": self._fps,
            "splits": {"train": f"0:{self._episodes}"},
            "data_path": _DATA,
            "video_path": _VIDEOS,
            "features": {name: self._described(feature) for name, feature in self._features.items()},
        }
        _write_json(self._folder / "meta/info.json", info)

    def _write_frames(
        self, at: Mapping[str, int], episodes: Sequence[Mapping[str, np.ndarray]], tasks: Sequence[str]
    ) -> list[dict[str, Any]]:
        """One file; of each episode, which of its rows they are."""
        rows: list[dict[str, Any]] = []
        with pq.ParquetWriter(self._path(_DATA, at), self._schema()) as writer:
            for episode, task in zip(episodes, tasks, strict=True):
                length = len(next(iter(episode.values())))
                frames = {**episode, **self._counted(length, task)}
                writer.write_table(self._table(frames))
                self._look_at(frames)
                row = {"episode_index": self._episodes, "tasks": [task], "length": length}
                row |= {f"data/{key}": value for key, value in at.items()}
                rows.append(row | {"dataset_from_index": self._frames, "dataset_to_index": self._frames + length})
                self._episodes += 1
                self._frames += length
        return rows

    def _write_films(
        self, at: Mapping[str, int], episodes: Sequence[Mapping[str, np.ndarray]], rows: Sequence[dict[str, Any]]
    ) -> None:
        """One for each camera; the rows learn from when to when each episode is shown, s."""
        ends_s = np.cumsum([row["length"] for row in rows]) / self._fps
        for name in (name for name, feature in self._features.items() if feature.dtype == VIDEO):
            _film(self._path(_VIDEOS, at, name), self._fps, np.concatenate([episode[name] for episode in episodes]))
            for row, end_s in zip(rows, ends_s, strict=True):
                row |= {f"videos/{name}/{key}": value for key, value in at.items()}
                row[f"videos/{name}/from_timestamp"] = float(end_s - row["length"] / self._fps)
                row[f"videos/{name}/to_timestamp"] = float(end_s)

    def _path(self, pattern: str, at: Mapping[str, int], video_key: str = "") -> Path:
        path = self._folder / pattern.format(video_key=video_key, **at)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _counted(self, length: int, task: str) -> dict[str, np.ndarray]:
        """_OF_EVERY_FRAME, each (length, 1)."""
        number = np.arange(length)
        counted = {
            "timestamp": number / self._fps,
            "frame_index": number,
            "episode_index": np.full(length, self._episodes),
            "index": self._frames + number,
            "task_index": np.full(length, self._tasks.setdefault(task, len(self._tasks))),
        }
        return {name: values[:, None] for name, values in counted.items()}

    def _schema(self) -> Any:
        return pa.schema([(name, _arrow_type(feature)) for name, feature in self._columns()])

    def _table(self, frames: Mapping[str, np.ndarray]) -> Any:
        columns = []
        for name, feature in self._columns():
            values = frames[name].astype(feature.dtype).reshape(len(frames[name]), -1)
            columns.append(pa.array(values[:, 0] if feature.shape == (1,) else list(values), _arrow_type(feature)))
        return pa.Table.from_arrays(columns, schema=self._schema())

    def _columns(self) -> list[tuple[str, Feature]]:
        """All but films, which have files of their own."""
        return [(name, feature) for name, feature in self._features.items() if feature.dtype != VIDEO]

    def _look_at(self, frames: Mapping[str, np.ndarray]) -> None:
        """Keep what the statistics are about."""
        for name, feature in self._features.items():
            film = feature.dtype == VIDEO
            self._seen[name].append(frames[name][::PICTURES_FOR_STATS] if film else frames[name])

    def _described(self, feature: Feature) -> dict[str, Any]:
        """As in info.json."""
        described: dict[str, Any] = {
            "dtype": feature.dtype,
            "shape": list(feature.shape),
            "names": None if feature.names is None else list(feature.names),
        }
        if feature.dtype == VIDEO:
            height, width, channels = feature.shape
            described["info"] = {
                "video.height": height,
                "video.width": width,
                "video.codec": "h264",
                "video.pix_fmt": PIXELS,
                "video.fps": self._fps,
                "video.channels": channels,
                "has_audio": False,
                "is_depth_map": False,
            }
        return described


def _arrow_type(feature: Feature) -> Any:
    kind = pa.from_numpy_dtype(np.dtype(feature.dtype))
    return kind if feature.shape == (1,) else pa.list_(kind, int(np.prod(feature.shape)))


def _film(path: Path, fps: int, pictures: np.ndarray) -> None:
    """Pictures (N, height, width, 3) uint8 rgb; frame n is shown at n / fps s exactly."""
    with av.open(str(path), "w", format="mp4") as film:
        stream = film.add_stream(CODEC, rate=fps, options=SHORT_GROUPS)
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = PIXELS
        for picture in pictures:
            film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        film.mux(stream.encode())


def _statistics(values: np.ndarray) -> dict[str, Any]:
    """Of N frames, for each component; of pictures (N, height, width, 3) for each channel in 0 to 1, (3, 1, 1)."""
    pictures = values.ndim == 4
    flat = values.reshape(-1, values.shape[-1]).astype(np.float64) / (255.0 if pictures else 1.0)
    found = {"min": flat.min(axis=0), "max": flat.max(axis=0), "mean": flat.mean(axis=0), "std": flat.std(axis=0)}
    found |= {f"q{round(100 * q):02d}": np.quantile(flat, q, axis=0) for q in _QUANTILES}
    shaped = {name: (row[:, None, None] if pictures else row).tolist() for name, row in found.items()}
    return shaped | {"count": [len(values)]}


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=4) + "\n")
