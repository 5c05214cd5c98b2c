"""A lens for a renderer that knows pinholes alone: the picture of a camera with distortion."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np

from ami_robot.perception.camera import CameraModel

_MARGIN_PIXELS = 1  # bilinear interpolation looks at the neighbours
_PRECISION = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-9)  # of inverting the distortion


class Lens:
    """Bends the picture of `pinhole`, which covers all that `camera` sees, into that of `camera`."""

    def __init__(self, camera: CameraModel) -> None:
        """Look through each pixel once. OpenCV's inverse of the distortion polynomial says where its ray goes."""
        rows, columns = np.indices((camera.height, camera.width), float)
        pixels, upright = np.stack([columns, rows], axis=-1).reshape(-1, 1, 2), np.eye(3)
        rays = cv2.undistortPointsIter(pixels, camera.matrix, camera.distortion, upright, upright, _PRECISION)
        focal = np.array([camera.matrix[0, 0], camera.matrix[1, 1]])
        at = rays.reshape(camera.height, camera.width, 2) * focal
        first = at.min(axis=(0, 1)) - _MARGIN_PIXELS
        width, height = np.ceil(at.max(axis=(0, 1)) - first).astype(int) + 1 + _MARGIN_PIXELS
        matrix = np.array([[focal[0], 0, -first[0]], [0, focal[1], -first[1]], [0, 0, 1]])
        self.pinhole = replace(
            camera, width=int(width), height=int(height), matrix=matrix, distortion=np.zeros_like(camera.distortion)
        )
        self._columns, self._rows = np.moveaxis((at - first).astype(np.float32), -1, 0)

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """The pinhole's picture -> the camera's, (height, width, 3) uint8."""
        return np.asarray(cv2.remap(picture, self._columns, self._rows, cv2.INTER_LINEAR), np.uint8)


@lru_cache(maxsize=4)
def lens_of(camera: CameraModel) -> Lens:
    """The camera's lens, made once."""
    return Lens(camera)
