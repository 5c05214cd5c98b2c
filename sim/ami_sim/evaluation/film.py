"""A film of a failed episode, drawn afterwards from its states: the front camera's view, the goal beside it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np

from ami_robot.perception.camera import load_camera
from ami_robot.types import MODEL_STEP_S
from ami_sim.demo.film import FAINT, GREEN, INK, PAPER, RED
from ami_sim.demo.video import add_stream
from ami_sim.evaluation.states import load_states, state_file
from ami_sim.evaluation.suites import Key, parse_suite
from ami_sim.tasks import Task
from ami_sim.world import Snapshot, World

VIEW, BAR = 288, 30  # pixels: of each picture, of the line of text above them
FPS = round(1 / MODEL_STEP_S)
PAUSE_S = 1.0  # on the last frame


def film(failures: Path, job: tuple[Key, Sequence[float | None]]) -> Path:
    """The film of an episode, beside its states; drawn unless it is there. A job: which, and its errors, m."""
    (suite, row, seed), errors_m = job
    states = failures / state_file((suite, row, seed))
    path = states.with_suffix(".mp4")
    if path.exists():
        return path
    task, camera = parse_suite(suite).episode(seed, load_camera().resized(VIEW, VIEW))
    goal, world, partial = task.goal_image(camera), World(task.scene, camera), path.with_name(f".{path.name}.partial")
    try:
        with av.open(str(partial), "w", format="mp4", options={"movflags": "faststart"}) as container:
            stream = add_stream(container, (2 * VIEW, VIEW + BAR), FPS)
            for frame in _frames(world, load_states(states), goal, task, errors_m):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
        os.replace(partial, path)
    finally:
        world.close()
        partial.unlink(missing_ok=True)
    return path


def pictures(path: Path) -> dict[str, np.ndarray]:
    """The start, the end and the goal in a film, each (VIEW, VIEW, 3) uint8 rgb."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24")[BAR:] for frame in container.decode(video=0)]
    return {"start": frames[0][:, :VIEW], "end": frames[-1][:, :VIEW], "goal": frames[-1][:, VIEW:]}


def _frames(
    world: World, states: Sequence[Snapshot], goal: np.ndarray, task: Task, errors_m: Sequence[float | None]
) -> list[np.ndarray]:
    """The start has no error yet: it was measured at the end of each step."""
    frames = []
    for number, (state, error_m) in enumerate(zip(states, (None, *errors_m), strict=True)):
        world.mirror(state)
        frame = np.full((VIEW + BAR, 2 * VIEW, 3), PAPER, np.uint8)
        frame[BAR:, :VIEW], frame[BAR:, VIEW:] = world.render(), goal
        cv2.line(frame, (VIEW, BAR), (VIEW, VIEW + BAR), FAINT, 1)
        _text(frame, "goal", VIEW + 8, INK)
        _text(frame, f"{number * MODEL_STEP_S:4.1f} s", 8, INK)
        if error_m is not None:
            colour = GREEN if error_m <= task.tolerance_m else RED
            _text(frame, f"{100 * error_m:.1f} cm from the goal", 80, colour)
        frames.append(frame)
    return frames + [frames[-1]] * round(PAUSE_S * FPS)


def _text(frame: np.ndarray, text: str, x: int, colour: tuple[int, int, int]) -> None:
    cv2.putText(frame, text, (x, BAR - 10), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)
