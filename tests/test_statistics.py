"""Intervals of a rate, and the test of two of them, against published values."""

import pytest

from ami_robot.statistics import clopper_pearson, mcnemar_exact, upper_bound, wilson_interval


@pytest.mark.parametrize(
    ("successes", "trials", "interval"),
    [(18, 20, (0.6990, 0.9721)), (0, 20, (0.0, 0.1611)), (93, 100, (0.8625, 0.9657)), (0, 0, (0.0, 1.0))],
)
def test_wilson_intervals_agree_with_published_values(successes, trials, interval):
    assert wilson_interval(successes, trials) == pytest.approx(interval, abs=2e-4)


@pytest.mark.parametrize(
    ("events", "trials", "interval"),
    [
        (0, 3000, (0.0, 0.00123)), (90, 100, (0.8238, 0.9510)), (5, 5, (0.4782, 1.0)), (1, 2, (0.0126, 0.9874)),
        (0, 0, (0.0, 1.0)),
    ],
)  # fmt: skip
def test_the_two_sided_interval_is_clopper_and_pearsons(events, trials, interval):
    assert clopper_pearson(events, trials) == pytest.approx(interval, abs=1e-4)


@pytest.mark.parametrize(
    ("events", "trials", "bound"),
    [(0, 3000, 0.000998), (0, 30_000, 0.0000999), (1, 100, 0.0466), (5, 5, 1.0), (0, 0, 1.0)],
)
def test_the_one_sided_bound_is_clopper_and_pearsons(events, trials, bound):
    assert upper_bound(events, trials) == pytest.approx(bound, rel=2e-3)


@pytest.mark.parametrize("interval", [upper_bound, clopper_pearson])
@pytest.mark.parametrize(("events", "trials"), [(4, 3), (-1, 3)])
def test_no_bound_of_more_events_than_trials_or_fewer_than_none(interval, events, trials):
    with pytest.raises(ValueError, match=f"events in {trials} trials"):
        interval(events, trials)


@pytest.mark.parametrize(
    ("first_only", "second_only", "p_value"),
    [
        (5, 15, 0.041389),  # 2 * P(X <= 5) of binomial(20, 1/2), tabulated as 0.0207
        (150, 86, 3.71594e-05), (121, 59, 4.43445e-06),  # scipy.stats.binomtest(86, 236) and (59, 180)
        (0, 6, 0.03125), (0, 5, 0.0625), (4, 4, 1.0), (0, 0, 1.0), (3, 2, 1.0),
    ],
)  # fmt: skip
def test_mcnemars_p_value_is_that_of_the_binomial_test_and_knows_no_order(first_only, second_only, p_value):
    assert mcnemar_exact(first_only, second_only) == pytest.approx(p_value, rel=1e-4)
    assert mcnemar_exact(second_only, first_only) == mcnemar_exact(first_only, second_only)
