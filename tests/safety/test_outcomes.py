"""Imagined tool paths against the guardrail file, with every limit closer by the model's error."""

from dataclasses import replace

import numpy as np
import pytest

from ami_robot.safety.outcomes import outcome_margins
from ami_robot.safety.rows import Box, Obstacles, Table
from ami_robot.safety.spec import load_spec

SPEC = load_spec()
CENTRE = np.array([0.5, 0.0, 0.2])


def check(*points, start=CENTRE, widen_m=0.01, spec=SPEC):
    return outcome_margins(spec, np.asarray(start), np.array([points], dtype=float), widen_m)


def test_the_middle_of_the_workspace_is_feasible():
    result = check(CENTRE, CENTRE + 0.02)
    assert result.feasible[0] and 0 < result.margin[0] <= 1


def test_the_margin_is_the_least_clearance_as_a_share_of_half_the_narrowest_side():
    workspace = SPEC.workspace
    half_m = (workspace.upper_m - workspace.lower_m).min() / 2.0
    expected = (np.minimum(CENTRE - workspace.lower_m, workspace.upper_m - CENTRE).min() - 0.01) / half_m
    result = check(CENTRE + np.array([0.0, 0.0, 0.02]), CENTRE)
    assert result.margin[0] == pytest.approx(expected)
    assert result.row[0] == "workspace"
    raised = replace(SPEC, table=Table(0.1, 0.01, "test"))
    assert check(CENTRE, spec=raised).margin[0] == pytest.approx((0.1 - 0.01 - 0.01) / half_m)


def test_each_of_many_paths_is_judged_by_its_worst_point():
    paths = np.array([[CENTRE, CENTRE], [CENTRE, [0.9, 0.0, 0.2]], [[0.5, 0.5, 0.2], CENTRE]])
    result = outcome_margins(SPEC, CENTRE, paths, 0.0)
    assert list(result.feasible) == [True, False, False]
    np.testing.assert_allclose(result.margin[1:], np.array([-0.22, -0.2]) / 0.185)


@pytest.mark.parametrize(("beyond_m", "feasible"), [(0.0, True), (1e-10, True), (1e-6, False)])
def test_the_border_itself_is_inside(beyond_m, feasible):
    point = np.array([SPEC.workspace.upper_m[0] + beyond_m, 0.0, 0.2])
    assert check(point, widen_m=0.0).feasible[0] == feasible


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("side", ["lower_m", "upper_m"])
def test_the_workspace_shrinks_by_the_error(axis, side):
    face = getattr(SPEC.workspace, side)[axis]
    inward = 1.0 if side == "lower_m" else -1.0
    for gap_m, feasible in ((0.011, True), (0.009, False)):
        point = CENTRE.copy()
        point[axis] = face + inward * gap_m
        result = check(CENTRE, point)
        assert result.feasible[0] == feasible
        assert feasible or result.row[0] == "workspace"


def test_the_table_is_kept_clear_also_where_the_workspace_does_not_end():
    spec = replace(SPEC, table=Table(0.1, 0.01, "test"))
    assert check([0.5, 0.0, 0.121], spec=spec).feasible[0]
    low = check([0.5, 0.0, 0.119], spec=spec)
    assert not low.feasible[0] and low.row[0] == "table"


def test_an_obstacle_is_kept_clear_by_clearance_and_error():
    box = Box("box", np.array([0.55, -0.1, 0.0]), np.array([0.6, 0.1, 0.3]))
    spec = replace(SPEC, obstacles=Obstacles(0.02, (box,), "test"))
    start = [0.45, 0.0, 0.2]
    assert check([0.519, 0.0, 0.2], start=start, spec=spec).feasible[0]
    near = check([0.521, 0.0, 0.2], start=start, spec=spec)
    assert not near.feasible[0] and near.row[0] == "obstacles"
    assert check([0.45, 0.0, 0.2], spec=replace(SPEC, obstacles=Obstacles(0.02, (), "test"))).feasible[0]


def test_from_inside_the_wider_margin_it_may_stay_or_leave_and_not_come_closer():
    start = np.array([0.5, 0.0, SPEC.workspace.lower_m[2] + 0.004])
    assert check(start, start=start).feasible[0]
    assert check(start + np.array([0, 0, 0.01]), start=start).feasible[0]
    assert not check(start - np.array([0, 0, 0.001]), start=start).feasible[0]


@pytest.mark.parametrize("broken", ["path", "start", "widen"])
def test_what_is_not_finite_is_not_feasible(broken):
    nan = np.full(3, np.nan)
    result = check(
        nan if broken == "path" else CENTRE,
        start=nan if broken == "start" else CENTRE,
        widen_m=float("nan") if broken == "widen" else 0.01,
    )
    assert not result.feasible[0]


def test_where_the_tool_is_now_does_not_count_as_where_it_goes():
    edge = np.array([SPEC.workspace.lower_m[0], *CENTRE[1:]])
    for inside_m in (0.004, -0.001):
        result = check(CENTRE, start=edge + np.array([inside_m, 0.0, 0.0]))
        assert result.feasible[0] and result.margin[0] > 0.5
