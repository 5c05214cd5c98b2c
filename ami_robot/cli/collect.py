"""`ami collect`: fill a folder with simulated episodes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ami_robot.cli.arguments import count, positive_count


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = subparsers.add_parser("collect", help="collect simulated episodes; an interrupted collection is continued")
    parser.add_argument("--out", type=Path, required=True, help="folder of the data set")
    parser.add_argument(
        "--episodes",
        type=positive_count,
        default=1600,
        help="how many (default: those of the shipped checkpoint, 1600)",
    )
    parser.add_argument(
        "--mix",
        default="reach",
        choices=("reach", "manipulation"),
        help="what is done: reaches among three blocks (default), or one block that is pushed, gripped and carried",
    )
    parser.add_argument("--steps", type=positive_count, default=40, help="of 0.2 s, in each episode (default 40)")
    parser.add_argument("--workers", type=positive_count, default=2, help="processes, at best one for each idle core")
    parser.add_argument("--seed", type=count, default=0, help="another seed gives other episodes")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Collect; returns the exit code. Errors of the user are raised as EpisodesError."""
    from tqdm import tqdm

    from ami_sim.collect import Recipe, collect

    recipe = Recipe(args.episodes, args.steps, args.seed, mix=args.mix)
    with tqdm(total=recipe.episodes, unit="episode", desc="collecting", smoothing=0.05) as bar:
        try:
            manifest = collect(args.out, recipe, args.workers, bar.update)
        except KeyboardInterrupt:
            bar.write(f"interrupted; the same command continues the collection in {args.out}.", file=sys.stderr)
            return 130
    print(f"{recipe.episodes} episodes in {args.out}, content sha256 {manifest['content_sha256']}")
    return 0
