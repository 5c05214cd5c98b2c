"""The front door: help at once, and bad input ends in one line with exit status 2."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
import time

import pytest

from ami_robot.cli import main as cli
from ami_robot.safety.spec import SpecError


def one_line(capsys) -> str:
    error = capsys.readouterr().err
    assert error.startswith("ami: error: ")
    assert error.count("\n") == 1
    return error


def with_verbs_inside(parser):
    """It, and the parsers of its verbs, and of theirs."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for kind in action.choices.values():
                yield from with_verbs_inside(kind)


EXPLAINED = [each for each in with_verbs_inside(cli.build_parser()[0]) if not each.prog.startswith("ami goal ")]
"""`ami goal` has the examples of its kinds."""


@pytest.mark.parametrize("parser", EXPLAINED, ids=lambda parser: parser.prog)
def test_every_help_has_examples_that_may_be_typed_so(parser):
    shown = [line.strip() for line in parser.epilog.splitlines() if line.startswith("  ami ")]
    assert any(line.startswith(parser.prog) for line in shown)
    for line in shown:
        words = shlex.split(re.split(r"\s{2,}", line)[0])
        cli.build_parser()[0].parse_args(words[1:])


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_answers_for_its_help(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([verb, "--help"])
    assert ended.value.code == 0
    assert f"ami {verb}" in capsys.readouterr().out


def test_help_loads_neither_torch_nor_pybullet_nor_opencv():
    script = (
        "import sys\nfrom ami_robot.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print({'torch', 'pybullet', 'cv2'} & set(sys.modules), file=sys.stderr)"
    )
    began_s = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr.strip() == "set()"
    assert "examples:" in done.stdout
    assert time.monotonic() - began_s < 10  # a loaded machine; idle it is a tenth of a second


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "VERB"),
        (["dance"], "invalid choice: 'dance'"),
        (["demo", "--speed"], "unrecognized arguments: --speed"),
        (["demo", "--episodes", "0"], "a whole number from 1 on, not '0'"),
        (["demo", "--seed", "-1"], "a whole number from 0 on, not '-1'"),
        (["demo", "--planner", "magic"], "invalid choice: 'magic'"),
        (["train", "--data", "data", "--out", "out", "--threads", "0"], "a whole number from 1 on, not '0'"),
        (["pursue", "goal.npz", "--duration", "0"], "a positive number of seconds, not '0'"),
        (["pursue", "goal.npz", "--namespace", "cell 1"], "a namespace such as /cell1, not 'cell 1'"),
        (["calibrate", "intrinsics", "--squares", "seven"], "columns x rows"),
    ],
)
def test_a_wrong_argument_ends_in_one_line(words, message, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2
    assert message in one_line(capsys)


def with_verb(monkeypatch, error):
    class Verb:
        @staticmethod
        def add_parser(subparsers):
            subparsers.add_parser("fail")

        @staticmethod
        def run(args):
            raise error

    monkeypatch.setattr(cli, "VERBS", ("fail",))
    monkeypatch.setattr(cli, "import_module", lambda name: Verb)
    return cli.main(["fail"])


def test_our_own_errors_become_one_line(monkeypatch, capsys):
    assert with_verb(monkeypatch, SpecError("the limit is\n  missing.")) == 2
    assert one_line(capsys) == "ami: error: the limit is missing.\n"


def test_a_missing_file_becomes_one_line(monkeypatch, capsys):
    assert with_verb(monkeypatch, FileNotFoundError(2, "No such file or directory", "x.yaml")) == 2
    assert one_line(capsys) == "ami: error: x.yaml: No such file or directory\n"


def test_a_bug_keeps_its_trace(monkeypatch):
    with pytest.raises(ValueError, match="a bug"):
        with_verb(monkeypatch, ValueError("a bug"))


def test_ctrl_c_is_130(monkeypatch, capsys):
    assert with_verb(monkeypatch, KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "ami: interrupted\n"
