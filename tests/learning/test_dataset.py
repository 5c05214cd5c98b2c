import numpy as np
import pytest
from disc_world import disc_arrays

from ami_robot.learning.config import WindowConfig
from ami_robot.learning.dataset import DataError, Episodes, WindowSampler


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
