"""A block is pushed and carried by way of contacts, in a toy world whose latent is where the block is."""

from dataclasses import replace

import numpy as np
import pytest
from actor_doubles import BoxMask
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ami_robot.actor.contacts import Contacts, ContactSettings
from ami_robot.actor.imagination import Imagination
from ami_robot.actor.planner import PathMask
from ami_robot.actor.ways import AT_M, Ways
from ami_robot.configurator.configurator import CostSettings, build_cost
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import load_spec
from ami_robot.types import GRIPPER_WIDTH, PROPRIO_DIM, TOOL_POSITION, TOOL_TARGET, Belief, Goal, Outcomes, Plan

SPEC, KINEMATICS = load_spec(), Kinematics()
CLOSED_M, RADIUS_M, HALF_M, RISE_M = 0.05, 0.04, 0.023, 0.004
PUSH = ContactSettings("push", 12, 24, 6, 0.07, 0.04, 0.12, 0.044, 0.018, 0.3, 0.01, 0.005, 0.11, 0.6, 0)
CARRY = replace(PUSH, contact="carry", horizon=40, lost_m=0.07)
COST = CostSettings(0.3, 0.0, 0.0, 0.0, 0.0, block_distance=10.0)


class Seen:
    """The head of this world: the latent is where the block is."""

    def decode(self, latents):
        return np.asarray(latents, np.float64)


class Table:
    """A block that a closed hand pushes ahead of it, that closed fingers hold, and that falls when they open."""

    def predict(self, image_latent, proprio, actions):
        count, horizon, _ = actions.shape
        tool, block = np.tile(proprio[TOOL_TARGET], (count, 1)), np.tile(image_latent, (count, 1))
        latents, after = np.empty((count, horizon, 3)), np.zeros((count, horizon, PROPRIO_DIM))
        for step in range(horizon):
            closed = actions[:, step, 3] < CLOSED_M
            off = block - tool
            low = tool[:, 2] - block[:, 2] < 0.03
            held = closed & low & (np.linalg.norm(off[:, :2], axis=1) < 0.015)
            tool = tool + actions[:, step, :3]
            block = np.where(held[:, None], tool + off, block)
            apart = block[:, :2] - tool[:, :2]
            length = np.linalg.norm(apart, axis=1, keepdims=True)
            hit = (closed & low & ~held)[:, None] & (length < RADIUS_M)
            block[:, :2] = np.where(hit, tool[:, :2] + RADIUS_M * apart / np.maximum(length, 1e-9), block[:, :2])
            block[:, 2] = np.where(closed & held, block[:, 2], HALF_M)
            latents[:, step], after[:, step, TOOL_POSITION] = block, tool
            after[:, step, TOOL_TARGET], after[:, step, GRIPPER_WIDTH] = tool, actions[:, step, 3:]
        return Outcomes(latents, after)


def planner(settings=PUSH, world=None, mask=None, guide=None):
    cost = build_cost(COST, Seen())
    imagination = Imagination(mask or PathMask(SPEC, KINEMATICS), world or Table(), cost, np.inf, settings.judged_steps)
    return Contacts(settings, imagination, Seen(), guide)


def belief(tool, block, width=0.0):
    tool = np.asarray(tool, np.float64)
    proprio = np.concatenate([tool, np.zeros(3), tool, [width]])
    return Belief(0, np.asarray(block, np.float64), proprio, KINEMATICS.inverse(tool)[0])


def played(contacts, now, goal, steps=60):
    """The last belief when each plan's first action is carried out in the toy world; and the highest block."""
    highest = now.image_latent[2]
    for _ in range(steps):
        plan = contacts.plan(now, goal)
        assert isinstance(plan, Plan), plan
        outcome = Table().predict(now.image_latent, now.proprio, plan.actions[None, :1])
        now = Belief(0, outcome.image_latents[0, 0], outcome.proprio[0, 0], plan.joint_path[0])
        highest = max(highest, now.image_latent[2])
        if np.linalg.norm(now.image_latent - goal.block_position) < 0.01 and now.proprio[TOOL_POSITION][2] > 0.1:
            break
    return now, highest


places = st.tuples(st.floats(0.42, 0.56), st.floats(-0.15, 0.15))


@settings(max_examples=15, deadline=None)
@given(start=places, end=places, tool=st.tuples(st.floats(0.36, 0.62), st.floats(-0.2, 0.2), st.floats(0.13, 0.25)))
def test_a_block_is_pushed_from_anywhere_to_anywhere(start, end, tool):
    goal = Goal(None, block_position=np.array([*end, HALF_M]))
    now, highest = played(planner(), belief(tool, [*start, HALF_M]), goal)
    assert np.linalg.norm((now.image_latent - goal.block_position)[:2]) < 0.02
    assert highest == HALF_M


