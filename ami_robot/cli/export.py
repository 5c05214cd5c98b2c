"""`ami export`: a data set as a LeRobotDataset v3, for tools and policies that read that."""

from __future__ import annotations

import argparse
from pathlib import Path

from ami_robot.cli.arguments import EXIT_STATUS, add_verb

EXAMPLES = f"""examples:
  ami export --data data/reach --out data/reach-lerobot

Needs the extra `lerobot` (pyarrow). {EXIT_STATUS}"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Declare the verb."""
    add = add_verb(subparsers, "export", "write a data set as a LeRobotDataset v3.0", EXAMPLES).add_argument
    add("--data", type=Path, required=True, metavar="DIR", help="data set that `ami collect` made")
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the LeRobotDataset: new, or empty")


def run(args: argparse.Namespace) -> int:
    """Export; returns the exit code. Errors of the user are raised as one of our own types."""
    from tqdm import tqdm

    from ami_robot.episodes.export import export_lerobot
    from ami_robot.episodes.shards import EpisodeSet
    from ami_robot.safety.spec import load_spec

    data, spec = EpisodeSet.open(args.data), load_spec()
    with tqdm(total=int(data.manifest["recipe"]["episodes"]), unit="episode", desc="exporting") as bar:
        export_lerobot(data, args.out, spec.robot, spec.joint_names, bar.update)
    print(f"LeRobotDataset v3.0 in {args.out}; `LeRobotDataset(NAME, root={str(args.out)!r})` loads it")
    return 0
