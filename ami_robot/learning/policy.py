"""Training a policy on latents: what was done on the way to what was seen later (GCSL, Ghosh et al. 2021)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ami_robot.actor.policy_network import PolicyConfig, PolicyNetwork
from ami_robot.learning.dataset import DataError
from ami_robot.learning.latents import LatentEpisodes
from ami_robot.learning.log import TrainingLog
from ami_robot.learning.policy_config import PolicyTrainingConfig
from ami_robot.learning.run_state import (
    CPU,
    TrainingError,
    adamw,
    learning_rate_share,
    run_identity,
    save_run,
    start_run,
)
from ami_robot.learning.train import Provenance
from ami_robot.perception.checkpoint import DESCRIPTION_FILE, Checkpoint, save_checkpoint
from ami_robot.perception.novelty import Novelty

_LEAST_SPREAD = 1e-3  # what hardly varies in the data (a closed gripper) is not blown up to unit spread
_EVALUATED = 4096  # situations

Batch = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""Latents (N, D), proprioception (N, P), goal latents (N, D), steps left (N,), actions (N, A)."""


def train_policy(
    episodes: LatentEpisodes,
    encoder_sha256: str,
    config: PolicyTrainingConfig,
    provenance: Provenance,
    out: Path,
    resume: bool = False,
    device: torch.device = CPU,
    tensorboard: bool = False,
) -> Checkpoint:
    """Train, evaluate, and write the policy's checkpoint, with the novelty of latents in it, into `out`.

    Killed at any time, the same call with `resume` goes on from the last saved state and ends with the same tensors.

    Raises:
        TrainingError: `out` holds another run, or the loss is no longer finite.
        LogError: TensorBoard is wanted and absent.
        DataError: the episodes are too few or too short.
    """
    if not resume and (out / DESCRIPTION_FILE).exists():
        raise TrainingError(f"{out} already holds a checkpoint; give another --out.")
    torch.manual_seed(config.seed)
    training, held_out = episodes.split(config.held_out_fraction, config.seed)
    latent_dim = training.latents.shape[-1]
    network = PolicyNetwork(PolicyConfig(latent_dim, config.network.width, config.network.blocks, config.goal_steps))
    fit_normalisation(network, training)
    network.to(device)
    settings = config.optimiser
    optimiser = adamw(network.parameters(), settings.learning_rate, settings.weight_decay)
    identity = run_identity(config.as_dict() | {"encoder_sha256": encoder_sha256}, provenance.data_sha256)
    first = start_run(network, optimiser, out, identity, resume)
    with TrainingLog(out, first, settings.steps, tensorboard) as log:
        for step in log.progress(range(first, settings.steps)):
            if step % config.save_every == 0:
                save_run(network, optimiser, step, out, identity)
            batch = _on(device, hindsight(training, config, (1, step)))
            loss = _update(network, optimiser, batch, config, step)
            if step % 50 == 0:
                log.write({"step": step, "loss": loss})
            if (step + 1) % config.evaluate_every == 0:
                log.write({"step": step + 1, "held_out": evaluate(network, held_out, config)})
    save_run(network, optimiser, settings.steps, out, identity)
    network.cpu()
    novelty = Novelty(latent_dim)
    novelty.fit(training.latents.flatten(0, 1), held_out.latents.flatten(0, 1))
    return save_checkpoint(
        out,
        {"policy": network, "novelty": novelty},
        {"policy": network.config},
        {
            "revision": provenance.revision,
            "encoder_sha256": encoder_sha256,
            "data": {"content_sha256": provenance.data_sha256, "recipe": provenance.data_manifest.get("recipe", {})},
            "training": config.as_dict(),
            "metrics": evaluate(network, held_out, config),
        },
        provenance.preprocessing_id,
    )


