"""`ami guardrails`: the table fits the terminal, and a guardrail file is good or wrong in one sentence."""

from __future__ import annotations

import hashlib

import pytest

from ami_robot.cli import main as cli
from ami_robot.cli.guardrails import markdown, table
from ami_robot.safety.spec import DEFAULT_SPEC, load_spec
from ami_robot.safety.table import TABLE


@pytest.mark.parametrize("columns", [80, 120, 200])
def test_the_table_fits_the_terminal_and_misses_nothing(columns):
    text = table(load_spec(), columns)
    assert max(map(len, text.splitlines())) <= columns
    words = " ".join(text.split())
    for entry in TABLE:
        assert f"{entry.row} holds {' '.join(entry.holds.split())} where {', '.join(entry.layers)} (" in words
        path, _, name = entry.test.partition("::")
        assert f"test {path} {name}" in words


def test_the_table_is_printed_for_the_terminal_it_is_printed_on(monkeypatch, capsys):
    lines = {}
    for columns in (20, 100, 500):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert cli.main(["guardrails"]) == 0
        lines[columns] = max(map(len, capsys.readouterr().out.splitlines()))
    assert lines[20] <= 80
    assert 80 < lines[100] <= 100
    assert 100 < lines[500] <= 200


def test_markdown_is_one_table_with_a_line_a_guardrail(capsys):
    assert cli.main(["guardrails", "--markdown"]) == 0
    text = capsys.readouterr().out
    assert text == markdown(load_spec()) + "\n"
    lines = text.splitlines()
    assert len(lines) == len(TABLE) + 2
    assert {line.count("|") for line in lines} == {7}


def test_a_good_file_is_one_line_with_its_hash(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_bytes(DEFAULT_SPEC.read_bytes() + b"# mine\n")
    assert cli.main(["guardrails", "--check", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: ok, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read"),
        ("", "expected keys and values"),
        (DEFAULT_SPEC.read_text().replace("  margin_rad: 0.02\n", ""), "joint_position: key 'margin_rad' is missing"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence_and_status_1(content, sentence, tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    if content is not None:
        path.write_text(content)
    assert cli.main(["guardrails", "--check", str(path)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert sentence in printed.err
    assert printed.err.startswith(str(path))
    assert printed.err.count("\n") == 1


def test_a_file_and_markdown_exclude_each_other(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["guardrails", "--markdown", "--check", "x.yaml"])
    assert ended.value.code == 2
