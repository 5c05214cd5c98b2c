import pytest
import torch

from ami_robot.learning.masked_jepa import MaskedJEPA, TokenPredictorConfig, sine_positions
from ami_robot.learning.masks import MaskConfig, MaskError, draw_masks
from ami_robot.learning.token_encoders import TubeletTokens, token_encoder
from ami_robot.perception.conv import ConvConfig
from ami_robot.perception.encoder import normalise_pictures
from ami_robot.perception.grid import GridConfig
from ami_robot.perception.slots import SlotsConfig
from ami_robot.perception.vit import ViTConfig

VIT = ViTConfig(patch=8, width=24, depth=2, heads=2, summaries=2, summary_dim=8, head_hidden=16)
MASKS = MaskConfig(2, 0.15, 0.25, 0.5, 2.0, 1.0, 1.0, 0.9, 1.0, 4)
KINDS = {
    "conv": (ConvConfig(12, (8, 8, 16, 24), 16, 16), 1, 1),
    "grid": (GridConfig((8, 8, 16), 8, 24, 16), 1, 1),
    "picture": (VIT, 1, 1),
    "clip": (VIT, 4, 2),
}


@pytest.fixture(params=KINDS)
def case(request):
    """(model, clips, masks) of each kind."""
    torch.manual_seed(0)
    config, frames, tubelet = KINDS[request.param]
    model = MaskedJEPA(token_encoder(config, frames, tubelet), TokenPredictorConfig(16, 1, 2), "bf16")
    clips = torch.rand(3, 3, frames, 64, 64) - 0.5
    return model, clips, draw_masks(3, model.student.grid, MASKS, (0,))


def test_each_hidden_token_is_predicted_and_compared(case):
    model, clips, masks = case
    predicted, wanted = model(clips, masks)
    assert predicted.shape == wanted.shape == (*masks.targets.shape, 24)
    every = model.targets(clips)
    for clip, (blocks, tokens) in enumerate(zip(masks.targets, wanted, strict=True)):
        assert torch.equal(tokens, every[clip, blocks])


@torch.inference_mode()
def test_what_is_hidden_changes_the_target_and_not_the_prediction(case):
    model, clips, masks = case
    predicted, wanted = model(clips, masks)
    _, rows, columns = model.student.grid
    hidden = masks.targets[0, 0] % (rows * columns)
    altered = clips.clone()
    pixels = 64 // rows
    for token in hidden.unique().tolist():
        row, column = (pixels * place for place in divmod(token, columns))
        altered[0, ..., row : row + pixels, column : column + pixels] += 0.7
    again, other = model(altered, masks)
    assert torch.equal(again, predicted)
    assert not torch.allclose(other[0, 0], wanted[0, 0], atol=1e-3)


def test_the_student_and_the_predictor_learn_and_the_teacher_only_follows(case):
    model, clips, masks = case
    predicted, wanted = model(clips, masks)
    (predicted - wanted).square().mean().backward()
    assert not wanted.requires_grad and all(parameter.grad is None for parameter in model.teacher.parameters())
    assert all(parameter.grad is not None for parameter in model.predictor.parameters())
    with torch.no_grad():
        for parameter in model.student.parameters():
            parameter.add_(1.0)
    before = [parameter.clone() for parameter in model.teacher.parameters()]
    model.follow(1.0)
    assert all(torch.equal(old, new) for old, new in zip(before, model.teacher.parameters(), strict=True))
    model.follow(0.75)
    for old, new in zip(before, model.teacher.parameters(), strict=True):
        torch.testing.assert_close(new, old + 0.25, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_the_convolutional_tokens_are_what_the_encoder_flattens():
    tokens, pictures = token_encoder(*KINDS["conv"]), torch.rand(2, 3, 64, 64)
    flat = tokens.encoder.convolutions(tokens.encoder.coordinates(pictures))
    assert torch.equal(tokens.tokens(pictures[:, :, None]).transpose(1, 2).flatten(1), flat)


@torch.inference_mode()
def test_the_grid_tokens_are_the_cells_of_its_latent():
    tokens, pictures = token_encoder(*KINDS["grid"]), torch.rand(2, 3, 64, 64)
    assert torch.equal(tokens.tokens(pictures[:, :, None]).flatten(1), tokens.picture_encoder()(pictures))


@torch.inference_mode()
def test_what_learnt_on_clips_is_an_encoder_of_pictures_where_nothing_moves():
    torch.manual_seed(0)
    clips, pictures = TubeletTokens(VIT, 2, 2), torch.rand(2, 3, 64, 64)
    clips.times.add_(torch.randn_like(clips.times))
    encoder = clips.picture_encoder()
    patches = encoder.patches(pictures).transpose(1, 2) + encoder.positions
    tokens = encoder.blocks(torch.cat([encoder.summaries.expand(2, -1, -1), patches], dim=1))
    expected = clips.tokens(pictures[:, :, None].expand(-1, -1, 2, -1, -1))
    torch.testing.assert_close(encoder.output[0](tokens[:, 2:]), expected)


@torch.inference_mode()
def test_kept_tubelets_are_numbered_by_time_row_and_column():
    torch.manual_seed(0)
    tokens = TubeletTokens(VIT, 4, 2)
    tokens.encoder.blocks = torch.nn.Identity()  # then a token is of its own tubelet alone
    clips = normalise_pictures(torch.zeros(4, 64, 64, 3, dtype=torch.uint8)).transpose(0, 1)[None].contiguous()
    before = tokens.tokens(clips)
    clips[0, :, 3, 8:16, 40:48] += 0.5  # the second tubelet of the second row's sixth patch
    changed = (tokens.tokens(clips) != before).any(2)[0].nonzero().flatten().tolist()
    assert changed == [64 + 8 + 5]
    assert torch.equal(tokens.tokens(clips, torch.tensor([[2, 77]])), tokens.tokens(clips)[:, [2, 77]])


def test_every_position_has_its_own_code():
    codes = sine_positions((4, 8, 8), 32)
    assert codes.shape == (256, 32)
    assert torch.cdist(codes, codes).fill_diagonal_(1.0).min() > 0.1


@pytest.mark.parametrize(
    ("config", "frames", "sentence"),
    [
        (SlotsConfig((8, 8, 16), 2, 8, 16), 1, "kind 'slots' has no tokens that lie anywhere"),
        (KINDS["grid"][0], 4, "kind 'grid' takes single pictures"),
        (VIT, 5, "does not divide into tubelets of 2"),
    ],
)
def test_an_encoder_that_has_no_such_tokens_is_refused_in_a_sentence(config, frames, sentence):
    with pytest.raises(MaskError, match=sentence):
        token_encoder(config, frames, 2)
