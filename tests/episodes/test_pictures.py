"""Recorded pictures are played to the bit, in their intervals, a little of the file in memory at a time."""

from __future__ import annotations

import tracemalloc
from itertools import islice

import pytest
from rclpy.serialization import serialize_message

from ami_robot.episodes.pictures import PictureRecording, restamped
from ami_robot.episodes.recording import RecordingError, RecordingWriter
from tests.episodes.picture_messages import IMAGES, damage, noise, write_pictures

STAMPS_NS = [1_000_000_000 + 1_000_000 * ms for ms in (0, 40, 100, 120)]


@pytest.fixture
def pairs():
    return list(noise(STAMPS_NS))


def test_pictures_come_back_to_the_bit_and_in_order_with_the_intervals_of_their_stamps(tmp_path, pairs):
    recording = PictureRecording(write_pictures(tmp_path / "run", pairs))
    played = list(recording.play(loop=False))
    assert [interval_ns for interval_ns, _ in played] == [0, 40_000_000, 60_000_000, 20_000_000]
    assert [picture.image for _, picture in played] == [serialize_message(image) for image, _ in pairs]
    assert [picture.stamp_ns for _, picture in played] == STAMPS_NS
    assert recording.frame_id == "front_camera_optical_frame"


def test_a_loop_has_no_seam(tmp_path, pairs):
    played = list(islice(PictureRecording(write_pictures(tmp_path / "run", pairs)).play(loop=True), 10))
    assert [interval_ns // 1_000_000 for interval_ns, _ in played] == [0, 40, 60, 20, 20, 40, 60, 20, 20, 40]
    assert [picture.stamp_ns for _, picture in played] == [*STAMPS_NS, *STAMPS_NS, *STAMPS_NS[:2]]


def test_a_picture_has_the_newest_camera_info_and_the_first_picture_the_first(tmp_path, pairs):
    for number, (_, info) in enumerate(pairs):
        info.binning_x = number
    pictures = list(PictureRecording(write_pictures(tmp_path / "run", pairs)).pictures())
    assert [picture.info for picture in pictures] == [serialize_message(pairs[index][1]) for index in (0, 0, 1, 2)]


def test_another_stamp_changes_the_stamp_alone(pairs):
    image = pairs[0][0]
    changed = restamped(serialize_message(image), 12_345_678_901)
    image.header.stamp.sec, image.header.stamp.nanosec = 12, 345_678_901
    assert changed == serialize_message(image)


def test_a_long_recording_is_not_held_in_memory(tmp_path):
    """40 pictures of 0.9 MB, several times the bound."""
    pairs = noise(range(0, 40 * 33_000_000, 33_000_000), 640, 480)
    recording = PictureRecording(write_pictures(tmp_path / "run", pairs))
    tracemalloc.start()
    try:
        assert sum(1 for _ in islice(recording.play(loop=True), 90)) == 90
        assert tracemalloc.get_traced_memory()[1] < 12e6
    finally:
        tracemalloc.stop()


def test_of_several_topics_one_is_named(tmp_path, pairs):
    both = ["/left/image_raw", "/right/image_raw"]
    write_pictures(tmp_path / "run", pairs, images=both, infos=["/right/camera_info"])
    with pytest.raises(RecordingError, match=r"must hold one topic of .* it has /left/image_raw, /right/image_raw"):
        PictureRecording(tmp_path / "run")
    with pytest.raises(RecordingError, match="must hold /other of"):
        PictureRecording(tmp_path / "run", "/other")
    with pytest.raises(RecordingError, match="no sensor_msgs/msg/CameraInfo on /left/camera_info"):
        PictureRecording(tmp_path / "run", "/left/image_raw")
    assert len(list(PictureRecording(tmp_path / "run", "/right/image_raw").pictures())) == len(pairs)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_pictures_to_know_their_interval_are_refused(tmp_path, pairs, count):
    with pytest.raises(RecordingError, match=f"has {count} pictures of {IMAGES}; it takes two"):
        PictureRecording(write_pictures(tmp_path / "run", pairs[:count]))


def test_what_is_no_recording_or_has_no_pictures_is_refused(tmp_path):
    with pytest.raises(RecordingError, match="not a finished recording"):
        PictureRecording(tmp_path / "none")
    with RecordingWriter(tmp_path / "run") as writer:
        writer.add_topic("/chatter", "std_msgs/msg/String", "string data\n")
    with pytest.raises(RecordingError, match=r"must hold one topic of sensor_msgs/msg/Image.* it has none"):
        PictureRecording(tmp_path / "run")


def test_pictures_whose_stamps_go_back_have_no_intervals(tmp_path, pairs):
    pairs[2][0].header.stamp = pairs[0][0].header.stamp
    recording = PictureRecording(write_pictures(tmp_path / "run", pairs))
    with pytest.raises(RecordingError, match="stamp, 1000000000 ns, follows 1040000000 ns"):
        list(recording.pictures())


@pytest.mark.parametrize("length", [2**40, 5])
def test_a_damaged_file_is_named_where_it_breaks(tmp_path, length):
    """A message in the midst of it claims to be longer than the file, or shorter than can be."""
    pairs = list(noise(STAMPS_NS, 640, 480))
    folder = write_pictures(tmp_path / "run", pairs)
    damage(folder, pairs[2][0], length)
    with pytest.raises(RecordingError, match="breaks off"):
        list(PictureRecording(folder).pictures())
