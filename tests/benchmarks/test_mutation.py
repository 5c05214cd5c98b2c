"""Which tests a mutant is shown, what is remembered, and how the score is counted."""

from __future__ import annotations

import argparse
import inspect
import json
import subprocess
import sys

import pytest

from ami_robot.safety import quintic
from benchmarks import mutation, seen_lines
from benchmarks.mutants import Mutant

OBSERVED = {
    "seconds": {
        name: share * seen_lines.TEST_BUDGET_S for name, share in (("slow", 0.7), ("quick", 0.01), ("other", 0.5))
    },
    "lines": {"gate.py": {"1": [""], "5": ["quick", "slow"], "8": ["other"]}},
}


def mutant(line: int, scope: str = "f", change: str = "a -> b") -> Mutant:
    return Mutant("gate.py", line, scope, change, 0, 0)


def test_a_mutant_is_shown_the_tests_that_pass_through_its_line_fastest_first():
    assert seen_lines.tests_of(mutant(5), OBSERVED) == ["quick", "slow"]
    assert seen_lines.tests_of(mutant(7), OBSERVED) == ["quick", "slow"]  # a later line of the same statement
    assert seen_lines.tests_of(mutant(8), OBSERVED) == ["other"]


def test_what_runs_on_import_is_shown_all_tests_of_the_file_within_the_budget():
    assert seen_lines.tests_of(mutant(1, scope=""), OBSERVED) == ["quick", "other"]


def test_a_file_that_no_test_uses_is_shown_none():
    assert seen_lines.tests_of(Mutant("other.py", 1, "f", "a -> b", 0, 0), OBSERVED) == []


@pytest.fixture
def known(tmp_path, monkeypatch):
    monkeypatch.setattr(mutation, "FOUND", tmp_path / "mutants.jsonl")
    return mutation.Known


def test_what_was_killed_stays_known_until_the_source_changes(known):
    known("tests 1").add(mutant(5), {"gate.py": "source"}, "killed")
    assert known("tests 2").status(mutant(5), {"gate.py": "source"}) == "killed"
    assert known("tests 2").status(mutant(5), {"gate.py": "changed"}) is None


def test_a_survivor_is_run_again_when_the_tests_change(known):
    known("tests 1").add(mutant(5), {"gate.py": "source"}, "survived")
    assert known("tests 1").status(mutant(5), {"gate.py": "source"}) == "survived"
    assert known("tests 2").status(mutant(5), {"gate.py": "source"}) is None


def test_the_score_counts_timeouts_as_killed_and_names_the_survivors(known):
    sources = {"gate.py": "source"}
    found = known("tests")
    chosen = [Mutant("gate.py", line, "f", "a ->\n b", line, 0) for line in range(4)]
    for each, status in zip(chosen, ["killed", "killed", "timeout", "survived"], strict=True):
        found.add(each, sources, status)
    result = mutation.summary(chosen, sources, found)
    assert (result["score"], result["mutants"], result["survived"]) == (0.75, 4, 1)
    assert result["files"] == {"gate.py": {"killed": 2, "timeout": 1, "survived": 1}}
    assert result["survivors"] == ["gate.py:3 f: a -> b"]
    low, high = result["interval_95"]
    assert 0.2 < low < 0.75 < high < 1.0


def test_the_counted_files_exist_and_data_is_not_among_them():
    names = mutation.files()
    assert {"ami_robot/safety/motion.py", "ami_robot/actor/planner.py"} <= set(names)
    assert not any(name.endswith(mutation.DATA_FILES) for name in names)
    assert all((mutation.ROOT / name).exists() for name in names)


@pytest.mark.parametrize(
    ("asked", "written"),
    [
        ({"rows": ["people"]}, None),
        ({"files": ["ami_robot/safety/motion.py"]}, None),
        ({"rows": []}, mutation.RESULT),
        ({"rows": ["people"], "out": "people.json"}, "people.json"),
    ],
)
def test_what_is_known_of_a_part_is_not_written_over_the_summary_of_all(asked, written):
    args = argparse.Namespace(**{"rows": None, "files": mutation.files(), "out": None} | asked)
    assert mutation.summary_file(args) == written


