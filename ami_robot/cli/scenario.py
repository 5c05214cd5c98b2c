"""`ami scenario`: play stories with people, blades and faults, judge them by the truth, film them."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ami_robot.cli.arguments import add_verb

if TYPE_CHECKING:
    from ami_sim.stories.story import Outcome, Story

EXAMPLES = """examples:
  ami scenario --list                        the stories, a line each
  ami scenario intruder                      the first seed
  ami scenario intruder --seeds 0 50         fifty of them
  ami scenario knife --seeds 3 4 --video     and a film: runs/scenarios/knife-3.mp4
  ami scenario coffee --no-guardrails        the control row: the same proposals with nothing in between, has to fail
  ami scenario all --seeds 0 3               every story

Exit status: 0 every seed passed, 1 one of them failed, 2 wrong input, 130 interrupted."""

ALL = "all"


class ScenarioError(ValueError):
    """A wrong input; one sentence."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Declare `ami scenario`."""
    parser = add_verb(
        subparsers, "scenario", "play stories that test the guardrails: a person, a knife, a fault", EXAMPLES
    )
    add = parser.add_argument
    add("name", nargs="?", metavar="NAME", help=f"a story, or `{ALL}`; --list names them")
    add("--list", action="store_true", help="list the stories instead")
    add("--seeds", type=int, nargs=2, default=(0, 1), metavar=("FIRST", "END"), help="seeds from FIRST to END - 1")
    add("--no-guardrails", action="store_true", help="the control row, carried out without guardrails")
    add("--video", action="store_true", help="write a film of each seed")
    add("--out", type=Path, default=Path("runs/scenarios"), metavar="DIR", help="where films go (default %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Play the chosen stories and say how each seed ended."""
    from tqdm import tqdm

    stories = _chosen(args)
    if args.list:
        print("\n".join(f"{name:<10}  {story.about}" for name, story in stories.items()))
        return 0
    first, end = args.seeds
    if not 0 <= first < end:
        raise ScenarioError(f"--seeds needs a range of seeds from 0 on, like 0 50; got {first} {end}.")
    if args.video:
        args.out.mkdir(parents=True, exist_ok=True)
    work = [(story, seed) for story in stories.values() for seed in range(first, end)]
    failed = 0
    with tqdm(work, unit="story", disable=len(work) == 1) as bar:
        for story, seed in bar:
            outcome = _play(story, seed, args)
            failed += not outcome.passed
            bar.write(_line(outcome), file=sys.stdout)
    print(f"{len(work) - failed} of {len(work)} passed")
    return 1 if failed else 0


def _chosen(args: argparse.Namespace) -> dict[str, type[Story]]:
    with contextlib.redirect_stdout(sys.stderr):  # PyBullet greets whoever imports it
        from ami_sim.stories.book import STORIES

    if args.list or args.name == ALL:
        return STORIES
    if args.name not in STORIES:
        asked = "no story was named" if args.name is None else f"there is no story {args.name!r}"
        raise ScenarioError(f"{asked}; valid are {', '.join(STORIES)} and {ALL}.")
    return {args.name: STORIES[args.name]}


def _play(story: type[Story], seed: int, args: argparse.Namespace) -> Outcome:
    from ami_sim.stories.film import Tape, write
    from ami_sim.stories.story import play

    tape, guarded = Tape(), not args.no_guardrails
    outcome = play(story(seed, guarded), tape.record if args.video else None)
    if args.video:
        write(tape, outcome, args.out / f"{story.name}-{seed}{'' if guarded else '-no-guardrails'}.mp4")
    return outcome


def _line(outcome: Outcome) -> str:
    figures = ", ".join(f"{name} {value:.3g}" for name, value in outcome.figures.items() if value == value)
    ended = "passed" if outcome.passed else "FAILED " + " ".join(outcome.broken.values())
    return f"{outcome.story} {outcome.seed}: {ended} ({figures})"
