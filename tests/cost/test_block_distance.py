"""The cost of a block that is not where it is wanted, by a real head."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ami_robot.cost.block import BlockDistance
from ami_robot.cost.cost import CostError, Imagined
from ami_robot.perception.block_head import BlockHead, read_block_head
from ami_robot.perception.checkpoint import DEFAULT_CHECKPOINT, CheckpointError, load_checkpoint, save_checkpoint
from ami_robot.perception.conv import ConvConfig
from ami_robot.perception.encoder import PlaceHead
from ami_robot.types import PROPRIO_DIM, Belief, Goal, Outcomes

SIZES = ConvConfig(latent_dim=4, channels=(8, 8, 8, 8), hidden=8, head_hidden=16)
BELIEF = Belief(0, np.zeros(4), np.zeros(PROPRIO_DIM), np.zeros(7))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("head")
    save_checkpoint(out, {"block_head": PlaceHead(SIZES)}, {"encoder": SIZES}, {})
    return out


@pytest.fixture(scope="module")
def head(folder):
    return BlockHead(load_checkpoint(folder))


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    outcomes = Outcomes(rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, PROPRIO_DIM)))
    return Imagined(BELIEF, Goal(None, block_position=np.array([0.5, 0.1, 0.02])), np.zeros((2, 3, 4)), outcomes)


def test_it_is_in_metres_and_the_last_step_weighs_most(head, case):
    lengths = np.linalg.norm(head.decode(case.outcomes.image_latents) - case.goal.block_position, axis=-1)
    np.testing.assert_allclose(BlockDistance(0.3, head)(case), lengths @ [0.3, 0.3, 1.0] / 1.6)


def test_its_slopes_are_its_differences(head, case):
    cost, latents, step = BlockDistance(0.3, head), case.outcomes.image_latents, 1e-2  # the head computes in float32
    slopes = cost.slopes(case)
    for index in np.ndindex(*latents.shape):
        moved = [latents.copy() for _ in range(2)]
        moved[0][index] -= step
        moved[1][index] += step
        low, high = (cost(replace(case, outcomes=replace(case.outcomes, image_latents=m)))[index[0]] for m in moved)
        assert slopes.image_latents[index] == pytest.approx((high - low) / (2 * step), abs=2e-4)
    assert np.abs(slopes.image_latents).max() > 1e-3
    assert not slopes.actions.any() and not slopes.proprio.any()


def test_nan_in_a_latent_is_nan_in_the_cost_of_that_candidate_alone(head, case):
    case.outcomes.image_latents[1] = np.nan
    assert np.isnan(BlockDistance(0.3, head)(case)).tolist() == [False, True]


def test_a_goal_that_says_nothing_of_the_block_is_not_for_it(head, case):
    cost, goal = BlockDistance(0.3, head), Goal(np.zeros(3))
    assert not cost.applies_to(goal) and cost.applies_to(case.goal)
    with pytest.raises(CostError, match="where the block is to be"):
        cost(replace(case, goal=goal))


def test_a_head_is_read_only_for_the_latents_of_its_own_encoder(folder, head):
    assert read_block_head(folder, head.checkpoint_sha256).checkpoint_sha256 == head.checkpoint_sha256
    with pytest.raises(CheckpointError, match="these are of 000000000000"):
        read_block_head(folder, "0" * 64)
    with pytest.raises(CheckpointError, match="no head for the block"):
        read_block_head(DEFAULT_CHECKPOINT)
