import hashlib
import re

import numpy as np
import pytest

from ami_robot.safety.spec import DEFAULT_SPEC, SpecError, load_spec


def edited(tmp_path, old: str, new: str):
    """The guardrail file with one piece of text replaced."""
    text = DEFAULT_SPEC.read_text()
    assert text.count(old) == 1, f"{old!r} must stand exactly once in the file"
    path = tmp_path / "edited.yaml"
    path.write_text(text.replace(old, new))
    return path


def test_the_limits_are_those_of_the_datasheet(spec):
    np.testing.assert_array_equal(
        spec.joint_position.upper_rad, [2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973]
    )
    np.testing.assert_array_equal(
        spec.joint_position.lower_rad, [-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973]
    )
    np.testing.assert_array_equal(spec.joint_velocity.limit_rad_per_s, [2.175] * 4 + [2.61] * 3)
    np.testing.assert_array_equal(spec.joint_acceleration.limit_rad_per_s2, [15, 7.5, 10, 12.5, 15, 20, 20])
    np.testing.assert_array_equal(spec.joint_jerk.limit_rad_per_s3, [7500, 3750, 5000, 6250, 7500, 10000, 10000])
    np.testing.assert_array_equal(spec.torque.limit_n_m, [87] * 4 + [12] * 3)


def test_commands_use_less_than_the_limits(spec):
    assert (spec.joint_position.command_lower_rad > spec.joint_position.lower_rad).all()
    assert (spec.joint_position.command_upper_rad < spec.joint_position.upper_rad).all()
    np.testing.assert_allclose(spec.joint_velocity.command_limit_rad_per_s, 0.9 * spec.joint_velocity.limit_rad_per_s)
    np.testing.assert_allclose(
        spec.joint_acceleration.command_limit_rad_per_s2, 0.9 * spec.joint_acceleration.limit_rad_per_s2
    )
    np.testing.assert_allclose(spec.joint_jerk.command_limit_rad_per_s3, 0.9 * spec.joint_jerk.limit_rad_per_s3)
    np.testing.assert_allclose(spec.torque.command_limit_n_m, 0.9 * spec.torque.limit_n_m)


def test_the_hash_is_that_of_the_file(spec):
    assert spec.sha256 == hashlib.sha256(DEFAULT_SPEC.read_bytes()).hexdigest()