@pytest.mark.parametrize("height_m", [HALF_M, 0.15])
@settings(max_examples=8, deadline=None)
@given(start=places, end=places)
def test_a_block_is_carried_into_the_air_and_held_or_put_down_and_let_go(height_m, start, end):
    assume(np.linalg.norm(np.subtract(start, end)) > 0.06)
    goal = Goal(None, block_position=np.array([*end, height_m]))
    now, highest = played(planner(CARRY), belief([0.5, 0.0, 0.2], [*start, HALF_M]), goal)
    assert np.linalg.norm(now.image_latent - goal.block_position) < 0.012 and highest > 0.08
    assert (now.proprio[GRIPPER_WIDTH][0] < CLOSED_M) is np.bool_(height_m > HALF_M)


NOW, THERE = belief([0.5, 0.0, 0.2], [0.5, 0.1, HALF_M]), Goal(None, block_position=np.array([0.5, -0.05, HALF_M]))


class Slipping(Table):
    """It believes that a push turned to the left comes out nearer by a share, and no other."""

    def __init__(self, share):
        self.share = share

    def predict(self, image_latent, proprio, actions):
        outcomes = super().predict(image_latent, proprio, actions)
        left = actions[..., :3].sum(axis=1)[:, 0] > actions[1 if len(actions) > 1 else 0, :, 0].sum() + 0.005
        wanted = THERE.block_position
        outcomes.image_latents[:] = (
            wanted + (image_latent - wanted) * np.where(left, 1 - self.share, 1.0)[:, None, None]
        )
        return outcomes


@pytest.mark.parametrize(("share", "taken"), [(0.5, False), (0.7, True)])
def test_another_way_is_taken_only_where_it_is_much_cheaper(share, taken):
    straight = planner(replace(PUSH, candidates=2)).plan(NOW, THERE)
    plan = planner(world=Slipping(share)).plan(NOW, THERE)
    assert np.array_equal(plan.actions, straight.actions) is not taken


class Proposing:
    """A policy that would go straight up, or whatever the world takes for that."""

    residual = False

    def __init__(self):
        self.asked = 0

    def applies_to(self, goal):
        return True

    def proposals(self, query, rng, horizon):
        self.asked += 1
        return np.tile([0.0, 0.0, RISE_M, 0.0], (3, horizon, 1))


class Wishing(Table):
    """It believes that a hand that only rises has brought the block nearer to where it is to be, by a share."""

    def __init__(self, share):
        self.share = share

    def predict(self, image_latent, proprio, actions):
        outcomes = super().predict(image_latent, proprio, actions)
        rises = (actions[..., :2] == 0.0).all(axis=(1, 2)) & (actions[..., 2] > 0.0).all(axis=1)
        wanted = THERE.block_position
        left = np.where(rises, 1 - self.share, 1.0)[:, None, None]
        outcomes.image_latents[:] = wanted + (image_latent - wanted) * left
        return outcomes


@pytest.mark.parametrize(("share", "taken"), [(0.5, False), (0.7, True)])
def test_what_a_policy_proposes_is_taken_for_a_step_where_it_is_much_cheaper(share, taken):
    guide = Proposing()
    contacts = planner(world=Wishing(share), guide=guide)
    for asked in (1, 2):
        plan = contacts.plan(NOW, THERE)
        assert np.array_equal(plan.actions[:, :3], np.tile([0.0, 0.0, RISE_M], (PUSH.horizon, 1))) is taken
        assert guide.asked == asked and plan.candidates == PUSH.candidates + 3


def test_a_policy_is_not_asked_while_a_way_is_under_way():
    guide = Proposing()
    contacts = planner(guide=guide)
    now, _ = played(contacts, NOW, THERE)
    assert np.linalg.norm((now.image_latent - THERE.block_position)[:2]) < 0.02
    assert 0 < guide.asked < 20  # of 60 plans


