"""What the verbs' arguments may be: types for argparse, each with one sentence for what is not right."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable


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
