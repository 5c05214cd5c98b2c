"""The planner's mask keeps away from people, and from every limit by as much as the world model may err."""

from dataclasses import replace

import numpy as np
import pytest
from mask_cases import CENTRE, KINEMATICS, LONGEST_STOP_S, SPEC, check, with_box

from ami_robot.actor.planner import PathMask
from ami_robot.types import Belief, People, Person

ASKED = replace(SPEC, people=replace(SPEC.people, source_of_people="topic"))


def separation_m(spec=ASKED) -> float:
    return (
        spec.people.max_speed_m_per_s * (spec.people.reaction_s + LONGEST_STOP_S)
        + spec.people.measurement_error_m
        + spec.people.intrusion_m
    )


def person_ahead(room_m: float, fatter_by: float = 0.0, error_by: float = 0.0) -> People:
    """Somebody in front of the arm at CENTRE, `room_m` further away than they have to be."""
    centers, radii = KINEMATICS.spheres(KINEMATICS.inverse(CENTRE)[0]), KINEMATICS.sphere_radii
    first = np.argmax(centers[:, 0] + radii)
    x, y = centers[first, 0] + radii[first] + 0.1 + 0.02 + separation_m() + room_m, centers[first, 1]
    axis = np.array([x, y, 0.0]), np.array([x, y, 1.7])
    return People(0, (Person(*axis, 0.1 + fatter_by, np.zeros(3), 0.02 + error_by),))


def test_a_path_towards_a_person_is_masked_where_they_could_arrive_before_it_has_stopped():
    far = person_ahead(0.01)
    assert check([CENTRE] * 2, spec=ASKED, people=far).feasible[0]
    for people in (person_ahead(-0.01), person_ahead(0.01, fatter_by=0.02), person_ahead(0.01, error_by=0.02)):
        result = check([CENTRE] * 2, spec=ASKED, people=people)
        assert not result.feasible[0]
        assert result.row[0] == "people"
    forward = np.array([0.02, 0.0, 0.0])
    towards = [CENTRE + forward, CENTRE + 2 * forward, CENTRE]
    assert not check(towards, spec=ASKED, people=far).feasible[0], "in the middle of the path"
    away = [CENTRE - forward, CENTRE - 2 * forward, CENTRE]
    assert check(away, spec=ASKED, people=far).feasible[0]


@pytest.mark.parametrize("field", ["measurement_error_m", "intrusion_m", "reaction_s", "max_speed_m_per_s"])
def test_the_distance_to_people_grows_with(field):
    wider = replace(ASKED, people=replace(ASKED.people, **{field: getattr(ASKED.people, field) + 0.5}))
    people = person_ahead(0.05)
    assert not check([CENTRE] * 2, spec=wider, people=people).feasible[0]
    assert check([CENTRE] * 2, spec=ASKED, people=people).feasible[0]


def test_nothing_is_feasible_while_nobody_has_told_of_people():
    result = check([CENTRE] * 2, spec=ASKED, people=None)
    assert not result.feasible[0]
    assert result.row[0] == "people"
    assert check([CENTRE] * 2, spec=ASKED, people=People(0, ())).feasible[0]


def test_in_a_fenced_cell_people_are_not_asked_for():
    assert SPEC.people.source_of_people == "none_fenced_cell"
    assert check([CENTRE] * 2, people=person_ahead(-0.5)).feasible[0]


def test_a_person_that_is_not_known_masks_everything():
    for field in ("end_a", "end_b", "radius", "radius_error"):
        person = person_ahead(2.0).persons[0]
        broken = People(0, (replace(person, **{field: np.full(np.shape(getattr(person, field)), np.nan)}),))
        assert not check([CENTRE] * 2, spec=ASKED, people=broken).feasible[0]


def near_the(row: str):
    """(spec, people, tool position 2 cm inside this row's limit), which breaks first as the tool goes on."""
    q = KINEMATICS.inverse(CENTRE)[0]
    outer = KINEMATICS.spheres(q) + KINEMATICS.sphere_radii[:, None]
    front = outer[:, 0].max()
    if row == "workspace":
        return SPEC, None, np.array([0.66, 0.0, 0.2])
    if row == "table":
        lowest = (KINEMATICS.spheres(q)[10:, 2] - KINEMATICS.sphere_radii[10:]).min()
        return replace(SPEC, table=replace(SPEC.table, height_m=lowest - SPEC.table.clearance_m - 0.02)), None, CENTRE
    if row == "arm_space":
        wall = np.array([front + 0.02, 0.75, 1.3])
        return replace(SPEC, arm_space=replace(SPEC.arm_space, upper_m=wall)), None, CENTRE
    if row == "obstacles":
        face = front + SPEC.obstacles.clearance_m + 0.02
        return with_box([face, -1.0, 0.0], [face + 0.1, 1.0, 1.0]), None, CENTRE
    x, height = front + 0.1 + separation_m() + 0.02, np.linspace(0.0, 1.0, 101)
    rail = [Person(np.array([x, -2.0, z]), np.array([x, 2.0, z]), 0.1, np.zeros(3), 0.0) for z in height]
    return ASKED, People(0, tuple(rail)), CENTRE


WIDENED = ["workspace", "table", "arm_space", "obstacles", "people"]


@pytest.mark.parametrize("row", WIDENED)
def test_model_error_widens_the_margin_of(row):
    """2 cm of room: with an error of 1 cm the way there stays open, with 3 cm the path may come no nearer."""
    spec, people, start = near_the(row)
    on = start + (np.array([0.0, 0.0, -0.005]) if row == "table" else np.array([0.005, 0.0, 0.0]))
    back = 2.0 * start - on
    for widen_m in (0.0, 0.01):
        assert check([start, on], start=start, spec=spec, people=people, widen_m=widen_m).feasible[0]
    result = check([start, on], start=start, spec=spec, people=people, widen_m=0.03)
    assert not result.feasible[0]
    assert result.row[0] == row
    for way in ([start, start], [start, back]):
        assert check(way, start=start, spec=spec, people=people, widen_m=0.03).feasible[0]


def belief_at(position) -> Belief:
    position = np.array(position, dtype=float)
    proprio = np.concatenate([position, np.zeros(3), position, [0.04]])
    return Belief(0, np.zeros(4), proprio, KINEMATICS.inverse(position)[0])


def test_the_planners_mask_asks_for_the_people_that_it_was_told_of():
    mask, still = PathMask(ASKED, KINEMATICS), np.zeros((1, 2, 3))
    assert mask.check(belief_at(CENTRE), still).row[0] == "people"
    for people, feasible in ((person_ahead(0.01), True), (person_ahead(-0.01), False), (People(0, ()), True)):
        mask.people = people
        assert mask.check(belief_at(CENTRE), still).feasible[0] == feasible


def test_the_planners_mask_widens_its_margins_by_the_model_error_that_it_was_told_of():
    mask, start = PathMask(SPEC, KINEMATICS), np.array([0.66, 0.0, 0.2])
    towards_border = np.array([[[0.005, 0.0, 0.0], [0.005, 0.0, 0.0]]])
    assert mask.check(belief_at(start), towards_border).feasible[0]
    mask.widen_m = 0.03
    result = mask.check(belief_at(start), towards_border)
    assert not result.feasible[0]
    assert result.row[0] == "workspace"


def test_an_unknown_model_error_masks_everything():
    assert not check([CENTRE] * 2, widen_m=np.nan).feasible[0]
