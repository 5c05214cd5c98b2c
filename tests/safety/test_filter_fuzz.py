"""The filter believes nobody: not its inputs, not its solver."""

from dataclasses import fields

import daqp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ami_robot.safety import filter as filter_module
from ami_robot.safety.filter import FilteredTarget, nearest_target
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import load_spec
from ami_robot.types import JointState, Refusal

SPEC, KINEMATICS, REST = load_spec(), Kinematics(), np.zeros(7)
ABOVE_TABLE = KINEMATICS.inverse(np.array([0.5, 0.0, 0.2]))[0]
AT_REST = JointState(ABOVE_TABLE, REST, REST)
NOMINAL = KINEMATICS.inverse(np.array([0.5, 0.02, 0.2]))[0]
ODD = np.array([np.nan, np.inf, -np.inf, 5e-324, -5e-324, 1e308, -1e308, 1e-300, 0.0, -0.0, 1e9, 1.7e308])
FLOATS = st.one_of(st.sampled_from(ODD.tolist()), st.floats(-3.0, 3.0), st.floats(allow_nan=True))
SHAPES = st.sampled_from([(7,), (7,), (7,), (6,), (8,), (1, 7), (7, 1), (), (0,)])


def assert_legal(answer: FilteredTarget | Refusal) -> None:
    """Either a refusal with its sentence and row, or a finite target within the joints' range."""
    if isinstance(answer, Refusal):
        assert answer.reason.endswith(".")
        assert answer.guardrail == "filter" or answer.guardrail in [item.name for item in fields(SPEC)]
        return
    target = answer.joint_positions
    assert target.shape == (7,)
    assert np.isfinite(target).all()
    assert (target >= SPEC.joint_position.command_lower_rad - 1e-9).all()
    assert (target <= SPEC.joint_position.command_upper_rad + 1e-9).all()


@st.composite
def vectors(draw) -> np.ndarray:
    shape = draw(SHAPES)
    return np.array(draw(st.lists(FLOATS, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))).reshape(shape)


@settings(max_examples=200)
@given(vectors(), vectors(), vectors(), vectors(), FLOATS)
def test_any_numbers_of_any_shape_end_in_a_legal_target_or_a_refusal(q, dq, ddq, nominal, duration_s):
    assert_legal(nearest_target(SPEC, KINEMATICS, JointState(q, dq, ddq), nominal, duration_s))


def test_one_odd_number_among_good_ones_ends_in_a_legal_target_or_a_refusal():
    """Fast loop: every place of every input, every odd number."""
    refused = 0
    for place in range(4):
        for joint in range(7):
            for odd in ODD:
                inputs = [ABOVE_TABLE.copy(), REST.copy(), REST.copy(), NOMINAL.copy()]
                inputs[place][joint] = odd
                answer = nearest_target(SPEC, KINEMATICS, JointState(*inputs[:3]), inputs[3], 0.4)
                assert_legal(answer)
                refused += isinstance(answer, Refusal)
                assert np.isfinite(odd) or isinstance(answer, Refusal)
    assert refused >= 4 * 7 * 3


@pytest.mark.parametrize("odd", [*ODD, "soon", None, [0.4], 10**400, 1j])
def test_odd_durations_are_refused(odd):
    answer = nearest_target(SPEC, KINEMATICS, AT_REST, NOMINAL, odd)
    assert isinstance(answer, Refusal)
    assert_legal(answer)


@pytest.mark.parametrize("odd", [None, "home", [[1.0], [1.0, 2.0]], {}, [10**400] * 7, np.full(7, None)])
@pytest.mark.parametrize("place", range(4))
def test_what_is_no_vector_is_refused(odd, place):
    inputs = [ABOVE_TABLE, REST, REST, NOMINAL]
    inputs[place] = odd
    answer = nearest_target(SPEC, KINEMATICS, JointState(*inputs[:3]), inputs[3], 0.4)
    assert isinstance(answer, Refusal)
    assert answer.guardrail == "filter"


def answering(monkeypatch, x, flag=1) -> None:
    monkeypatch.setattr(filter_module.daqp, "solve", lambda *_, **__: (x, 0.0, flag, {}))


