"""Focal lengths, principal point and distortion from pictures of a ChArUco board, judged on others of them.

Method: Z. Zhang, "A flexible new technique for camera calibration" (2000), as in OpenCV's calibrateCameraExtended.
A low error on the fitted pictures proves little: with too few tilts anything fits. So a quarter of the pictures is held
out; the board's pose in each is found from every other corner, and the error is measured on the corners in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone

import cv2
import numpy as np

from ami_calibration.charuco import View, coverage
from ami_calibration.errors import CalibrationError
from ami_robot.perception.camera import CameraModel
from ami_robot.types import Array

MIN_VIEWS = 10
HELD_OUT_SHARE = 0.25
MIN_COVERAGE = 0.6  # of the picture's cells; distortion is a guess where no corner was seen
MIN_TILT_SPREAD_RAD = np.deg2rad(20.0)  # between board normals; parallel boards leave focal length and distance apart
MAX_RELATIVE_FOCAL_STD = 0.01
OUTLIER_PX = 3.0  # a view worse than this has a wrong corner or a moving board


@dataclass(frozen=True, eq=False)
class Intrinsics:
    """The fit and what speaks for it."""

    matrix: Array  # (3, 3), pixels
    distortion: Array  # (5,): k1 k2 p1 p2 k3
    size: tuple[int, int]  # pixels
    std: dict[str, float]  # of fx, fy, cx, cy: px
    view_errors_px: dict[str, float]  # RMS by picture
    held_out: frozenset[str]  # the pictures left out of the fit
    train_rms_px: float
    held_out_rms_px: float
    coverage: float
    tilt_spread_rad: float


def calibrate(views: Sequence[View], size: tuple[int, int], distortion: bool = True, seed: int = 0) -> Intrinsics:
    """Fit on three quarters of the views, judge on the rest; raises CalibrationError when the views cannot carry it.

    size is (width, height) in pixels. distortion=False holds all five coefficients at zero (a rendered camera).
    """
    if len(views) < MIN_VIEWS:
        raise CalibrationError(
            f"{len(views)} usable views are too few: {MIN_VIEWS} are needed, better 20 to 40, tilted in all directions."
        )
    if (seen := coverage(views, size)) < MIN_COVERAGE:
        raise CalibrationError(
            f"the corners cover {seen:.0%} of the picture, at least {MIN_COVERAGE:.0%} are needed: "
            "show the board in the edges and corners of the picture too."
        )
    order = np.random.default_rng(seed).permutation(len(views))
    held_out = [views[i] for i in order[: max(2, round(HELD_OUT_SHARE * len(views)))]]
    train = [view for view in views if view not in held_out]
    rms, matrix, coefficients, rotations, std, errors = _fit(train, size, distortion)
    if errors.max() > OUTLIER_PX:
        worst = train[int(errors.argmax())]
        raise CalibrationError(
            f"{worst.name} is off by {errors.max():.1f} px, more than {OUTLIER_PX:g}: "
            "blurred, moved, or another board; take it out."
        )
    spread = _tilt_spread(rotations)
    if spread < MIN_TILT_SPREAD_RAD:
        raise CalibrationError(
            f"the boards lie within {np.rad2deg(spread):.0f} degrees of parallel: tilt the board by 30 to 45 degrees "
            "in different directions, else focal length and distance cannot be told apart."
        )
    if std[0] / matrix[0, 0] > MAX_RELATIVE_FOCAL_STD or std[1] / matrix[1, 1] > MAX_RELATIVE_FOCAL_STD:
        raise CalibrationError(
            f"the views leave the focal length open by {std[0]:.1f} px of {matrix[0, 0]:.0f} (one standard deviation), "
            f"more than {MAX_RELATIVE_FOCAL_STD:.0%}: add tilted views, some near and some far."
        )
    judged = {view.name: reprojection_error(view, matrix, coefficients) for view in held_out}
    return Intrinsics(
        matrix=matrix,
        distortion=coefficients,
        size=size,
        std=dict(zip(("fx", "fy", "cx", "cy"), std[:4].tolist(), strict=True)),
        view_errors_px={**dict(zip((view.name for view in train), errors.tolist(), strict=True)), **judged},
        held_out=frozenset(judged),
        train_rms_px=float(rms),
        held_out_rms_px=float(np.sqrt(np.mean(np.square(list(judged.values()))))),
        coverage=seen,
        tilt_spread_rad=spread,
    )


def reprojection_error(view: View, matrix: Array, distortion: Array) -> float:
    """RMS px on every other corner, as on a chessboard, with the board's pose found from those in between."""
    column, row = (np.unique(view.object_points[:, axis], return_inverse=True)[1] for axis in (0, 1))
    judged = (column + row) % 2 == 1
    try:
        found, rotation, translation = cv2.solvePnP(
            view.object_points[~judged], view.image_points[~judged], matrix, distortion, flags=cv2.SOLVEPNP_ITERATIVE
        )
    except cv2.error:
        found = False
    if not found:
        raise CalibrationError(f"no pose of the board explains {view.name}; take it out.")
    projected, _ = cv2.projectPoints(view.object_points[judged], rotation, translation, matrix, distortion)
    return float(np.sqrt(np.mean(np.sum((projected.reshape(-1, 2) - view.image_points[judged]) ** 2, axis=1))))


