"""`ami backbone`: a frozen pretrained encoder from a local folder made into a checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path

from ami_robot.cli.train import revision

_CONFIG = Path(__file__).parents[1] / "learning" / "backbone.yaml"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = subparsers.add_parser("backbone", help="fit projection and goal head of a frozen DINOv2 or V-JEPA 2")
    parser.add_argument(
        "--folder", type=Path, required=True, help="of the model: config.json and model.safetensors; nothing is fetched"
    )
    parser.add_argument("--data", type=Path, required=True, help="folder that `ami collect` filled")
    parser.add_argument("--config", type=Path, default=_CONFIG, help="configuration (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fit; returns the exit code. Errors of the user are raised as one of our own types."""
    from ami_robot.episodes.shards import EpisodeSet
    from ami_robot.learning.dataset import Episodes
    from ami_robot.learning.fit_backbone import fit_backbone, load_fit_config
    from ami_robot.learning.train import Provenance

    config = load_fit_config(args.config)
    data = EpisodeSet.open(args.data)
    provenance = Provenance(data.sha256, data.manifest, revision())
    metrics = fit_backbone(Episodes.from_arrays(data.load()), args.folder, config, provenance, args.out).record[
        "metrics"
    ]
    print(f"checkpoint in {args.out}; goal head, tool position: mean {metrics['goal_head']['mean_cm']:.2f} cm")
    return 0
