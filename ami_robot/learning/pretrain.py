"""Pretraining: an encoder learns from frames alone, by masked latent prediction, what training then starts from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from ami_robot.learning.frames import Frames, normalise_clips
from ami_robot.learning.jepa import augment
from ami_robot.learning.log import TrainingLog
from ami_robot.learning.masked_jepa import MaskedJEPA, prediction_loss
from ami_robot.learning.masks import draw_masks
from ami_robot.learning.pretraining_config import PretrainingConfig
from ami_robot.learning.probes import effective_rank
from ami_robot.learning.run_state import (
    CPU,
    TrainingError,
    adamw,
    learning_rate_share,
    run_identity,
    save_run,
    start_run,
)
from ami_robot.learning.token_encoders import token_encoder
from ami_robot.learning.train import Provenance
from ami_robot.perception.checkpoint import Checkpoint, save_checkpoint

_LOG_EVERY = 50  # steps
_HELD_OUT_CLIPS = 512  # that an evaluation looks at, at most
_CHUNK = 64  # clips encoded at once in an evaluation
_TRAINING_DRAWS, _MASK_DRAWS, _EVALUATION_DRAWS = 1, 2, 3  # what a seed's second number is for


def pretrain(
    frames: Frames,
    config: PretrainingConfig,
    provenance: Provenance,
    out: Path,
    resume: bool = False,
    device: torch.device = CPU,
    tensorboard: bool = False,
) -> Checkpoint:
    """Pretrain and write the teacher as a checkpoint with the one module `encoder` into `out`.

    Killed at any time, the same call with `resume` goes on from the last saved state and ends with the same tensors.
    Everything random is drawn from (seed, step), so the state holds no generators.

    Raises:
        TrainingError: `out` holds another run, the loss is no longer finite, or the representation collapses.
        DataError: the episodes are too few or too short.
        LogError: TensorBoard is wanted and absent.
    """
    training, held_out = frames.split(config.held_out_fraction, config.seed)
    model = new_model(config).to(device)
    learning = [*model.student.parameters(), *model.predictor.parameters()]
    optimiser = adamw(learning, config.optimiser.learning_rate, config.optimiser.weight_decay)
    identity = run_identity(config.as_dict(), provenance.data_sha256)
    steps = config.optimiser.steps
    first = start_run(model, optimiser, out, identity, resume)
    with TrainingLog(out, first, steps, tensorboard) as log:
        for step in log.progress(range(first, steps)):
            if step % config.save_every == 0:
                save_run(model, optimiser, step, out, identity)
            terms = _update(model, optimiser, training, config, step)
            if step % _LOG_EVERY == 0:
                log.write({"step": step, **terms})
            if (step + 1) % config.evaluate_every == 0 and step + 1 < steps:
                _watched(evaluate(model, held_out, config), step + 1, config, log)
        save_run(model, optimiser, steps, out, identity)
        metrics = _watched(evaluate(model, held_out, config), steps, config, log)
    return save_checkpoint(
        out,
        {"encoder": model.cpu().teacher.picture_encoder()},
        {"encoder": config.encoder},
        {
            "revision": provenance.revision,
            "data": {"content_sha256": provenance.data_sha256, "episodes": len(frames)}
            | {"recipe": provenance.data_manifest.get("recipe", {})},
            "pretraining": config.as_dict(),
            "metrics": metrics,
        },
        provenance.preprocessing_id,
    )


def new_model(config: PretrainingConfig) -> MaskedJEPA:
    """Student, teacher and predictor as they are before the first step."""
    torch.manual_seed(config.seed)
    encoder = token_encoder(config.encoder, config.clip.frames, config.clip.tubelet)
    return MaskedJEPA(encoder, config.predictor, config.optimiser.precision)


@torch.inference_mode()
def evaluate(model: MaskedJEPA, held_out: Frames, config: PretrainingConfig) -> dict[str, float]:
    """Figures on held-out clips, without augmentation.

    loss: of the predicted tokens. loss_over_place_mean: that loss over the one of saying of each token what the
    teacher gives for its place on average (below 1: it was seen in the picture). effective_rank: of the teacher's
    tokens, averaged over each clip; near 1 the representation has collapsed, and then the loss is at its best.
    """
    seed, device = (config.seed, _EVALUATION_DRAWS), model.predictor.mask_token.device
    count = min(_HELD_OUT_CLIPS, held_out.images.shape[0] * held_out.images.shape[1])
    clips = held_out.draw(count, config.clip.frames, seed)
    parts = [normalise_clips(part).to(device) for part in np.split(clips, range(_CHUNK, len(clips), _CHUNK))]
    wanted = torch.cat([model.targets(part) for part in parts])
    masks = [draw_masks(len(part), model.student.grid, config.masks, (*seed, i)) for i, part in enumerate(parts)]
    pairs = zip(parts, masks, strict=True)
    loss = torch.stack([prediction_loss(*model(part, mask.to(device))) for part, mask in pairs]).mean()
    return {
        "loss": round(float(loss), 5),
        "loss_over_place_mean": round(float(loss / prediction_loss(wanted.mean(0).expand_as(wanted), wanted)), 4),
        "effective_rank": round(effective_rank(wanted.mean(1).cpu()), 2),
    }


def _watched(metrics: dict[str, float], step: int, config: PretrainingConfig, log: TrainingLog) -> dict[str, float]:
    """Log the figures; raises TrainingError when they are those of a representation that has collapsed."""
    log.write({"step": step, "held_out": metrics})
    if metrics["effective_rank"] < config.effective_rank_min:
        raise TrainingError(
            f"the representation has collapsed: its effective rank at step {step} is {metrics['effective_rank']}, "
            f"below effective_rank_min {config.effective_rank_min}; lower optimiser.learning_rate or raise "
            "teacher.momentum."
        )
    return metrics


def _update(
    model: MaskedJEPA, optimiser: torch.optim.Optimizer, training: Frames, config: PretrainingConfig, step: int
) -> dict[str, float]:
    """One step of AdamW and of the teacher; the loss and the gradient norm before it."""
    settings, frames, device = config.optimiser, config.clip.frames, model.predictor.mask_token.device
    drawn = training.draw(settings.batch_sequences, frames, (config.seed, _TRAINING_DRAWS, step))
    generator = torch.Generator(device).manual_seed(config.seed * 1_000_003 + step)
    clips = normalise_clips(drawn).to(device).flatten(1, 2)  # one light for a whole clip
    clips = augment(clips, config.augmentation, generator).unflatten(1, (3, frames))
    masks = draw_masks(len(clips), model.student.grid, config.masks, (config.seed, _MASK_DRAWS, step)).to(device)
    for group in optimiser.param_groups:
        group["lr"] = settings.learning_rate * learning_rate_share(step, settings.warmup_steps, settings.steps)
    loss = prediction_loss(*model(clips, masks))
    if not torch.isfinite(loss):
        raise TrainingError(f"the loss is not finite at step {step}; lower optimiser.learning_rate.")
    optimiser.zero_grad()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_clip)
    optimiser.step()
    model.follow(config.teacher.momentum + (1 - config.teacher.momentum) * step / settings.steps)
    return {"loss": loss.item(), "gradient_norm": norm.item()}
