import json
import sys

import pytest

from benchmarks import live_scenarios, scenarios

FAILED = {"name": "knife", "seeds": [2], "passes": 0, "failures": {2: {"speed": "too fast"}}, "commands_verified": 9.0}
PASSED = {"name": "table", "seeds": [0], "passes": 1, "failures": {}, "commands_verified": 3.0}


@pytest.fixture
def result(tmp_path, monkeypatch):
    path = tmp_path / "scenarios.json"
    path.write_text(json.dumps({"stories": ["of lock step"]}))
    monkeypatch.setattr(scenarios, "RESULT", path)
    monkeypatch.setattr(sys, "argv", ["scenarios", "--live"])
    return path


@pytest.mark.parametrize(("rows", "status"), [([PASSED], 0), ([PASSED, FAILED], 1), ([PASSED | {"seeds": []}], 1)])
def test_a_story_that_failed_or_was_not_played_is_an_exit_status(result, monkeypatch, capsys, rows, status):
    monkeypatch.setattr(live_scenarios, "play_all", lambda names: {"stories": rows})
    assert scenarios.main() == status
    assert ("too fast" in capsys.readouterr().out) == (FAILED in rows)


def test_the_live_section_leaves_what_was_found_in_lock_step(result, monkeypatch):
    monkeypatch.setattr(live_scenarios, "play_all", lambda names: {"stories": [PASSED]})
    scenarios.main()
    document = json.loads(result.read_text())
    assert document["stories"] == ["of lock step"]
    assert document["live"]["stories"] == [PASSED] and "--live" in document["live"]["command"]
