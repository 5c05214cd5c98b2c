"""The monitor trips when the model has become worse, widens on a single bad step, and cannot be left without frames."""

from dataclasses import replace

import numpy as np
import pytest

from ami_robot.safety.drift import MOTION_FEATURES, DriftTest
from ami_robot.safety.model_error import ModelErrorBound
from ami_robot.safety.monitor import Monitor
from ami_robot.types import Belief, Latent

LATENT_DIM = 64
USUAL = np.zeros(2 * LATENT_DIM + MOTION_FEATURES)
USUAL[-MOTION_FEATURES] = np.log(0.02)  # the constant: a usual error is 0.02 whatever is seen
BOUND = ModelErrorBound("a" * 64, 0.1, 7, 0.01, {}, {}, {}, DriftTest(np.eye(LATENT_DIM), USUAL, 0.3))
STEP_NS = 200_000_000
TARGET = np.array([0.5, 0.0, 0.2])


class Watched:
    """A world whose latents change by 0.1 a step, and a model that is off by as much as it is told."""

    def __init__(self):
        self.monitor, self.stamp_ns, self.tool = Monitor(BOUND, window=5, trips=3), 0, TARGET

    def step(self, latent_error=0.02, tip_error_m=0.002, stamp_error_ns=0, target=TARGET, seen=True):
        after = np.full(LATENT_DIM, 0.1)
        still = np.concatenate([self.tool, np.zeros(3), TARGET, [0.04]])
        proprio = np.concatenate([TARGET + np.array([tip_error_m, 0, 0]), np.zeros(3), TARGET, [0.04]])
        self.stamp_ns += STEP_NS
        imagined = Belief(self.stamp_ns, after + latent_error, proprio, np.zeros(7))
        self.monitor.expect(Belief(self.stamp_ns - STEP_NS, np.zeros(LATENT_DIM), still, np.zeros(7)), imagined)
        if seen:
            latent = Latent(self.stamp_ns + stamp_error_ns, after, TARGET, np.zeros(3), 0.04, "a" * 64, "v1")
            self.monitor.observe(latent, target)
        return self.monitor.refusal()


def test_a_model_as_good_as_calibrated_never_trips():
    watched = Watched()
    assert all(watched.step() is None for _ in range(50))
    assert watched.monitor.widen_m == BOUND.bound_m


def test_errors_half_as_large_again_widen_the_margins_by_half_within_five_steps_and_do_not_stop():
    watched = Watched()
    for _ in range(10):
        assert watched.step() is None
    assert watched.monitor.growth == 1.0
    assert all(watched.step(latent_error=0.03) is None for _ in range(5))
    assert watched.monitor.growth == pytest.approx(1.5)
    assert watched.monitor.widen_m == pytest.approx(1.5 * BOUND.bound_m)


def test_margins_widen_by_as_much_as_the_errors_have_grown_and_never_shrink_again():
    watched = Watched()
    for _ in range(10):
        watched.step()
    for _ in range(5):
        watched.step(latent_error=0.06)
    assert watched.monitor.growth == pytest.approx(3.0)
    for _ in range(20):
        watched.step(latent_error=0.03)
    assert watched.monitor.widen_m == pytest.approx(3.0 * BOUND.bound_m)
    watched.monitor.reset()
    watched.step()
    assert watched.monitor.widen_m == BOUND.bound_m


def test_a_drift_that_is_just_seen_widens_by_half():
    watched = Watched()
    for error in [0.02] * 10 + [0.02 * 1.4] * 5:
        watched.step(latent_error=error)
    assert watched.monitor.growth == 1.5


@pytest.mark.parametrize(("limit", "seen"), [(1.001, False), (0.999, True)])
def test_a_drift_is_seen_where_the_evidence_passes_the_limit(limit, seen):
    """The evidence of one step that is 1.5 times as large as usual is log(1.5) / 2."""
    watched = Watched()
    drift = replace(BOUND.drift, limit=limit * np.log(1.5) / 2)
    watched.monitor.bound = replace(BOUND, drift=drift)
    watched.step(latent_error=0.03)
    assert (watched.monitor.growth > 1.0) is seen


def test_what_is_usual_is_asked_of_the_step_that_was_imagined():
    """Of the latent that it began with, and of the way from the tool there to the target that it was sent to."""
    change = USUAL.copy()
    change[LATENT_DIM : 2 * LATENT_DIM] = 10.0 / LATENT_DIM  # the change of 0.1 explains an error e times as large
    to_go = USUAL.copy()
    to_go[-MOTION_FEATURES + 2] = 1.0  # here: the log of 1 mm
    for usual, as_usual in ((change, 0.02 * np.e), (to_go, 0.02 * 1e-3)):
        watched = Watched()
        watched.monitor.bound = replace(BOUND, drift=replace(BOUND.drift, expected=usual))
        for _ in range(10):
            watched.step(latent_error=as_usual * 1.1)
        assert watched.monitor.growth == 1.0
        for _ in range(5):
            watched.step(latent_error=as_usual * 1.5)
        assert watched.monitor.growth == pytest.approx(1.5, rel=0.1)


