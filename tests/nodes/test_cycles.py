"""Late cycles are counted, whether the work took too long or a joint state was lost; disarmed ones do not count."""

import math
import time

import pytest

from ami_nodes.cycles import PERIOD_S, Cycles

MS = 1_000_000


def run(cycles, *stamps_ms, works_s=0.0, counts=True):
    for stamp_ms in stamps_ms:
        with cycles.timed(stamp_ms * MS, counts):
            time.sleep(works_s)
    return cycles.figures()


def test_punctual_cycles_are_counted_and_none_is_late():
    figures = run(Cycles(), *range(0, 1000, 10))
    assert (figures.cycles, figures.worst_gap_ms) == (100, 10.0)
    assert figures.late <= 2  # on a machine that did something else meanwhile
    assert 0.0 <= figures.cpu_ms_p50 <= figures.cpu_ms_p99 < 10.0


def test_work_that_takes_longer_than_a_period_is_late_though_it_takes_no_cpu_time():
    figures = run(Cycles(), 0, 10, works_s=1.5 * PERIOD_S)
    assert (figures.cycles, figures.late) == (2, 2)
    assert figures.worst_ms >= 15.0
    assert figures.cpu_ms_p99 < 10.0


@pytest.mark.parametrize(("gap_ms", "late"), [(20, 0), (21, 1), (500, 1)])
def test_a_joint_state_that_is_missing_makes_the_next_cycle_late(gap_ms, late):
    cycles = Cycles()
    run(cycles, 0)
    before = cycles.figures().late
    figures = run(cycles, gap_ms)
    assert (figures.late - before, figures.worst_gap_ms) == (late, float(gap_ms))


def test_what_came_while_disarmed_does_not_count_but_is_where_the_next_one_is_reckoned_from():
    cycles = Cycles()
    figures = run(cycles, 0, 900, counts=False)
    assert (figures.cycles, figures.late, figures.worst_ms) == (0, 0, 0.0)
    assert math.isnan(figures.cpu_ms_p99)
    figures = run(cycles, 910)
    assert (figures.cycles, figures.worst_gap_ms) == (1, 10.0)


def test_work_that_raises_is_not_swallowed():
    with pytest.raises(ValueError, match="on purpose"), Cycles().timed(0, True):
        raise ValueError("on purpose")
