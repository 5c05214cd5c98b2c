"""A film of a story, drawn after it from what was taken down, so that filming changes nothing in it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import pybullet

from ami_robot.perception.camera import CameraModel
from ami_robot.types import Array
from ami_sim.demo.video import add_stream
from ami_sim.stories.story import Outcome, Story
from ami_sim.walks import WORKPLACE_M, Walk
from ami_sim.world import Snapshot, World

SIZE = (720, 540)  # pixels
FPS = 20
_EVERY = 100 // FPS  # ticks
_AHEAD_S = np.linspace(0.0, 1.2, 13)
_TRAIL_SHOTS = 2 * FPS
_CARD_S = 1.2  # with the verdict, at the end
_BAR, _TITLE, _INSET = 34, 28, 190  # pixels; the inset shows the hand from near
_INK, _PAPER, _TRAIL, _AHEAD = (245, 245, 242), (34, 36, 40), (70, 170, 255), (255, 150, 20)
_GREEN, _RED = (60, 200, 120), (250, 80, 60)
_CRATE_RGBA = (0.72, 0.52, 0.30, 1.0)


@dataclass(frozen=True, eq=False)
class Shot:
    """One moment of a story."""

    t_s: float
    snapshot: Snapshot
    tool: tuple[str, tuple[float, ...]] | None  # hazard and tip of what the hand holds
    tip: Array  # (3,), m
    ahead: Array  # (K, 3), m: where the running motion leads the tool
    tip_speed_m_per_s: float
    distance_m: float  # inf when nobody is near
    clearance_m: float  # above the table
    said: str


class Tape:
    """Takes a story down while it is played: pass `record` to `play` as on_tick."""

    def __init__(self) -> None:
        self.shots: list[Shot] = []
        self.story: Story | None = None

    def record(self, story: Story) -> None:
        """Every FPS-th part of a second."""
        self.story, stage = story, story.stage
        if stage.ticks % _EVERY:
            return
        world, witness = stage.arm.world, stage.witness
        held = world.held_tool
        ahead = [stage.arm.controller.sample(stage.t_s + later_s).positions for later_s in _AHEAD_S]
        self.shots.append(
            Shot(
                stage.t_s,
                world.snapshot(),
                None if held is None else (held.hazard, tuple(held.tip.tolist())),
                world.tip()[0],
                stage.kinematics.tool_position(np.array(ahead)),
                *witness.latest(),
                stage.said,
            )
        )


def write(tape: Tape, outcome: Outcome, path: Path) -> None:
    """The film of what is on the tape; it appears whole or not at all."""
    assert tape.story is not None, "nothing was recorded"
    stage, partial = tape.story.stage, path.with_name(f".{path.name}.partial")
    world = World(stage.scene)
    try:
        world.furnish()
        people = world.add_people(stage.walks) if stage.walks else None
        for box in stage.boxes:
            _draw_box(world, np.asarray(box.lower_m), np.asarray(box.upper_m))
        side, target = _viewpoint(stage.walks)
        camera = _camera(target, side, 2.1 if stage.walks else 1.5, SIZE, 1.1)
        held = None
        with av.open(str(partial), "w", format="mp4") as film:
            stream = add_stream(film, SIZE, FPS)
            for number, shot in enumerate(tape.shots):
                if shot.tool is not None and shot.tool != held:
                    world.hold_tool(shot.tool[0], np.array(shot.tool[1]))
                    held = shot.tool
                if people is not None:
                    people.move_to(shot.t_s)
                world.mirror(shot.snapshot)
                frame = _compose(world.render(camera), camera, tape.shots[: number + 1], tape.story, outcome)
                close = world.render(_camera(shot.tip, side, 0.8, (_INSET, _INSET), 2.2))
                _put_inset(frame, close, left=_come_from_the_right(camera, stage.walks))
                film.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            card = _verdict(frame, outcome)
            for _ in range(round(_CARD_S * FPS)):
                film.mux(stream.encode(av.VideoFrame.from_ndarray(card, format="rgb24")))
            film.mux(stream.encode())
        os.replace(partial, path)
    finally:
        world.close()
        partial.unlink(missing_ok=True)


def _compose(view: np.ndarray, camera: CameraModel, shots: list[Shot], story: Story, outcome: Outcome) -> np.ndarray:
    """The view with the way behind and ahead of the tool, the story's name, and a line of figures."""
    frame, shot = view.copy(), shots[-1]
    _draw_path(frame, camera, np.array([past.tip for past in shots[-_TRAIL_SHOTS:]]), _TRAIL, 1)
    _draw_path(frame, camera, shot.ahead, _AHEAD, 2)
    if story.has_goal:
        place = np.rint(camera.project(story.stage.scene.goal_position)).astype(int).tolist()
        cv2.drawMarker(frame, place, _GREEN, cv2.MARKER_TILTED_CROSS, 14, 2, cv2.LINE_AA)
    width, height = SIZE
    frame[:_TITLE] = frame[:_TITLE] // 3
    who = "guarded" if outcome.guarded else "NO GUARDRAILS"
    _text(frame, f"{outcome.story}, seed {outcome.seed}, {who}", (10, 19), _INK)
    cv2.rectangle(frame, (0, height - _BAR), (width, height), _PAPER, -1)
    if not story.stage.walks:
        near = f"table {shot.clearance_m:5.3f} m"
    else:
        near = f"person {shot.distance_m:5.2f} m" if np.isfinite(shot.distance_m) else "person far"
    y = height - 12
    _text(frame, f"{shot.t_s:4.1f} s", (10, y), _INK)
    _text(frame, f"tip {shot.tip_speed_m_per_s:5.3f} m/s", (90, y), _INK)
    _text(frame, near, (250, y), _RED if shot.distance_m <= 0.0 else _INK)
    stopped = shot.said.startswith(("refused", "brake"))
    _text(frame, shot.said, (420, y), _RED if stopped else _GREEN)
    return frame


