"""`ami preflight` of a graph with a camera of its own: its file, what it sees, the pictures that it gives."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from preflight_table import BLIND, SLOW, assert_clean, assert_found, domain, preflight  # noqa: F401

from ami_robot.perception.camera import load_camera, save_camera

pytestmark = pytest.mark.graph

FRAMES = 90


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """What the shipped camera file says, 128x128, and each picture another."""
    return make_film(tmp_path_factory.mktemp("film") / "film.avi", (128, 128), np.linspace(20, 240, FRAMES))


def make_film(path, size, shades):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, size)
    for shade in shades:
        writer.write(np.full((*size[::-1], 3), shade, np.uint8))
    writer.release()
    return path


@SLOW
def test_a_film_as_the_camera_of_a_recorded_graph_passes(capsys, film, tmp_path):
    words = ("arm:=loopback", "camera:=v4l2", f"device:={film}", "record:=true", f"record_folder:={tmp_path / 'bag'}")
    outcome = preflight(capsys, *words, "--calibration-days", 1e6)
    assert_clean(outcome, "device", "camera file", "recording")
    assert not (tmp_path / "bag").exists()


@pytest.fixture
def with_camera(capsys, film, tmp_path):
    """The preflight of the film as a device, by a changed camera file."""

    def _with_camera(*words, device=film, **changes):
        file = tmp_path / "camera.yaml"
        save_camera(replace(load_camera(), **changes), file)
        return preflight(capsys, "arm:=loopback", "camera:=v4l2", f"device:={device}", f"camera_file:={file}", *words)

    return _with_camera


def test_a_camera_file_that_is_missing(capsys, tmp_path, film):
    words = ("arm:=loopback", "camera:=v4l2", f"device:={film}", f"camera_file:={tmp_path / 'none.yaml'}")
    assert_found(preflight(capsys, *words), "camera file", tmp_path / "none.yaml", beside_it={"nodes"})


def test_a_calibration_of_the_camera_that_is_too_old(with_camera, tmp_path):
    outcome = with_camera("--calibration-days", 30, date="2020-02-03")
    assert_found(outcome, "camera file", tmp_path / "camera.yaml", "2020-02-03", "30 are allowed")


@SLOW
def test_a_calibration_of_the_camera_without_a_date(with_camera, tmp_path):
    assert_found(with_camera(date="last spring"), "camera file", tmp_path / "camera.yaml", "last spring", "how old")


def test_a_camera_that_stands_elsewhere_than_in_training(with_camera, tmp_path):
    outcome = with_camera("--calibration-days", 1e6, position=load_camera().position + np.array([0.0, 0.12, 0.0]))
    assert_found(outcome, "view", tmp_path / "camera.yaml", "12.0 cm")


@SLOW
def test_a_camera_that_does_not_see_all_of_the_training_view(with_camera):
    matrix = load_camera().matrix * [[2.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 1.0]]
    assert_found(with_camera("--calibration-days", 1e6, matrix=matrix), "view", "sees only")


def test_a_device_that_is_not_there(with_camera):
    outcome = with_camera("--calibration-days", 1e6, device="/dev/video99")
    assert_found(outcome, "device", "/dev/video99 cannot be opened")


@SLOW
def test_a_device_whose_pictures_have_another_size(with_camera, tmp_path):
    other = make_film(tmp_path / "other.avi", (64, 48), np.linspace(20, 240, 20))
    assert_found(with_camera("--calibration-days", 1e6, device=other), "device", other, "64x48", "128x128")


@SLOW
def test_a_device_that_repeats_itself(with_camera, tmp_path):
    other = make_film(tmp_path / "still.avi", (128, 128), [90] * 5000)
    assert_found(with_camera("--calibration-days", 1e6, device=other), "device", other, "new pictures a second")
