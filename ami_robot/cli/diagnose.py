"""`ami diagnose`: what a checkpoint knows and where its errors come from, on the episodes its training held out."""

from __future__ import annotations

import argparse
from pathlib import Path

from ami_robot.cli.arguments import EXIT_STATUS, add_verb

REPORT_FILE, PAGE_FILE = "diagnostics.json", "DIAGNOSTICS.md"


EXAMPLES = f"""examples:
  ami diagnose --data data/reach --out runs/diagnostics
  ami diagnose --data data/manipulation --checkpoint runs/training --out runs/diagnostics

A second call with the same --out takes the latents that the first left there. {EXIT_STATUS}"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Declare the verb."""
    add = add_verb(
        subparsers, "diagnose", "measure a checkpoint on episodes that its training held out", EXAMPLES
    ).add_argument
    add("--data", type=Path, required=True, metavar="DIR", help="data set that `ami collect` made")
    add("--checkpoint", type=Path, metavar="DIR", help="checkpoint folder instead of the one that ships")
    add("--out", type=Path, required=True, metavar="DIR", help=f"folder for {REPORT_FILE}, {PAGE_FILE} and latents")


def run(args: argparse.Namespace) -> int:
    """Measure; returns the exit code. Errors of the user are raised as one of our own types."""
    import json

    from ami_robot.cli.train import revision
    from ami_robot.episodes.shards import EpisodeSet
    from ami_robot.learning.diagnostics import diagnose
    from ami_robot.learning.diagnostics_page import render_diagnostics
    from ami_robot.learning.latents import cached_latents
    from ami_robot.learning.train import Provenance
    from ami_robot.perception.checkpoint import load_checkpoint, write_whole
    from ami_robot.perception.encoder import ImageEncoder

    data, checkpoint = EpisodeSet.open(args.data), load_checkpoint(args.checkpoint)
    Provenance(data.sha256, data.manifest, revision()).require_view_of(checkpoint)
    episodes = cached_latents(data.shards(), data.sha256, ImageEncoder(checkpoint), args.out)
    report = diagnose(checkpoint, episodes, data.sha256)
    page = render_diagnostics(report)
    write_whole(args.out / REPORT_FILE, (json.dumps(report, indent=2) + "\n").encode())
    write_whole(args.out / PAGE_FILE, page.encode())
    print(page)
    return 0