def test_limits_cannot_be_changed_in_memory(spec):
    with pytest.raises(ValueError, match="read-only"):
        spec.joint_velocity.limit_rad_per_s[0] = 99.0


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("  margin_rad: 0.02\n", "", "'margin_rad' is missing"),
        ("  margin_rad: 0.02\n", "  margin_rad: 0.02\n  margin_deg: 1\n", "unknown key 'margin_deg'"),
        ("  margin_rad: 0.02\n", "  margin_rad: 0.02\n  margin_rad: 0.0\n", "'margin_rad' is given twice"),
        ("  margin_rad: 0.02\n", "  margin_rad: .nan\n", "finite number"),
        ("  margin_rad: 0.02\n", "  margin_rad: .inf\n", "finite number"),
        ("  margin_rad: 0.02\n", "  margin_rad: true\n", "finite number"),
        ("  margin_rad: 0.02\n", "  margin_rad: '0.02'\n", "finite number"),
        ("  margin_rad: 0.02\n", "  margin_rad: -0.02\n", "margin_rad must not be below 0"),
        ("  margin_rad: 0.02\n", "  margin_rad: 2.0\n", ": joint_position is empty"),
        ("  lower_m: [0.30, -0.30, 0.03]\n", "  lower_m: [0.30, -0.30]\n", "has 2 numbers, it needs 3"),
        ("  lower_m: [0.30, -0.30, 0.03]\n", "  lower_m: [0.30, 0.30, 0.03]\n", ": workspace is empty"),
        ("  lower_m: [0.30, -0.30, 0.03]\n", "  lower_m: 0.3\n", "expected a list"),
        ("  limit_rad_per_s2: [15.0, 7.5,", "  limit_rad_per_s2: [15.0, 0.0,", "limit_rad_per_s2 must be positive"),
        ("  max_m_per_step: 0.04\n", "  max_m_per_step: 0.0\n", "max_m_per_step must be positive"),
        ("  max_error_rad: 0.1\n", "  max_error_rad: -0.1\n", "max_error_rad must be positive"),
        ("  jitter_s: 0.03\n", "  jitter_s: -0.03\n", "jitter_s must not be below 0"),
        ("[panda_joint1, panda_joint2,", "[panda_joint1, panda_joint1,", "7 different names"),
        ("[panda_joint1, panda_joint2,", "[panda_joint2,", "7 different names"),
        ("[panda_joint1, panda_joint2,", "['', panda_joint2,", "expected a text"),
        ("[panda_joint1, panda_joint2,", "[1, panda_joint2,", "expected a text"),
        ("robot: panda", "sha256: 0\nrobot: panda", "unknown key 'sha256'"),
        ("robot: panda", "robot: [panda", "is not YAML"),
        ("robot: panda", "3: 4\nrobot: panda", "unknown key 3; valid keys are robot,.* deadman\\.$"),
        ("  margin_rad: 0.02\n", "  margin_rad:\n", "expected a finite number, got None"),
        ("  margin_rad: 0.02\n", f"  margin_rad: 1{'0' * 400}\n", "expected a finite number, got 10{39}\\."),
        ("  margin_rad: 0.02\n", "  margin_rad: !!int x\n", "is not YAML"),
        ("  margin_rad: 0.02\n", f"  margin_rad: {'[' * 600}\n", "is not YAML"),
        ("  height_m: 0.0\n", "", "table: key 'height_m' is missing"),
        ("  clearance_m: 0.005\n", "  clearance_m: -0.005\n", "self_collision.clearance_m must not be below 0"),
        ("  min_singular_value: 0.05\n", "  min_singular_value: 0\n", "min_singular_value must be positive"),
        ("  lower_m: [-0.60, -0.75, 0.0]\n", "  lower_m: [0.90, -0.75, 0.0]\n", ": arm_space is empty"),
        (
            "      lower_m: [1.00, -0.08, 0.0]\n",
            "      lower_m: [1.20, -0.08, 0.0]\n",
            "obstacles.boxes: camera_post is empty",
        ),
        ("    - name: camera_post ", "    - nam: camera_post ", "boxes.0.: unknown key 'nam'"),
        ("  upper_m: 0.08\n", "  upper_m: 0.0\n", "gripper.upper_m must be positive"),
        ("  lower_m: 0.0\n  upper_m: 0.08\n", "  lower_m: 0.09\n  upper_m: 0.08\n", ": gripper is empty"),
        ("source_of_people: none_fenced_cell", "source_of_people: camera", "must be one of topic, none_fenced_cell"),
        ("  max_speed_m_per_s: 1.6\n", "  max_speed_m_per_s: 0\n", "people.max_speed_m_per_s must be positive"),
        ("  reaction_s: 0.05 ", "  reaction_s: -0.05 ", "reaction_s must be positive"),
        ("{name: hand, max_force_n: 280.0,", "{name: hand, max_force_n: -280.0,", "0..max_force_n must be positive"),
        ("{name: chest, ", "{name: hand, ", ": power_and_force.regions has a name twice"),
        ("{name: edge, ", "{name: blunt, ", ": tool_hazard.classes must hold blunt, edge and point once each"),
        ("{name: edge, ", "{name: spoon, ", "must be one of blunt, edge, point, got 'spoon'"),
        ("may_face_people: true", "may_face_people: 1", "expected true or false, got 1"),
        ("  max_facing_cosine: 0.5 ", "  max_facing_cosine: 1.5 ", "max_facing_cosine must not be above 1"),
        ("  max_facing_cosine: 0.5 ", "  max_facing_cosine: -1.5 ", "max_facing_cosine must not be below -1"),
        ("  miscoverage: 0.1\n", "  miscoverage: 1.1\n", "miscoverage must not be above 1"),
        ("  window: 5 ", "  window: 2 ", "trips is greater than its window"),
        ("  trips: 3 ", "  trips: 2.5 ", "trips must be a whole number"),
        ("  max_points: 100\n", "  max_points: 0\n", "max_points must not be below 1"),
        ("  future_s: 0.05 ", "  future_s: -0.05 ", "future_s must not be below 0"),
        ("  max_silence_s: 0.0 ", "  max_silence_s: -1.0 ", "max_silence_s must not be below 0"),
        ("  sources: [teleop] ", "  sources: teleop ", "sources: expected a list"),
        ("  sources: [teleop] ", "  sources: [3] ", "sources.0.: expected a text"),
    ],
)
def test_a_mistake_in_the_file_is_one_clear_sentence(tmp_path, old, new, sentence):
    path = edited(tmp_path, old, new)
    with pytest.raises(SpecError, match=sentence) as caught:
        load_spec(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fraction", ["0.0", "1.1", "-0.5"])
@pytest.mark.parametrize("row", ["joint_velocity", "joint_acceleration", "joint_jerk", "torque"])
def test_a_command_fraction_outside_0_to_1_is_refused(tmp_path, row, fraction):
    head, tail = re.split(rf"^{row}:.*\n", DEFAULT_SPEC.read_text(), flags=re.MULTILINE)
    path = tmp_path / "edited.yaml"
    path.write_text(f"{head}{row}:\n{tail.replace('command_fraction: 0.9', f'command_fraction: {fraction}', 1)}")
    with pytest.raises(SpecError, match=f"{row}.command_fraction"):
        load_spec(path)


@pytest.mark.parametrize("content", ["", "just a text", "[1, 2]", "a: !!python/object:os.system x"])
def test_what_is_no_guardrail_file_is_refused(tmp_path, content):
    path = tmp_path / "other.yaml"
    path.write_text(content)
    with pytest.raises(SpecError):
        load_spec(path)


def test_a_missing_file_is_one_clear_sentence(tmp_path):
    with pytest.raises(SpecError, match="cannot be read"):
        load_spec(tmp_path / "nowhere.yaml")


def test_a_body_without_regions_is_refused(tmp_path):
    head, tail = DEFAULT_SPEC.read_text().split("  regions:  ")
    path = tmp_path / "edited.yaml"
    path.write_text(f"{head}  regions: []\n  source: {tail.split('  source: ', 1)[1]}")
    with pytest.raises(SpecError, match="name at least one region"):
        load_spec(path)


def test_every_row_has_a_source(spec):
    rows = [value for value in vars(spec).values() if hasattr(value, "__dataclass_fields__")]
    assert len(rows) == 27
    assert all(len(row.source) > 20 for row in rows)
