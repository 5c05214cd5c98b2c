"""`ami backbone`: a frozen pretrained encoder from a local folder made into a checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path

from ami_robot.cli.arguments import EXIT_STATUS, PACKAGE, add_training_flags, add_verb, seeded
from ami_robot.cli.train import revision

EXAMPLES = f"""examples:
  ami backbone --folder backbones/dinov2-small --data data/reach --out runs/backbone

Needs the extra `backbone` (transformers). {EXIT_STATUS}"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Declare the verb."""
    parser = add_verb(subparsers, "backbone", "fit projection and goal head of a frozen DINOv2 or V-JEPA 2", EXAMPLES)
    add_training_flags(parser, PACKAGE / "learning" / "backbone.yaml", "the checkpoint", resumes=False)
    about = "of the model: config.json and model.safetensors; nothing is fetched"
    parser.add_argument("--folder", type=Path, required=True, metavar="DIR", help=about)


def run(args: argparse.Namespace) -> int:
    """Fit; returns the exit code. Errors of the user are raised as one of our own types."""
    from ami_robot.episodes.shards import EpisodeSet
    from ami_robot.learning.dataset import Episodes
    from ami_robot.learning.fit_backbone import fit_backbone, load_fit_config
    from ami_robot.learning.train import Provenance

    config = seeded(load_fit_config(args.config), args.seed)
    data = EpisodeSet.open(args.data)
    provenance = Provenance(data.sha256, data.manifest, revision())
    metrics = fit_backbone(Episodes.from_arrays(data.load()), args.folder, config, provenance, args.out).record[
        "metrics"
    ]
    print(f"checkpoint in {args.out}; goal head, tool position: mean {metrics['goal_head']['mean_cm']:.2f} cm")
    return 0