def test_a_way_is_made_anew_until_its_first_point_and_then_kept():
    contacts = planner(replace(PUSH, candidates=2))
    seen_now, seen_later = NOW, replace(NOW, image_latent=NOW.image_latent + np.array([0.03, 0.0, 0.0]))
    contacts.plan(seen_now, THERE)
    contacts.plan(seen_later, THERE)  # two views of three
    np.testing.assert_array_equal(
        contacts.plan(seen_later, THERE).actions,
        planner(replace(PUSH, candidates=2)).plan(seen_later, THERE).actions,
    )
    contacts.reset()
    over = belief([0.5, 0.17, 0.12], NOW.image_latent)
    first = contacts.plan(over, THERE)
    lower = replace(belief(over.proprio[TOOL_TARGET] + first.actions[0, :3], seen_later.image_latent))
    np.testing.assert_allclose(contacts.plan(lower, THERE).actions[:-1], first.actions[1:], atol=1e-12)


class Counting(Table):
    """It tells how far each plan was imagined."""

    def __init__(self):
        self.horizons = []

    def predict(self, image_latent, proprio, actions):
        self.horizons.append(actions.shape[1])
        return super().predict(image_latent, proprio, actions)


def test_while_a_way_is_under_way_no_more_is_imagined_than_the_guardrails_judge_and_nothing_is_searched():
    world = Counting()
    contacts, now = planner(replace(PUSH, judged_steps=1), world), NOW
    searched = []
    while not searched or np.linalg.norm((now.image_latent - THERE.block_position)[:2]) > 0.03:
        plan = contacts.plan(now, THERE)
        searched.append(plan.searched)
        assert len(plan.actions) == PUSH.horizon and len(plan.imagined_tool_path) == world.horizons[-1]
        outcome = Table().predict(now.image_latent, now.proprio, plan.actions[None, :1])
        now = Belief(0, outcome.image_latents[0, 0], outcome.proprio[0, 0], plan.joint_path[0])
    assert [horizon == PUSH.horizon for horizon in world.horizons] == searched
    assert set(world.horizons) == {1, PUSH.horizon} and searched[0]


class Doubtful(Table):
    """It believes that closed fingers lose what they hold, and only they."""

    def predict(self, image_latent, proprio, actions):
        outcomes = super().predict(image_latent, proprio, actions)
        closed_now = actions[:, 0, 3] < CLOSED_M
        outcomes.image_latents[:] = np.where(closed_now[:, None, None], 9.0, THERE.block_position)
        return outcomes


HIGH = replace(THERE, block_position=THERE.block_position + np.array([0.0, 0.0, 0.13]))


def test_fingers_that_have_closed_do_not_open_because_the_world_model_doubts_that_they_hold():
    now, highest = played(planner(CARRY, world=Doubtful()), belief([0.5, 0.0, 0.2], NOW.image_latent), HIGH)
    assert np.linalg.norm(now.image_latent - HIGH.block_position) < 0.012 and highest > 0.08


@pytest.mark.parametrize(("misread", "given_up"), [((1,), False), ((1, 3), False), ((1, 2), True)])
def test_a_way_is_given_up_where_two_pictures_in_a_row_show_that_the_block_stayed_behind(misread, given_up):
    contacts, now = planner(CARRY), belief([*NOW.image_latent[:2], 0.12], NOW.image_latent, 0.08)
    widths, raised = [], 0
    for _ in range(30):
        raised += now.proprio[GRIPPER_WIDTH][0] < CLOSED_M and now.proprio[TOOL_TARGET][2] > 0.06
        shown = replace(now, image_latent=NOW.image_latent + 0.1) if raised in misread else now
        plan = contacts.plan(shown, HIGH)
        outcome = Table().predict(now.image_latent, now.proprio, plan.actions[None, :1])
        now = Belief(0, outcome.image_latents[0, 0], outcome.proprio[0, 0], plan.joint_path[0])
        widths.append(plan.actions[0, 3] if raised else 0.0)
    assert raised >= 3 and bool(max(widths) > CLOSED_M) is given_up


def test_what_is_in_the_hand_already_is_carried_on_by_what_is_left():
    off = np.array([0.01, 0.005, -0.02])
    hand = HIGH.block_position + np.array([0.05, 0.05, 0.02])
    held = belief(hand, hand + off)
    plan = planner(CARRY).plan(held, HIGH)
    assert plan.actions[:, 3].max() < CLOSED_M
    np.testing.assert_allclose(plan.actions[:, :3].sum(axis=0), HIGH.block_position - held.image_latent, atol=0.003)
    put = planner(CARRY).plan(held, THERE)
    assert put.actions[0, 3] < CLOSED_M < put.actions[-1, 3]
    for not_held in (belief(hand, hand + off, 0.08), belief(hand, hand + 0.1)):
        assert planner(CARRY).plan(not_held, HIGH).actions[0, 3] > CLOSED_M


