"""The loop closes: on a kinematic point, with the latency of the graph, behind the real guardrail mask."""

import time
from dataclasses import replace

import numpy as np
import pytest

from ami_robot.actor.arrival import Arrival, ArrivalSettings
from ami_robot.agent import Agent, image_goal
from ami_robot.configurator.configurator import ANALYTIC, REACH, build_agent, load_task
from ami_robot.cost.cost import WeightedSum
from ami_robot.cost.motion import ActionRate
from ami_robot.safety.drift import MOTION_FEATURES, DriftTest
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.model_error import ModelErrorBound
from ami_robot.safety.spec import load_spec
from ami_robot.types import MODEL_STEP_S, Goal, Latent, Plan, Refusal
from ami_robot.world_model.kinematic import KinematicModel

SPEC, KINEMATICS = load_spec(), Kinematics()
STEP_NS = round(MODEL_STEP_S * 1e9)
START = np.array([0.5, 0.0, 0.2])
AT_START = KINEMATICS.inverse(START)[0]
# The kinematic model knows nothing of the lag below, so it errs by up to one step of 0.04 m.
ANY_LATENT = DriftTest(np.eye(4), np.zeros(2 * 4 + MOTION_FEATURES), 1.0)  # the kinematic model leaves latents alone
BOUND = ModelErrorBound("a" * 64, 0.1, 7, 0.045, {}, {}, {}, ANY_LATENT)


def make(task) -> Agent:
    return build_agent(load_task(task), SPEC, KINEMATICS, KinematicModel(), model_error=BOUND)


def latent_at(step: int, tool, velocity) -> Latent:
    return Latent(step * STEP_NS, np.zeros(4), tool, velocity, 0.04, "a" * 64, "v1")


def close_the_loop(agent: Agent, steps: int) -> list[np.ndarray]:
    """The plan from the frame of step k takes effect at k + 1; the tool lags its target by one step."""
    tool, target, proposed, way = START.copy(), START.copy(), np.zeros(3), []
    agent.on_report(AT_START, target, 0.04, 0)
    for step in range(steps):
        agent.on_latent(latent_at(step, tool, (target - tool) / MODEL_STEP_S))
        tool, target = target, target + proposed
        joints, _ = KINEMATICS.inverse(target)
        agent.on_report(joints, target, 0.04, step * STEP_NS + 5_000_000)
        plan = agent.act(step * STEP_NS + 10_000_000)
        assert isinstance(plan, Plan), plan
        proposed = plan.actions[0, :3]
        way.append(tool)
    return way


@pytest.mark.parametrize("task", [REACH, ANALYTIC])
@pytest.mark.parametrize("goal", [(0.60, 0.15, 0.08), (0.36, -0.2, 0.28)])
def test_it_settles_within_a_centimetre_of_a_pose_goal(task, goal):
    agent = make(task)
    assert agent.pursue(Goal(np.array(goal))) is None
    way = close_the_loop(agent, 30)
    assert max(np.linalg.norm(tool - goal) for tool in way[-5:]) < 0.01


def test_the_path_it_plans_is_inside_the_guardrails():
    agent = make(REACH)
    agent.pursue(Goal(np.array([0.66, 0.28, 0.04])))
    agent.on_report(AT_START, START, 0.04, 0)
    agent.on_latent(latent_at(0, START, np.zeros(3)))
    plan = agent.act(10_000_000)
    tools = KINEMATICS.tool_position(plan.joint_path)
    assert np.all(tools >= SPEC.workspace.lower_m - 1e-6) and np.all(tools <= SPEC.workspace.upper_m + 1e-6)
    assert plan.margin >= 0
    np.testing.assert_allclose(tools, START + plan.actions[:, :3].cumsum(0), atol=SPEC.inverse_kinematics.max_error_m)


@pytest.mark.parametrize("position", [(0.2, 0, 0.2), (0.5, 0, 0.0), (np.nan, 0, 0.2)])
def test_a_pose_goal_outside_the_workspace_is_refused_and_the_old_goal_stays(position):
    agent = make(REACH)
    good = Goal(START)
    agent.pursue(good)
    refusal = agent.pursue(Goal(np.array(position)))
    assert isinstance(refusal, Refusal) and refusal.guardrail == "workspace" and "outside" in refusal.reason
    assert agent.goal is good


BLOCK = np.array([0.5, 0.1, 0.02])


