"""Every kind of encoder, as training and as the encoder node use it."""

import numpy as np
import pytest
import torch

from ami_robot.perception.checkpoint import load_checkpoint, save_checkpoint
from ami_robot.perception.conv import ConvConfig
from ami_robot.perception.encoder import EncoderConfig, GoalHead, ImageEncoder, normalise_pictures
from ami_robot.perception.grid import GridConfig
from ami_robot.perception.keypoints import KeypointsConfig
from ami_robot.perception.slots import SlotsConfig
from ami_robot.perception.vit import ViTConfig
from ami_robot.strict import StrictError

KINDS = {
    "conv": ConvConfig(16, (8, 8, 8, 8), 32, 32),
    "grid": GridConfig((8, 8, 8), 8, 3, 32),
    "coarse grid": GridConfig((8, 8, 8), 4, 5, 32),
    "keypoints": KeypointsConfig(16, (8, 8, 8, 8), 8, 4, 32, 32),
    "slots": SlotsConfig((8, 8, 8), 4, 6, 32),
    "vit": ViTConfig(8, 16, 2, 2, 3, 4, 32),
}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def config(request):
    torch.manual_seed(0)
    return request.param


def pictures(count):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3), np.uint8))


def test_a_checkpoint_says_its_kind_and_gives_the_same_latents(config, tmp_path):
    encoder = config.build().eval()
    modules = {"encoder": encoder, "goal_head": GoalHead(config)}
    checkpoint = save_checkpoint(tmp_path, modules, {"encoder": config}, {})
    assert checkpoint.config["encoder"]["kind"] == config.kind
    assert load_checkpoint(tmp_path).sizes("encoder", EncoderConfig) == config
    with torch.inference_mode():
        expected = encoder(normalise_pictures(pictures(1)))[0]
    node = ImageEncoder(checkpoint)
    found = node.encode(pictures(1)[0].numpy())
    assert (found == expected.numpy()).all() and found.shape == (node.latent_dim,) == (config.latent_dim,)
    assert config.latent_dim % config.tokens == 0


def test_a_picture_is_encoded_alike_alone_and_among_others(config):
    encoder, views = config.build().eval(), normalise_pictures(pictures(3))
    with torch.inference_mode():
        torch.testing.assert_close(encoder(views)[2:], encoder(views[2:]), atol=1e-5, rtol=1e-4)


def test_every_weight_learns(config):
    encoder = config.build().train()
    encoder(normalise_pictures(pictures(4))).square().sum().backward()
    assert not [name for name, weight in encoder.named_parameters() if weight.grad is None]


def test_a_slot_says_where_what_it_looks_for_is():
    config = SlotsConfig((8, 8, 8), 1, 2, 8)
    encoder = config.build().eval()
    attention = torch.full((1, 1, 16, 16), -50.0)
    attention[0, 0, 12, 3] = 50.0  # row, column
    encoder.attention.forward = lambda features: attention
    with torch.inference_mode():
        row, column = encoder(normalise_pictures(pictures(1)))[0, :2] / encoder.gain[0]
    assert abs(row - (2 * 12 / 15 - 1)) < 1e-5 and abs(column - (2 * 3 / 15 - 1)) < 1e-5


def test_a_keypoint_is_between_the_pixels_that_its_map_looks_at():
    encoder = KeypointsConfig(16, (8, 8, 8, 8), 8, 1, 32, 32).build()
    maps = torch.full((1, 1, 32, 32), -50.0)
    maps[0, 0, 20, 5:7] = 30.0  # row, columns
    row, column, peak = encoder._looked_at(maps)[0]
    assert abs(row - 2 * (2 * 20 / 31 - 1)) < 1e-5 and abs(column - 2 * (2 * 5.5 / 31 - 1)) < 1e-5 and peak == 3.0


def test_what_changes_in_a_corner_of_the_picture_changes_that_corner_of_the_grid_most():
    encoder = GridConfig((16, 16, 16), 8, 4, 8).build().eval()
    views = torch.zeros(2, 3, 64, 64)
    views[1, :, :12, 50:] = 0.5
    with torch.inference_mode():
        without, marked = encoder(views).view(2, 8, 8, 4)
    change = (marked - without).norm(dim=-1)
    assert change[:3, 5:].mean() > 5 * change[5:, :3].mean()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: ConvConfig(16, (8, 8, 8, 12), 32, 32), "channels have to be positive multiples of 8"),
        (lambda: GridConfig((8, 8, 8), 5, 3, 32), "cells has to be 8 or 4, got 5"),
        (lambda: KeypointsConfig(16, (8, 8, 8, 8), 12, 4, 32, 32), "channels have to be positive multiples of 8"),
        (lambda: SlotsConfig((8, 8, 8), 0, 3, 32), "slots has to be at least 1"),
        (lambda: ViTConfig(7, 16, 2, 2, 3, 4, 32), "patch has to divide the 64 pixels"),
        (lambda: ViTConfig(8, 15, 2, 2, 3, 4, 32), "width has to be a positive multiple of heads"),
    ],
)
def test_sizes_that_no_network_can_have_are_refused_in_a_sentence(make, sentence):
    with pytest.raises(StrictError, match=sentence):
        make()
