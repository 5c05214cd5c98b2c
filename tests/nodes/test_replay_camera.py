"""A camera that plays a recording: the same pictures, in their order and intervals, as if they were captured now."""

import time
from contextlib import contextmanager

import numpy as np
import pytest
from ami_interfaces.msg import Latent
from lifecycle_msgs.msg import Transition
from rclpy.serialization import serialize_message

from ami_nodes import qos
from ami_nodes.convert import as_array, to_ns
from tests.episodes.picture_messages import damage, noise, write_pictures
from tests.nodes.graph import LAUNCH_FILE, changes, launched, node_process, wait_for

INTERVALS_MS = [50, 110, 70, 150, 90]
STAMPS_NS = [7_000_000_000 + 1_000_000 * ms for ms in np.cumsum([0, *INTERVALS_MS]).tolist()]
ROUND = len(STAMPS_NS)
LATE_S = 0.04  # on a busy machine
MATCHED_S = 0.3  # until publishers and subscriptions have found each other: no picture is lost then


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("recorded") / "run", noise(STAMPS_NS))


@contextmanager
def replaying(client, **parameters):
    """The node, active."""
    with node_process("replay_camera", "camera", **parameters) as process:
        assert changes(client, "camera", Transition.TRANSITION_CONFIGURE), process.output()
        time.sleep(MATCHED_S)
        assert changes(client, "camera", Transition.TRANSITION_ACTIVATE), process.output()
        yield process


def recorded_as(message) -> int:
    """Which of the recorded pictures or infos this is to the bit, but for its stamp."""
    stamp = message.header.stamp
    for number, pair in enumerate(noise(STAMPS_NS)):
        for each in pair:
            each.header.stamp = stamp
            if type(each) is type(message) and serialize_message(each) == serialize_message(message):
                return number
    raise AssertionError("this was not recorded")


def test_pictures_are_shown_again_and_again_to_the_bit_with_fresh_stamps_and_the_recorded_intervals(
    client, pictures, recording
):
    with replaying(client, recording=recording) as process:
        assert wait_for(lambda: len(pictures.heard) >= 3 * ROUND, 20.0), process.output()
    first = recorded_as(pictures.heard[0][1])
    for index, (heard_ns, message) in enumerate(pictures.heard):
        assert recorded_as(message) == (first + index) % ROUND
        assert 0.0 <= (heard_ns - to_ns(message.header.stamp)) / 1e9 < 0.5
    assert {recorded_as(info) for info in pictures.infos} == {0}  # they are all equal
    pictures.assert_each_has_its_info()
    a_round = [*INTERVALS_MS, INTERVALS_MS[-1]]  # back to the first after as long as to the last
    expected_s = [a_round[(first + index) % ROUND] / 1e3 for index in range(len(pictures.heard) - 1)]
    measured_s = np.diff(pictures.stamps()) / 1e9
    assert np.median(np.abs(measured_s - expected_s)) < LATE_S
    np.testing.assert_allclose(measured_s.sum(), sum(expected_s), rtol=0.1)


def test_it_is_over_after_the_last_picture_and_begins_anew_when_it_is_activated_again(client, pictures, recording):
    with replaying(client, recording=recording, loop="false", rate=4.0) as process:
        for played in (1, 2):
            assert wait_for(lambda played=played: process.output().count("is over") == played, 10.0), process.output()
            assert changes(client, "camera", Transition.TRANSITION_DEACTIVATE)
            assert played == 2 or changes(client, "camera", Transition.TRANSITION_ACTIVATE)
        assert wait_for(lambda: len(pictures.heard) == 2 * ROUND, 2.0), len(pictures.heard)
    assert [recorded_as(message) for _, message in pictures.heard] == [*range(ROUND), *range(ROUND)]
    for begin in (0, ROUND):
        took_s = np.ptp(pictures.stamps()[begin : begin + ROUND]) / 1e9
        assert took_s == pytest.approx(sum(INTERVALS_MS) / 4e3, abs=2 * LATE_S)


def test_it_ends_on_ctrl_c_in_the_midst_of_its_pictures(client, pictures, recording):
    with replaying(client, recording=recording) as process:
        assert wait_for(lambda: len(pictures.heard) > 3, 10.0), process.output()
        began_s = time.monotonic()
        assert process.interrupt() == 0, process.output()
        assert time.monotonic() - began_s < 3.0
        assert "Traceback" not in process.output()


def test_where_the_camera_stands_is_said_to_be_unknown_when_its_file_is_another_camera_s(client, tmp_path):
    pairs = list(noise(STAMPS_NS))
    for image, _ in pairs:
        image.header.frame_id = "wrist_optical_frame"
    with replaying(client, recording=write_pictures(tmp_path / "run", pairs)) as process:
        sentence = "/tf_static says where 'front_camera_optical_frame' of the camera file is, but these pictures are in"
        assert f"{sentence} 'wrist_optical_frame'" in process.output()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "the parameter recording has to name the folder of a recording."),
        ({"recording": "none"}, "none is not a finished recording"),
        ({"recording": "short"}, "short has 1 pictures of /camera/image_raw; it takes two to play them."),
        ({"recording": "short", "topic": "/other"}, "must hold /other of sensor_msgs/msg/Image"),
    ],
)
def test_what_cannot_be_played_is_one_sentence_when_it_is_configured(client, tmp_path, given, sentence):
    write_pictures(tmp_path / "short", noise(STAMPS_NS[:1]))
    given = given | ({"recording": tmp_path / given["recording"]} if "recording" in given else {})
    with node_process("replay_camera", "camera", **given) as process:
        assert not changes(client, "camera", Transition.TRANSITION_CONFIGURE)
        assert process.interrupt() == 0
        assert process.output().count("camera cannot configure: ") == 1
        assert sentence in process.output()
        assert "Traceback" not in process.output()


def test_a_recording_that_breaks_off_ends_with_a_sentence_and_silence(client, pictures, tmp_path):
    pairs = list(noise(STAMPS_NS, 640, 480))
    folder = write_pictures(tmp_path / "run", pairs)
    damage(folder, pairs[-1][0], 2**40)
    with replaying(client, recording=folder) as process:
        assert wait_for(lambda: "the recording breaks off" in process.output(), 10.0)
        assert wait_for(lambda: len(pictures.heard) >= 2, 2.0)
        assert process.interrupt() == 0
        assert "Traceback" not in process.output()


def test_the_encoder_of_the_bringup_sees_recorded_pictures_as_of_now(client, recording, checkpoint):
    heard = []
    subscription = client.node.create_subscription(
        Latent, "latent", lambda m: heard.append((time.time_ns(), m)), qos.EVENTS
    )
    bringup = LAUNCH_FILE.with_name("bringup.launch.xml")
    given = {"arm": "loopback", "camera": "replay", "recording": str(recording), "checkpoint": checkpoint}
    with launched(bringup, config="analytic", **given) as launch:
        client.wait_until_active(120.0)
        assert wait_for(lambda: len(heard) >= ROUND, 30.0), launch.output()
        assert launch.interrupt() == 0
    client.node.destroy_subscription(subscription)
    for heard_ns, latent in heard:
        assert 0.0 <= (heard_ns - to_ns(latent.header.stamp)) / 1e9 < 1.0
    assert len({as_array(latent.image_latent).tobytes() for _, latent in heard}) > 1  # it sees more than one picture
