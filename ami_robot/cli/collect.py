"""`ami collect`: fill a folder with simulated episodes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ami_robot.cli.arguments import EXIT_STATUS, add_verb, count, positive_count

EXAMPLES = f"""examples:
  ami collect --out data/reach --workers 2                       as for the shipped checkpoint: 1600 episodes of 8 s
  ami collect --out data/manipulation --mix manipulation --steps 60
  ami collect --out data/small --episodes 40 --seed 7

Stopped in any way, the same command goes on; whole files stay. {EXIT_STATUS}"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Declare the verb."""
    add = add_verb(subparsers, "collect", "collect simulated episodes", EXAMPLES).add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the data set")
    add("--episodes", type=positive_count, default=1600, metavar="N", help="how many (default %(default)s)")
    add(
        "--mix",
        default="reach",
        choices=("reach", "manipulation"),
        help="what is done: reaches among three blocks (default), or one block that is pushed, gripped and carried",
    )
    add("--steps", type=positive_count, default=40, metavar="N", help="of 0.2 s, in each episode (default 40)")
    add("--seed", type=count, default=0, metavar="S", help="another seed gives other episodes (default 0)")
    add("--workers", type=positive_count, default=2, help="processes, at best one for each idle core (default 2)")


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