def test_nothing_is_chosen_that_a_guardrail_forbids():
    mask = BoxMask(lower=(0.4, -0.2, 0.1), upper=(0.6, 0.2, 0.3))
    mask.room_m = (np.array([-9.0] * 3), np.array([9.0] * 3))
    plan = planner(mask=mask).plan(NOW, THERE)
    assert np.all(plan.actions[:, :3] == 0.0) and plan.masked == PUSH.candidates - 1
    mask.lower = mask.lower + 1.0
    assert planner(mask=mask).plan(NOW, THERE).guardrail == "workspace"


@pytest.mark.parametrize(("judged_steps", "goes"), [(3, True), (24, False)])
def test_what_is_imagined_far_ahead_is_judged_when_it_comes_nearer(judged_steps, goes):
    mask = BoxMask(imagined=((-9, -9, 0.07), (9, 9, 9)))
    mask.room_m = (np.array([-9.0] * 3), np.array([9.0] * 3))
    plan = planner(replace(PUSH, judged_steps=judged_steps), mask=mask).plan(NOW, THERE)
    assert plan.actions[:, :3].any() == goes


def test_a_block_that_is_near_its_goal_is_left_alone_once_a_way_is_gone():
    near = replace(THERE, block_position=NOW.image_latent + np.array([0.018, 0.0, 0.0]))
    assert not planner(replace(PUSH, near_m=0.02)).plan(NOW, near).actions[:, :3].any()
    assert planner(replace(PUSH, near_m=0.015)).plan(NOW, near).actions[:, :3].any()


def test_a_block_that_is_read_wrong_in_some_pictures_is_where_most_show_it():
    contacts = planner(replace(PUSH, candidates=2))
    hidden = replace(NOW, image_latent=NOW.image_latent + np.array([0.1, 0.1, 0.0]))
    plans = [contacts.plan(view, THERE) for view in (NOW, hidden, NOW, hidden, NOW)]
    np.testing.assert_array_equal(plans[-1].actions, plans[0].actions)


def test_a_way_for_one_goal_is_not_gone_on_for_another():
    contacts = planner(CARRY)
    over = belief([*NOW.image_latent[:2], 0.12], NOW.image_latent)
    contacts.plan(over, THERE)
    high = replace(THERE, block_position=THERE.block_position + np.array([0.0, 0.0, 0.13]))
    np.testing.assert_array_equal(contacts.plan(over, high).actions[0], planner(CARRY).plan(over, high).actions[0])


def test_what_it_cannot_pursue_it_refuses():
    assert planner().plan(NOW, Goal(np.array([0.5, 0.0, 0.2]), block_position=None)).guardrail == "goal"
    assert planner().plan(replace(NOW, image_latent=np.full(3, np.nan)), THERE).guardrail == "unknown_state"


def test_the_same_seed_plans_the_same_and_reset_starts_it_again():
    contacts = planner(world=Slipping(0.7))
    first = contacts.plan(NOW, THERE)
    contacts.reset()
    np.testing.assert_array_equal(contacts.plan(NOW, THERE).actions, first.actions)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"contact": "throw"}, "contact is 'throw'"),
        ({"candidates": 1}, "at least|>= 2"),
        ({"switch_share": 1.0}, "< 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(PUSH, **change)


points = st.lists(st.tuples(*[st.floats(-0.3, 0.3)] * 3), min_size=1, max_size=5)


@settings(deadline=None)
@given(way=points, longest_m=st.floats(0.005, 0.04), slow_m=st.floats(0.002, 0.02))
def test_a_way_goes_through_its_points_no_faster_than_it_may(way, longest_m, slow_m):
    steps_m = np.array([[slow_m, *[np.inf] * (len(way) - 1)]])
    ways = Ways(np.array([way]), np.arange(len(way), dtype=float)[None], steps_m)
    actions, passed = ways.actions(np.zeros(3), 800, longest_m)
    lengths = np.linalg.norm(actions[0, :, :3], axis=1)
    assert passed == [len(way)] and lengths.max() <= longest_m + 1e-12
    to_first = actions[0, :, 3] == 0.0
    if len(way) > 1:
        assert lengths[to_first].max(initial=0.0) <= slow_m + 1e-12
    at = np.cumsum(actions[0, :, :3], axis=0)
    assert all(np.linalg.norm(at - point, axis=1).min() <= AT_M or np.linalg.norm(point) <= AT_M for point in way)
    assert np.all(np.diff(actions[0, :, 3]) >= 0.0)
