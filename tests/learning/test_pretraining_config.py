from pathlib import Path

import pytest
import yaml

import ami_robot.learning
from ami_robot.learning.config import load_config
from ami_robot.learning.pretraining_config import DEFAULT_PRETRAINING, load_pretraining_config
from ami_robot.strict import StrictError

FOLDER = Path(ami_robot.learning.__file__).parent
SHIPPED = [DEFAULT_PRETRAINING, FOLDER / "image_jepa_vit.yaml", FOLDER / "video_jepa.yaml"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_configuration_survives_a_round_trip(path, tmp_path):
    config = load_pretraining_config(path)
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump(config.as_dict()))
    assert load_pretraining_config(again) == config


def test_the_default_pretrains_the_encoder_that_the_default_training_starts_from():
    assert load_pretraining_config().encoder == load_config().encoder


@pytest.mark.parametrize(
    ("shipped", "change", "sentence"),
    [
        (0, lambda d: d["masks"].update(target_scale_max=0.16), "no target block"),
        (0, lambda d: d["masks"].update(context_tokens_min=16), "fewer than 16 tokens"),
        (0, lambda d: d["masks"].pop("targets"), "lacks targets"),
        (0, lambda d: d["clip"].update(frames=4), "clip.frames to 1"),
        (1, lambda d: d["clip"].update(tubelet=2), "does not divide into tubelets"),
        (1, lambda d: d["encoder"].update(heads=5), "multiple of heads"),
        (1, lambda d: d["encoder"].update(channels=3), "encoder has unknown keys channels"),
        (1, lambda d: d["teacher"].update(momentum=1.5), "momentum has to be between 0 and 1"),
        (1, lambda d: d["predictor"].update(heads=0), "positive multiple of heads"),
        (2, lambda d: d.update(encoder=None), "has to be a mapping"),
        (2, lambda d: d["clip"].update(tubelet=0), "have to be at least 1"),
    ],
)
def test_a_wrong_configuration_is_refused_in_a_sentence(shipped, change, sentence, tmp_path):
    data = yaml.safe_load(SHIPPED[shipped].read_text())
    change(data)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(StrictError, match=sentence):
        load_pretraining_config(path)
