"""`ami train-error-predictor`: by how far is an imagined block to be expected off? Learned on data new to the model."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from ami_robot.cli.arguments import EXIT_STATUS, PACKAGE, add_training_flags, add_verb, seeded
from ami_robot.cli.train import revision

EXAMPLES = f"""examples:
  ami collect --out data/new --mix manipulation --steps 60 --seed 100
  ami train-error-predictor --data data/new --checkpoint runs/training --out runs/training/error_predictor

{EXIT_STATUS}"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Declare the verb."""
    about = "learn by how far the block that a finished world model imagines is off"
    parser = add_verb(subparsers, "train-error-predictor", about, EXAMPLES)
    add_training_flags(
        parser, PACKAGE / "learning" / "error_predictor.yaml", "the network and its record", resumes=False
    )
    about = "checkpoint folder with a block head, whose errors these are"
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="DIR", help=about)


def run(args: argparse.Namespace) -> int:
    """Train; returns the exit code. Errors of the user are raised as one of our own types."""
    import torch

    from ami_robot.episodes.shards import EpisodeSet
    from ami_robot.learning.error_predictor import load_error_config, train_error_predictor
    from ami_robot.learning.latents import cached_latents
    from ami_robot.learning.train import Provenance
    from ami_robot.perception.checkpoint import load_checkpoint
    from ami_robot.perception.encoder import ImageEncoder

    torch.set_num_threads(1)
    config, data = seeded(load_error_config(args.config), args.seed), EpisodeSet.open(args.data)
    checkpoint = load_checkpoint(args.checkpoint)
    provenance = Provenance(data.sha256, data.manifest, revision())
    provenance.require_view_of(checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        episodes = cached_latents(data.shards(), data.sha256, ImageEncoder(checkpoint), Path(folder))
    learned = train_error_predictor(checkpoint, episodes, config, provenance, args.out)
    print(f"error predictor in {args.out}; on held-out episodes {learned.record['metrics']}")
    return 0