@pytest.mark.parametrize("task", [REACH, ANALYTIC])
@pytest.mark.parametrize("tool", [None, START])
def test_a_place_for_the_block_that_nothing_measures_is_refused_at_once_and_the_old_goal_stays(task, tool):
    agent, good = make(task), Goal(START)
    assert agent.pursue(good) is None
    refusal = agent.pursue(Goal(tool, block_position=BLOCK))
    assert isinstance(refusal, Refusal) and refusal.guardrail == "goal"
    assert "the goal says where the block is to be, and none of the costs (" in refusal.reason
    assert agent.goal is good


def test_a_step_on_the_way_that_nothing_measures_is_refused_too():
    agent = with_arrival(looks_at_block=False)
    way = (Goal(START, block_position=BLOCK),)
    assert "where the block is to be" in agent.pursue(Goal(START, way=way)).reason
    assert agent.pursue(Goal(START, way=(Goal(START),))) is None


def test_a_block_that_only_the_stop_looks_at_may_be_asked_for_beside_the_hand_and_not_alone():
    agent = with_arrival(looks_at_block=True)
    assert agent.pursue(Goal(START, block_position=BLOCK)) is None
    assert "where the block is to be" in agent.pursue(Goal(None, block_position=BLOCK)).reason


def test_a_task_that_weighs_nothing_about_pictures_refuses_one():
    agent = make(REACH)
    agent._cost = WeightedSum({ActionRate(): 1.0})
    refusal = agent.pursue(image_goal(latent_at(0, START, np.zeros(3))))
    assert "the goal is a picture, and none of the costs (action_rate)" in refusal.reason


def test_a_block_that_is_decoded_from_a_picture_is_no_demand():
    shown = replace(latent_at(0, START, np.zeros(3)), block_position=BLOCK)
    assert make(REACH).pursue(image_goal(shown)) is None


def with_arrival(looks_at_block):
    """The task reach, with a stop that looks at the block or does not."""
    agent = make(REACH)
    settings = ArrivalSettings(0.1, 0.02, leave_factor=1.5, most_steps=5, block_distance_m=0.03)
    agent.planner = Arrival(settings, agent.planner, None, object() if looks_at_block else None)
    return agent


def test_an_image_goal_decoded_a_little_outside_is_pursued():
    agent = make(REACH)
    goal = image_goal(latent_at(0, np.array([0.5, 0.0, 0.02]), np.zeros(3)))
    assert agent.pursue(goal) is None and agent.goal.image_latent is not None


def test_without_a_goal_or_a_belief_it_says_what_is_missing():
    agent = make(REACH)
    assert "no goal" in agent.act(0).reason
    agent.pursue(Goal(START))
    assert "no latent" in agent.act(0).reason


def test_a_target_outside_the_workspace_gives_a_refusal_and_never_a_least_bad_plan():
    agent = make(REACH)
    agent.pursue(Goal(START))
    outside = np.array([0.5, 0.0, 0.01])
    agent.on_report(KINEMATICS.inverse(outside)[0], outside, 0.04, 0)
    agent.on_latent(latent_at(0, outside, np.zeros(3)))
    refusal = agent.act(10_000_000)
    assert isinstance(refusal, Refusal) and refusal.margin < 0


def test_a_new_goal_forgets_the_old_plan():
    agent = make(REACH)
    agent.on_report(AT_START, START, 0.04, 0)
    agent.on_latent(latent_at(0, START, np.zeros(3)))
    plans = []
    for _ in range(2):
        agent.pursue(Goal(START + np.array([0.05, 0.05, 0.0])))
        plans.append(agent.act(10_000_000))
    np.testing.assert_array_equal(plans[0].actions, plans[1].actions)


def test_the_time_that_the_roll_forward_takes_is_taken_off_the_deadline():
    class Slow(KinematicModel):
        calls = 0

        def predict(self, *args):
            type(self).calls += 1
            time.sleep(0.03)
            return super().predict(*args)

    agent = build_agent(load_task(REACH), SPEC, KINEMATICS, Slow(), model_error=BOUND)
    agent.pursue(Goal(START))
    agent.on_report(AT_START, START, 0.04, 0)
    agent.on_latent(latent_at(0, START, np.zeros(3)))
    assert isinstance(agent.act(10_000_000, deadline_s=0.08), Plan)  # 0.03 s + 0.03 s, a third would end too late
    assert Slow.calls == 2


