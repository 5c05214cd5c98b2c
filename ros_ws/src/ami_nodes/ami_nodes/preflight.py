"""Before anything moves: what a row of the preflight table is, and how a check becomes rows.

A check is a function that returns one sentence, or raises: Skipped where there is nothing to look at, FaultError with a
sentence each; and what the library raises for what cannot be used (OSError, ValueError, RuntimeError) is a fault too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

OK, FAIL, SKIPPED = "ok", "fail", "skipped"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    check: str
    verdict: str
    sentence: str


class Skipped(Exception):  # noqa: N818 - no error
    """Nothing to look at here, and why."""


class FaultError(ValueError):
    """What is wrong, a sentence each."""

    def __init__(self, *sentences: str) -> None:
        super().__init__(" ".join(sentences))
        self.sentences = sentences


def judged(check: str, look: Callable[[], str]) -> list[Row]:
    """The rows of one check: one, or one a fault."""
    try:
        return [Row(check, OK, look())]
    except Skipped as reason:
        return [Row(check, SKIPPED, str(reason))]
    except FaultError as faults:
        return [Row(check, FAIL, sentence) for sentence in faults.sentences]
    except (OSError, ValueError, RuntimeError) as error:
        return [Row(check, FAIL, " ".join(str(error).split()))]
