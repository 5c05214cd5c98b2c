"""The camera of a device, here a film that ends and begins anew: pictures, stamps, reconnection, and a clean Ctrl-C."""

import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
from lifecycle_msgs.msg import Transition

from ami_nodes.convert import from_image_msg, to_ns
from ami_robot.perception.camera import load_camera, save_camera
from tests.nodes.graph import changes, node_process, wait_for

SIZE, FRAMES = (64, 48), 12
SHADES = np.linspace(20, 240, FRAMES)


@pytest.fixture
def film(tmp_path):
    """FRAMES grey pictures, each of its own shade."""
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, SIZE)
    for shade in SHADES:
        writer.write(np.full((*SIZE[::-1], 3), shade, np.uint8))
    writer.release()
    return path


@pytest.fixture
def camera_file(tmp_path):
    save_camera(replace(load_camera().resized(*SIZE), name="small"), tmp_path / "camera.yaml")
    return tmp_path / "camera.yaml"


@pytest.fixture
def running(client, film, camera_file):
    """The node, active."""
    parameters = {"device": film, "camera_file": camera_file, "retry_s": 0.05, "latency_s": 0.04}
    with node_process("device_camera", "camera", **parameters) as process:
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            assert changes(client, "camera", transition), process.output()
        yield process


def test_a_film_is_shown_again_and_again_with_the_stamps_of_its_capture(running, pictures):
    heard = pictures.heard
    assert wait_for(lambda: len(heard) > 3 * FRAMES, 10.0), running.output()
    for heard_ns, message in heard:
        age_s = (heard_ns - to_ns(message.header.stamp)) / 1e9
        assert 0.04 <= age_s < 0.5
        assert (message.encoding, message.header.frame_id) == ("rgb8", "front_camera_optical_frame")
        shade = from_image_msg(message).mean()
        assert np.abs(SHADES - shade).min() < 6.0
    assert (np.diff(pictures.stamps()) > 0).all()
    pictures.assert_each_has_its_info()
    assert "trying again" in running.output()


def test_it_ends_on_ctrl_c_in_the_midst_of_its_pictures(running, pictures):
    assert wait_for(lambda: len(pictures.heard) > 5, 10.0), running.output()
    began_s = time.monotonic()
    assert running.interrupt() == 0, running.output()
    assert time.monotonic() - began_s < 2.0
    assert "Traceback" not in running.output()