class Liar(KinematicModel):
    """All is well: whatever is done, the tool stays where it is."""

    def predict(self, image_latent, proprio, actions):
        outcomes = super().predict(image_latent, proprio, actions)
        outcomes.proprio[..., :3] = proprio[:3]
        return outcomes


def test_a_plan_carries_the_bound_and_the_checkpoint_and_the_mask_is_as_wide():
    agent = make(REACH)
    agent.pursue(Goal(START))
    agent.on_report(AT_START, START, 0.04, 0)
    agent.on_latent(latent_at(0, START, np.zeros(3)))
    plan = agent.act(10_000_000)
    assert plan.model_error_bound_m == agent.mask.widen_m == BOUND.bound_m
    assert plan.checkpoint_sha256 == BOUND.checkpoint_sha256


def test_a_model_that_errs_stops_the_planner_until_a_goal_is_set_again():
    agent = build_agent(load_task(REACH), SPEC, KINEMATICS, Liar(), model_error=replace(BOUND, bound_m=0.01))
    goal = Goal(START + np.array([0.1, 0.1, 0.0]))
    agent.pursue(goal)
    tool = START.copy()
    agent.on_report(AT_START, START, 0.04, 0)
    refusals = []
    for step in range(6):
        agent.on_latent(latent_at(step, tool, np.zeros(3)))
        tool = tool + np.array([0.02, 0.0, 0.0])
        agent.on_report(KINEMATICS.inverse(tool)[0], tool, 0.04, step * STEP_NS + 5_000_000)
        refusals.append(agent.act(step * STEP_NS + 10_000_000))
    assert isinstance(refusals[-1], Refusal) and refusals[-1].guardrail == "model_error"
    assert agent.act(5 * STEP_NS + 10_000_000).guardrail == "model_error"
    assert agent.pursue(goal) is None
    assert isinstance(agent.act(5 * STEP_NS + 10_000_000), Plan)


def test_latents_of_another_checkpoint_than_the_calibrated_one_are_not_planned_from():
    agent = build_agent(
        load_task(REACH), SPEC, KINEMATICS, KinematicModel(), model_error=replace(BOUND, checkpoint_sha256="b" * 64)
    )
    agent.pursue(Goal(START))
    agent.on_report(AT_START, START, 0.04, 0)
    agent.on_latent(latent_at(0, START, np.zeros(3)))
    refusal = agent.act(10_000_000)
    assert isinstance(refusal, Refusal) and refusal.guardrail == "model_error" and "bbbb" in refusal.reason


@pytest.mark.parametrize("unfit", ["missing", "too large"])
def test_without_a_usable_bound_no_goal_is_taken_up_and_nothing_planned(tmp_path, unfit):
    if unfit == "missing":
        task = replace(load_task(REACH), model_error=tmp_path / "none.yaml")
        agent = build_agent(task, SPEC, KINEMATICS, KinematicModel())
    else:
        bound = replace(BOUND, bound_m=SPEC.model_error.max_bound_m + 0.001)
        agent = build_agent(load_task(REACH), SPEC, KINEMATICS, KinematicModel(), model_error=bound)
    refusal = agent.pursue(Goal(START))
    assert isinstance(refusal, Refusal) and refusal.guardrail == "model_error" and agent.goal is None
    agent.goal = Goal(START)
    agent.on_report(AT_START, START, 0.04, 0)
    agent.on_latent(latent_at(0, START, np.zeros(3)))
    assert agent.act(10_000_000) == refusal


def test_an_error_larger_than_can_be_planned_with_is_refused_while_it_is_in_the_window():
    agent = build_agent(load_task(REACH), SPEC, KINEMATICS, Liar(), model_error=BOUND)
    agent.pursue(Goal(START))
    agent.on_report(AT_START, START, 0.04, 0)
    answers = []
    for step in range(9):
        jump = 0.06 if step == 1 else 0.0  # seen once, while the command stood still
        agent.on_latent(latent_at(step, START + np.array([jump, 0.0, 0.0]), np.zeros(3)))
        answers.append(agent.act(step * STEP_NS + 10_000_000))
        agent.on_report(AT_START, START, 0.04, step * STEP_NS + 20_000_000)
    assert isinstance(answers[0], Plan)
    assert isinstance(answers[1], Refusal) and answers[1].guardrail == "model_error" and answers[1].margin < 0
    assert isinstance(answers[-1], Plan)
