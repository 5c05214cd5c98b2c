"""`ami pretrain`: from frames alone to an encoder that `ami train --init` starts from."""

from __future__ import annotations

import argparse
from pathlib import Path

from ami_robot.cli.arguments import positive_count
from ami_robot.cli.train import chosen_device, revision

_CONFIG = Path(__file__).parents[1] / "learning" / "image_jepa_conv.yaml"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = subparsers.add_parser("pretrain", help="pretrain an encoder on frames alone, by masked latent prediction")
    parser.add_argument("--data", type=Path, required=True, help="folder that `ami collect` filled")
    parser.add_argument(
        "--config", type=Path, default=_CONFIG, help="configuration of pretraining (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for encoder, log and state")
    parser.add_argument("--resume", action="store_true", help="go on after a run that was stopped")
    parser.add_argument(
        "--threads", type=positive_count, default=1, help="of torch (default 1; more only on idle cores)"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda where there is one")
    parser.add_argument("--tensorboard", action="store_true", help="write event files too, into OUT/tensorboard")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Pretrain; returns the exit code. Errors of the user are raised as one of our own types."""
    import torch

    from ami_robot.episodes.shards import EpisodeSet
    from ami_robot.learning.frames import Frames
    from ami_robot.learning.pretrain import pretrain
    from ami_robot.learning.pretraining_config import load_pretraining_config
    from ami_robot.learning.train import Provenance

    torch.set_num_threads(args.threads)
    device = chosen_device(args.device)
    config = load_pretraining_config(args.config)
    data = EpisodeSet.open(args.data)
    provenance = Provenance(data.sha256, data.manifest, revision())
    frames = Frames.from_arrays(data.load())
    pretrain(frames, config, provenance, args.out, args.resume, device, args.tensorboard)
    print(f"pretrained encoder in {args.out}; start from it with `ami train --init {args.out}`")
    return 0
