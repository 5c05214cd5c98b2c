import json

import numpy as np
import pytest

from ami_robot.cli.main import build_parser, main
from ami_robot.episodes.card import CARD_FILE, episode_flags, render_dataset_card
from ami_robot.episodes.shards import EpisodesError, EpisodeSet
from ami_robot.perception.camera import load_camera
from ami_sim import play
from ami_sim.collect import FIRST_SEED, MIXES, Recipe, collect

RECIPE = Recipe(episodes=8, steps=40, seed=0, episodes_per_shard=4, mix="manipulation")
NAMES = [policy.__name__ for policy, _ in play.MIX]


def test_the_command_knows_the_mixes_and_no_others(capsys):
    parser = build_parser()[0]
    for mix in MIXES:
        assert parser.parse_args(["collect", "--out", "set", "--mix", mix]).mix == mix
    with pytest.raises(SystemExit):
        parser.parse_args(["collect", "--out", "set", "--mix", "juggling"])
    assert "manipulation" in capsys.readouterr().err


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("manipulation") / "set"
    collect(folder, RECIPE, 2)
    return EpisodeSet.open(folder)


def test_an_episode_of_manipulation_has_its_arrays_in_shape_and_type(data):
    shapes = {name: (values.shape[1:], values.dtype.name) for name, values in data.load().items()}
    assert shapes == {
        "images": ((41, 64, 64, 3), "uint8"),
        "proprio": ((41, 10), "float32"),
        "actions": ((40, 4), "float32"),
        "joint_positions": ((41, 7), "float32"),
        "blocks": ((41, 1, 3), "float32"),
        "block_orientations": ((41, 1, 4), "float32"),
        "touching": ((41,), "bool"),
        "behaviour": ((), "int64"),
        "seed": ((), "int64"),
        "randomised": ((), "bool"),
    }


def test_many_episodes_touch_the_block_and_many_lift_it(data):
    flags = episode_flags(data.load())
    assert flags["touched"].mean() >= 0.4
    assert flags["lifted"].mean() >= 0.25
    assert (flags["touched"] | ~flags["moved"]).all()  # nothing else moves it


def test_the_gripper_closes_on_something_and_on_nothing(data):
    episodes = data.load()
    widths, height = episodes["proprio"][..., 9], episodes["blocks"][:, :, 0, 2]
    assert (widths[height > 0.06] > 0.02).all()
    assert widths.min() < 0.005
    assert widths.max() > 0.075


def test_a_share_of_the_scenes_is_repainted_and_seen_from_elsewhere():
    settings = [play.setting(FIRST_SEED + number) for number in range(60)]
    camera = load_camera()
    for setting in settings:
        off_m = np.linalg.norm(setting.camera.position - camera.position)
        assert (0 < off_m <= play.CAMERA_M) == setting.randomised
    assert 0.3 < np.mean([setting.randomised for setting in settings]) < 0.7
    assert {len(setting.scene.blocks) for setting in settings} == {1, 2, 3}


def test_the_card_counts_what_is_in_the_data(data):
    card = (data.folder / CARD_FILE).read_text()
    assert card == render_dataset_card(data, "manipulation")
    flags, behaviour = episode_flags(data.load()), data.load()["behaviour"]
    lines = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]]
        for line in card.splitlines()
        if line.startswith("| ")
    }
    everything = [f"{flags[flag].mean():.0%}" for flag in ("moved", "touched", "lifted")]
    assert lines["all"] == ["", "8", *everything]
    assert sum(int(lines[name][1]) for name in NAMES) == 8
    assert int(lines["carry_about"][1]) == (behaviour == NAMES.index("carry_about")).sum()
    assert data.sha256 in card
    assert "ami collect --mix manipulation --episodes 8 --steps 40 --seed 0" in card


def test_a_set_of_reaches_is_described_as_it_always_was_and_is_not_continued_with_another_mix(tmp_path):
    folder = tmp_path / "set"
    command = ["collect", "--out", str(folder), "--episodes", "1", "--steps", "2", "--workers", "1"]
    assert main(command) == 0
    recipe = json.loads((folder / "manifest.json").read_text())["recipe"]
    assert recipe == {
        "episodes": 1,
        "steps": 2,
        "seed": 0,
        "max_command_delay_s": 0.06,
        "episodes_per_shard": 10,
        "mix": {"push_blocks": 0.35, "reach_goals": 0.35, "wander": 0.3},
    }
    assert "| wander | 0.3 |" in (folder / CARD_FILE).read_text()
    with pytest.raises(EpisodesError, match="other recipe"):
        collect(folder, Recipe(1, 2, 0, mix="manipulation"), 1)
