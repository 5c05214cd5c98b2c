"""Figures of world models whose faults are known, in a world whose latents are positions."""

import json
import shutil

import numpy as np
import pytest
import torch
from disc_world import disc_arrays
from torch import nn

from ami_robot.cli.main import main
from ami_robot.episodes.shards import content_sha256, read_manifest, write_manifest, write_shard
from ami_robot.learning import probes
from ami_robot.learning.diagnostics import error_split, opinion_of_block, opinion_of_networks, uncertainty
from ami_robot.learning.latents import LatentEpisodes
from ami_robot.learning.prediction import RANKED, prediction_report, top_1
from ami_robot.learning.probes import fit_probes, linear_probe, positions, probe_report
from ami_robot.learning.uncertainty import auroc, auroc_interval, conformal_quantile, coverage
from ami_robot.learning.windows import Windows
from ami_robot.perception.checkpoint import load_checkpoint, save_checkpoint
from ami_robot.perception.encoder import EncoderConfig, ImageEncoder
from ami_robot.perception.view import CLOSE_VIEW
from ami_robot.types import TOOL_POSITION
from ami_robot.world_model.error_predictor import ImaginedBlock
from ami_robot.world_model.predictor import Rollouts

STEPS = 4
SCALE = 10.0  # latent numbers in a metre


@pytest.fixture(scope="module")
def world():
    """Latents are the positions of the hand and of two blocks; the hand carries the second block in every other run."""
    rng = np.random.default_rng(0)
    actions = np.zeros((120, 12, 4), np.float32)
    actions[..., :3] = rng.normal(0, 0.02, (120, 12, 3))
    way = np.concatenate([np.zeros((120, 1, 3)), actions[..., :3].cumsum(1)], axis=1)
    blocks = np.tile(rng.uniform(-0.3, 0.3, (120, 1, 2, 3)), (1, 13, 1, 1))
    blocks[::2, :, 1] += way[::2]
    proprio = np.zeros((120, 13, 10), np.float32)
    proprio[..., TOOL_POSITION] = rng.uniform(-0.3, 0.3, (120, 1, 3)) + way
    proprio[::2, :, 9] = 1.0  # a closed gripper carries
    latents = SCALE * np.concatenate([proprio[..., TOOL_POSITION], blocks.reshape(120, 13, 6)], axis=-1)
    return LatentEpisodes(*(torch.from_numpy(v.astype(np.float32)) for v in (latents, proprio, actions, blocks)))


class Model(nn.Module):
    """Knows the world but for what it is told to get wrong: members say so much beside the truth, in m."""

    def __init__(self, off_m=((0.0, 0.0, 0.0),), reacts=True):
        super().__init__()
        self.off_m, self.reacts = torch.tensor(off_m), reacts

    def off(self, proprio):
        """(M, N, 3), m."""
        return self.off_m[:, None].expand(-1, len(proprio), -1)

    def rollouts(self, latent, proprio, actions):
        way = actions[..., :3].cumsum(1) * self.reacts
        carried = way * proprio[:, None, 9:]
        moves = SCALE * torch.cat([way, torch.zeros_like(way), carried], dim=-1)
        truth = (latent[:, None] + moves)[None].repeat(len(self.off_m), 1, 1, 1)
        truth[..., 6:] += SCALE * self.off(proprio)[:, :, None]
        measured = proprio[:, None].repeat(1, actions.shape[1], 1)
        measured[..., TOOL_POSITION] += way
        states = measured.expand(len(self.off_m), *measured.shape)
        return Rollouts(truth[None], states[None], torch.zeros(1, len(latent)))


class Doubting(Model):
    """Its error grows with the height at which the hand begins; its two opinions differ as much if it is candid."""

    def __init__(self, candid=True):
        super().__init__(((1.0, 0.0, 0.0), (1.0, 0.0, 0.0)))
        self.candid = candid

    def off(self, proprio):
        error = (proprio[:, 2] + 0.5) * 0.06
        doubt = (error if self.candid else error.roll(1)) / 2
        off = torch.zeros(2, len(proprio), 3)
        off[0, :, 0], off[1, :, 0] = error - doubt, error + doubt
        return off


