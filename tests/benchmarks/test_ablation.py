"""The ablation: what each variant changes, that a model is trained and tried once, and what the table says."""

import json

import pytest

from ami_robot.learning.config import load_config
from ami_robot.strict import StrictError
from ami_sim.collect import Recipe, collect
from benchmarks import ablation
from benchmarks.ablation import CONFIG, SHIPPED, VARIANTS, Plan, configuration, line_file, made
from benchmarks.ablation_table import printed

SMALL = {"head.steps": 2, "window.steps": 2, "window.targets": 2, "window.contact_share": 0.0}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_changes_what_it_names_and_nothing_else(name):
    shipped, varied = configuration(SHIPPED, 0, 1000).as_dict(), configuration(name, 0, 1000).as_dict()
    changed = {section for section in shipped if varied[section] != shipped[section]}
    assert changed == {key.partition(".")[0] for key in VARIANTS[name]}
    for key, value in VARIANTS[name].items():
        section, _, entry = key.partition(".")
        assert not entry or varied[section][entry] == value


def test_without_a_change_it_is_the_shipped_configuration_for_as_many_steps():
    config = load_config(CONFIG)
    assert configuration(SHIPPED, config.seed, config.optimiser.steps) == config


def test_a_model_is_trained_and_tried_once(tmp_path, monkeypatch):
    recipe = Recipe(episodes=8, steps=12, seed=0, episodes_per_shard=4, mix="manipulation")
    collect(tmp_path / "data", recipe, workers=1)
    monkeypatch.setitem(VARIANTS, "small, for a test", SMALL | {"held_out_fraction": 0.25})
    plan, cell = Plan(tmp_path / "data", 2, range(1), tmp_path / "runs"), ("small, for a test", 1)
    line = made(plan, cell)
    assert (line["variant"], line["seed"], line["episodes"]) == ("small, for a test", 1, 1)
    assert line["successes"] == 0  # nothing is learnt in two steps
    assert json.loads(line_file(plan, cell).read_text()) == line
    monkeypatch.setattr(ablation, "train", None)
    assert made(plan, cell) == line  # what is trained is not trained again


def test_what_cannot_be_is_said_in_one_line(tmp_path, capsys):
    assert ablation.main(["--data", str(tmp_path / "none"), "--runs", str(tmp_path / "runs")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ablation: error: ") and error.count("\n") == 1
    assert not (tmp_path / "runs").exists()
    with pytest.raises(StrictError):
        configuration(SHIPPED, 0, 0)


def test_the_table_has_a_row_for_each_variant_over_its_seeds():
    figures = {"block_cm": 2.0, "tool_cm": 1.0, "effective_rank": 60.0, "copy_last": 0.2, "wrong_over_true_action": 8.0}
    lines = [
        {"variant": name, "seed": seed, "successes": won, "episodes": 64, **figures}
        for seed, all_ in enumerate([(60, 30), (56, 0)])
        for name, won in zip(("shipped", "pixels"), all_, strict=True)
    ]
    rows = printed(lines).splitlines()[2:]
    assert rows[0].startswith("| shipped | 116/128 = 91% | 84% to 95% | 94%, 88% | 2.00 | 1.00 | 60 | 0.20 | 8.00 |")
    assert rows[1].startswith("| pixels | 30/128 = 23% | 17% to 31% | 47%, 0% |")
