"""`ami train-policy`: from collected episodes and a finished encoder to a policy that answers without a search."""

from __future__ import annotations

import argparse
from pathlib import Path

from ami_robot.cli.train import revision

_CONFIG = Path(__file__).parents[1] / "learning" / "policy.yaml"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = subparsers.add_parser("train-policy", help="train a goal-conditioned policy on the latents of an encoder")
    parser.add_argument("--data", type=Path, required=True, help="folder that `ami collect` filled")
    parser.add_argument("--checkpoint", type=Path, help="folder with the encoder instead of the one that ships")
    parser.add_argument("--config", type=Path, default=_CONFIG, help="training configuration (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint, log, latents and state")
    parser.add_argument("--resume", action="store_true", help="go on after a run that was stopped")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default 1; more only on idle cores)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train; returns the exit code. Errors of the user are raised as one of our own types."""
    import torch

    from ami_robot.episodes.shards import EpisodeSet
    from ami_robot.learning.latents import cached_latents
    from ami_robot.learning.policy import train_policy
    from ami_robot.learning.policy_config import load_policy_config
    from ami_robot.learning.run_state import TrainingError
    from ami_robot.learning.train import Provenance
    from ami_robot.perception.checkpoint import load_checkpoint
    from ami_robot.perception.encoder import ImageEncoder

    if args.threads < 1:
        raise TrainingError(f"--threads has to be at least 1, got {args.threads}.")
    config, data = load_policy_config(args.config), EpisodeSet.open(args.data)
    checkpoint = load_checkpoint(args.checkpoint)
    encoder = ImageEncoder(checkpoint)
    torch.set_num_threads(args.threads)
    provenance = Provenance(data.sha256, data.manifest, revision())
    provenance.require_view_of(checkpoint)
    episodes = cached_latents(data.shards(), data.sha256, encoder, args.out)
    policy = train_policy(episodes, checkpoint.sha256, config, provenance, args.out, args.resume)
    print(f"policy in {args.out}; on held-out goals {policy.record['metrics']}")
    return 0
