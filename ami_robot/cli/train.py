"""`ami train`: from collected episodes to a checkpoint with its model card."""

from __future__ import annotations

import argparse
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from ami_robot.cli.arguments import EXIT_STATUS, PACKAGE, add_device_flags, add_training_flags, add_verb, seeded

if TYPE_CHECKING:
    import torch

EXAMPLES = f"""examples:
  ami train --data data/reach --out runs/training
  ami train --data data/reach --out runs/training --resume            after a run that was stopped, in any way
  ami train --data data/reach --init runs/pretraining --out runs/training --tensorboard
  torchrun --standalone --nproc-per-node 2 -m ami_robot.cli.main train --data data/reach --out runs/training

{EXIT_STATUS}"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Declare the verb."""
    parser = add_verb(subparsers, "train", "train encoder and world model on collected episodes", EXAMPLES)
    add_training_flags(parser, PACKAGE / "learning" / "reach.yaml", "checkpoint, model card, log and state")
    add_device_flags(parser)
    about = "start from the encoder in this folder, e.g. of `ami pretrain`"
    parser.add_argument("--init", type=Path, metavar="DIR", help=about)


def run(args: argparse.Namespace) -> int:
    """Train; returns the exit code. Errors of the user are raised as one of our own types."""
    import torch

    from ami_robot.episodes.shards import EpisodeSet
    from ami_robot.learning import ranks
    from ami_robot.learning.config import load_config
    from ami_robot.learning.dataset import Episodes
    from ami_robot.learning.train import Provenance, train
    from ami_robot.perception.checkpoint import load_checkpoint

    torch.set_num_threads(args.threads)
    device = chosen_device(args.device)
    config = seeded(load_config(args.config), args.seed)
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
        return subprocess.run(("git", *command), cwd=PACKAGE, capture_output=True, text=True, check=False)

    try:
        commit = git("rev-parse", "HEAD").stdout.strip()
    except FileNotFoundError:
        return "unknown"
    changed = git("diff", "--quiet", "HEAD", "--", "learning", "perception", "world_model").returncode
    return f"{commit}{'-changed' if changed else ''}" if commit else "unknown"
