"""A training run that can be killed at any time: its folder, its saved state, and its learning rate at each step."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ami_robot.perception.checkpoint import write_whole

STATE_FILE = "training_state.safetensors"
CPU = torch.device("cpu")  # where a run takes place unless it is told otherwise


class TrainingError(ValueError):
    """A training run that cannot start or go on; one sentence saying why, and what would be right."""


def run_identity(config: dict[str, Any], data_sha256: str) -> str:
    """What a resumed run must share with the one it goes on from."""
    return hashlib.sha256(json.dumps([config, data_sha256], sort_keys=True).encode()).hexdigest()


def adamw(parameters: Iterable[Tensor], learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """The optimiser of every fit, in one fused kernel: with one for each tensor a CPU takes four times as long."""
    return torch.optim.AdamW(parameters, learning_rate, weight_decay=weight_decay, fused=True)


def start_run(model: nn.Module, optimiser: torch.optim.Optimizer, out: Path, identity: str, resume: bool) -> int:
    """The step to begin with: 0 in an empty folder; when resuming the saved one, with model and optimiser filled.

    Raises:
        TrainingError: the folder holds a run; or, when resuming, no run, a damaged one, or one of another identity.
    """
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
        prefix = f"optimiser.{index}."
        if f"{prefix}step" in tensors:
            names = ("step", "exp_avg", "exp_avg_sq")
            optimiser.state[parameter] = {name: tensors[prefix + name].to(parameter.device) for name in names}
    return int(metadata["step"])


def save_run(model: nn.Module, optimiser: torch.optim.Optimizer, step: int, out: Path, identity: str) -> None:
    """Write the state from which `start_run` resumes."""
    tensors: dict[str, Tensor] = {f"model.{key}": value for key, value in model.state_dict().items()}
    for index, parameter in enumerate(model.parameters()):
        for name, value in optimiser.state.get(parameter, {}).items():
            tensors[f"optimiser.{index}.{name}"] = value
    content = safetensors.torch.save(tensors, metadata={"step": str(step), "identity": identity})
    write_whole(out / STATE_FILE, content)


def learning_rate_share(step: int, warmup: int, steps: int) -> float:
    """Share of the learning rate: linear warm-up, then a half cosine to zero."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))
