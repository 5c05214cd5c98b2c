"""One frame of demo.mp4: the camera's view with the imagined path, and beside it the goal and how far it is."""

from __future__ import annotations

import itertools

import cv2
import numpy as np

from ami_robot.perception.camera import CameraModel
from ami_sim.demo.record import EpisodeRecord

VIEW, PANEL, MARGIN = 480, 320, 20  # pixels
SIZE = (VIEW + PANEL, VIEW)
GOAL = PANEL - 2 * MARGIN - 60
PAPER, INK, FAINT = (250, 250, 248), (40, 40, 44), (190, 190, 192)
BLUE, GREEN, RED, PATH = (38, 98, 190), (28, 140, 84), (196, 60, 48), (255, 140, 0)


def compose(record: EpisodeRecord, view: np.ndarray, camera: CameraModel, t_s: float, title: str) -> np.ndarray:
    """The frame (VIEW, VIEW + PANEL, 3) uint8 rgb at t_s; `view` is what `camera`, VIEW x VIEW, sees then."""
    frame = np.full((SIZE[1], SIZE[0], 3), PAPER, np.uint8)
    frame[:, :VIEW] = view
    _draw_path(frame[:, :VIEW], record, camera, t_s)
    x, y = VIEW + MARGIN, MARGIN
    _text(frame, title, (x, y + 12), 0.52, INK)
    goal = cv2.resize(record.goal_image, (GOAL, GOAL), interpolation=cv2.INTER_CUBIC)
    y += 30
    frame[y : y + GOAL, x : x + GOAL] = goal
    cv2.rectangle(frame, (x - 1, y - 1), (x + GOAL, y + GOAL), FAINT, 1)
    _text(frame, "goal", (x + GOAL + 10, y + 12), 0.45, INK)
    y += GOAL + 34
    distance_m = float(np.interp(t_s, record.judged_s, record.distances_m))
    near = distance_m <= record.tolerance_m
    _text(
        frame,
        f"{100 * distance_m:.1f} cm" if np.isfinite(distance_m) else "in hand",
        (x, y),
        0.9,
        GREEN if near else INK,
    )
    _text(frame, f"{t_s:.1f} s", (x + 150, y), 0.52, INK)
    if t_s >= record.length_s:
        word, colour = ("reached", GREEN) if record.success else ("missed", RED)
        _text(frame, word, (x + 215, y), 0.52, colour)
    _draw_curve(frame, record, t_s, (x, y + 18, PANEL - 2 * MARGIN, VIEW - y - 18 - MARGIN))
    return frame


def _draw_path(view: np.ndarray, record: EpisodeRecord, camera: CameraModel, t_s: float) -> None:
    """The path that the newest plan imagines, growing fainter towards its end."""
    newest = int(np.searchsorted(record.plans_s, t_s, side="right")) - 1
    if newest < 0:
        return
    pixels = camera.project(record.tool_paths[newest])
    pixels = np.rint(pixels[np.isfinite(pixels).all(axis=1)]).astype(int)
    for start, end in itertools.pairwise(pixels):
        cv2.line(view, start.tolist(), end.tolist(), PATH, 2, cv2.LINE_AA)
    for number, pixel in enumerate(pixels):
        cv2.circle(view, pixel.tolist(), 5 if number == len(pixels) - 1 else 3, PATH, -1, cv2.LINE_AA)


def _draw_curve(frame: np.ndarray, record: EpisodeRecord, t_s: float, box: tuple[int, int, int, int]) -> None:
    """Distance over time, from the start of the episode until now, with the line of success."""
    x, y, width, height = box
    known = np.isfinite(record.distances_m)  # a block that is to be let go of has no distance while it is held
    top_m = max(0.2, float(record.distances_m[known].max(initial=0.0)))
    times = np.linspace(0, min(t_s, record.length_s), 60)
    nearest = np.searchsorted(record.judged_s, times).clip(0, max(len(record.judged_s) - 1, 0))
    distances = record.distances_m[nearest] if len(record.judged_s) else np.full(len(times), np.nan)
    level = y + height - round(record.tolerance_m / top_m * height)
    cv2.rectangle(frame, (x, level), (x + width, y + height), (226, 240, 230), -1)
    cv2.line(frame, (x, y + height), (x + width, y + height), FAINT, 1)
    points = np.column_stack([x + times / record.length_s * width, y + height - distances / top_m * height])
    for piece in np.split(points, np.flatnonzero(np.diff(np.isfinite(distances))) + 1):
        if np.isfinite(piece).all():
            cv2.polylines(frame, [np.rint(piece).astype(np.int32)], False, BLUE, 2, cv2.LINE_AA)
    _text(frame, f"{100 * record.tolerance_m:g} cm", (x + width - 34, level - 4), 0.36, GREEN)


def _text(frame: np.ndarray, text: str, place: tuple[int, int], scale: float, colour: tuple[int, int, int]) -> None:
    cv2.putText(frame, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA)