def calibrated_camera(camera: CameraModel, intrinsics: Intrinsics, board: str) -> CameraModel:
    """The camera with its new intrinsics; name, frame and pose stay as they were."""
    width, height = intrinsics.size
    return replace(
        camera,
        width=width,
        height=height,
        matrix=intrinsics.matrix,
        distortion=intrinsics.distortion,
        method=f"intrinsics: {board}, OpenCV {cv2.__version__}; pose kept from {camera.date}: {camera.method}",
        date=datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        residuals={
            "held_out_rms_px": round(intrinsics.held_out_rms_px, 4),
            "train_rms_px": round(intrinsics.train_rms_px, 4),
            "views": len(intrinsics.view_errors_px),
            "held_out_views": len(intrinsics.held_out),
            "coverage": round(intrinsics.coverage, 3),
            **{f"{name}_std_px": round(value, 4) for name, value in intrinsics.std.items()},
        },
    )


def _fit(
    views: Sequence[View], size: tuple[int, int], distortion: bool
) -> tuple[float, Array, Array, list[Array], Array, Array]:
    """RMS px, matrix, distortion (5,), rotation vectors, standard deviations (4+,), RMS px by view."""
    flags = 0
    if not distortion:
        flags = cv2.CALIB_ZERO_TANGENT_DIST | cv2.CALIB_FIX_K1 | cv2.CALIB_FIX_K2 | cv2.CALIB_FIX_K3
    try:
        rms, matrix, coefficients, rotations, _, std, _, errors = cv2.calibrateCameraExtended(
            [view.object_points for view in views],
            [view.image_points for view in views],
            size,
            np.eye(3),
            np.zeros(5),
            flags=flags,
        )
    except cv2.error as error:
        raise CalibrationError(
            f"no camera explains these views: the boards are too alike, or not this board (OpenCV says: {error.err})."
        ) from error
    if not (np.isfinite(matrix).all() and np.isfinite(std).all()):
        raise CalibrationError("no camera explains these views: the fit did not end; tilt the board more.")
    vectors: list[Array] = [np.asarray(rotation, np.float64) for rotation in rotations]
    numbers: list[Array] = [np.asarray(array, np.float64).ravel() for array in (coefficients, std, errors)]
    return rms, np.asarray(matrix, np.float64), numbers[0][:5], vectors, numbers[1], numbers[2]


def _tilt_spread(rotations: Sequence[Array]) -> float:
    """The largest angle, rad, between the normals of two boards."""
    normals = np.array([cv2.Rodrigues(rotation)[0][:, 2] for rotation in rotations])
    return float(np.arccos(np.clip(normals @ normals.T, -1.0, 1.0)).max())
