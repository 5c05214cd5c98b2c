"""Training: first encoder, predictor and heads together, then the goal head alone on the finished latents."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor
from tqdm import tqdm

from ami_robot.learning import probes
from ami_robot.learning.card import write_model_card
from ami_robot.learning.config import TrainingConfig
from ami_robot.learning.dataset import Episodes
from ami_robot.learning.jepa import JEPA
from ami_robot.perception.checkpoint import Checkpoint, save_checkpoint, write_whole

STATE_FILE = "training_state.safetensors"
LOG_FILE = "log.jsonl"


class TrainingError(ValueError):
    """A training run that cannot start or go on; one sentence saying why, and what would be right."""


@dataclass(frozen=True)
class Provenance:
    """Where the data and the code come from, for the checkpoint's record."""

    data_sha256: str
    data_manifest: dict[str, Any]
    revision: str


def train(
    episodes: Episodes, config: TrainingConfig, provenance: Provenance, out: Path, resume: bool = False
) -> Checkpoint:
    """Train, probe, and write the checkpoint with its model card into `out`.

    Killed at any time, the same call with `resume` goes on from the last saved state and ends with the same tensors.
    Everything random is drawn from (seed, step), so the state holds no generators.

    Raises:
        TrainingError: `out` holds another run, or the loss is no longer finite.
        DataError: the episodes are too few or too short.
    """
    torch.manual_seed(config.seed)
    training, held_out = episodes.split(config.held_out_fraction, config.seed)
    model = JEPA(config)
    model.fit_normalisation(training)
    optimiser = torch.optim.AdamW(
        model.parameters(), config.optimiser.learning_rate, weight_decay=config.optimiser.weight_decay
    )
    identity = _identity(config, provenance)
    first = _start(model, optimiser, out, identity, resume)
    with (out / LOG_FILE).open("a") as log:
        for step in tqdm(range(first, config.optimiser.steps), "train", initial=first, total=config.optimiser.steps):
            if step % config.save_every == 0:
                _save_state(model, optimiser, step, out, identity)
            terms = _update(model, optimiser, training, step)
            if step % 50 == 0:
                _log(log, {"step": step, **terms})
            if (step + 1) % config.evaluate_every == 0:
                _log(log, {"step": step + 1, "held_out": evaluate(model, held_out)})
        _save_state(model, optimiser, config.optimiser.steps, out, identity)
        encoded = probes.encode_episodes(model.encoder, training)
        fit_goal_head(model, encoded)
        metrics = evaluate(model, held_out, encoded)
        _log(log, {"step": config.optimiser.steps, "final": metrics})
    checkpoint = save_checkpoint(
        out,
        {"encoder": model.encoder, "predictor": model.predictor, "goal_head": model.goal_head},
        {"encoder": config.encoder, "predictor": config.predictor},
        {
            "revision": provenance.revision,
            "data": {"content_sha256": provenance.data_sha256, "episodes": len(episodes), "steps": episodes.steps}
            | {"recipe": provenance.data_manifest.get("recipe", {})},
            "training": config.as_dict(),
            "metrics": metrics,
        },
    )
    write_model_card(out)
    return checkpoint


def fit_goal_head(model: JEPA, encoded: probes.Encoded) -> None:
    """Second stage: the goal head on the latents of undisturbed training pictures; the encoder stays as it is."""
    head, config = model.goal_head, model.config.head
    labels = (encoded.tool_position - head.mean) / head.std
    probes.fit_regression(
        head.layers,
        encoded.latents.flatten(0, 1),
        labels.flatten(0, 1),
        config.steps,
        config.batch_frames,
        config.learning_rate,
        config.weight_decay,
        model.config.seed,
    )


def evaluate(model: JEPA, held_out: Episodes, training: probes.Encoded | None = None) -> dict[str, Any]:
    """The figures of the model card, on held-out episodes; those of the probes need training latents to fit them on."""
    was_training = model.training
    seed = model.config.seed
    encoded = probes.encode_episodes(model.encoder, held_out)
    with torch.inference_mode():
        located = model.goal_head(encoded.latents.flatten(0, 1))
    metrics: dict[str, Any] = {
        "held_out_episodes": len(held_out),
        "goal_head": probes.distances(located, encoded.tool_position.flatten(0, 1)),
        "effective_rank": round(probes.effective_rank(encoded.latents.flatten(0, 1)), 2),
        "prediction": probes.prediction_report(model, encoded, model.config.window.steps, seed),
    }
    if training is not None:
        metrics["probes"] = probes.probe_report(training, encoded, seed)
    model.train(was_training)
    return metrics


def _update(model: JEPA, optimiser: torch.optim.Optimizer, training: Episodes, step: int) -> dict[str, float]:
    """One step of AdamW; the loss terms and the gradient norm before it."""
    config = model.config
    window, settings = config.window, config.optimiser
    batch = training.draw(settings.batch_sequences, window.steps, window.targets, (config.seed, 1, step))
    for group in optimiser.param_groups:
        group["lr"] = settings.learning_rate * _schedule(step, settings.warmup_steps, settings.steps)
    terms = model.losses(batch, torch.Generator().manual_seed(config.seed * 1_000_003 + step))
    loss = model.weighted_sum(terms)
    if not torch.isfinite(loss):
        raise TrainingError(f"the loss is not finite at step {step}; lower optimiser.learning_rate.")
    optimiser.zero_grad()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_clip)
    optimiser.step()
    return {"loss": loss.item(), **{name: term.item() for name, term in terms.items()}, "gradient_norm": norm.item()}


def _schedule(step: int, warmup: int, steps: int) -> float:
    """Share of the learning rate: linear warm-up, then a half cosine to zero."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def _identity(config: TrainingConfig, provenance: Provenance) -> str:
    """What a resumed run must share with the one it goes on from."""
    text = json.dumps([config.as_dict(), provenance.data_sha256], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _start(model: JEPA, optimiser: torch.optim.Optimizer, out: Path, identity: str, resume: bool) -> int:
    """The step to begin with: 0 in an empty folder, the saved one when resuming."""
    path = out / STATE_FILE
    if not resume:
        if path.exists():
            raise TrainingError(f"{out} already holds a training run; add --resume, or give another --out.")
        out.mkdir(parents=True, exist_ok=True)
        return 0
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        tensors = safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise TrainingError(f"cannot resume from {path}: {error}; leave --resume away to start anew.") from error
    if metadata.get("identity") != identity:
        raise TrainingError(f"{out} was trained with another configuration or other data; give another --out.")
    model.load_state_dict({key[6:]: value for key, value in tensors.items() if key.startswith("model.")})
    for index, parameter in enumerate(model.parameters()):
        moments = {name: tensors.get(f"optimiser.{index}.{name}") for name in ("step", "exp_avg", "exp_avg_sq")}
        if moments["step"] is not None:
            optimiser.state[parameter] = moments
    return int(metadata["step"])


def _save_state(model: JEPA, optimiser: torch.optim.Optimizer, step: int, out: Path, identity: str) -> None:
    tensors: dict[str, Tensor] = {f"model.{key}": value for key, value in model.state_dict().items()}
    for index, parameter in enumerate(model.parameters()):
        for name, value in optimiser.state.get(parameter, {}).items():
            tensors[f"optimiser.{index}.{name}"] = value
    content = safetensors.torch.save(tensors, metadata={"step": str(step), "identity": identity})
    write_whole(out / STATE_FILE, content)


def _log(file: Any, entry: dict[str, Any]) -> None:
    file.write(json.dumps(entry) + "\n")
    file.flush()
