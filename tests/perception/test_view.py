from dataclasses import replace

import cv2
import numpy as np
import pytest

from ami_robot.perception.camera import FRONT_CAMERA, CameraModel, load_camera
from ami_robot.perception.view import CLOSE_VIEW, FRONT_VIEW, TrainingView, ViewError, training_camera

TRAINING = load_camera(FRONT_CAMERA)


def camera(width, height, fx, fy, cx, cy, distortion=(0, 0, 0, 0, 0)) -> CameraModel:
    matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
    return replace(TRAINING, name="other", width=width, height=height, matrix=matrix, distortion=np.array(distortion))


def draw(model: CameraModel, samples: int = 4) -> np.ndarray:
    """What the camera sees of a coloured pattern painted on the sphere of rays, averaged over each pixel."""
    fine = replace(model, distortion=np.zeros(5)).resized(model.width * samples, model.height * samples)
    x, y = np.meshgrid(np.arange(fine.width), np.arange(fine.height))
    pixels = np.stack([x, y], axis=-1).reshape(-1, 1, 2).astype(np.float64)
    pixels = (pixels - fine.matrix[:2, 2]) / np.diag(fine.matrix)[:2]
    if model.distortion.any():
        pixels = cv2.undistortPoints(pixels, np.eye(3), model.distortion, R=None, P=np.eye(3))
    a, b = pixels[:, 0].T
    rgb = np.stack([np.sin(30 * a), np.cos(25 * b), np.sin(20 * (a + b))], axis=-1) * 110 + 128
    picture = rgb.reshape(fine.height, fine.width, 3).astype(np.float32)
    return cv2.resize(picture, model.size, interpolation=cv2.INTER_AREA).round().astype(np.uint8)


DIRECT = cv2.resize(draw(TRAINING), (64, 64), interpolation=cv2.INTER_AREA)


def test_the_training_camera_needs_only_averaging():
    image = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    view = TrainingView(TRAINING, TRAINING)(image)
    blocks = image.reshape(64, 2, 64, 2, 3).astype(float).mean(axis=(1, 3))
    assert view.shape == (64, 64, 3) and view.dtype == np.uint8
    assert np.abs(view - blocks).max() <= 1


@pytest.mark.parametrize("view", [FRONT_VIEW, CLOSE_VIEW])
def test_a_picture_that_is_the_view_already_stays_as_it_is(view):
    camera, image = training_camera(view), np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    np.testing.assert_array_equal(TrainingView(camera.resized(64, 64), camera)(image), image)


def test_bgr8_gives_the_same_view_as_rgb8():
    image = draw(TRAINING)
    view = TrainingView(TRAINING, TRAINING)
    assert (view(np.ascontiguousarray(image[..., ::-1]), "bgr8") == view(image, "rgb8")).all()


@pytest.mark.parametrize(
    "model",
    [
        camera(640, 480, 500, 505, 330, 236),
        camera(640, 480, 480, 480, 310, 250, (-0.12, 0.04, 0.001, -0.001, 0.0)),
        camera(160, 140, 137.248443, 137.248443, 79.5, 69.5),
        TRAINING.resized(512, 512),
    ],
    ids=["640x480", "640x480 distorted", "wider, same focal length", "four times sharper"],
)
def test_a_camera_with_other_optics_gives_the_view_of_the_training_camera(model):
    difference = np.abs(TrainingView(model, TRAINING)(draw(model, samples=2)).astype(int) - DIRECT)
    assert difference.mean() < 1.0 and difference.max() <= 8


def test_ignoring_the_optics_would_show():
    model = camera(640, 480, 500, 505, 330, 236)
    naive = cv2.resize(draw(model, samples=2), (64, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(naive.astype(int) - DIRECT).mean() > 20


@pytest.mark.parametrize("encoding", ["mono8", "rgba8", "", "RGB8"])
def test_an_encoding_it_cannot_read_is_refused_in_a_sentence(encoding):
    with pytest.raises(ViewError, match=f"encoded as '{encoding}'; readable are rgb8, bgr8"):
        TrainingView(TRAINING, TRAINING)(np.zeros((128, 128, 3), np.uint8), encoding)


@pytest.mark.parametrize("shape", [(96, 128, 3), (128, 128), (128, 128, 4), (256, 256, 3)])
def test_an_image_of_another_size_than_calibrated_is_refused(shape):
    with pytest.raises(ViewError, match="is calibrated for"):
        TrainingView(TRAINING, TRAINING)(np.zeros(shape, np.uint8))


def test_a_camera_that_sees_less_than_the_training_view_is_refused():
    with pytest.raises(ViewError, match=r"sees only \d+% of the training view"):
        TrainingView(camera(640, 480, 600, 600, 320, 240), TRAINING)


def test_a_camera_that_is_too_coarse_is_refused():
    with pytest.raises(ViewError, match="too coarse"):
        TrainingView(camera(60, 60, 55, 55, 29.5, 29.5), TRAINING)


def test_the_close_view_is_a_part_of_the_front_cameras_picture():
    close, front = training_camera(CLOSE_VIEW), training_camera(FRONT_VIEW).resized(512, 512)
    places = np.random.default_rng(0).uniform([0.38, -0.22, 0.0], [0.60, 0.22, 0.3], (50, 3))
    assert ((close.project(places) > 0) & (close.project(places) < 127)).all()  # all of where blocks are played with
    whole = draw(front, samples=1)
    difference = np.abs(TrainingView(front, close)(whole).astype(int) - TrainingView(close, close)(draw(close, 4)))
    assert difference.mean() < 2.0


def test_a_view_that_nobody_makes_is_refused():
    with pytest.raises(ViewError, match="there is no view 'wrist-96'"):
        training_camera("wrist-96")
