import numpy as np
import pytest
from disc_world import disc_arrays

from ami_robot.learning.config import WindowConfig
from ami_robot.learning.dataset import DataError, Episodes, WindowSampler, contact_windows


def test_a_window_lines_pictures_up_with_proprioception_and_actions(episodes: Episodes):
    batch = episodes.batch(np.array([[3, 2], [7, 0]]), steps=4, targets=(1, 3))
    assert batch.pictures.shape == (2, 3, 64, 64, 3) and batch.proprio.shape == (2, 5, 10)
    for row, (episode, frame) in enumerate([(3, 2), (7, 0)]):
        for column, step in enumerate((0, 1, 3)):
            assert (batch.pictures[row, column].numpy() == episodes.images[episode, frame + step]).all()
        assert (batch.proprio[row].numpy() == episodes.proprio[episode, frame : frame + 5]).all()
        assert (batch.actions[row].numpy() == episodes.actions[episode, frame : frame + 4]).all()


def test_what_is_drawn_depends_on_the_seed_alone(episodes: Episodes):
    sampler = WindowSampler(episodes, WindowConfig(steps=4, targets=3))
    first, again, other = (sampler.draw(16, seed) for seed in ((0, 5), (0, 5), (0, 6)))
    assert (first.proprio == again.proprio).all() and first.targets == again.targets
    assert not (first.proprio == other.proprio).all()
    assert first.targets[0] == 1 and len(set(first.targets)) == 3 and max(first.targets) <= 4


def test_the_split_is_by_episode_and_complete(episodes: Episodes):
    training, held_out = episodes.split(0.25, seed=0)
    assert (len(training), len(held_out)) == (150, 50)
    seen = {episode.tobytes() for episode in training.proprio}
    assert not any(episode.tobytes() in seen for episode in held_out.proprio)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda a: a.pop("blocks"), "lack the arrays blocks"),
        (lambda a: a.update(actions=a["actions"][:, :-1]), "'actions' has shape"),
        (
            lambda a: a.update(blocks=a["blocks"][..., 0]),
            r"'blocks' has shape \(2, 7, 1\), it has to be \(2, 7, 1, 3\)",
        ),
        (lambda a: a.update(blocks=a["blocks"][:, :, :0]), "'blocks' has shape"),
        (lambda a: a["proprio"].__setitem__((0, 0, 0), np.nan), "'proprio' holds values that are not finite"),
    ],
)
def test_unusable_episodes_are_refused_in_a_sentence(change, sentence):
    arrays = disc_arrays(2, 6, seed=0)
    change(arrays)
    with pytest.raises(DataError, match=sentence):
        Episodes.from_arrays(arrays)


def test_windows_longer_than_episodes_are_refused(episodes: Episodes):
    with pytest.raises(DataError, match="do not fit"):
        WindowSampler(episodes, WindowConfig(steps=13, targets=2))


def with_pushes(blocks=2):
    """Ten episodes of 12 steps and `blocks` blocks, of which the last is pushed in episode 3, from frame 5 on."""
    arrays = disc_arrays(10, 12, seed=0)
    arrays["blocks"] = np.repeat(arrays["blocks"], blocks, axis=2)
    arrays["blocks"][3, 6:, -1, 0] += 0.02
    return Episodes.from_arrays(arrays | {"touching": np.zeros((10, 13), bool)})  # more arrays may come


def test_the_wanted_share_of_windows_shows_a_block_that_moves():
    episodes = with_pushes()
    assert {(e, f) for e, f in contact_windows(episodes.blocks, 4)} == {(3, frame) for frame in range(2, 6)}
    moving = WindowSampler(episodes, WindowConfig(steps=4, targets=2, contact_share=0.5)).draw(32, (0,))
    still = WindowSampler(episodes, WindowConfig(steps=4, targets=2)).draw(32, (0,))
    pushed = {episodes.proprio[3, frame].tobytes() for frame in range(2, 6)}
    assert all(first.numpy().tobytes() in pushed for first in moving.proprio[:16, 0])
    assert (moving.proprio[16:] == still.proprio[16:]).all()  # the others are those that are drawn without


def test_processes_take_parts_of_one_batch():
    sampler = WindowSampler(with_pushes(), WindowConfig(steps=4, targets=2, contact_share=0.25))
    whole, parts = sampler.draw(8, (1,)), [sampler.draw(8, (1,), slice(rank, None, 2)) for rank in range(2)]
    for rank, part in enumerate(parts):
        assert (part.pictures == whole.pictures[rank::2]).all() and part.targets == whole.targets


def test_contact_that_never_happens_cannot_be_wanted():
    with pytest.raises(DataError, match="no block moves"):
        WindowSampler(Episodes.from_arrays(disc_arrays(4, 6, seed=0)), WindowConfig(4, 2, contact_share=0.1))
