import pytest
import yaml
from disc_world import REACH

from ami_robot.learning.config import load_config
from ami_robot.learning.jepa import JEPA
from ami_robot.strict import StrictError


def rewritten(tmp_path, change):
    data = yaml.safe_load(REACH.read_text())
    change(data)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


@pytest.mark.parametrize("name", ["reach", "manipulation", "manipulation_gpu"])
def test_a_shipped_configuration_can_be_built_and_survives_a_round_trip(name, tmp_path):
    config = load_config(REACH.with_name(f"{name}.yaml"))
    JEPA(config)
    path = tmp_path / "again.yaml"
    path.write_text(yaml.safe_dump(config.as_dict()))
    assert load_config(path) == config


def test_a_configuration_from_before_there_were_kinds_means_what_it_meant(tmp_path):
    config = load_config(REACH)
    assert (config.encoder.kind, config.predictor.kind) == ("conv", "mlp")
    assert config.predictor.members == config.predictor.codes == 1 and not config.objective.target_decay
    path = rewritten(tmp_path, lambda d: (d["encoder"].update(kind="conv"), d["predictor"].update(kind="mlp")))
    assert load_config(path) == config


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: d["loss"].pop("variance"), "lacks variance"),
        (lambda d: d.update(epochs=3), "unknown keys epochs"),
        (lambda d: d["optimiser"].update(learning_rate="1e-3"), "learning_rate has to be a number"),
        (lambda d: d["optimiser"].update(learning_rate=float("nan")), "learning_rate has to be a number"),
        (lambda d: d["window"].update(targets=9), "window.targets"),
        (lambda d: d["encoder"].update(channels=[1, 2]), "four whole numbers"),
        (
            lambda d: d["encoder"].update(kind="resnet"),
            "encoder: kind has to be one of conv, grid, keypoints, slots, vit",
        ),
        (lambda d: d["encoder"].update(kind="slots"), "encoder lacks slots, appearance_dim"),
        (lambda d: d["predictor"].update(members=0), "predictor: members has to be at least 1"),
        (lambda d: d["predictor"].update(codes=2), "codes of more than 1 and loss.code_prior go together"),
        (lambda d: d["window"].update(contact_share=1.5), "contact_share has to be between 0 and 1"),
        (lambda d: d.update(objective={"target_decay": 1.0}), "target_decay has to be less than 1"),
        (lambda d: d.update(objective={"distance": "cosine"}), "distance has to be one of l2, smooth_l1"),
        (lambda d: (d["loss"].update(straightening=1), d["window"].update(targets=1)), "straightening needs"),
        (lambda d: d.update(seed=True), "a whole number"),
        (lambda d: d.update(window=3), "has to be a mapping"),
    ],
)
def test_a_wrong_configuration_is_refused_in_a_sentence(tmp_path, change, sentence):
    with pytest.raises(StrictError, match=sentence):
        load_config(rewritten(tmp_path, change))


def test_a_missing_configuration_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(StrictError, match=r"cannot read .*none\.yaml"):
        load_config(tmp_path / "none.yaml")
