"""A failed test of a live graph is run again where the machine stood still meanwhile, and only there."""

import signal
import time
from pathlib import Path

import pytest

from tests.stalls import StallWatch

pytest_plugins = "pytester"
pytestmark = pytest.mark.alone

CONFTEST = """
import signal
import tests.stalls

tests.stalls.RERUNS, tests.stalls.DELAY_S = 2, 0

def pytest_collection_finish(session):
    watch = session.config.pluginmanager.getplugin("stall_watch")
    if watch is not None:
        watch.process.send_signal(signal.SIGSTOP)  # this machine may stand still whenever it likes
"""

TEST = """
import pathlib, time
import pytest

def stand_still(request, away_s):
    watch = request.config.pluginmanager.getplugin("stall_watch")
    with open(watch._notes.name, "a") as notes:
        notes.write(f"{{time.monotonic():.4f}} {{away_s:.4f}}\\n")

@pytest.mark.{mark}
def test_that_fails_the_first_time(request):
    if not pathlib.Path("tried").exists():
        pathlib.Path("tried").touch()
        if {away_s}:
            stand_still(request, {away_s})
        assert False

@pytest.mark.{mark}
def test_that_always_fails(request):
    if {always}:
        stand_still(request, {away_s})
    assert False
"""


AGAIN = """
@pytest.mark.graph
def test_that_always_fails_too(request):
    test_that_always_fails(request)
"""


@pytest.mark.parametrize(
    ("mark", "away_s", "always", "outcomes"),
    [
        ("graph", 0.02, False, {"passed": 1, "failed": 1, "rerun": 1}),
        ("graph", 0.0, False, {"failed": 2}),
        ("slow", 0.0, False, {"failed": 2}),
        ("graph", 0.02, True, {"passed": 1, "failed": 1, "rerun": 3}),
        ("graph", 0.2, True, {"passed": 1, "skipped": 1, "rerun": 3}),
    ],
)
def test_only_where_a_core_was_away_a_live_test_gets_other_tries_and_is_excused_in_the_end(
    pytester, monkeypatch, mark, away_s, always, outcomes
):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    pytester.makeini("[pytest]\nmarkers =\n  graph: it starts nodes\n  slow: it does not")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TEST.format(mark=mark, away_s=away_s, always=always))
    result = pytester.runpytest_subprocess("-p", "tests.stalls", "-rs")
    assert {key: number for key, number in result.parseoutcomes().items() if key != "warnings"} == outcomes
    if "skipped" in outcomes:
        result.stdout.fnmatch_lines(["*it failed 3 times, a core was away each time, now for 0.200 s"])


def test_after_some_tests_that_were_waited_for_in_vain_the_others_get_one_run(pytester, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    pytester.makeini("[pytest]\nmarkers =\n  graph: it starts nodes")
    pytester.makeconftest(CONFTEST + "tests.stalls.EXCUSED = 1\n")
    pytester.makepyfile(TEST.format(mark="graph", away_s=0.2, always=True) + AGAIN)
    result = pytester.runpytest_subprocess("-p", "tests.stalls", "-rs")
    assert result.parseoutcomes() == {"passed": 1, "skipped": 2, "rerun": 3}
    result.stdout.fnmatch_lines(["*it failed 3 times*", "*it failed once*"])


def test_the_watch_notes_for_how_long_it_was_kept_from_its_core():
    watch = StallWatch()
    try:
        time.sleep(1.0)  # until it watches
        watch.process.send_signal(signal.SIGSTOP)
        time.sleep(0.3)
        watch.process.send_signal(signal.SIGCONT)
        time.sleep(0.5)
        assert watch.stalled() and watch.longest_s() > 0.25
        watch.pytest_runtest_setup()
        assert watch.longest_s() < 0.25
    finally:
        watch.close()


def test_a_watch_that_died_is_not_taken_for_a_machine_that_never_stalls():
    watch = StallWatch()
    watch.process.kill()
    watch.process.wait()
    with pytest.raises(RuntimeError, match="ended by itself"):
        watch.close()
