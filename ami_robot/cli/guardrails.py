"""`ami guardrails`: the table of the guardrails with its numbers; with --check, whether a file of them can be used."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from ami_robot.cli.arguments import add_verb

if TYPE_CHECKING:
    from ami_robot.safety.spec import Spec

EXAMPLES = """examples:
  ami guardrails                         what holds, where, with which numbers, and the test that dies without it
  ami guardrails --check my_robot.yaml   is this guardrail file complete and sensible?
  ami guardrails --markdown              the table for a web page"""

NAME_COLUMNS, LABEL_COLUMNS = 20, 10


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Declare `ami guardrails`."""
    parser = add_verb(
        subparsers, "guardrails", "print the table of the guardrails, or check a guardrail file", EXAMPLES
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--check", type=Path, metavar="FILE", help="check a guardrail file instead: exit status 0 or 1")
    kind.add_argument("--markdown", action="store_true", help="print the table as Markdown")


def run(args: argparse.Namespace) -> int:
    """Print the table, or check a file."""
    from ami_robot.safety.spec import SpecError, load_spec

    if args.check is None:
        spec = load_spec()
        columns = max(80, min(shutil.get_terminal_size().columns, 200))
        print(markdown(spec) if args.markdown else table(spec, columns))
        return 0
    try:
        spec = load_spec(args.check)
    except SpecError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{args.check}: ok, sha256 {spec.sha256}")
    return 0


def table(spec: Spec, columns: int) -> str:
    """Guardrails as paragraphs of at most `columns` characters a line."""
    from ami_robot.safety.table import LAYERS, TABLE, numbers

    lines = [f"{len(TABLE)} guardrails; numbers of the guardrail file with sha256 {spec.sha256[:12]}."]
    for layer, meaning in LAYERS.items():
        lines += _labelled(layer, meaning, "", columns)
    for entry in TABLE:
        margin = f"margin in {entry.unit}" if entry.unit else "holds or not"
        path, _, test = entry.test.partition("::")
        lines += [
            "",
            *_labelled("holds", entry.holds, entry.row, columns),
            *_labelled("where", f"{', '.join(entry.layers)} ({margin})", "", columns),
            *_labelled("numbers", numbers(spec, entry.row), "", columns),
            *_labelled("test", f"{path} {test}", "", columns),
        ]
    return "\n".join(lines)


def _labelled(label: str, text: str, name: str, columns: int) -> list[str]:
    """`name`, `label`, and `text` in the columns that are left; a long word begins further left instead of breaking."""
    before = NAME_COLUMNS + LABEL_COLUMNS
    lines = wrap(text, columns - before, break_long_words=False, break_on_hyphens=False)
    heads = [f"{name:<{NAME_COLUMNS}}{label:<{LABEL_COLUMNS}}"]
    heads += [" " * max(0, min(before, columns - len(line))) for line in lines[1:]]
    return [head + line for head, line in zip(heads, lines, strict=False)]


def markdown(spec: Spec) -> str:
    """Guardrails as one Markdown table."""
    from ami_robot.safety.table import TABLE, numbers

    rows = [("guardrail", "holds when", "where", "margin in", "numbers", "test that dies without it"), ("---",) * 6]
    for entry in TABLE:
        test, where = f"`{entry.test}`", ", ".join(entry.layers)
        rows.append((f"`{entry.row}`", entry.holds, where, entry.unit, numbers(spec, entry.row), test))
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in rows)
