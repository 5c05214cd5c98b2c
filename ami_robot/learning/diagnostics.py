"""What a checkpoint knows and where its errors come from, on episodes that its training held out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ami_robot.learning.config import TrainingConfig
from ami_robot.learning.dataset import DataError, contact_windows
from ami_robot.learning.latents import LatentEpisodes
from ami_robot.learning.prediction import RANKED, prediction_report, top_1
from ami_robot.learning.probes import Probe, distances, effective_rank, fit_probes, probe_report
from ami_robot.learning.uncertainty import auroc, auroc_interval, coverage
from ami_robot.learning.windows import Foreseen, Windows
from ami_robot.perception.checkpoint import Checkpoint, CheckpointError
from ami_robot.perception.encoder import EncoderConfig, GoalHead, has_block_head
from ami_robot.strict import StrictError, read
from ami_robot.world_model.error_predictor import ImaginedBlock, error_predictor_checkpoint
from ami_robot.world_model.predictor import Predictor, load_predictor

OFF_M = 0.03
"""A block imagined farther than that from where it came to be is imagined wrongly."""

_WINDOWS = 2048  # at most, of each kind
_RANKED_WINDOWS = 512  # each of them is imagined RANKED times


def diagnose(checkpoint: Checkpoint, episodes: LatentEpisodes, data_sha256: str) -> dict[str, Any]:
    """All figures, as plain values.

    Probes are fitted on the episodes that the training saw, everything is measured on those it held out: the split
    comes from the seed and the fraction in the checkpoint's record. Of other data than it was trained on the model has
    seen nothing, and the same split keeps the probes honest.

    Args:
        checkpoint: with encoder, predictor and goal head.
        episodes: in latents of that encoder.
        data_sha256: of the data they come from.

    Raises:
        CheckpointError: the checkpoint lacks a predictor, or a record of its training.
        DataError: the episodes are too few, or shorter than the windows that the checkpoint was trained on.
    """
    encoder: EncoderConfig = checkpoint.sizes("encoder", EncoderConfig)
    predictor = load_predictor(checkpoint)
    goal_head = checkpoint.fill(GoalHead(encoder), "goal_head")
    config = training_config(checkpoint)
    steps, seed = config.window.steps, config.seed
    if steps > episodes.actions.shape[1]:
        raise DataError(f"windows of {steps} steps do not fit into episodes of {episodes.actions.shape[1]}.")
    training, held_out = episodes.split(config.held_out_fraction, seed)
    prediction = prediction_report(predictor, goal_head, held_out, steps, seed, _WINDOWS)
    for step, share in top_1(predictor, Windows.drawn(held_out, steps, _RANKED_WINDOWS, seed)).items():
        prediction[step][f"top_1_of_{RANKED}"] = share
    probes = fit_probes(training, seed)
    block = ImaginedBlock.of(checkpoint) if has_block_head(checkpoint) else None
    opinion = opinion_of_block(block) if block else opinion_of_networks(probes["mlp"])
    trained_on_this_data = trained_on(checkpoint, data_sha256)
    unseen = held_out if trained_on_this_data else _unseen(checkpoint, episodes, data_sha256)
    return {
        "checkpoint_sha256": checkpoint.sha256,
        "data_sha256": data_sha256,
        "trained_on_this_data": trained_on_this_data,
        "split": {
            "seed": seed,
            "held_out_fraction": config.held_out_fraction,
            "training_episodes": len(training.latents),
            "held_out_episodes": len(held_out.latents),
        },
        "horizon_steps": steps,
        "effective_rank": round(effective_rank(held_out.latents.flatten(0, 1)), 2),
        "prediction": prediction,
        "probes": probe_report(probes, held_out),
        "error_split": error_split(predictor, probes["mlp"], held_out, steps, seed),
        "uncertainty": uncertainty(predictor, opinion, unseen, steps, seed),
    }


def training_config(checkpoint: Checkpoint) -> TrainingConfig:
    """How it was trained. Raises CheckpointError when its record does not say so."""
    try:
        config: TrainingConfig = read(checkpoint.record.get("training"), TrainingConfig, "training")
    except StrictError as error:
        raise CheckpointError(f"{checkpoint.source} does not say how it was trained: {error}") from error
    return config


def trained_on(checkpoint: Checkpoint, data_sha256: str) -> bool:
    """Whether these are the data that a checkpoint was trained on."""
    return bool(checkpoint.record["data"]["content_sha256"] == data_sha256)


def _unseen(checkpoint: Checkpoint, episodes: LatentEpisodes, data_sha256: str) -> LatentEpisodes:
    """Those that the error predictor learned nothing from, of data that the world model was not trained on."""
    learned = error_predictor_checkpoint(checkpoint)
    if learned is None or learned.record["data"]["content_sha256"] != data_sha256:
        return episodes
    training = learned.record["training"]
    return episodes.split(training["held_out_fraction"], training["seed"])[1]


def error_split(
    predictor: Predictor, probe: Probe, held_out: LatentEpisodes, steps: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Of the error of an imagined position at the horizon: what the encoder has part in, and what imagining adds.

    `encoded` reads the position out of the latent of the frame that came, `imagined` out of the latent imagined for it,
    `moved` is the error of saying that nothing moves. The tool in windows from anywhere; the block that is displaced
    most in windows in which one passes through OFF_M or more.
    """
    anywhere = Windows.drawn(held_out, steps, _WINDOWS, seed)
    pushed = _contacts(held_out, steps, seed, OFF_M)[0]
    return {
        "tool": _split(predictor, probe, anywhere, torch.zeros(len(anywhere.latents), dtype=torch.long)),
        "block": _split(predictor, probe, pushed, 1 + pushed.farthest),
    }