def fit_normalisation(network: PolicyNetwork, episodes: LatentEpisodes) -> None:
    """Set the buffers of means and spreads."""
    for name in ("latents", "proprio", "actions"):
        flat = getattr(episodes, name).flatten(0, 1).double()
        buffer = name.removesuffix("s")
        getattr(network, f"{buffer}_mean").copy_(flat.mean(0))
        getattr(network, f"{buffer}_std").copy_(flat.std(0).clamp_min(_LEAST_SPREAD))


def hindsight(episodes: LatentEpisodes, config: PolicyTrainingConfig, stream: tuple[int, int]) -> Batch:
    """Situations, and what was seen 1 to `goal_steps` steps later as their goals; decided by seed and stream alone.

    Raises:
        DataError: no episode has a step.
    """
    count, steps = episodes.actions.shape[:2]
    if steps < 1:
        raise DataError("the episodes have no steps; collect longer ones.")
    kind, number = stream
    generator = torch.Generator().manual_seed((config.seed * 8 + kind) * 1_000_003 + number)
    size = (config.optimiser.batch_sequences if kind == 1 else _EVALUATED,)
    episode = torch.randint(count, size, generator=generator)
    frame = torch.randint(steps, size, generator=generator)
    furthest = torch.clamp(steps - frame, max=config.goal_steps)
    left = 1 + (torch.rand(size, generator=generator) * furthest).long().clamp_max(furthest - 1)
    return (
        episodes.latents[episode, frame],
        episodes.proprio[episode, frame],
        episodes.latents[episode, frame + left],
        left,
        episodes.actions[episode, frame],
    )


def _on(device: torch.device, batch: Batch) -> Batch:
    latents, proprio, goals, left, actions = (part.to(device) for part in batch)
    return latents, proprio, goals, left, actions


def negative_log_likelihood(network: PolicyNetwork, batch: Batch) -> tuple[Tensor, Tensor]:
    """Of the actions under the policy's Gaussian, without its constant, and the log of its spread, both (N, A)."""
    latents, proprio, goals, left, actions = batch
    mean, log_std = network(latents, proprio, goals, left)
    error = (actions - network.action_mean) / network.action_std - mean
    return 0.5 * (error / log_std.exp()).square() + log_std, log_std


@torch.inference_mode()
def evaluate(network: PolicyNetwork, held_out: LatentEpisodes, config: PolicyTrainingConfig) -> dict[str, float]:
    """How near its mean comes to what was done, beside always saying the mean action; on the same held-out goals."""
    batch = _on(network.action_mean.device, hindsight(held_out, config, (2, 0)))
    latents, proprio, goals, left, actions = batch
    mean, _ = network(latents, proprio, goals, left)
    said = mean * network.action_std + network.action_mean
    return {
        "nll": round(float(negative_log_likelihood(network, batch)[0].mean()), 4),
        "displacement_error_cm": _mean_cm((said - actions)[:, :3]),
        "mean_action_error_cm": _mean_cm((network.action_mean - actions)[:, :3]),
        "width_error_cm": _mean_cm((said - actions)[:, 3:]),
    }


def _mean_cm(differences: Tensor) -> float:
    return round(100 * float(torch.linalg.vector_norm(differences, dim=-1).mean()), 3)


def _update(
    network: PolicyNetwork, optimiser: torch.optim.Optimizer, batch: Batch, config: PolicyTrainingConfig, step: int
) -> float:
    """One step of AdamW on the beta-NLL of Seitzer et al. 2022 (beta 0.5): plain likelihood all but stops teaching the
    mean of one component as soon as another, such as a gripper that never moves, is known exactly.
    """
    settings = config.optimiser
    for group in optimiser.param_groups:
        group["lr"] = settings.learning_rate * learning_rate_share(step, settings.warmup_steps, settings.steps)
    surprise, log_std = negative_log_likelihood(network, batch)
    loss = (surprise * log_std.detach().exp()).mean()
    if not torch.isfinite(loss):
        raise TrainingError(f"the loss is not finite at step {step}; lower optimiser.learning_rate.")
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_clip)
    optimiser.step()
    return loss.item()
