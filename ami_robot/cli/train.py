"""`ami train`: from collected episodes to a checkpoint with its model card."""

from __future__ import annotations

import argparse
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_PACKAGE = Path(__file__).parents[1]
_CONFIG = _PACKAGE / "learning" / "reach.yaml"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = subparsers.add_parser("train", help="train encoder and world model on collected episodes")
    parser.add_argument("--data", type=Path, required=True, help="folder that `ami collect` filled")
    parser.add_argument("--config", type=Path, default=_CONFIG, help="training configuration (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint, model card, log and state")
    parser.add_argument("--init", type=Path, help="start from the encoder in this folder, e.g. of `ami pretrain`")
    parser.add_argument("--resume", action="store_true", help="go on after a run that was stopped")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default 1; more only on idle cores)")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda where there is one")
    parser.add_argument("--tensorboard", action="store_true", help="write event files too, into OUT/tensorboard")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train; returns the exit code. Errors of the user are raised as one of our own types."""
    import torch

    from ami_robot.episodes.shards import EpisodeSet
    from ami_robot.learning import ranks
    from ami_robot.learning.config import load_config
    from ami_robot.learning.dataset import Episodes
    from ami_robot.learning.train import Provenance, TrainingError, train
    from ami_robot.perception.checkpoint import load_checkpoint

    if args.threads < 1:
        raise TrainingError(f"--threads has to be at least 1, got {args.threads}.")
    torch.set_num_threads(args.threads)
    device = chosen_device(args.device)
    config = load_config(args.config)
    initial = load_checkpoint(args.init) if args.init else None
    data = EpisodeSet.open(args.data)
    provenance = Provenance(data.sha256, data.manifest, revision())
    with ranks.joined(device):
        episodes = Episodes.from_arrays(data.load())
        if train(episodes, config, provenance, args.out, args.resume, device, args.tensorboard, initial):
            print(f"checkpoint and model card in {args.out}")
    return 0


def chosen_device(wanted: str | None) -> torch.device:
    """What was asked for, or the GPU if there is one; of several, the one that `torchrun` means for this process."""
    import torch

    from ami_robot.learning.train import TrainingError

    if wanted == "cuda" and not torch.cuda.is_available():
        raise TrainingError("torch finds no CUDA device; leave --device away to train on the CPU.")
    if wanted == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device


def revision() -> str:
    """This commit, marked when the code that trains was changed since; 'unknown' outside a repository."""

    def git(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(("git", *command), cwd=_PACKAGE, capture_output=True, text=True, check=False)

    try:
        commit = git("rev-parse", "HEAD").stdout.strip()
    except FileNotFoundError:
        return "unknown"
    changed = git("diff", "--quiet", "HEAD", "--", "learning", "perception", "world_model").returncode
    return f"{commit}{'-changed' if changed else ''}" if commit else "unknown"
