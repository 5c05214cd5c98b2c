"""`ami pretrain`: from frames alone to an encoder that `ami train --init` starts from."""

from __future__ import annotations

import argparse

from ami_robot.cli.arguments import EXIT_STATUS, PACKAGE, add_device_flags, add_training_flags, add_verb, seeded
from ami_robot.cli.train import chosen_device, revision

EXAMPLES = f"""examples:
  ami pretrain --data data/reach --out runs/pretraining
  ami pretrain --data data/reach --config ami_robot/learning/video_jepa.yaml --out runs/pretraining --resume

{EXIT_STATUS}"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Declare the verb."""
    about = "pretrain an encoder on frames alone, by masked latent prediction"
    parser = add_verb(subparsers, "pretrain", about, EXAMPLES)
    add_training_flags(parser, PACKAGE / "learning" / "image_jepa_conv.yaml", "encoder, log and state")
    add_device_flags(parser)


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
    config = seeded(load_pretraining_config(args.config), args.seed)
    data = EpisodeSet.open(args.data)
    provenance = Provenance(data.sha256, data.manifest, revision())
    frames = Frames.from_arrays(data.load())
    pretrain(frames, config, provenance, args.out, args.resume, device, args.tensorboard)
    print(f"pretrained encoder in {args.out}; start from it with `ami train --init {args.out}`")
    return 0
