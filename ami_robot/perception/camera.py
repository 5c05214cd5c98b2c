"""A calibrated camera: intrinsics, distortion and pose, as one strict YAML file.

Frames follow REP 103: `camera_optical_frame` has z forward, x right, y down; the pose is that frame in `base_link`.
Pixels follow OpenCV: the centre of the top left pixel is (0, 0), so the middle of the image is ((w - 1)/2, (h - 1)/2).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ami_robot.strict import StrictError, check_keys, read_yaml
from ami_robot.types import Array

FRONT_CAMERA = Path(__file__).with_name("front_camera.yaml")
"""The camera that the shipped checkpoint was trained with."""

CLOSE_CAMERA = Path(__file__).with_name("close_camera.yaml")
"""What the front camera sees of the middle of its picture: blocks are half as large again."""

ROTATION_TOLERANCE = 1e-4


class CameraError(ValueError):
    """A camera file that cannot be used; one sentence saying what, where, and what would be right."""


@dataclass(frozen=True, eq=False)
class CameraModel:
    """A pinhole camera with OpenCV's five distortion coefficients and its pose in `base_link`."""

    name: str
    frame_id: str
    width: int  # pixels
    height: int  # pixels
    matrix: Array  # (3, 3), pixels: fx 0 cx; 0 fy cy; 0 0 1
    distortion: Array  # (5,): k1 k2 p1 p2 k3
    position: Array  # (3,), m: the optical centre in base_link
    rotation: Array  # (3, 3): columns are the axes of camera_optical_frame in base_link
    method: str  # how the numbers were found
    date: str  # ISO 8601
    residuals: dict[str, float] = field(default_factory=dict)  # what the fit left over, unit in the key

    def __post_init__(self) -> None:
        """Raise CameraError unless every field has its shape, is finite and is physically possible."""
        for key, shape in (("matrix", (3, 3)), ("distortion", (5,)), ("position", (3,)), ("rotation", (3, 3))):
            value = np.array(getattr(self, key), dtype=float)
            if value.shape != shape or not np.isfinite(value).all():
                raise CameraError(f"camera '{self.name}': {key} has to be {shape} finite numbers, got {value.shape}.")
            value.setflags(write=False)
            object.__setattr__(self, key, value)
        if self.width <= 0 or self.height <= 0:
            raise CameraError(f"camera '{self.name}': width and height have to be positive, got {self.size}.")
        (fx, skew, _), (zero, fy, _), last = self.matrix
        if not (fx > 0 and fy > 0 and skew == zero == 0 and last.tolist() == [0, 0, 1]):
            raise CameraError(
                f"camera '{self.name}': matrix has to be [[fx 0 cx], [0 fy cy], [0 0 1]] with fx, fy > 0."
            )
        error = np.abs(self.rotation.T @ self.rotation - np.eye(3)).max()
        if error > ROTATION_TOLERANCE or np.linalg.det(self.rotation) < 0:
            raise CameraError(
                f"camera '{self.name}': rotation has to be orthonormal and right-handed, off by {error:.2g}."
            )

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.width, self.height

    def resized(self, width: int, height: int) -> CameraModel:
        """The same camera delivering images scaled to width x height pixels; pose and distortion stay."""
        scale = np.array([width / self.width, height / self.height])
        matrix = self.matrix.copy()
        matrix[:2, :2] *= scale[:, None]
        matrix[:2, 2] = (matrix[:2, 2] + 0.5) * scale - 0.5
        return replace(self, width=width, height=height, matrix=matrix)

    def project(self, points: Array) -> Array:
        """Pixels (..., 2) of points (..., 3) m in base_link, without distortion; NaN behind the camera."""
        local = (np.asarray(points, float) - self.position) @ self.rotation
        depth = np.where(local[..., 2:] > 0, local[..., 2:], np.nan)
        return (local / depth) @ self.matrix[:2].T


def camera_file(name: str) -> Path:
    """The file that the name of a shipped camera (front, close), or a path to a YAML, means."""
    return Path(name) if name.endswith((".yaml", ".yml")) else Path(__file__).with_name(f"{name}_camera.yaml")


def load_camera(path: Path | str = FRONT_CAMERA) -> CameraModel:
    """Read a camera file; raises CameraError on a missing file, a missing or unknown key, or an impossible value."""
    try:
        data = read_yaml(path)
        check_keys(data, [entry.name for entry in fields(CameraModel)], f"the camera file {path}")
    except StrictError as error:
        raise CameraError(str(error)) from error
    try:
        return CameraModel(**_converted(data))
    except (TypeError, ValueError) as error:
        raise CameraError(f"the camera file {path} is wrong: {error}") from error


def save_camera(camera: CameraModel, path: Path | str) -> None:
    """Write the camera as YAML that load_camera reads back exactly; the file appears whole or not at all."""
    path = Path(path)
    data: dict[str, Any] = {}
    for entry in fields(CameraModel):
        value = getattr(camera, entry.name)
        data[entry.name] = value.tolist() if isinstance(value, np.ndarray) else value
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=120))
    os.replace(partial, path)


def _converted(data: dict[str, Any]) -> dict[str, Any]:
    """The YAML values as the types of CameraModel's fields; raises TypeError or ValueError."""
    texts = {key: str(data[key]) for key in ("name", "frame_id", "method", "date")}
    sizes = {key: int(data[key]) for key in ("width", "height")}
    residuals = {str(key): float(value) for key, value in dict(data["residuals"]).items()}
    return {**data, **texts, **sizes, "residuals": residuals}
