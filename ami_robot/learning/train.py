"""Training: first encoder, predictor and heads together, then the heads alone on the finished latents."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ami_robot.learning import losses, probes, ranks
from ami_robot.learning.card import write_model_card
from ami_robot.learning.config import TrainingConfig
from ami_robot.learning.dataset import Batch, DataError, Episodes, WindowSampler
from ami_robot.learning.jepa import JEPA
from ami_robot.learning.latents import LatentEpisodes, encode_episodes
from ami_robot.learning.log import TrainingLog
from ami_robot.learning.prediction import prediction_report
from ami_robot.learning.pretrained import pretrained_encoder
from ami_robot.learning.run_state import (
    CPU,
    TrainingError,
    adamw,
    learning_rate_share,
    run_identity,
    save_run,
    start_run,
)
from ami_robot.learning.windows import Windows
from ami_robot.perception.checkpoint import Checkpoint, save_checkpoint
from ami_robot.perception.encoder import BLOCK_HEAD, GoalHead, PlaceHead
from ami_robot.perception.view import view_of_data
from ami_robot.world_model.predictor import Predictor

_SHARED_STREAM = 1 << 20  # of random numbers, beyond those that are numbered by the process that draws them


@dataclass(frozen=True)
class Provenance:
    """Where the data and the code come from, for the checkpoint's record."""

    data_sha256: str
    data_manifest: dict[str, Any]
    revision: str

    @property
    def preprocessing_id(self) -> str:
        """Of the pictures in the data."""
        return view_of_data(self.data_manifest)

    def require_view_of(self, checkpoint: Checkpoint) -> None:
        """Raise TrainingError unless the data show what the checkpoint's encoder was trained on."""
        if checkpoint.preprocessing_id != self.preprocessing_id:
            raise TrainingError(
                f"the encoder in {checkpoint.source} takes views '{checkpoint.preprocessing_id}', the data hold "
                f"'{self.preprocessing_id}'; give data and encoder of the same view."
            )


def train(
    episodes: Episodes,
    config: TrainingConfig,
    provenance: Provenance,
    out: Path,
    resume: bool = False,
    device: torch.device = CPU,
    tensorboard: bool = False,
    initial: Checkpoint | None = None,
) -> Checkpoint | None:
    """Train, probe, and write the checkpoint with its model card into `out`.

    Killed at any time, the same call with `resume` goes on from the last saved state and ends with the same tensors.
    Everything random is drawn from (seed, step), so the state holds no generators. Several processes that
    `ranks.joined` has joined take equal parts of each batch; the first one writes, the others return None. The encoder
    starts from that of the checkpoint `initial`, if there is one.

    Raises:
        CheckpointError: the encoder of `initial` is of another kind or size.
        TrainingError: the encoder of `initial` takes another view than the data's, `out` holds another run, the loss
            is no longer finite, the batch cannot be shared out evenly, or TensorBoard is wanted and absent.
        DataError: the episodes are too few or too short, show no contact where some is wanted, or have not one block
            where its head is wanted.
    """
    if config.optimiser.batch_sequences % ranks.world_size():
        raise TrainingError(
            f"optimiser.batch_sequences is {config.optimiser.batch_sequences}, it has to be a multiple of the "
            f"{ranks.world_size()} processes."
        )
    if config.block_head and episodes.blocks.shape[2] != 1:
        raise DataError(
            f"block_head needs episodes with one block, these have {episodes.blocks.shape[2]}; set block_head to false."
        )
    torch.manual_seed(config.seed)
    training, held_out = episodes.split(config.held_out_fraction, config.seed)
    sampler = WindowSampler(training, config.window)
    model = JEPA(config)
    if initial:
        provenance.require_view_of(initial)
        model.start_encoder_from(pretrained_encoder(initial, config.encoder))
    model.fit_normalisation(training)
    model.to(device)
    optimiser = adamw(model.parameters(), config.optimiser.learning_rate, config.optimiser.weight_decay)
    origin = {"initial_sha256": initial.sha256} if initial else {}
    identity = run_identity(config.as_dict() | origin, provenance.data_sha256)
    first = start_run(model, optimiser, out, identity, resume)
    ranks.wait_for_all()
    leader = ranks.rank() == 0
    with TrainingLog(out, first, config.optimiser.steps, tensorboard, silent=not leader) as log:
        for step, batch in log.progress(_batches(sampler, config, first)):
            if leader and step % config.save_every == 0:
                save_run(model, optimiser, step, out, identity)
            terms = _update(model, optimiser, batch.to(device), step)
            if step % 50 == 0:
                log.write({"step": step, **terms})
            if leader and (step + 1) % config.evaluate_every == 0:
                log.write({"step": step + 1, "held_out": evaluate(model, held_out)})
        if not leader:
            return None
        save_run(model, optimiser, config.optimiser.steps, out, identity)
        encoded = encode_episodes(model.encoder, training)
        model.cpu()
        fit_head(model.goal_head, encoded.latents, encoded.tool_position, config, "goal head")
        heads = {"goal_head": model.goal_head}
        if config.block_head:
            fit_head(
                model.block_head,
                *_seen_and_imagined(model.predictor, encoded, config),
                config=config,
                what="block head",
            )
            heads[BLOCK_HEAD] = model.block_head
        metrics = evaluate(model, held_out, encoded)
        log.write({"step": config.optimiser.steps, "final": metrics})
    checkpoint = save_checkpoint(
        out,
        {"encoder": model.encoder, "predictor": model.predictor, **heads},
        {"encoder": config.encoder, "predictor": config.predictor},
        {
            "revision": provenance.revision,
            "data": {"content_sha256": provenance.data_sha256, "episodes": len(episodes), "steps": episodes.steps}
            | {"recipe": provenance.data_manifest.get("recipe", {})},
            "training": config.as_dict(),
            "metrics": metrics,
        }
        | origin,
        provenance.preprocessing_id,
    )
    write_model_card(out)
    return checkpoint


