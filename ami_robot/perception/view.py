"""Any calibrated camera's image as the 64x64 picture that the encoder was trained on.

The optics are brought to the training camera's: distortion removed, focal length and principal point matched.
Where the camera stands is not: another viewpoint shows another picture, which no remapping repairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ami_robot.perception.camera import CLOSE_CAMERA, FRONT_CAMERA, CameraModel, load_camera

VIEW_PIXELS = 64
"""Side of the training view, pixels."""

FRONT_VIEW, CLOSE_VIEW = "front-rgb8-128-area-64-v1", "close-rgb8-128-area-64-v1"
"""Preprocessing ids: each names a way from a camera image to the encoder's input; latents and checkpoints carry one."""

_TRAINING_PIXELS = 128  # what the training camera delivers before it is averaged 2 x 2 to the view
_ENCODINGS = ("rgb8", "bgr8")
_SAME_OPTICS_PIXELS = 0.01  # optics this close to the training camera's need no remapping


class ViewError(ValueError):
    """An image that cannot become a training view; one sentence saying what, and what would be right."""


def view_of_data(manifest: Mapping[str, Any]) -> str:
    """Preprocessing id of a data set's pictures; sets that do not say it are older than other views."""
    return str(manifest.get("preprocessing_id", FRONT_VIEW))


def training_camera(preprocessing_id: str) -> CameraModel:
    """The camera whose view that is; raises ViewError when there is no such id."""
    cameras = {FRONT_VIEW: FRONT_CAMERA, CLOSE_VIEW: CLOSE_CAMERA}
    if preprocessing_id not in cameras:
        raise ViewError(f"there is no view '{preprocessing_id}'; this program makes {', '.join(cameras)}.")
    return load_camera(cameras[preprocessing_id])


class TrainingView:
    """Maps the images of one camera to the training view. The pixel map is computed once."""

    def __init__(self, camera: CameraModel, training_camera: CameraModel) -> None:
        """Prepare the map.

        Args:
            camera: what delivers the images; its pose is not used.
            training_camera: the optics to reproduce; square.

        Raises:
            ViewError: the camera does not see all of the training view, or not sharply enough.
        """
        self._camera = camera
        target = training_camera.resized(_TRAINING_PIXELS, _TRAINING_PIXELS)
        averages_evenly = camera.width % VIEW_PIXELS == 0  # once: the picture is the view already
        self._map: tuple[NDArray, NDArray] | None = None
        if not (averages_evenly and _same_optics(camera, target.resized(camera.width, camera.width))):
            self._map = _pixel_map(camera, target)

    def __call__(self, image: NDArray[np.uint8], encoding: str = "rgb8") -> NDArray[np.uint8]:
        """(height, width, 3) uint8 in `encoding` -> (64, 64, 3) uint8 rgb.

        Raises:
            ViewError: the encoding is unknown, or the image is not of the camera's size.
        """
        if encoding not in _ENCODINGS:
            raise ViewError(f"cannot read an image encoded as '{encoding}'; readable are {', '.join(_ENCODINGS)}.")
        expected = (self._camera.height, self._camera.width, 3)
        if image.dtype != np.uint8 or image.shape != expected:
            raise ViewError(
                f"the image is {image.shape} {image.dtype}, camera '{self._camera.name}' is calibrated for {expected} "
                "uint8; stream at that size or recalibrate."
            )
        if self._map is not None:
            image = np.asarray(cv2.remap(image, *self._map, cv2.INTER_LINEAR), np.uint8)
        view = np.asarray(cv2.resize(image, (VIEW_PIXELS, VIEW_PIXELS), interpolation=cv2.INTER_AREA), np.uint8)
        return view if encoding == "rgb8" else np.ascontiguousarray(view[..., ::-1])


def _same_optics(camera: CameraModel, target: CameraModel) -> bool:
    """Whether the two cameras put every ray within a hundredth of a pixel of each other."""
    difference = np.abs(camera.matrix - target.matrix).max()
    return camera.size == target.size and not camera.distortion.any() and bool(difference < _SAME_OPTICS_PIXELS)


def _pixel_map(camera: CameraModel, target: CameraModel) -> tuple[NDArray, NDArray]:
    """Where each pixel of the target view lies in the camera's image, as cv2.remap wants it.

    The target is sampled finely enough that averaging it afterwards sees every pixel of a sharper camera (no aliasing).
    """
    oversampling = max(1, int(np.ceil(camera.matrix[0, 0] / target.matrix[0, 0])))
    if camera.matrix[0, 0] < target.matrix[0, 0] * VIEW_PIXELS / _TRAINING_PIXELS * (1 - 1e-3):
        raise ViewError(
            f"camera '{camera.name}' is too coarse: its focal length is {camera.matrix[0, 0]:.0f} pixels, the training "
            f"view needs {target.matrix[0, 0] * VIEW_PIXELS / _TRAINING_PIXELS:.0f}; stream at a larger size."
        )
    fine = target.resized(target.width * oversampling, target.height * oversampling)
    x, y = cv2.initUndistortRectifyMap(
        camera.matrix, camera.distortion, np.eye(3), fine.matrix, fine.size, cv2.CV_32FC1
    )
    half = 0.5  # a pixel's area reaches this far beyond its centre
    inside = (x >= -half) & (x <= camera.width - half) & (y >= -half) & (y <= camera.height - half)
    if not inside.all():
        raise ViewError(
            f"camera '{camera.name}' sees only {inside.mean():.0%} of the training view; it needs "
            f"a field of view of at least {np.degrees(2 * np.arctan(target.width / 2 / target.matrix[0, 0])):.0f} deg."
        )
    return x, y
