"""Control rows and film, several episodes at a time, once the graph is down and nothing is being timed any more."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ami_robot.perception.camera import load_camera
from ami_robot.types import Array
from ami_sim.demo.controls import ControlResult, run_controls
from ami_sim.demo.record import EpisodeRecord
from ami_sim.demo.video import join_clips, render_clip

Strips = dict[int, list[np.ndarray]]
"""Views of each episode by its seed, uint8 rgb."""


def run_workers(
    records: Sequence[EpisodeRecord], decoded_goals: Sequence[Array | None], film: Path | None, workers: int
) -> tuple[list[ControlResult], Strips]:
    """The controls' results and views of each episode; the film is written to `film` unless that is None."""
    camera = load_camera()
    with (
        tempfile.TemporaryDirectory(prefix="ami_film_") as folder,
        ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool,
    ):
        clips = [Path(folder) / f"{number:03d}.mp4" for number in range(len(records))]
        films: dict[Future[list[np.ndarray]], int] = {}
        controls: list[Future[list[ControlResult]]] = []
        for number, (record, goal, clip) in enumerate(zip(records, decoded_goals, clips, strict=True)):
            title = f"goal {number + 1} of {len(records)}, scene {record.seed}"
            films[pool.submit(render_clip, record, camera, title, clip if film else None)] = record.seed
            controls.append(pool.submit(run_controls, record.task, record.seed, goal))
        try:
            jobs: list[Future[Any]] = [*films, *controls]
            for job in tqdm(as_completed(jobs), total=len(jobs), desc="controls and film", unit="job"):
                job.result()  # the first failure ends the others
            strips = {seed: job.result() for job, seed in films.items()}
            results = [result for job in controls for result in job.result()]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        if film:
            join_clips(clips, film)
    return results, strips