def _batches(sampler: WindowSampler, config: TrainingConfig, first: int) -> Iterator[tuple[int, Batch]]:
    """This process's part of the batch of each step from `first` on; the next one is gathered meanwhile."""
    part = slice(ranks.rank(), None, ranks.world_size())

    def draw(step: int) -> Batch:
        return sampler.draw(config.optimiser.batch_sequences, (config.seed, 1, step), part)

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(draw, first)
        for step in range(first, config.optimiser.steps):
            batch = coming.result()
            coming = pool.submit(draw, step + 1)
            yield step, batch


def fit_head(head: GoalHead, latents: Tensor, positions: Tensor, config: TrainingConfig, what: str) -> None:
    """Second stage: a head on latents of undisturbed training pictures; the encoder stays as it is.

    By mean-squared error in units of the positions' spread; a head that says how far off it may be, by likelihood.

    Args:
        head: with mean and std of the positions.
        latents: (..., D), of the finished encoder, or imagined from one of its.
        positions: (..., 3), m.
        config: of the training.
        what: is fitted, for the progress bar.
    """

    def loss(given: Tensor, wanted: Tensor) -> Tensor:
        if isinstance(head, PlaceHead):
            return losses.gaussian(*head.place(given), wanted)
        return losses.squared(head(given) / head.std, wanted / head.std)

    settings = config.head
    probes.fit_regression(
        head,
        latents.flatten(0, -2),
        positions.flatten(0, -2),
        settings.steps,
        settings.batch_frames,
        settings.learning_rate,
        settings.weight_decay,
        config.seed,
        what,
        loss,
    )


def _seen_and_imagined(predictor: Predictor, encoded: LatentEpisodes, config: TrainingConfig) -> tuple[Tensor, Tensor]:
    """Latents (N, D) and where the block is (N, 3), m: as many imagined as seen, since planners ask it of both."""
    seen, steps = encoded.latents.flatten(0, 1), config.window.steps
    windows = Windows.drawn(encoded, steps, len(seen) // steps, config.seed)
    imagined = windows.imagined(predictor).latents.flatten(0, 1)
    positions = [blocks.flatten(0, 1) for blocks in (encoded.blocks[:, :, 0], windows.blocks[:, 1:, 0])]
    return torch.cat([seen, imagined]), torch.cat(positions)


def evaluate(model: JEPA, held_out: Episodes, training: LatentEpisodes | None = None) -> dict[str, Any]:
    """The figures of the model card, on held-out episodes; those of the probes need training latents to fit them on."""
    was_training = model.training
    seed = model.config.seed
    encoded = encode_episodes(model.encoder, held_out)
    model.train(was_training)
    model = copy.deepcopy(model).cpu()  # what follows is small
    with torch.inference_mode():
        located = model.goal_head(encoded.latents.flatten(0, 1))
    metrics: dict[str, Any] = {
        "held_out_episodes": len(held_out),
        "goal_head": probes.distances(located, encoded.tool_position.flatten(0, 1)),
        "effective_rank": round(probes.effective_rank(encoded.latents.flatten(0, 1)), 2),
        "prediction": prediction_report(model.predictor, model.goal_head, encoded, model.config.window.steps, seed),
    }
    if training is not None:
        if model.config.block_head:
            with torch.inference_mode():
                block = model.block_head(encoded.latents)
            metrics[BLOCK_HEAD] = probes.distances(block, encoded.blocks[:, :, 0])
        metrics["probes"] = probes.probe_report(probes.fit_probes(training, seed), encoded)
    return metrics


def _update(model: JEPA, optimiser: torch.optim.Optimizer, batch: Batch, step: int) -> dict[str, float]:
    """One step of AdamW; the loss terms of this process and the gradient norm before it."""
    config, settings = model.config, model.config.optimiser
    for group in optimiser.param_groups:
        group["lr"] = settings.learning_rate * learning_rate_share(step, settings.warmup_steps, settings.steps)
    own, shared = (
        torch.Generator(batch.pictures.device).manual_seed(config.seed * 1_000_003 + step + (stream << 40))
        for stream in (ranks.rank(), _SHARED_STREAM)
    )
    terms = model.losses(batch, own, shared)
    loss = model.weighted_sum(terms)
    if not torch.isfinite(loss):
        raise TrainingError(f"the loss is not finite at step {step}; lower optimiser.learning_rate.")
    optimiser.zero_grad()
    loss.backward()
    ranks.average_gradients(model.parameters())
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_clip)
    optimiser.step()
    model.update_target_encoder()
    return {"loss": loss.item(), **{name: term.item() for name, term in terms.items()}, "gradient_norm": norm.item()}