def _put_inset(frame: np.ndarray, close: np.ndarray, left: bool) -> None:
    x = 0 if left else SIZE[0] - _INSET
    frame[_TITLE : _TITLE + _INSET, x : x + _INSET] = close
    cv2.rectangle(frame, (x, _TITLE), (x + _INSET - 1, _TITLE + _INSET), _PAPER, 2)


def _come_from_the_right(camera: CameraModel, walks: Sequence[Walk]) -> bool:
    if not walks:
        return False
    way = np.mean([walk.positions.mean(axis=0) for walk in walks], axis=0) - WORKPLACE_M
    return bool(camera.rotation[:2, 0] @ way > 0.0)


def _verdict(frame: np.ndarray, outcome: Outcome) -> np.ndarray:
    card = frame.copy()
    word = "passed" if outcome.passed else f"failed: {', '.join(outcome.broken)}"
    cv2.rectangle(card, (0, SIZE[1] - _BAR), SIZE, _PAPER, -1)
    _text(card, word, (10, SIZE[1] - 12), _GREEN if outcome.passed else _RED)
    return card


def _draw_path(frame: np.ndarray, camera: CameraModel, path: Array, colour: tuple[int, int, int], width: int) -> None:
    pixels = np.rint(camera.project(path)).astype(int)
    for start, end in itertools.pairwise(pixels):
        cv2.line(frame, start.tolist(), end.tolist(), colour, width, cv2.LINE_AA)


def _text(frame: np.ndarray, text: str, place: tuple[int, int], colour: tuple[int, int, int]) -> None:
    cv2.putText(frame, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)


def _draw_box(world: World, lower: Array, upper: Array) -> None:
    visual = pybullet.createVisualShape(
        pybullet.GEOM_BOX,
        halfExtents=((upper - lower) / 2.0).tolist(),
        rgbaColor=_CRATE_RGBA,
        physicsClientId=world.client,
    )
    pybullet.createMultiBody(0, -1, visual, ((lower + upper) / 2.0).tolist(), physicsClientId=world.client)


def _viewpoint(walks: Sequence[Walk]) -> tuple[float, Array]:
    """From which side, rad, to look at which point (3,), m: the arm alone, or across its way to the people."""
    if not walks:
        return np.deg2rad(-40.0), np.array([0.38, 0.0, 0.22])
    way = np.mean([walk.positions.mean(axis=0) for walk in walks], axis=0) - WORKPLACE_M
    bearing = float(np.arctan2(way[1], way[0]))
    sides = [bearing + np.deg2rad(100.0), bearing - np.deg2rad(100.0)]
    side = max(sides, key=lambda angle: np.cos(angle - np.deg2rad(-20.0)))  # in front of the arm where possible
    towards = min(0.35, float(np.linalg.norm(way))) * way / max(float(np.linalg.norm(way)), 1e-9)
    return side, np.array([*(WORKPLACE_M + towards - [0.1, 0.0]), 0.28])


def _camera(target: Array, side: float, distance_m: float, size: tuple[int, int], focal: float) -> CameraModel:
    """A camera at this side, rad, of a point (3,), m, a little above it; `focal` in heights of the picture."""
    position = target + distance_m * np.array([np.cos(side), np.sin(side), 0.45])
    forward = (target - position) / np.linalg.norm(target - position)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.column_stack([right, np.cross(forward, right), forward])
    width, height = size
    matrix = np.diag([focal * height, focal * height, 1.0])
    matrix[:2, 2] = (width - 1) / 2, (height - 1) / 2
    return CameraModel("film", "film", width, height, matrix, np.zeros(5), position, rotation, "placed", "2026-01-01")
