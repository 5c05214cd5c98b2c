"""What compiled loops promise: IEEE's arithmetic as in numpy, and one signature."""

import math

import numpy as np
import pytest

from ami_robot.safety.compiled import FLOAT, array, compiled, made


@compiled(FLOAT, FLOAT, FLOAT)
def share(part, whole):
    return part / whole


@compiled(made(1), array(1))
def doubled(values):
    return 2.0 * values


def test_dividing_by_zero_gives_what_it_gives_in_numpy():
    assert share(1.0, 0.0) == math.inf and share(-1.0, 0.0) == -math.inf and math.isnan(share(0.0, 0.0))


@pytest.mark.parametrize("values", [[1.0, 2.0], np.array([1, 2]), np.array([[1.0]]), np.arange(4.0)[::2]])
def test_another_type_is_refused_and_not_compiled_for(values):
    with pytest.raises(TypeError):
        doubled(values)
    assert len(doubled.signatures) == 1


def test_an_array_that_may_only_be_read_is_taken():
    values = np.array([1.0, 2.0])
    values.flags.writeable = False
    np.testing.assert_array_equal(doubled(values), [2.0, 4.0])
