"""A camera that is unplugged, hangs, repeats itself or has another size than its file says."""

import threading
from dataclasses import replace

import cv2
import numpy as np
import pytest

from ami_robot.perception.camera import load_camera
from ami_robot.perception.capture import capture_frames, open_device

CAMERA = replace(load_camera(), width=16, height=12, name="small")
RNG = np.random.default_rng(0)


def noise(shape=(12, 16, 3)) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


class Plugged:
    """Gives these frames, then nothing; a frame that is None cannot be retrieved."""

    def __init__(self, frames, opens=True):
        self.frames, self.opens, self.released = list(frames), opens, 0

    def isOpened(self):  # noqa: N802
        return self.opens

    def grab(self):
        return bool(self.frames)

    def retrieve(self):
        frame = self.frames.pop(0)
        return frame is not None, frame

    def release(self):
        self.released += 1


def heard(*devices):
    """The pictures and sentences of devices that are found one after the other, until there are no more."""
    stop, waiting = threading.Event(), list(devices)
    pictures, sentences = [], []

    def open_it():
        if not waiting:
            stop.set()
            return Plugged([], opens=False)
        return waiting.pop(0)

    capture_frames(open_it, CAMERA, lambda image, _: pictures.append(image), sentences.append, stop, 0.001)
    assert all(device.released == 1 for device in devices)
    return pictures, sentences


def test_pictures_come_in_rgb():
    frame = noise()
    pictures, sentences = heard(Plugged([frame]))
    np.testing.assert_array_equal(pictures[0], frame[..., ::-1])
    assert sentences[0] == "The camera cannot be opened or gives no more pictures; trying again."


def test_a_device_that_is_unplugged_is_taken_up_again_and_said_to_be_gone_once():
    pictures, sentences = heard(
        Plugged([noise(), noise()]), Plugged([], opens=False), Plugged([], opens=False), Plugged([noise()])
    )
    assert len(pictures) == 3
    assert len([sentence for sentence in sentences if "trying again" in sentence]) == 2


def test_a_pipeline_that_hangs_and_repeats_its_last_picture_is_silent():
    frame, other = noise(), noise()
    pictures, _ = heard(Plugged([frame, frame.copy(), frame.copy(), other, frame]))
    assert len(pictures) == 3


def test_the_first_picture_after_a_reconnect_is_not_compared_with_one_from_before():
    frame = noise()
    assert len(heard(Plugged([frame]), Plugged([frame]))[0]) == 2


def test_a_picture_that_cannot_be_decoded_ends_the_connection():
    assert len(heard(Plugged([noise(), None, noise()]), Plugged([noise()]))[0]) == 2


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (noise((24, 32, 3)), "32x24 with 3 channels of uint8"),
        (noise((12, 16)), "16x12 with 1 channels of uint8"),
        (noise((12, 16, 4)), "16x12 with 4 channels"),
        (noise().astype(np.uint16), "3 channels of uint16"),
    ],
)
def test_pictures_of_another_size_or_kind_are_dropped_with_one_sentence(wrong, what):
    pictures, sentences = heard(Plugged([wrong, wrong + 1, noise()]))
    assert len(pictures) == 1
    assert len([sentence for sentence in sentences if what in sentence and "'small' says 16x12" in sentence]) == 1


def test_somebody_who_says_stop_is_obeyed_between_two_pictures():
    stop, pictures = threading.Event(), []

    def on_frame(image, _):
        pictures.append(image)
        stop.set()

    device = Plugged([noise() for _ in range(100)])
    capture_frames(lambda: device, CAMERA, on_frame, lambda _: None, stop, 60.0)
    assert len(pictures) == 1
    assert device.released == 1


def test_a_file_is_a_device_too_and_what_is_not_there_does_not_open(tmp_path):
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (16, 12))
    for _ in range(5):
        writer.write(noise())
    writer.release()
    device = open_device(str(path), CAMERA, 30.0)
    assert device.isOpened()
    assert sum(1 for _ in iter(device.grab, False)) == 5
    device.release()
    for missing in (str(tmp_path / "none.avi"), "/dev/video97"):
        assert not open_device(missing, CAMERA, 30.0, "MJPG").isOpened()
