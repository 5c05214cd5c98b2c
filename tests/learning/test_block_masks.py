from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ami_robot.learning.masks import MaskConfig, MaskError, draw_masks

I_JEPA = MaskConfig(4, 0.15, 0.2, 0.75, 1.5, 1.0, 1.0, 0.85, 1.0, 10)


@st.composite
def grids_and_configs(draw):
    """Bounds round a block that fits the grid, so that there is one, and up to the whole grid as context."""
    grid = (draw(st.integers(1, 4)), draw(st.integers(3, 9)), draw(st.integers(3, 9)))
    length, rows, columns = (draw(st.integers(1, most)) for most in grid)

    def bounds(share):
        return share * draw(st.floats(0.5, 1.0)), share * draw(st.floats(1.0, 2.0))

    scale, aspect = bounds(rows * columns / (grid[1] * grid[2])), bounds(rows / columns)
    context = draw(st.floats(0.6, 1.0)), 1.0
    config = MaskConfig(
        draw(st.integers(1, 5)), *scale, *aspect, *bounds(length / grid[0]), *context, draw(st.integers(1, 8))
    )
    return grid, config


@settings(max_examples=60, deadline=None)
@given(grids_and_configs(), st.integers(1, 6), st.integers(0, 1000))
def test_targets_are_blocks_within_bounds_and_never_in_the_context(case, count, step):
    grid, config = case
    try:
        masks = draw_masks(count, grid, config, (0, step))
    except MaskError as error:
        assert "tokens of context" in str(error)  # more targets than the grid has room for
        return
    tokens = np.prod(grid)
    assert masks.context.shape[1] >= config.context_tokens_min
    assert masks.targets.shape[:2] == (count, config.targets)
    for context, blocks in zip(masks.context.numpy(), masks.targets.numpy(), strict=True):
        assert len(set(context)) == len(context) and set(context) <= set(range(tokens))
        assert not set(context) & set(blocks.ravel())
        for block in blocks:
            spans = [np.unique(axis) for axis in np.unravel_index(block, grid)]
            length, rows, columns = (axis[-1] - axis[0] + 1 for axis in spans)
            assert len(set(block)) == len(block) == length * rows * columns  # whole, without gaps
            assert within(rows * columns / (grid[1] * grid[2]), config, "target_scale")
            assert within(rows / columns, config, "target_aspect")
            assert within(length / grid[0], config, "target_duration")


def within(value, config, name):
    return getattr(config, f"{name}_min") - 1e-6 <= value <= getattr(config, f"{name}_max") + 1e-6


@given(st.integers(0, 100), st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_masks_are_decided_by_seed_and_step(seed, step):
    first, again = (draw_masks(4, (1, 8, 8), I_JEPA, (seed, step)) for _ in range(2))
    assert torch.equal(first.context, again.context) and torch.equal(first.targets, again.targets)
    other = draw_masks(4, (1, 8, 8), I_JEPA, (seed, step + 1))
    assert first.targets.shape != other.targets.shape or not torch.equal(first.targets, other.targets)


def test_each_picture_has_its_own_masks_and_all_places_get_their_turn():
    masks = draw_masks(64, (1, 8, 8), I_JEPA, (0,))
    assert len({tuple(row) for row in masks.context.tolist()}) > 32
    assert set(masks.context.flatten().tolist()) == set(masks.targets.flatten().tolist()) == set(range(64))


def test_targets_over_the_whole_duration_are_tubes():
    masks = draw_masks(2, (4, 8, 8), I_JEPA, (0,))
    places = masks.targets.unflatten(2, (4, -1)) - 64 * torch.arange(4)[:, None]
    assert (places == places[:, :, :1]).all()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"target_scale_min": 0.001, "target_scale_max": 0.002}, "no target block"),
        ({"target_duration_max": 0.5, "target_duration_min": 0.1}, "no target block"),
        ({"context_scale_min": 0.01, "context_scale_max": 0.012}, "no context"),
        ({"context_tokens_min": 60}, "fewer than 60 tokens of context"),
    ],
)
def test_masks_that_do_not_fit_are_refused_in_a_sentence(change, sentence):
    with pytest.raises(MaskError, match=sentence):
        draw_masks(2, (1, 8, 8), replace(I_JEPA, **change), (0,))