def goal_head(latents):
    return latents[..., :3] / SCALE


def test_a_model_that_copies_scores_one_and_finds_the_action_by_chance(world):
    report = prediction_report(Model(reacts=False), goal_head, world, STEPS, seed=0)
    assert all(row["copy_last"] == row["wrong_over_true_action"] == 1.0 for row in report.values())
    assert report["step_4"]["tool_by_latent"] == report["step_4"]["tool_moved"]
    shares = top_1(Model(reacts=False), Windows.drawn(world, STEPS, 64, 0))
    assert shares == dict.fromkeys(("step_1", "step_2", "step_4"), round(1 / RANKED, 4))


def test_a_model_that_knows_the_world_is_told_from_its_ignorance(world):
    off_m = 0.02
    report = prediction_report(Model(((off_m, 0.0, 0.0),)), goal_head, world, STEPS, seed=0)
    drawn = Windows.drawn(world, STEPS, 2048, 0)
    change = (drawn.latents[:, 4] - drawn.latents[:, 0]).square().mean()
    error = (SCALE * off_m) ** 2 / drawn.latents.shape[-1]
    assert report["step_4"]["copy_last"] == pytest.approx(float(error / change), rel=0.01)
    assert report["step_4"]["wrong_over_true_action"] > 5
    assert report["step_4"]["tool_by_latent"]["p95_cm"] < 1e-3
    starts = np.stack([np.arange(120), np.zeros(120, np.intp)], axis=1)  # no two of them alike
    found = top_1(Model(), Windows.at(world, starts, STEPS))
    assert found == dict.fromkeys(("step_1", "step_2", "step_4"), 1.0)


def test_probes_tell_blocks_that_move_from_those_at_rest(world):
    report = probe_report({"off": lambda z: z / SCALE + torch.tensor([0.0] * 3 + [0.01, 0, 0] + [0.05, 0, 0])}, world)
    assert report["off_tool"]["mean_cm"] == 0.0
    assert report["off_blocks"]["mean_cm"] == pytest.approx(3.0, abs=0.01)
    assert report["off_moving_blocks"]["mean_cm"] == pytest.approx(5.0, abs=0.01)


def test_probes_that_are_fitted_find_what_is_there_and_the_mean_finds_nothing(world):
    training, held_out = world.split(0.5, seed=0)
    report = probe_report(fit_probes(training, seed=0), held_out)
    assert report["linear_moving_blocks"]["mean_cm"] < 0.2 and report["mlp_tool"]["mean_cm"] < 2.0
    spread = torch.linalg.vector_norm(held_out.tool_position - training.tool_position.mean((0, 1)), dim=-1)
    assert report["mean_tool"]["mean_cm"] == pytest.approx(100 * float(spread.mean()), abs=0.01)


def exact_probe(latents):
    return latents / SCALE


OPINION = opinion_of_networks(exact_probe)


def test_the_error_is_split_into_what_the_encoder_and_what_imagining_adds(world):
    split = error_split(Model(((0.05, 0.0, 0.0),)), exact_probe, world, STEPS, seed=0)
    assert split["tool"]["imagined"]["mean_cm"] < 1e-3 < split["tool"]["moved"]["mean_cm"]
    assert split["block"]["encoded"]["mean_cm"] < 1e-3
    assert split["block"]["imagined"]["mean_cm"] == pytest.approx(5.0, abs=0.01)
    blind = error_split(Model(), lambda z: exact_probe(z) + 0.01, world, STEPS, seed=0)["block"]
    assert blind["encoded"]["mean_cm"] == pytest.approx(blind["imagined"]["mean_cm"], abs=0.01)
    still = error_split(Model(reacts=False), exact_probe, world, STEPS, seed=0)["block"]
    assert still["imagined"] == still["moved"] and still["moved"]["mean_cm"] > 2


