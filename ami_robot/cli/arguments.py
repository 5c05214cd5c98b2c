"""What the verbs and their arguments are made of; types for argparse, each with one sentence for what is not right."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

Config = TypeVar("Config", bound=Any)  # a dataclass with a `seed`

PACKAGE = Path(__file__).parents[1]
SHIPPED = {"reach": "reach", "push": "push", "push_retracted": "push", "pick_lift": "carry", "pick_place": "carry"}
"""The task file that ships for each task of the simulator; those of a block name their checkpoint."""

EXIT_STATUS = "Exit status: 0 done, 2 wrong input, 130 interrupted."


def add_verb(subparsers: argparse._SubParsersAction, name: str, about: str, examples: str) -> argparse.ArgumentParser:
    """A verb, or a kind of one, whose help ends with examples, line by line as they are."""
    layout = argparse.RawDescriptionHelpFormatter
    return subparsers.add_parser(name, help=about, description=about, epilog=examples, formatter_class=layout)


def add_training_flags(parser: argparse.ArgumentParser, config: Path, results: str, resumes: bool = True) -> None:
    """What every training is told: from what, how, where to. `config` is the file that is taken by default."""
    add, shown = parser.add_argument, config.relative_to(PACKAGE.parent)
    add("--data", type=Path, required=True, metavar="DIR", help="data set that `ami collect` made")
    add("--config", type=Path, default=config, metavar="F", help=f"how, a YAML (default: the {shown} that ships)")
    add("--out", type=Path, required=True, metavar="DIR", help=f"folder for {results}")
    add("--seed", type=count, metavar="S", help="in place of the configuration's")
    if resumes:
        add("--resume", action="store_true", help="go on after a run that was stopped")
        add("--threads", type=positive_count, default=1, metavar="N", help="of torch (default 1; more on idle cores)")


def seeded(config: Config, seed: int | None) -> Config:
    """A configuration with the seed that was asked for, if one was."""
    return config if seed is None else replace(config, seed=seed)


def add_device_flags(parser: argparse.ArgumentParser) -> None:
    """Of what may be trained on a GPU."""
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda where there is one")
    parser.add_argument("--tensorboard", action="store_true", help="write event files too, into DIR/tensorboard")


def positive_count(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number from 1 on, not '{text}'")
    return int(text)


def count(text: str) -> int:
    """A whole number from 0 on, such as a seed."""
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"a whole number from 0 on, not '{text}'")
    return int(text)


def namespace(text: str) -> str:
    """Names of ROS nodes' namespaces, / between them; none at all for the root."""
    if not re.fullmatch(r"/?|/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"a namespace such as /cell1, not '{text}'")
    return text


def positive_number_of(unit: str) -> Callable[[str], float]:
    """A finite number above 0."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not 0.0 < number < math.inf:
            raise argparse.ArgumentTypeError(f"a positive number of {unit}, not '{text}'")
        return number

    return read
