"""demo.mp4: as long as the episodes, and showing what it says it shows."""

from __future__ import annotations

import av
import numpy as np
import pytest
from demo_doubles import record_of

from ami_robot.perception.camera import load_camera
from ami_sim.demo.film import PATH, SIZE, VIEW, compose
from ami_sim.demo.video import FPS, PAUSE_S, STRIP, join_clips, render_clip
from ami_sim.judge import EPISODE_S

FRAMES = round(EPISODE_S * FPS) + 1 + round(PAUSE_S * FPS)


@pytest.fixture(scope="module")
def record():
    return record_of(0)


@pytest.fixture(scope="module")
def clip(record, tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "clip.mp4"
    return path, render_clip(record, load_camera(), "goal 1 of 1", path)


def decoded(path):
    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]


def test_a_clip_has_every_frame_and_the_strip_shows_the_motion(clip):
    path, strip = clip
    frames = decoded(path)
    assert len(frames) == FRAMES
    assert frames[0].shape == (SIZE[1], SIZE[0], 3)
    assert len(strip) == STRIP
    moved = np.abs(strip[0].astype(int) - strip[-1]).max(axis=2) > 40
    assert moved.mean() > 0.02


def test_clips_are_joined_without_losing_a_frame(clip, tmp_path):
    film = tmp_path / "demo.mp4"
    join_clips([clip[0], clip[0]], film)
    frames = decoded(film)
    assert len(frames) == 2 * FRAMES
    assert np.abs(frames[FRAMES].astype(int) - frames[0]).mean() < 3
    assert [path.name for path in tmp_path.iterdir()] == ["demo.mp4"]
    with av.open(str(film)) as source:
        assert source.duration / 1e6 == pytest.approx(2 * FRAMES / FPS, abs=0.2)


def test_the_strip_needs_no_film(record):
    assert len(render_clip(record, load_camera(), "", None)) == STRIP


def test_the_imagined_path_is_drawn_where_the_camera_sees_it(record):
    camera = load_camera().resized(VIEW, VIEW)
    frame = compose(record, np.zeros((VIEW, VIEW, 3), np.uint8), camera, 1.0, "")
    newest = int(np.searchsorted(record.plans_s, 1.0, side="right")) - 1
    column, row = np.rint(camera.project(record.tool_paths[newest][-1])).astype(int)
    assert frame[row, column].tolist() == list(PATH)


def test_before_the_first_plan_no_path_is_drawn(record):
    camera = load_camera().resized(VIEW, VIEW)
    frame = compose(record, np.zeros((VIEW, VIEW, 3), np.uint8), camera, 0.1, "")
    assert not frame[:, :VIEW].any()