def nudge(*values: float) -> np.ndarray:
    x = np.zeros(7)
    x[: len(values)] = values
    return x


def test_the_solver_is_asked_at_all(monkeypatch):
    """The tampering below is on the path that is used: its honest answer is the filter's."""
    answering(monkeypatch, nudge(0.001))
    answer = nearest_target(SPEC, KINEMATICS, AT_REST, ABOVE_TABLE, 0.4)
    assert isinstance(answer, FilteredTarget)
    np.testing.assert_allclose(answer.joint_positions, ABOVE_TABLE + nudge(0.001))


@pytest.mark.parametrize(
    "x",
    [
        np.full(7, np.nan), nudge(np.nan), nudge(0.0, np.inf), np.zeros(6), np.zeros((7, 1)), None, "x", [None] * 7,
        nudge(9.0), nudge(-9.0), nudge(1e308),
    ],
)  # fmt: skip
def test_an_answer_that_is_no_displacement_within_the_limits_is_refused_though_it_says_solved(monkeypatch, x):
    answering(monkeypatch, x)
    answer = nearest_target(SPEC, KINEMATICS, AT_REST, NOMINAL, 0.4)
    assert isinstance(answer, Refusal)
    assert answer.guardrail == "filter"


def test_an_answer_that_breaks_a_distance_is_refused_though_it_says_solved(monkeypatch):
    """Out of the workspace, slowly enough for all the limits."""
    low = KINEMATICS.inverse(np.array([0.5, 0.0, SPEC.workspace.lower_m[2] + 0.005]))[0]
    down = np.linalg.pinv(KINEMATICS.jacobian(low)[:3]) @ [0.0, 0.0, -0.02]
    answering(monkeypatch, down)
    answer = nearest_target(SPEC, KINEMATICS, JointState(low, REST, REST), low, 0.4)
    assert isinstance(answer, Refusal)
    assert answer.guardrail in ("workspace", "table")
    assert answer.margin < -0.01


@pytest.mark.parametrize("flag", [0, -1, -2, -3, -4, -5, -6, 2, 3, None, float("nan")])
def test_an_answer_that_does_not_say_solved_is_refused_however_good_it_looks(monkeypatch, flag):
    answering(monkeypatch, np.zeros(7), flag)
    answer = nearest_target(SPEC, KINEMATICS, AT_REST, ABOVE_TABLE, 0.4)
    assert isinstance(answer, Refusal)
    assert_legal(answer)


@pytest.mark.parametrize("error", [ValueError, TypeError, RuntimeError, ZeroDivisionError, FloatingPointError])
def test_a_solver_that_raises_is_a_refusal(monkeypatch, error):
    def failing(*_, **__):
        raise error("out of order")

    monkeypatch.setattr(filter_module.daqp, "solve", failing)
    answer = nearest_target(SPEC, KINEMATICS, AT_REST, NOMINAL, 0.4)
    assert isinstance(answer, Refusal)
    assert "out of order" in answer.reason


@pytest.mark.parametrize("part", range(2))
def test_rows_with_nan_never_reach_the_solver(monkeypatch, part):
    """DAQP calls a programme with a NaN row solved."""
    honest = filter_module.distance_rows

    def broken(*arguments):
        rows = list(honest(*arguments))
        rows[part] = rows[part].copy()
        rows[part][..., 3] = np.nan
        return tuple(rows)

    monkeypatch.setattr(filter_module, "distance_rows", broken)
    monkeypatch.setattr(filter_module.daqp, "solve", lambda *_, **__: pytest.fail("the solver was asked"))
    answer = nearest_target(SPEC, KINEMATICS, AT_REST, NOMINAL, 0.4)
    assert isinstance(answer, Refusal)
    assert answer.guardrail == "filter"


def test_daqp_itself_calls_a_nan_row_solved():
    """Why its inputs are looked at first and its answers afterwards; if this fails one day, it has learnt."""
    rows, most = np.array([[1.0, 0.0]]), np.array([np.nan])
    _, _, flag, _ = daqp.solve(np.eye(2), np.array([-1.0, -1.0]), rows, most, np.array([-1.0]))
    assert flag == 1
