"""`ami scenario`: what it lists, plays and refuses, and its exit status."""

from __future__ import annotations

import pytest

from ami_robot.cli import main as cli
from ami_sim.stories.book import STORIES


def test_the_list_names_every_story_in_a_line(capsys):
    assert cli.main(["scenario", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(STORIES)


@pytest.mark.parametrize("words", [["scenario", "cofee"], ["scenario"]])
def test_a_story_that_does_not_exist_is_one_sentence_with_those_that_do(words, capsys):
    assert cli.main(words) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("ami: error: ")
    assert all(name in error for name in STORIES)


@pytest.mark.parametrize("seeds", [["5", "5"], ["-1", "2"]])
def test_seeds_that_are_no_range_are_refused(seeds, capsys):
    assert cli.main(["scenario", "table", "--seeds", *seeds]) == 2
    assert "a range of seeds" in capsys.readouterr().err


def test_a_story_that_passes_ends_with_status_0_and_its_figures(capsys):
    assert cli.main(["scenario", "table", "--seeds", "1", "3"]) == 0
    output = capsys.readouterr().out
    assert "table 1: passed (" in output
    assert "2 of 2 passed" in output
    assert "least_clearance_m" in output


def test_a_story_that_fails_ends_with_status_1_and_says_why(capsys):
    assert cli.main(["scenario", "table", "--seeds", "1", "2", "--no-guardrails"]) == 1
    output = capsys.readouterr().out
    assert "table 1: FAILED" in output
    assert "touched the table" in output


def test_ctrl_c_is_one_line(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(STORIES["drunk"], "act", interrupted)
    assert cli.main(["scenario", "drunk"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "ami: interrupted"
