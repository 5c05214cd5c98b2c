"""`ami`: the front door, one verb a file. Each verb offers add_parser(subparsers) and run(args) -> exit status.

The verbs import what they need inside run, so that `ami --help` answers at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import NoReturn

import ami_robot

VERBS = (
    "collect", "export", "pretrain", "backbone", "train", "train-policy", "train-error-predictor", "diagnose",
    "goal", "demo", "eval", "calibrate", "preflight",
    "guardrails", "verify-run", "replay", "scenario", "ros", "pursue", "step",
)  # fmt: skip
OURS = ("ami_robot", "ami_sim", "ami_calibration", "ami_nodes", "ami_embedded")
USER_ERROR, INTERRUPTED = 2, 130

EXAMPLES = """examples:
  ami demo                                  reach 20 goals shown as pictures; the report is in runs/latest/
  ami demo --planner analytic --episodes 2  the same graph without the learned model
  ami collect --out data/reach --episodes 200 --workers 2
  ami export --data data/reach --out data/reach-lerobot
  ami pretrain --data data/reach --out runs/pretraining
  ami train --data data/reach --out runs/training
  ami train-policy --data data/reach --out runs/policy
  ami train-error-predictor --data data/new --checkpoint manipulation --out runs/error_predictor
  ami eval push --episodes 192 --shifts --shifted-episodes 64 --out runs/evaluation
  ami diagnose --data data/reach --out runs/diagnostics
  ami diagnose --oracle reach --out runs/oracle  what a search loses by its world model, and what by cost and search
  ami goal pose 0.5 0.1 0.2 --out goal.npz
  ami pursue goal.npz                       have a running graph bring that about
  ami calibrate intrinsics --images views/ --squares 7x5 --square-length 0.03 --marker-length 0.022 --out camera.yaml
  ami calibrate model-error --out ami_robot/checkpoints/reach/model_error.yaml
  ami preflight arm:=loopback camera:=v4l2  what would be wrong with a launch, before anything moves
  ami guardrails                            what holds, where, with which numbers, and the test that dies without it
  ami replay runs/bag                       would encoder and planner decide a recorded run like that again?
  ami ros list                              who is in a running graph; `ami ros` has echo, hz and call as well
  ami scenario intruder --seeds 0 50        somebody walks in at 1.6 m/s, fifty times: is the arm at rest in time?

`ami VERB --help` explains each of them."""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Say it and leave with the exit status of a wrong input."""
        self.exit(USER_ERROR, f"ami: error: {message}; see `{self.prog} --help`.\n")


def build_parser() -> tuple[Parser, dict[str, ModuleType]]:
    """The parser of the whole command line, and the module of each verb."""
    parser = Parser(
        prog="ami",
        description="A robot arm that reaches what it is shown.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ami-robot {ami_robot.__version__}")
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    verbs = {verb: import_module(f"ami_robot.cli.{verb.replace('-', '_')}") for verb in VERBS}
    for verb in verbs.values():
        verb.add_parser(subparsers)
    return parser, verbs


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status: 0 done, 1 failed, 2 wrong input, 130 interrupted."""
    parser, verbs = build_parser()
    args = parser.parse_args(argv)
    try:
        return verbs[args.verb].run(args)
    except KeyboardInterrupt:
        print("ami: interrupted", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except Exception as error:
        # Our own error types are sentences for whoever typed the command; any other is a bug and keeps its trace.
        if type(error).__module__.split(".")[0] not in OURS:
            raise
        return _fail(str(error), getattr(error, "exit_status", USER_ERROR))


def _fail(message: str, status: int = USER_ERROR) -> int:
    """One line on stderr, and the exit status."""
    print(f"ami: error: {' '.join(message.split())}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
