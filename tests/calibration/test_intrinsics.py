"""Intrinsics from rendered ChArUco views: the truth is found again, and views that cannot carry a fit are refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from boards import BOARD, SIZE, TRUE_MATRIX, render_views, tilted_poses

from ami_calibration.charuco import Board, View, find_views
from ami_calibration.errors import CalibrationError
from ami_calibration.intrinsics import calibrate
from ami_robot.cli.main import main
from ami_robot.perception.camera import FRONT_CAMERA, load_camera

ARGUMENTS = ["--squares", "7x5", "--square-length", "0.03", "--marker-length", "0.022"]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return render_views(tilted_poses(24), tmp_path_factory.mktemp("board"))


@pytest.fixture
def folder(images, tmp_path):
    (tmp_path / "views").mkdir()
    for name, image in images.items():
        cv2.imwrite(str(tmp_path / "views" / name), image)
    return tmp_path / "views"


def synthetic_views(poses, distortion=(0.0,) * 5, noise_px=0.0):
    """Views as a perfect detector would give them."""
    rng = np.random.default_rng(1)
    corners = np.asarray(BOARD.opencv().getChessboardCorners(), np.float32)
    centre = np.array([*BOARD.squares, 0]) * BOARD.square_length_m / 2
    views = []
    for number, (rotation, position) in enumerate(poses):
        offset = position - cv2.Rodrigues(rotation)[0] @ centre
        points, _ = cv2.projectPoints(corners, rotation, offset, TRUE_MATRIX, np.array(distortion))
        points = points.reshape(-1, 2) + rng.normal(0, noise_px, (len(corners), 2))
        inside = ((points >= 0) & (points < SIZE)).all(axis=1)
        views.append(View(f"view{number:02d}", corners[inside], points[inside].astype(np.float32)))
    return views


def test_the_rendered_camera_is_found_again(images):
    views, unusable = find_views(BOARD, images)
    assert not unusable
    found = calibrate(views, SIZE)
    focal, true_focal = found.matrix[[0, 1], [0, 1]], TRUE_MATRIX[[0, 1], [0, 1]]
    assert np.abs(focal / true_focal - 1).max() < 0.005
    assert np.abs(found.matrix[:2, 2] - TRUE_MATRIX[:2, 2]).max() < 6.0
    assert found.held_out_rms_px < 0.5
    assert len(found.held_out) == 6
    assert found.coverage == 1.0


def test_distortion_is_found_again():
    truth = np.array([-0.25, 0.08, 0.001, -0.002, 0.0])
    found = calibrate(synthetic_views(tilted_poses(24), truth, noise_px=0.1), SIZE)
    assert found.distortion[:2] == pytest.approx(truth[:2], abs=0.05)
    assert found.distortion[2:4] == pytest.approx(truth[2:4], abs=0.002)


def test_held_out_error_sees_the_noise_that_is_there():
    quiet = calibrate(synthetic_views(tilted_poses(24), noise_px=0.1), SIZE).held_out_rms_px
    loud = calibrate(synthetic_views(tilted_poses(24), noise_px=0.6), SIZE, distortion=False).held_out_rms_px
    assert quiet < 0.3
    assert 0.8 < loud < 1.2  # the noise is 0.6 * sqrt(2) px long; the pose found from the other half adds to it


def test_too_few_views_are_refused():
    with pytest.raises(CalibrationError, match="9 usable views are too few: 10 are needed"):
        calibrate(synthetic_views(tilted_poses(9)), SIZE)


def test_boards_that_are_all_parallel_are_refused():
    poses = [(np.zeros(3), centre) for _, centre in tilted_poses(20)]
    with pytest.raises(CalibrationError, match="tilt"):
        calibrate(synthetic_views(poses, noise_px=0.05), SIZE)


def test_boards_in_one_place_are_refused():
    poses = [(rotation, np.array([0.0, 0.0, 0.9])) for rotation, _ in tilted_poses(20)]
    with pytest.raises(CalibrationError, match="edges and corners"):
        calibrate(synthetic_views(poses), SIZE)


def test_a_picture_of_a_moved_board_is_named():
    views = synthetic_views(tilted_poses(24), noise_px=0.1)
    shaken = np.random.default_rng(2).normal(0, 12.0, views[5].image_points.shape).astype(np.float32)
    views[5] = View("shaken.png", views[5].object_points, views[5].image_points + shaken)
    with pytest.raises(CalibrationError, match=r"shaken\.png is off by"):
        calibrate(views, SIZE, seed=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dictionary": "9X9_1"}, "unknown marker dictionary"),
        ({"marker_length_m": 0.03}, "have to fit"),
        ({"squares": (2, 9)}, "at least 3x3"),
        ({"squares": (14, 12)}, "84 markers"),
    ],
)
def test_a_board_that_cannot_exist_is_refused(change, message):
    settings = {"squares": (7, 5), "square_length_m": 0.03, "marker_length_m": 0.022, "dictionary": "4X4_50"}
    with pytest.raises(CalibrationError, match=message):
        Board(**{**settings, **change})


def test_the_command_writes_a_camera_file_that_keeps_the_pose(folder, tmp_path, capsys):
    out = tmp_path / "camera.yaml"
    assert main(["calibrate", "intrinsics", "--images", str(folder), *ARGUMENTS, "--out", str(out)]) == 0
    camera, before = load_camera(out), load_camera(FRONT_CAMERA)
    assert camera.size == SIZE
    assert camera.matrix[0, 0] == pytest.approx(TRUE_MATRIX[0, 0], rel=0.005)
    assert camera.position.tolist() == before.position.tolist()
    assert camera.rotation.tolist() == before.rotation.tolist()
    assert camera.residuals["held_out_rms_px"] < 0.5
    assert "judging" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: [path.unlink() for path in folder.iterdir()], "holds no picture"),
        (lambda folder: (folder / "view03.png").write_bytes(b"no picture"), "view03.png cannot be read"),
        (lambda folder: cv2.imwrite(str(folder / "view03.png"), np.zeros((90, 90), np.uint8)), "different sizes"),
        (lambda folder: [path.unlink() for path in sorted(folder.iterdir())[4:]], "too few"),
    ],
)
def test_bad_pictures_end_in_one_line_and_no_file(folder, tmp_path, capsys, spoil, message):
    spoil(folder)
    out = tmp_path / "camera.yaml"
    assert main(["calibrate", "intrinsics", "--images", str(folder), *ARGUMENTS, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ami: error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not out.exists()