Opinion = Callable[[Windows, Foreseen], tuple[torch.Tensor, torch.Tensor]]
"""Of W windows: where the block that moves is imagined at the horizon (W, 3), m, and the spread (W,)."""


def opinion_of_block(block: ImaginedBlock) -> Opinion:
    """As the world model has it: of one block."""

    def opinion(windows: Windows, foreseen: Foreseen) -> tuple[torch.Tensor, torch.Tensor]:
        places, spread = block(*windows.way(foreseen))
        return places[:, -1], spread[:, -1]

    return opinion


def opinion_of_networks(probe: Probe) -> Opinion:
    """Where the probe finds it, and how far the networks are apart."""
    return lambda windows, foreseen: (
        _read(probe, foreseen.latents[:, -1], 1 + windows.farthest),
        foreseen.spread[:, -1],
    )


@torch.inference_mode()
def uncertainty(
    predictor: Predictor, opinion: Opinion, unseen: LatentEpisodes, steps: int, seed: int
) -> dict[str, Any]:
    """Whether the spread at the horizon ranks and bounds the error of the imagined block, in windows with contact.

    A block is imagined wrongly when it is more than OFF_M from where it came to be. Without a spread there is no
    `auroc`, and the intervals are of one width.
    """
    windows, starts = _contacts(unseen, steps, seed)
    if not len(starts):
        return {"windows": 0}
    found, unsure = opinion(windows, windows.imagined(predictor))
    error = torch.linalg.vector_norm(found - _position(windows, 1 + windows.farthest, -1), dim=-1)
    errors, spread = error.double().numpy(), unsure.double().numpy()
    wrong = errors > OFF_M
    area = auroc(spread, wrong) if spread.any() else math.nan
    known = not math.isnan(area)
    return {
        "windows": len(errors),
        "episodes": len(np.unique(starts[:, 0])),
        "base_rate": round(float(wrong.mean()), 4),
        "auroc": round(area, 4) if known else None,
        "auroc_interval_95": auroc_interval(spread, wrong, starts[:, 0], seed) if known else None,
        "coverage": coverage(errors, spread if spread.any() else np.ones_like(spread), starts[:, 0], seed),
    }


def _contacts(episodes: LatentEpisodes, steps: int, seed: int, *moved_m: float) -> tuple[Windows, np.ndarray]:
    """At most _WINDOWS of the windows in which a block moves, and where they begin (W, 2)."""
    starts = contact_windows(episodes.blocks.numpy(), steps, *moved_m)
    starts = np.random.default_rng([seed, 5]).permutation(starts)[:_WINDOWS]
    return Windows.at(episodes, starts, steps), starts


def _split(predictor: Predictor, probe: Probe, windows: Windows, which: torch.Tensor) -> dict[str, Any]:
    if not len(which):
        return {"windows": 0}
    truth = _position(windows, which, -1)
    return {
        "windows": len(which),
        "encoded": distances(_read(probe, windows.latents[:, -1], which), truth),
        "imagined": distances(_read(probe, windows.imagined(predictor).latents[:, -1], which), truth),
        "moved": distances(_position(windows, which, 0), truth),
    }


def _read(probe: Probe, latents: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
    """(W, D) -> (W, 3), m: of the tool (0) or of a block (from 1) each."""
    return probe(latents).unflatten(-1, (-1, 3))[torch.arange(len(which)), which]


def _position(windows: Windows, which: torch.Tensor, frame: int) -> torch.Tensor:
    """(W, 3), m: where it was in that frame."""
    both = torch.cat([windows.tool_position[:, frame, None], windows.blocks[:, frame]], dim=1)
    return both[torch.arange(len(which)), which]
