"""The calibration of the model's error on rollouts whose errors are known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ami_calibration.errors import CalibrationError
from ami_calibration.model_error import calibrate, fewest_episodes
from ami_calibration.rollouts import FIRST_SCENE, SCENES_PER_SEED, SEEDS, Rollout
from ami_robot.cli.calibrate import model_error_table
from ami_robot.perception.checkpoint import DEFAULT_CHECKPOINT
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.model_error import dump_model_error, load_model_error
from ami_robot.safety.spec import load_spec
from ami_robot.types import GRIPPER_WIDTH, TOOL_POSITION, TOOL_TARGET
from ami_robot.world_model.kinematic import KinematicModel
from ami_sim.collect import FIRST_SEED

SPEC, KINEMATICS = load_spec(), Kinematics()
START, BLOCK = np.array([0.5, 0.0, 0.2]), np.array([0.5, 0.1, 0.02])
STEPS, HORIZON = 24, 6


class Still(KinematicModel):
    """The tool does what it is told and the latent stays: both wrong by the noise that `rollout` puts in."""


def rollout(rng, by_agent, tip_error_m, latent_error=0.1, with_block=False):
    """An arm that misses each target by a vector of that scale."""
    actions = np.zeros((STEPS, 4))
    actions[:, :3] = rng.normal(0, 0.004, (STEPS, 3))
    targets = START + np.vstack([np.zeros(3), np.cumsum(actions[:, :3], axis=0)])
    tools = targets + rng.normal(0, tip_error_m, targets.shape)
    proprio = np.zeros((STEPS + 1, 10))
    proprio[:, TOOL_POSITION], proprio[:, TOOL_TARGET], proprio[:, GRIPPER_WIDTH] = tools, targets, 0.04
    latents = rng.normal(0, latent_error, (STEPS + 1, 32))
    block = np.tile(BLOCK, (STEPS + 1, 1)) if with_block else None
    return Rollout(by_agent, latents, proprio, KINEMATICS.inverse(tools)[0], actions, block)


class Head:
    """Reads the block out of a latent, 1 cm off for each unit of its first three numbers."""

    def decode(self, latents):
        return BLOCK + 0.01 * latents[..., :3]


def solve(tip_error_m=0.003, episodes=250, seed=0, spec=SPEC, block_head=None, shown=0):
    """The last argument: how many of the episodes show a single block."""
    rng = np.random.default_rng(seed)
    rollouts = [rollout(rng, number % 3 != 2, tip_error_m, with_block=number < shown) for number in range(episodes)]
    return calibrate(rollouts, Still(), "a" * 64, HORIZON, spec, KINEMATICS, seed, ["reach"], block_head)


@pytest.fixture(scope="module")
def bound():
    return solve()


def test_the_bound_is_the_quantile_of_the_greatest_error_over_the_horizon(bound):
    draws = np.linalg.norm(np.random.default_rng(5).normal(0, 0.003, (20000, HORIZON + 1, 3)), axis=-1).max(axis=1)
    assert bound.quantities_m["tip"] == pytest.approx(np.quantile(draws, 0.9), rel=0.1)
    assert bound.bound_m >= bound.quantities_m["tip"] - 1e-5
    assert bound.horizon == HORIZON + 1 and bound.checkpoint_sha256 == "a" * 64


def test_coverage_on_episodes_it_was_not_made_from_is_within_binomial_error(bound):
    coverage = bound.record["validation"]["coverage"]["all"]
    low, high = coverage["interval_95"]
    assert low <= 0.9 <= high
    assert coverage["of"] == bound.record["episodes"]["validation"] >= 90


def test_a_shift_of_all_errors_is_seen_within_five_steps_and_good_models_seldom_stopped(bound):
    found = bound.record["validation"]
    for name in ("agent", "random_actions"):
        assert found["shift"][name]["rate"] > 0.95, name  # every latent errs alike here, so little is hidden in noise
    in_pictures = found["shift"]["agent_in_pictures"]["rate"]
    assert in_pictures < 0.2, "to a model that never foresees a change a picture further off is just a larger change"
    assert found["shift"]["agent"]["of"] >= 60 and found["shift"]["agent"]["steps_median"] <= 3
    assert found["false_trips"]["agent"]["interval_95"][0] <= 0.05


def test_twice_the_error_gives_twice_the_bound(bound):
    assert solve(tip_error_m=0.006).quantities_m["tip"] == pytest.approx(2 * bound.quantities_m["tip"], rel=1e-3)


def test_what_is_not_decoded_is_named_with_the_reason(bound):
    assert set(bound.quantities_m) == {"tip", "elbow"} and "blocks" in bound.left_out["object"]


def test_a_block_has_a_bound_of_its_own_where_a_head_reads_it_and_margins_are_as_without(bound):
    with_head = solve(block_head=Head(), shown=250)
    off = np.linalg.norm(np.random.default_rng(5).normal(0, 0.1, (20000, 3)), axis=1)  # the still latent's
    assert with_head.quantities_m["object"] == pytest.approx(0.01 * np.quantile(off, 0.9), rel=0.1)
    assert with_head.bound_m == bound.bound_m and with_head.left_out == {}
    covered = with_head.record["validation"]["coverage_by_quantity"]["object"]
    assert covered["interval_95"][0] <= 0.9 <= covered["interval_95"][1] and covered["of"] >= 90
    assert "object, by itself" in model_error_table(with_head) and "covered, object" in model_error_table(with_head)


def test_a_block_that_too_few_episodes_show_alone_has_no_bound():
    found = solve(block_head=Head(), shown=9)  # three groups of three, which calibrate
    assert "9 of the calibrating episodes show a single block; it takes 20" in found.left_out["object"]


def test_what_is_written_can_be_read(bound, tmp_path):
    path = tmp_path / "model_error.yaml"
    path.write_text(dump_model_error(bound))
    loaded = load_model_error(path)
    assert replace(loaded, drift=bound.drift) == bound
    np.testing.assert_array_equal(loaded.drift.whitening, bound.drift.whitening, strict=True)
    np.testing.assert_array_equal(loaded.drift.expected, bound.drift.expected, strict=True)
    assert loaded.drift.limit == bound.drift.limit


def test_the_page_on_model_error_shows_the_table_of_the_shipped_calibration():
    page = Path(__file__).parents[2] / "docs/explanation/model-error.md"
    shipped = load_model_error(Path(DEFAULT_CHECKPOINT) / "model_error.yaml")
    assert model_error_table(shipped) in page.read_text()


def test_too_few_episodes_are_refused():
    with pytest.raises(CalibrationError, match=f"at least {fewest_episodes(SPEC)} are needed"):
        solve(episodes=fewest_episodes(SPEC) - 1)
    strict = replace(SPEC, model_error=replace(SPEC.model_error, miscoverage=0.01))
    assert fewest_episodes(strict) > 300


def test_a_model_that_imagines_nothing_finite_gets_no_bound():
    class Broken(Still):
        def predict(self, *args):
            outcomes = super().predict(*args)
            outcomes.proprio[..., TOOL_POSITION] = np.nan
            return outcomes

    rng = np.random.default_rng(0)
    rollouts = [rollout(rng, number % 3 != 2, 0.003) for number in range(fewest_episodes(SPEC))]
    with pytest.raises(CalibrationError, match="not finite"):
        calibrate(rollouts, Broken(), "a" * 64, HORIZON, SPEC, KINEMATICS, 0, ["reach"])


def test_its_scenes_are_those_of_no_training_set_and_no_benchmark():
    assert FIRST_SCENE > 200_000 and FIRST_SCENE + SEEDS * SCENES_PER_SEED <= FIRST_SEED