def test_the_error_of_a_block_is_not_split_where_none_moves(world):
    resting = LatentEpisodes(world.latents, world.proprio, world.actions, world.blocks[:, :1].expand(-1, 13, -1, -1))
    assert error_split(Model(), exact_probe, resting, STEPS, seed=0)["block"] == {"windows": 0}
    assert uncertainty(Model(), OPINION, resting, STEPS, seed=0) == {"windows": 0}
    assert "off_moving_blocks" not in probe_report({"off": exact_probe}, resting)


def test_a_spread_that_is_the_error_ranks_it_and_one_of_another_window_does_not(world):
    candid = uncertainty(Doubting(), OPINION, world, STEPS, seed=0)
    assert candid["auroc"] == 1.0 and 0.1 < candid["base_rate"] < 0.9
    feigned = uncertainty(Doubting(candid=False), OPINION, world, STEPS, seed=0)
    assert feigned["auroc"] < 0.65 and feigned["base_rate"] == candid["base_rate"]
    assert candid["episodes"] == candid["coverage"]["calibrated_on"] + candid["coverage"]["of"] <= 60


def test_a_head_that_says_how_far_off_it_is_ranks_errors_of_a_model_with_one_opinion(world):
    class Head:
        def place(self, latents):
            """Errs by what the block is high, and says so."""
            height_m = latents[..., 8] / SCALE + 0.3
            return latents[..., 6:9] / SCALE + 0.1 * height_m[..., None], height_m

    report = uncertainty(Model(), opinion_of_block(ImaginedBlock(Head(), None)), world, STEPS, seed=0)
    assert report["auroc"] == 1.0 and 0.1 < report["base_rate"] < 0.9


def test_a_model_of_one_opinion_has_no_auroc_but_intervals_of_one_width(world):
    report = uncertainty(Model(((0.05, 0.0, 0.0),)), OPINION, world, STEPS, seed=0)
    assert report["auroc"] is None and report["base_rate"] == 1.0 and report["coverage"]["of"] == 30


def test_auroc_counts_pairs_and_ties_by_half():
    scores, positive = np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])
    assert auroc(scores, positive) == 0.75
    assert auroc(-scores, positive) == 0.25
    assert auroc(np.array([1.0, 1.0, 2.0]), np.array([True, False, True])) == 0.75
    assert np.isnan(auroc(scores, np.ones(4, bool)))


def test_the_conformal_quantile_is_a_rank_and_infinite_of_too_few():
    assert conformal_quantile(np.arange(1.0, 20.0), 0.1) == 18.0
    assert conformal_quantile(np.arange(1.0, 10.0), 0.1) == 9.0
    assert conformal_quantile(np.arange(1.0, 9.0), 0.1) == np.inf


def test_intervals_cover_as_often_as_they_say_and_count_each_episode_once():
    rng = np.random.default_rng(1)
    spread = np.repeat(rng.uniform(0.01, 0.1, 2000), 5)
    errors = spread * np.repeat(np.abs(rng.normal(size=2000)), 5)
    report = coverage(errors, spread, np.repeat(np.arange(2000), 5), seed=0)
    assert report["of"] == report["calibrated_on"] == 1000
    low, high = report["interval_95"]
    assert low < 0.9 < high and high - low < 0.05
    assert all(abs(held - share) < 0.06 for share, held in report["curve"].items())


def test_the_interval_of_an_auroc_counts_episodes_and_not_their_windows():
    rng = np.random.default_rng(2)
    scores, positive = rng.normal(size=40), rng.random(40) < 0.4
    once = auroc_interval(scores, positive, np.arange(40), seed=0)
    often = auroc_interval(np.repeat(scores, 30), np.repeat(positive, 30), np.repeat(np.arange(40), 30), seed=0)
    assert often == pytest.approx(once, abs=0.02) and once[0] < auroc(scores, positive) < once[1]


