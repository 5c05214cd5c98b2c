import numpy as np
import pytest
import yaml

from ami_robot.perception.camera import FRONT_CAMERA, CameraError, CameraModel, load_camera, save_camera


def edited(tmp_path, **changes):
    data = yaml.safe_load(FRONT_CAMERA.read_text()) | changes
    path = tmp_path / "camera.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in data.items() if value is not None}))
    return path


def test_front_camera_looks_at_the_middle_of_the_workspace():
    camera = load_camera()
    assert camera.size == (128, 128)
    np.testing.assert_allclose(camera.project(np.array([0.45, 0, 0.18])), [63.5, 63.5], atol=1e-4)
    left, right = camera.project(np.array([[0.49, -0.2, 0.02], [0.49, 0.2, 0.02]]))
    assert left[0] < 63.5 < right[0]  # facing the arm, its right hand side (-y) is on the left
    assert camera.project(np.array([0.45, 0, 0.4]))[1] < 63.5


def test_a_saved_camera_reads_back_exactly(tmp_path):
    camera = load_camera()
    save_camera(camera, tmp_path / "copy.yaml")
    copy = load_camera(tmp_path / "copy.yaml")
    assert isinstance(copy, CameraModel)
    for key, value in vars(camera).items():
        np.testing.assert_array_equal(getattr(copy, key), value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["copy.yaml"]


def test_resizing_moves_a_projected_point_with_its_pixel():
    camera, point = load_camera(), np.array([0.6, 0.2, 0.1])
    small = camera.resized(64, 32)
    expected = (camera.project(point) + 0.5) * [0.5, 0.25] - 0.5
    np.testing.assert_allclose(small.project(point), expected)


def test_a_point_behind_the_camera_has_no_pixel():
    assert np.isnan(load_camera().project(np.array([2.0, 0, 2.0]))).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"matrix": None}, "lacks matrix"),
        ({"fov": 44}, "unknown keys fov"),
        ({"width": 0}, "positive"),
        ({"position": [0.0, 0.0]}, "position has to be"),
        ({"position": [0.0, 0.0, float("nan")]}, "finite"),
        ({"rotation": [[1.0, 0, 0], [0, 1, 0], [0, 0, -1]]}, "right-handed"),
        ({"matrix": [[-1.0, 0, 64], [0, 1, 64], [0, 0, 1]]}, "fx, fy > 0"),
        ({"width": "wide"}, "is wrong"),
    ],
)
def test_an_impossible_camera_file_is_refused_with_a_sentence(tmp_path, changes, said):
    with pytest.raises(CameraError, match=said):
        load_camera(edited(tmp_path, **changes))


def test_a_missing_camera_file_is_refused_with_its_path(tmp_path):
    with pytest.raises(CameraError, match=r"nowhere\.yaml"):
        load_camera(tmp_path / "nowhere.yaml")


def test_the_front_camera_sees_the_tool_at_every_start_and_goal():
    corners = np.stack(np.meshgrid([0.34, 0.64], [-0.24, 0.24], [0.05, 0.30]), axis=-1).reshape(-1, 3)
    pixels = load_camera().project(corners)
    assert (pixels > 10).all()
    assert (pixels < 117).all()