def test_the_way_to_go_is_from_the_tool_to_the_target():
    usual = USUAL.copy()
    usual[-MOTION_FEATURES + 2] = 1.0
    for tool_ahead_m, grown in ((0.0, True), (0.1, False)):  # the second explains an error a hundred times as large
        watched = Watched()
        watched.monitor.bound = replace(BOUND, drift=replace(BOUND.drift, expected=usual))
        watched.tool = TARGET + np.array([tool_ahead_m, 0.0, 0.0])
        for _ in range(5):
            watched.step(latent_error=0.02 * 0.05)
        assert (watched.monitor.growth > 1.0) is grown


def test_errors_that_get_smaller_are_no_drift():
    watched = Watched()
    for _ in range(10):
        watched.step()
    for _ in range(10):
        watched.step(latent_error=0.002)
    assert watched.monitor.growth == 1.0


def test_a_tool_elsewhere_than_imagined_trips_with_the_third_such_step_of_five():
    watched = Watched()
    held = [watched.step(tip_error_m=error) is None for error in (0.02, 0.002, 0.02, 0.002, 0.03)]
    assert held == [True, True, True, True, False]
    refusal = watched.monitor.refusal()
    assert refusal.guardrail == "model_error"
    assert refusal.margin == pytest.approx(BOUND.bound_m - 0.03)
    watched = Watched()
    assert all(watched.step(tip_error_m=error) is None for error in (0.02, 0.02, 0.002, 0.002, 0.002, 0.02, 0.02))


def test_a_tool_as_far_off_as_the_bound_is_not_gross():
    watched = Watched()
    watched.monitor.bound = replace(BOUND, bound_m=0.0)
    assert all(watched.step(tip_error_m=0.0) is None for _ in range(5))


def test_a_step_that_is_imagined_again_is_one_step():
    """A planner may imagine the step under way several times before its frame comes."""
    watched = Watched()
    for _ in range(5):
        watched.step(seen=False)
        for _ in range(3):
            watched.stamp_ns -= STEP_NS
            watched.step(seen=False)
        watched.stamp_ns -= STEP_NS
        assert watched.step() is None
    assert watched.monitor.widen_m == BOUND.bound_m


def test_a_frame_is_the_imagined_one_up_to_a_millisecond_either_way():
    for stamp_error_ns, compared in ((-1_000_000, True), (1_000_000, True), (-1_000_001, False), (1_000_001, False)):
        watched = Watched()
        watched.step(tip_error_m=0.03, stamp_error_ns=stamp_error_ns)
        assert (watched.monitor.widen_m > BOUND.bound_m) is compared


def test_a_target_that_differs_by_rounding_is_the_imagined_one():
    for offset_m, compared in ((0.5e-6, True), (2e-6, False)):
        watched = Watched()
        watched.step(tip_error_m=0.03, target=TARGET + offset_m)
        assert (watched.monitor.widen_m > BOUND.bound_m) is compared


def test_one_bad_step_widens_and_does_not_trip():
    watched = Watched()
    watched.step()
    assert watched.step(tip_error_m=0.03) is None
    assert watched.monitor.widen_m == pytest.approx(0.03)
    for _ in range(5):
        watched.step()
    assert watched.monitor.widen_m == BOUND.bound_m


def test_tripped_stays_tripped_until_reset():
    watched = Watched()
    for _ in range(5):
        watched.step(tip_error_m=0.2)
    assert watched.monitor.refusal() is not None
    assert all(watched.step() is not None for _ in range(20))
    watched.monitor.reset()
    assert watched.step() is None


def test_a_tool_position_that_is_not_a_number_counts_as_wrong():
    watched = Watched()
    for _ in range(5):
        watched.step(tip_error_m=float("nan"))
    assert watched.monitor.refusal() is not None
    assert not watched.monitor.widen_m <= 1.0


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("latent_error", [float("nan"), float("inf")])
def test_a_latent_that_is_not_a_number_allows_no_margin_to_be_wide_enough(latent_error):
    watched = Watched()
    watched.step()
    watched.step(latent_error=latent_error)
    watched.step()
    assert watched.monitor.growth == watched.monitor.widen_m == np.inf


@pytest.mark.parametrize(
    "unseen", [{"seen": False}, {"stamp_error_ns": 60_000_000}, {"target": TARGET + 0.01}, {"target": None}]
)
def test_five_steps_that_could_not_be_compared_are_refused_until_one_can(unseen):
    watched = Watched()
    watched.step()
    refusals = [watched.step(**unseen) for _ in range(6)]
    assert refusals[3] is None and refusals[-1] is not None and "not known" in refusals[-1].reason
    assert watched.step() is None


def test_a_step_that_was_not_carried_out_as_imagined_says_nothing_of_the_model():
    watched = Watched()
    for _ in range(3):
        watched.step()
        assert watched.step(latent_error=0.5, tip_error_m=0.5, target=TARGET + 0.04) is None
    assert watched.monitor.widen_m == BOUND.bound_m


def test_frames_before_the_imagined_one_are_passed_over():
    watched = Watched()
    watched.step(seen=False)
    for early_ns in (-133_000_000, -67_000_000, 0):
        stamp_ns = watched.stamp_ns + early_ns
        latent = Latent(stamp_ns, np.full(LATENT_DIM, 0.1), TARGET, np.zeros(3), 0.04, "a" * 64, "v1")
        watched.monitor.observe(latent, TARGET)
    assert watched.step(seen=False) is None
    assert watched.monitor.widen_m == BOUND.bound_m