def test_intervals_of_too_few_episodes_are_none_and_not_infinite():
    episodes = np.arange(18)
    assert coverage(np.ones(18), np.ones(18), episodes, seed=0)["calibrated_on"] == 9
    assert coverage(np.ones(16), np.ones(16), episodes[:16], seed=0) is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data set in which a block moves in every other episode."""
    data = tmp_path_factory.mktemp("data")
    arrays = disc_arrays(30, 8, seed=0)
    arrays["blocks"][::2] += np.linspace(0, 0.1, 9, dtype=np.float32)[:, None, None]
    write_shard(data, 0, [{name: values[i] for name, values in arrays.items()} for i in range(30)])
    write_manifest(data, {"recipe": {"seed": 0}, "shards": 1, "content_sha256": content_sha256(data)})
    return data


def test_the_verb_writes_figures_and_page_of_the_episodes_that_training_held_out(
    folder, config, tmp_path, monkeypatch, capsys
):
    import yaml

    monkeypatch.setattr(probes, "mlp_probe", lambda fit, labels, seed: linear_probe(fit, labels))
    values = config.as_dict()
    values["optimiser"].update(steps=6, warmup_steps=1, batch_sequences=4)
    path, out = tmp_path / "small.yaml", tmp_path / "out"
    path.write_text(yaml.safe_dump(values))
    assert main(["train", "--data", str(folder), "--config", str(path), "--out", str(tmp_path / "run")]) == 0
    command = ["diagnose", "--data", str(folder), "--checkpoint", str(tmp_path / "run"), "--out", str(out)]
    assert main(command) == 0
    report, record = json.loads((out / "diagnostics.json").read_text()), load_checkpoint(tmp_path / "run").record
    assert report["split"] == {
        "seed": config.seed, "held_out_fraction": 0.2, "training_episodes": 24, "held_out_episodes": 6
    }  # fmt: skip
    assert report["trained_on_this_data"] is True
    assert report["effective_rank"] == pytest.approx(record["metrics"]["effective_rank"], abs=0.02)
    assert report["probes"]["linear_tool"] == pytest.approx(record["metrics"]["probes"]["linear_tool"], abs=0.02)
    assert report["error_split"]["block"]["windows"] > 0 and report["uncertainty"]["episodes"] > 0
    page = (out / "DIAGNOSTICS.md").read_text()
    assert "6 held-out episodes" in page and f"seed {config.seed}, fraction 0.2" in page and "does not say" in page
    assert report["uncertainty"]["coverage"] is None and "too few to calibrate" in page


def test_a_checkpoint_without_a_world_model_is_refused_in_a_sentence(folder, tmp_path, capsys):
    shipped = load_checkpoint()
    encoder, sizes = ImageEncoder(shipped), shipped.sizes("encoder", EncoderConfig)
    save_checkpoint(
        tmp_path / "half", {"encoder": encoder._encoder, "goal_head": encoder._head}, {"encoder": sizes}, {}
    )
    out = tmp_path / "out"
    assert main(["diagnose", "--data", str(folder), "--checkpoint", str(tmp_path / "half"), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert "no usable sizes of the predictor" in error and error.count("ami: error: ") == 1
    assert not (out / "diagnostics.json").exists()


def test_pictures_of_another_view_are_refused_in_a_sentence(folder, tmp_path, capsys):
    data = shutil.copytree(folder, tmp_path / "data")
    write_manifest(data, {**read_manifest(data), "preprocessing_id": CLOSE_VIEW})
    assert main(["diagnose", "--data", str(data), "--out", str(tmp_path / "out")]) == 2
    assert "give data and encoder of the same view" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_positions_are_those_of_the_hand_and_then_of_the_blocks(world):
    assert torch.equal(positions(world).flatten(2), torch.cat([world.tool_position, world.blocks.flatten(2)], dim=-1))
