"""The bound covers what it says it covers, and a record that does not fit is refused in one sentence."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from ami_robot.perception.checkpoint import DEFAULT_CHECKPOINT, read_description
from ami_robot.safety.arm_panda import HOME
from ami_robot.safety.drift import MOTION_FEATURES, DriftTest
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.model_error import (
    ModelErrorBound,
    ModelErrorError,
    conformal_bound,
    decoded_errors,
    dump_model_error,
    load_model_error,
    unusable_bound,
)
from ami_robot.safety.spec import load_spec

SPEC, KINEMATICS = load_spec(), Kinematics()
BOUND = ModelErrorBound(
    "a" * 64,
    0.1,
    7,
    0.012,
    {"tip": 0.011, "elbow": 0.01},
    {"object": "not decoded"},
    {"seed": 0},
    DriftTest(np.eye(3, dtype=np.float32), np.arange(6 + MOTION_FEATURES, dtype=np.float32), 1.4),
)


def test_the_bound_is_the_order_statistic_of_split_conformal_prediction():
    scores = np.random.default_rng(0).permutation(np.arange(1.0, 100.0))  # 1..99
    assert conformal_bound(scores, 0.1) == 90.0  # ceil(100 * 0.9)
    assert conformal_bound(scores[scores <= 98], 0.1) == 90.0  # ceil(99 * 0.9) = ceil(89.1)


def test_too_little_data_gives_no_bound():
    assert conformal_bound(np.ones(19), 0.1) == np.inf
    assert conformal_bound(np.ones(20), 0.1) == 1.0
    assert conformal_bound(np.ones(0), 0.1) == np.inf


def test_a_score_that_is_nan_counts_as_infinite():
    scores = np.ones(30)
    scores[:2] = np.nan
    assert conformal_bound(scores, 0.1) == 1.0
    scores[:5] = np.nan
    assert conformal_bound(scores, 0.1) == np.inf


@pytest.mark.parametrize("delta", [0.0, 1.0, float("nan"), -0.1])
def test_a_miscoverage_that_is_no_share_is_refused(delta):
    with pytest.raises(ValueError, match="miscoverage"):
        conformal_bound(np.ones(50), delta)


@pytest.mark.parametrize(("delta", "n"), [(0.1, 100), (0.1, 400), (0.02, 200)])
def test_coverage_of_heavy_tailed_horizon_maxima(delta, n):
    """Over many calibrations the next score lies within with probability 1 - delta, at most 1 / (n + 1) more."""
    rng = np.random.default_rng(1)
    draws = np.abs(rng.standard_t(3, (4000, n + 1, 7))).max(axis=-1)  # max over a horizon
    covered = np.mean([row[-1] <= conformal_bound(row[:-1], delta) for row in draws])
    error = 4 * np.sqrt(delta * (1 - delta) / len(draws))
    assert 1 - delta - error <= covered <= 1 - delta + 1 / (n + 1) + error


def test_errors_are_distances_of_tip_and_elbow():
    q = np.stack([HOME, HOME])
    tool = KINEMATICS.tool_position(q)
    posture, _ = KINEMATICS.inverse(tool)
    aside = np.array([0.03, 0.0, 0.0])
    exact = decoded_errors(KINEMATICS, tool, tool, posture)
    np.testing.assert_allclose(exact["tip"], 0.0)
    np.testing.assert_allclose(exact["elbow"], 0.0, atol=1e-9)
    off = decoded_errors(KINEMATICS, tool + aside, tool, posture)
    np.testing.assert_allclose(off["tip"], 0.03)
    elbow = KINEMATICS.sphere_links == 4
    moved = KINEMATICS.spheres(KINEMATICS.inverse(tool + aside)[0])[:, elbow] - KINEMATICS.spheres(posture)[:, elbow]
    np.testing.assert_allclose(off["elbow"], np.linalg.norm(moved, axis=-1).max(axis=-1), atol=1e-6)
    assert np.all((off["elbow"] > 0.005) & (off["elbow"] < 0.05))


def test_errors_of_a_whole_batch_are_those_of_each_and_a_place_out_of_reach_adds_what_is_missed():
    tool = np.array([[[0.5, 0.0, 0.2], [0.4, 0.1, 0.3]], [[0.6, -0.2, 0.1], [1.2, 0.0, 0.3]]])
    joints = np.broadcast_to(HOME, (2, 2, 7))
    batch = decoded_errors(KINEMATICS, tool, tool, joints)
    assert batch["tip"].shape == batch["elbow"].shape == (2, 2)
    for index in np.ndindex(2, 2):
        alone = decoded_errors(KINEMATICS, tool[index][None], tool[index][None], joints[index][None])
        assert batch["elbow"][index] == pytest.approx(alone["elbow"][0])
    posture, missed_m = KINEMATICS.inverse(tool[1, 1])
    there = decoded_errors(KINEMATICS, tool[1, 1][None], tool[1, 1][None], posture[None])
    assert missed_m > 0.1
    assert there["elbow"][0] == pytest.approx(float(missed_m))


def test_the_record_survives_the_disk(tmp_path):
    path = tmp_path / "model_error.yaml"
    for bound in (BOUND, replace(BOUND, horizon=1)):
        path.write_text(dump_model_error(bound))
        loaded = load_model_error(path)
        assert replace(loaded, drift=bound.drift) == bound
        assert loaded.drift.limit == bound.drift.limit
        np.testing.assert_array_equal(loaded.drift.whitening, bound.drift.whitening, strict=True)
        np.testing.assert_array_equal(loaded.drift.expected, bound.drift.expected, strict=True)
    keys = [line.split(":")[0] for line in dump_model_error(BOUND).splitlines() if not line.startswith((" ", "-"))]
    assert keys == [field.name for field in fields(ModelErrorBound)], "in the order in which people read it"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: d.pop("bound_m"), "exactly the keys"),
        (lambda d: d.update(extra=1), "exactly the keys"),
        (lambda d: d.update(bound_m=float("inf")), "bound_m: expected a finite number"),
        (lambda d: d.update(bound_m=float("nan")), "bound_m: expected a finite number"),
        (lambda d: d.update(bound_m=0.0), "bound_m must be positive"),
        (lambda d: d.update(bound_m=True), "bound_m: expected a finite number"),
        (lambda d: d.update(horizon=0), "horizon: expected a whole number"),
        (lambda d: d.update(bound_m="1 cm"), "bound_m: expected a finite number"),
        (lambda d: d.update(record=[]), "record must be a mapping"),
        (lambda d: d.update(left_out={"object": 1}), "left_out: expected a text"),
        (lambda d: d["drift"].update(expected=[1.0, 2.0]), "expected: expected little-endian float32"),
        (lambda d: d["drift"].update(expected=b"abc"), "expected: expected little-endian float32"),
        (lambda d: d["drift"].update(expected=b""), "do not go together"),
        (lambda d: d["drift"].update(expected=bytes(4 * 13)), "do not go together"),
        (lambda d: d["drift"].update(whitening=bytes(4 * 8)), "do not go together"),
        (lambda d: d["drift"].update(whitening=np.full(9, np.nan, "<f4").tobytes()), "not finite"),
        (lambda d: d.update(horizon=7.0), "horizon: expected a whole number"),
        (lambda d: d.update(checkpoint_sha256=""), "checkpoint_sha256: expected a text"),
        (lambda d: d["quantities_m"].update(tip="1 cm"), "quantities_m: expected a finite number"),
        (lambda d: d.update(left_out=[]), "left_out must be a mapping"),
        (lambda d: d["drift"].pop("limit"), "drift must have exactly"),
        (lambda d: d["drift"].update(limit=float("nan")), "limit: expected a finite number"),
    ],
)
def test_a_record_that_is_not_whole_is_refused(tmp_path, change, sentence):
    document = yaml.safe_load(dump_model_error(BOUND))
    change(document)
    path = tmp_path / "model_error.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(ModelErrorError, match=sentence) as caught:
        load_model_error(path)
    assert "\n" not in str(caught.value)


def test_a_record_that_is_not_there_or_not_yaml_is_refused(tmp_path):
    with pytest.raises(ModelErrorError, match="ami calibrate model-error"):
        load_model_error(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1")
    with pytest.raises(ModelErrorError, match="not YAML"):
        load_model_error(tmp_path / "bad.yaml")


@pytest.mark.parametrize(
    ("change", "steps", "sentence"),
    [
        ({"bound_m": SPEC.model_error.max_bound_m + 1e-6}, 7, "train a better one"),
        ({"bound_m": float("nan")}, 7, "train a better one"),
        ({"miscoverage": 0.2}, 7, "miscoverage 0.2, the guardrail file says 0.1"),
        ({}, 8, "calibrated for 7 steps"),
    ],
)
def test_a_bound_that_does_not_fit_is_refused(change, steps, sentence):
    refusal = unusable_bound(replace(BOUND, **change), SPEC, steps)
    assert refusal is not None and refusal.guardrail == "model_error" and sentence in refusal.reason


def test_a_bound_that_fits_is_not_refused():
    assert unusable_bound(BOUND, SPEC, 7) is None
    assert unusable_bound(replace(BOUND, bound_m=SPEC.model_error.max_bound_m), SPEC, 1) is None


def test_a_bound_that_is_too_large_is_refused_by_how_much():
    refusal = unusable_bound(replace(BOUND, bound_m=SPEC.model_error.max_bound_m + 0.01), SPEC, 7)
    assert refusal.margin == pytest.approx(-0.01)
    assert np.isnan(unusable_bound(BOUND, SPEC, 8).margin)


def test_the_shipped_calibration_is_of_the_shipped_checkpoint_and_says_what_validation_found():
    bound = load_model_error(Path(DEFAULT_CHECKPOINT) / "model_error.yaml")
    assert bound.checkpoint_sha256 == read_description(DEFAULT_CHECKPOINT)["model_sha256"]
    assert unusable_bound(bound, SPEC, 7) is None
    assert set(bound.quantities_m) == {"tip", "elbow"} and "object" in bound.left_out
    assert bound.bound_m >= max(bound.quantities_m.values()) - 1e-5
    found = bound.record["validation"]
    low, high = found["coverage"]["all"]["interval_95"]
    assert low <= 1 - bound.miscoverage <= high
    assert found["coverage"]["all"]["of"] >= 100
    assert found["shift"]["agent"]["interval_95"][0] > 0.9, "a shift of 1.5 is seen within five steps"
    assert found["shift"]["agent"]["of"] >= 150
    low, high = found["false_trips"]["agent"]["interval_95"]
    assert low <= 0.05 and high <= 0.1
