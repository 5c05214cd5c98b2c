"""demo.mp4, drawn after the run from the recorded states, so that filming takes nothing from the robot."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

from ami_robot.perception.camera import CameraModel
from ami_sim.demo.film import SIZE, VIEW, compose
from ami_sim.demo.record import EpisodeRecord
from ami_sim.tasks import TASKS
from ami_sim.world import Snapshot, World

FPS = 10
PAUSE_S = 0.8  # on the last frame of each episode
CODECS = ("libx264", "mpeg4")  # the first that this build of PyAV has
STRIP = 6  # pictures of each episode for the report
STRIP_WIDTH = 160  # pixels


def render_clip(record: EpisodeRecord, camera: CameraModel, title: str, path: Path | None) -> list[np.ndarray]:
    """Film one episode into `path`, unless that is None; returns STRIP views of it, evenly spaced, uint8 rgb."""
    camera = camera.resized(VIEW, VIEW)
    times = np.arange(0, record.length_s + 0.5 / FPS, 1 / FPS)
    kept = set(np.linspace(0, len(times) - 1, STRIP).round().astype(int).tolist())
    strip: list[np.ndarray] = []
    world = World(TASKS[record.task](record.seed).scene, camera)
    film = av.open(str(path), "w", format="mp4") if path else None
    try:
        stream = add_stream(film, SIZE, FPS) if film else None
        for number, t_s in enumerate(times):
            if film is None and number not in kept:
                continue
            world.mirror(snapshot(record, float(t_s)))
            view = world.render()
            if number in kept:
                strip.append(view)
            if film is not None and stream is not None:
                frame = compose(record, view, camera, float(t_s), title)
                repeats = 1 + round(PAUSE_S * FPS) * (number == len(times) - 1)
                for _ in range(repeats):
                    film.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        if film is not None and stream is not None:
            film.mux(stream.encode())
    finally:
        world.close()
        if film is not None:
            film.close()
    return strip


def join_clips(clips: Sequence[Path], path: Path) -> None:
    """One film from clips of the same encoder, without encoding again; it appears whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    with av.open(str(partial), "w", format="mp4", options={"movflags": "faststart"}) as film:
        stream, end = None, 0
        for clip in clips:
            with av.open(str(clip)) as source:
                track = source.streams.video[0]
                stream = stream or film.add_stream_from_template(track)
                last = end
                for packet in source.demux(track):
                    if packet.dts is None or packet.pts is None:
                        continue
                    packet.pts, packet.dts = packet.pts + end, packet.dts + end
                    last = max(last, packet.pts + (packet.duration or 0))
                    packet.stream = stream
                    film.mux(packet)
                end = last
    os.replace(partial, path)


def add_stream(film: av.container.OutputContainer, size: tuple[int, int], fps: int) -> av.VideoStream:
    """A stream of pictures of this size, pixels, in the first codec there is."""
    codec = next(name for name in CODECS if name in av.codecs_available)
    stream = film.add_stream(codec, rate=fps)
    assert isinstance(stream, av.VideoStream)
    stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
    stream.codec_context.thread_count = 1
    if codec == "libx264":
        stream.options = {"preset": "veryfast", "crf": "23", "bf": "0"}  # no reordering: clips can be joined
    else:
        stream.bit_rate = 2_000_000
    return stream


def snapshot(record: EpisodeRecord, t_s: float) -> Snapshot:
    """The state at t_s: joints interpolated, blocks as they were last."""
    joints = [np.interp(t_s, record.states_s, column) for column in record.joint_positions.T]
    nearest = int(np.clip(np.searchsorted(record.states_s, t_s, side="right") - 1, 0, len(record.states_s) - 1))
    return Snapshot(np.array(joints), record.block_positions[nearest], record.block_orientations[nearest])
