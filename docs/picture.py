"""The picture in README.md, from the record of a run: python docs/picture.py runs/latest"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2

from ami_robot.perception.camera import load_camera
from ami_sim.demo.film import VIEW, compose
from ami_sim.demo.record import EpisodeRecord
from ami_sim.demo.video import snapshot
from ami_sim.scene import Scene
from ami_sim.world import World

MOMENT_S = 1.4


def main(folder: Path) -> None:
    """Draw the first episode of the run at MOMENT_S into docs/demo.png."""
    record = EpisodeRecord.load(sorted(folder.glob("scene*.npz"))[0])
    camera = load_camera().resized(VIEW, VIEW)
    world = World(Scene.from_seed(record.seed), camera)
    world.mirror(snapshot(record, MOMENT_S))
    frame = compose(record, world.render(), camera, MOMENT_S, f"scene {record.seed}")
    cv2.imwrite(str(Path(__file__).with_name("demo.png")), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
