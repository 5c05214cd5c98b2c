"""Chessboards with markers in the white squares: each corner is known by number, so half a board in view is enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ami_calibration.errors import CalibrationError
from ami_robot.types import Array

MIN_CORNERS_PER_VIEW = 8
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})


@dataclass(frozen=True)
class Board:
    """A ChArUco board as it was printed; measure the squares with a calliper, printers scale."""

    squares: tuple[int, int]  # columns, rows
    square_length_m: float
    marker_length_m: float
    dictionary: str  # such as 4X4_50

    def __post_init__(self) -> None:
        """Raise CalibrationError for a board that cannot exist."""
        if min(self.squares) < 3:
            raise CalibrationError(f"a board needs at least 3x3 squares, got {self.squares[0]}x{self.squares[1]}.")
        if not 0 < self.marker_length_m < self.square_length_m:
            raise CalibrationError(
                "the markers have to fit into the squares: "
                f"marker length {self.marker_length_m} m, square length {self.square_length_m} m."
            )
        if self.dictionary not in dictionaries():
            raise CalibrationError(
                f"unknown marker dictionary '{self.dictionary}'; known are {', '.join(dictionaries())}."
            )
        needed, held = self.squares[0] * self.squares[1] // 2, len(self._dictionary().bytesList)
        if needed > held:
            raise CalibrationError(f"the board has {needed} markers, dictionary {self.dictionary} only {held}.")

    def _dictionary(self) -> cv2.aruco.Dictionary:
        return cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, f"DICT_{self.dictionary}"))

    def opencv(self) -> cv2.aruco.CharucoBoard:
        """The board in OpenCV's words (the layout since 4.6)."""
        return cv2.aruco.CharucoBoard(self.squares, self.square_length_m, self.marker_length_m, self._dictionary())


@dataclass(frozen=True, eq=False)
class View:
    """The corners found in one picture."""

    name: str
    object_points: Array  # (N, 3) float32, m in the board's frame, z = 0
    image_points: Array  # (N, 2) float32, pixels


def dictionaries() -> list[str]:
    """The marker dictionaries that OpenCV knows, without their prefix."""
    return [name.removeprefix("DICT_") for name in dir(cv2.aruco) if name.startswith("DICT_")]


def read_images(folder: Path) -> dict[str, np.ndarray]:
    """The pictures of a folder by file name, grey, all of one size; raises CalibrationError where that is not so."""
    if not folder.is_dir():
        raise CalibrationError(f"{folder} is not a folder of pictures.")
    images: dict[str, np.ndarray] = {}
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES):
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if image is None:
            raise CalibrationError(f"{path} cannot be read as a picture.")
        images[path.name] = image
    if not images:
        raise CalibrationError(f"{folder} holds no picture ({', '.join(sorted(IMAGE_SUFFIXES))}).")
    if len(sizes := {image.shape for image in images.values()}) > 1:
        listed = ", ".join(f"{width}x{height}" for height, width in sorted(sizes))
        raise CalibrationError(f"the pictures in {folder} have different sizes ({listed}); a camera file holds one.")
    return images


def find_views(board: Board, images: dict[str, np.ndarray]) -> tuple[list[View], list[str]]:
    """The usable views, and the names of the pictures with fewer than MIN_CORNERS_PER_VIEW corners or all on a line."""
    drawn, views, unusable = board.opencv(), [], []
    detector = cv2.aruco.CharucoDetector(drawn)
    for name, image in images.items():
        corners, ids, _, _ = detector.detectBoard(image)
        if ids is None or len(ids) < MIN_CORNERS_PER_VIEW or drawn.checkCharucoCornersCollinear(ids):
            unusable.append(name)
            continue
        object_points, image_points = drawn.matchImagePoints(list(corners), ids)
        in_board, in_picture = np.asarray(object_points, np.float32), np.asarray(image_points, np.float32)
        views.append(View(name, in_board.reshape(-1, 3), in_picture.reshape(-1, 2)))
    return views, unusable


def coverage(views: Sequence[View], size: tuple[int, int], cells: int = 4) -> float:
    """The share of the picture, cut into cells x cells, where at least one view has a corner."""
    points = np.concatenate([view.image_points for view in views])
    places = np.clip((points / size * cells).astype(int), 0, cells - 1)
    return len({(int(column), int(row)) for column, row in places}) / cells**2