SOME = ["people", "transport", "command_rate"]
"""A row of a compiled module, one whose numbers change others, one of an interpreted module."""


@pytest.mark.parametrize("rows", [SOME, pytest.param([], marks=pytest.mark.slow)], ids=["some", "all"])
def test_every_guardrail_has_a_test_that_dies_without_it(rows, tmp_path):
    command = [sys.executable, "-m", "benchmarks.mutation", "--out", str(tmp_path / "rows.json"), "--rows", *rows]
    done = subprocess.run(command, cwd=mutation.ROOT, capture_output=True, text=True, timeout=3600, check=False)
    written = json.loads((tmp_path / "rows.json").read_text())["rows"]
    dies = written["dies"]
    assert set(dies) == set(rows or (entry.row for entry in mutation.TABLE))
    assert {row for row, died in dies.items() if not died} == set(), done.stdout
    assert done.returncode == 0
    assert written["command"].startswith("python -m benchmarks.mutation --out")


@pytest.fixture
def lines_of(tmp_path):
    """Names of the tests in a text that pass through each line of a module."""

    def observe(text, module):
        file, target = tmp_path / "test_observed.py", tmp_path / "lines.json"
        file.write_text(text)
        code = (
            "import sys; from pathlib import Path; from benchmarks import seen_lines;"
            "sys.exit(seen_lines.see(Path(sys.argv[1]), Path(sys.argv[2])))"
        )
        command = [sys.executable, "-c", code, str(file), str(target)]
        assert subprocess.run(command, cwd=mutation.ROOT, capture_output=True, timeout=120, check=False).returncode == 0
        lines = json.loads(target.read_text())["lines"][module].items()
        return {int(line): {test.split("::")[1] for test in tests if test} for line, tests in lines}

    return observe


def test_what_a_shared_fixture_passes_through_is_shown_to_every_test_that_uses_it(lines_of):
    lines = lines_of(
        "import pytest\n"
        "from ami_robot.safety.rows import Table\n"
        "from ami_robot.safety.checks import is_number\n"
        "@pytest.fixture(scope='module')\n"
        "def shared(): return is_number(1.0)\n"
        "def test_first(shared): pass\n"
        "def test_second(shared): pass\n"
        "def test_other(): pass\n",
        "ami_robot/safety/checks.py",
    )
    assert {test for tests in lines.values() for test in tests} == {"test_first", "test_second"}


def test_who_calls_a_compiled_loop_passes_through_its_lines_and_those_of_the_loops_that_it_calls(lines_of):
    lines = lines_of(
        "import numpy as np\n"
        "from ami_robot.safety.quintic import JointState, quintic, sample\n"
        "REST = JointState(*np.zeros((3, 7)))\n"
        "def test_it(): sample(quintic(REST, REST, 1.0), 1.0, 0.5)\n"
        "def test_other(): pass\n",
        "ami_robot/safety/quintic.py",
    )
    for loop in (quintic._quintics, quintic._samples, quintic._set_state):
        code, first = inspect.getsourcelines(loop.py_func)
        inside = [lines[line] for line in range(first + 1, first + len(code)) if line in lines]
        assert {"test_it"} in inside and not any("test_other" in tests for tests in inside)


def test_a_changed_loop_is_compiled_anew_and_not_taken_from_what_was_kept():
    code = (
        "import ast, sys; from benchmarks.changed_package import run_changed\n"
        "def change(file):\n"
        "    source = file.read_text().replace('return math.sqrt(x * x + y * y + z * z)', 'return 0.0')\n"
        "    return ast.parse(source) if file.name == 'capsules.py' else None\n"
        "sys.exit(run_changed(change, ['tests/safety/test_separation.py']))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=mutation.ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == mutation.FAILED, done.stdout
