"""Quintics as pieces of motions: what is left of how they began."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ami_robot.safety.quintic import left_of, quintic, sample
from ami_robot.types import JointState

NOWHERE = JointState(*np.zeros((3, 7)))
ORDERS = (1.0, 10.0, 100.0)  # of positions, velocities, accelerations: what a start may be off by, rad


def differences(off, length_s, times_s):
    """(3, n, 7): how far a quintic that begins off by (3, 7), and ends alike, is off at times (n,), s."""
    states = sample(quintic(JointState(*off), NOWHERE, length_s), length_s, times_s)
    return np.array([states.positions, states.velocities, states.accelerations])


@given(
    shares=arrays(np.float64, (3, 7), elements=st.floats(-1.0, 1.0)),
    length_s=st.floats(0.1, 1.5),
    ends=st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)).map(sorted),
)
@settings(max_examples=100, deadline=None)
def test_no_quintic_that_begins_within_the_box_differs_by_more_than_is_left_of_it(shares, length_s, ends):
    spread = 0.01 * np.array(ORDERS)[:, None] * np.ones(7)
    begin_s, end_s = np.array(ends) * length_s
    left = left_of(spread, length_s, begin_s, end_s)
    off = differences(shares * spread, length_s, np.linspace(begin_s, end_s, 50))
    assert (np.abs(off).max(axis=1) <= left + 1e-9).all()


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["position", "velocity", "acceleration"])
@pytest.mark.parametrize("length_s", [0.15, 0.2, 1.2])
def test_what_is_left_is_hardly_more_than_such_a_quintic_really_differs_by(kind, length_s):
    spread = np.zeros((3, 7))
    spread[kind] = np.arange(1.0, 8.0)
    left = left_of(spread, length_s, 0.0, length_s)
    off = np.abs(differences(spread, length_s, np.linspace(0.0, length_s, 400))).max(axis=1)
    np.testing.assert_allclose(left[kind], off[kind], rtol=0.1)
    assert (left <= 1.6 * off + 1e-12).all()
