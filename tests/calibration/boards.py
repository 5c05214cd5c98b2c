"""Pictures of a ChArUco board hung in PyBullet before a camera of which everything is known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pybullet

from ami_calibration.charuco import Board
from ami_robot.perception.camera import CameraModel
from ami_sim.world import projection_matrix, view_matrix

BOARD = Board((7, 5), 0.03, 0.022, "4X4_50")
SIZE = (640, 480)
OVERSAMPLING = 2  # the renderer does not smooth edges
TRUE_MATRIX = np.array([[612.0, 0.0, 331.0], [0.0, 598.0, 228.0], [0.0, 0.0, 1.0]])
CAMERA = CameraModel(
    "test", "camera_optical_frame", *SIZE, TRUE_MATRIX, np.zeros(5), np.zeros(3), np.eye(3), "chosen", "2026-01-01"
)

QUAD = """v {x0} {y0} 0
v {x1} {y0} 0
v {x1} {y1} 0
v {x0} {y1} 0
vt 0 1
vt 1 1
vt 1 0
vt 0 0
f 1/1 2/2 3/3
f 1/1 3/3 4/4
f 3/3 2/2 1/1
f 4/4 3/3 1/1
"""


def render_views(poses: list[tuple[np.ndarray, np.ndarray]], folder: Path) -> dict[str, np.ndarray]:
    """One grey picture for each board pose: rotation vector, and centre (3,) m in the optical frame."""
    width, height = BOARD.squares[0] * BOARD.square_length_m, BOARD.squares[1] * BOARD.square_length_m
    margin = BOARD.square_length_m / 2
    pixels_per_m = 8000
    drawn = BOARD.opencv().generateImage(
        (round((width + 2 * margin) * pixels_per_m), round((height + 2 * margin) * pixels_per_m)),
        marginSize=round(margin * pixels_per_m),
    )
    cv2.imwrite(str(folder / "board.png"), drawn)
    x1, y1 = width / 2 + margin, height / 2 + margin
    (folder / "board.obj").write_text(QUAD.format(x0=-x1, y0=-y1, x1=x1, y1=y1))
    client = pybullet.connect(pybullet.DIRECT)
    try:
        visual = pybullet.createVisualShape(
            pybullet.GEOM_MESH, fileName=str(folder / "board.obj"), physicsClientId=client
        )
        body = pybullet.createMultiBody(0, -1, visual, physicsClientId=client)
        texture = pybullet.loadTexture(str(folder / "board.png"), physicsClientId=client)
        pybullet.changeVisualShape(body, -1, textureUniqueId=texture, rgbaColor=[1, 1, 1, 1], physicsClientId=client)
        return {f"view{number:02d}.png": _picture(client, body, *pose) for number, pose in enumerate(poses)}
    finally:
        pybullet.disconnect(client)


def _picture(client: int, body: int, rotation: np.ndarray, centre: np.ndarray) -> np.ndarray:
    angle = float(np.linalg.norm(rotation))
    axis = rotation / angle if angle else np.array([1.0, 0.0, 0.0])
    turn = pybullet.getQuaternionFromAxisAngle(axis.tolist(), angle)
    pybullet.resetBasePositionAndOrientation(body, centre.tolist(), turn, client)
    camera = CAMERA.resized(SIZE[0] * OVERSAMPLING, SIZE[1] * OVERSAMPLING)
    _, _, rgba, _, _ = pybullet.getCameraImage(
        *camera.size,
        view_matrix(camera),
        projection_matrix(camera),
        shadow=0,
        lightDirection=[0, 0, -1],
        lightAmbientCoeff=0.9,
        lightDiffuseCoeff=0.1,
        lightSpecularCoeff=0.0,
        renderer=pybullet.ER_TINY_RENDERER,
        physicsClientId=client,
    )
    rgb = np.reshape(rgba, (camera.height, camera.width, 4))[..., :3].astype(np.uint8)
    return cv2.cvtColor(cv2.resize(rgb, SIZE, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)


def tilted_poses(count: int, tilt_rad: float = 0.6, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Board poses all over the picture, tilted up to tilt_rad about random axes."""
    rng = np.random.default_rng(seed)
    poses = []
    for number in range(count):
        depth = rng.uniform(0.28, 0.5)
        pixel = np.array([(0.2, 0.2), (0.8, 0.2), (0.5, 0.5), (0.2, 0.8), (0.8, 0.8)][number % 5]) * SIZE
        centre = np.linalg.inv(TRUE_MATRIX) @ [*pixel, 1.0] * depth
        direction = rng.uniform(0, 2 * np.pi)
        rotation = tilt_rad * rng.uniform(0.5, 1.0) * np.array([np.cos(direction), np.sin(direction), 0.0])
        poses.append((rotation, centre))
    return poses
