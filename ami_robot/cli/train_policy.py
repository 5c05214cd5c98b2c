"""`ami train-policy`: from collected episodes and a finished encoder to a policy that answers without a search."""

from __future__ import annotations

import argparse
from pathlib import Path

from ami_robot.cli.arguments import EXIT_STATUS, PACKAGE, add_device_flags, add_training_flags, add_verb, seeded
from ami_robot.cli.train import chosen_device, revision

EXAMPLES = f"""examples:
  ami train-policy --data data/reach --out runs/policy
  ami train-policy --data data/manipulation --checkpoint runs/training --out runs/policy --resume

{EXIT_STATUS}"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Declare the verb."""
    about = "train a goal-conditioned policy on the latents of an encoder"
    parser = add_verb(subparsers, "train-policy", about, EXAMPLES)
    add_training_flags(parser, PACKAGE / "learning" / "policy.yaml", "checkpoint, log, latents and state")
    add_device_flags(parser)
    about = "checkpoint folder with the encoder instead of the one that ships"
    parser.add_argument("--checkpoint", type=Path, metavar="DIR", help=about)


def run(args: argparse.Namespace) -> int:
    """Train; returns the exit code. Errors of the user are raised as one of our own types."""
    import torch

    from ami_robot.episodes.shards import EpisodeSet
    from ami_robot.learning.latents import cached_latents
    from ami_robot.learning.policy import train_policy
    from ami_robot.learning.policy_config import load_policy_config
    from ami_robot.learning.train import Provenance
    from ami_robot.perception.checkpoint import load_checkpoint
    from ami_robot.perception.encoder import ImageEncoder

    torch.set_num_threads(args.threads)
    device = chosen_device(args.device)
    config, data = seeded(load_policy_config(args.config), args.seed), EpisodeSet.open(args.data)
    checkpoint = load_checkpoint(args.checkpoint)
    encoder = ImageEncoder(checkpoint)
    provenance = Provenance(data.sha256, data.manifest, revision())
    provenance.require_view_of(checkpoint)
    episodes = cached_latents(data.shards(), data.sha256, encoder, args.out)
    encoded_by = checkpoint.sha256
    policy = train_policy(episodes, encoded_by, config, provenance, args.out, args.resume, device, args.tensorboard)
    print(f"policy in {args.out}; on held-out goals {policy.record['metrics']}")
    return 0
