"""A failed test of a live graph is run again where the machine stood still meanwhile, and only there."""

from pathlib import Path

import pytest

from tests.stalls import StallWatch

pytest_plugins = "pytester"

TEST = """
import pathlib, signal, time
import pytest

@pytest.mark.{mark}
def test_that_fails_the_first_time(request):
    if not pathlib.Path("tried").exists():
        pathlib.Path("tried").touch()
        watch = request.config.pluginmanager.getplugin("stall_watch")
        if {stalls}:
            time.sleep(1.0)  # until it watches
            watch.process.send_signal(signal.SIGSTOP)
            time.sleep(0.3)
            watch.process.send_signal(signal.SIGCONT)
            time.sleep(0.2)
        assert False

@pytest.mark.{mark}
def test_that_always_fails():
    assert False
"""


@pytest.mark.parametrize(
    ("mark", "stalls", "outcomes"),
    [
        ("graph", True, {"passed": 1, "failed": 1, "rerun": 1}),
        ("graph", False, {"failed": 2}),
        ("slow", False, {"failed": 2}),
    ],
)
def test_only_where_a_core_was_away_a_live_test_gets_another_try(pytester, monkeypatch, mark, stalls, outcomes):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    pytester.makeini("[pytest]\nmarkers =\n  graph: it starts nodes\n  slow: it does not")
    pytester.makepyfile(TEST.format(mark=mark, stalls=stalls))
    result = pytester.runpytest_subprocess("-p", "tests.stalls")
    result.assert_outcomes(**{key: number for key, number in outcomes.items() if key != "rerun"})
    assert result.parseoutcomes().get("rerun", 0) == outcomes.get("rerun", 0)


def test_a_watch_that_died_is_not_taken_for_a_machine_that_never_stalls():
    watch = StallWatch()
    watch.process.kill()
    watch.process.wait()
    with pytest.raises(RuntimeError, match="ended by itself"):
        watch.close()
