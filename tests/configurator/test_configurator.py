"""A task file is taken whole or refused in one sentence."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from ami_robot.actor.analytic import StraightLine
from ami_robot.actor.arrival import Arrival
from ami_robot.actor.caution import Caution
from ami_robot.actor.contacts import Contacts
from ami_robot.actor.gradient import Gradient
from ami_robot.actor.icem import ICEM
from ami_robot.actor.mode_switch import ModeSwitch
from ami_robot.actor.mppi import MPPI
from ami_robot.actor.policy import Policy
from ami_robot.actor.policy_network import PolicyConfig, PolicyNetwork
from ami_robot.configurator.configurator import (
    ANALYTIC,
    REACH,
    ConfigError,
    build_agent,
    build_cost,
    load_task,
    task_file,
)
from ami_robot.perception.checkpoint import CheckpointError, save_checkpoint
from ami_robot.perception.conv import ConvConfig
from ami_robot.perception.encoder import PlaceHead
from ami_robot.perception.novelty import Novelty
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import load_spec
from ami_robot.strict import StrictError
from ami_robot.types import Belief, Goal, Plan
from ami_robot.world_model.kinematic import KinematicModel

SPEC, KINEMATICS = load_spec(), Kinematics()


def write(tmp_path, change, base=REACH):
    data = yaml.safe_load(base.read_text())
    change(data)
    path = tmp_path / "task.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def test_the_shipped_files_build_agents():
    assert isinstance(build_agent(load_task(REACH), SPEC, KINEMATICS, KinematicModel()).planner, ICEM)
    assert isinstance(build_agent(load_task(ANALYTIC), SPEC, KINEMATICS).planner, StraightLine)


def test_the_straight_line_is_no_candidate_by_default():
    assert load_task(REACH).icem.straight_line_candidate is False


def test_icem_without_a_world_model_is_refused():
    with pytest.raises(ConfigError, match="none was given"):
        build_agent(load_task(REACH), SPEC, KINEMATICS)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: d["icem"].update(elits=3), r"icem has unknown keys elits; known are .*elites"),
        (lambda d: d.update(extra=3), r"unknown keys extra; known are planner, icem, cost, model_error"),
        (lambda d: d["cost"].update(height=1.0), r"cost has unknown keys height; known are .*tool_distance"),
        (lambda d: d["icem"].pop("elites"), r"icem lacks elites"),
        (lambda d: d.pop("cost"), r"lacks cost"),
        (lambda d: d.update(planner="cem"), r"planner is 'cem'; known are icem, mppi, .*, straight_line"),
        (lambda d: d["icem"].update(elites=True), r"icem: elites has to be a whole number >= 0, got True"),
        (lambda d: d["icem"].update(elites=1.5), r"icem: elites has to be a whole number >= 0, got 1.5"),
        (lambda d: d["icem"].update(noise_beta=float("nan")), r"noise_beta has to be a number >= 0, .*, got nan"),
        (lambda d: d["icem"].update(noise_beta="2"), r"noise_beta has to be a number >= 0, .*, got '2'"),
        (lambda d: d["icem"].update(gripper="open"), r"gripper is 'open'; valid are hold, search"),
        (lambda d: d["icem"].update(elites=500), r"elites <= candidates"),
        (lambda d: d["cost"].update(action_rate=-1.0), r"action_rate has to be a number >= 0, .*, got -1.0"),
        (
            lambda d: d["cost"].update(latent_distance=0.0, tool_distance=0.0, decoded_slack_m=0.0),
            r"nothing is pursued",
        ),
        (lambda d: d["cost"].update(latent_distance=0.0), r"nothing decides within decoded_slack_m"),
        (lambda d: d.update(icem=[1]), r"icem has to be a mapping with the keys"),
    ],
)
def test_a_mistake_is_named_in_one_sentence(tmp_path, change, sentence):
    with pytest.raises(StrictError, match=sentence) as caught:
        load_task(write(tmp_path, change))
    assert "\n" not in str(caught.value) and "task.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"), [("a: [", "is not YAML"), ("- a", "has to be a mapping"), (None, "cannot read")]
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text, sentence):
    path = tmp_path / "task.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(StrictError, match=sentence):
        load_task(path)


def test_a_term_of_weight_zero_is_left_out(tmp_path):
    path = write(tmp_path, lambda d: d["cost"].update(action_rate=0.0, latent_distance=1.0, tool_distance=1.0))
    assert build_cost(load_task(path).cost).names == ("latent_distance", "tool_distance")


def test_the_belief_gets_old_by_the_guardrail_file():
    memory = build_agent(load_task(ANALYTIC), SPEC, KINEMATICS).memory
    assert memory._max_age_s == SPEC.staleness.frame_s and np.isfinite(memory._max_age_s)


@pytest.mark.parametrize(("name", "planner"), [("reach_mppi", MPPI), ("reach_gradient", Gradient)])
def test_the_other_planners_are_built_from_their_files_with_the_costs_of_reach(name, planner):
    task = load_task(task_file(name))
    assert task.cost == load_task(REACH).cost and task.model_error == load_task(REACH).model_error
    assert isinstance(build_agent(task, SPEC, KINEMATICS, KinematicModel()).planner, planner)


def test_the_gradient_planner_refuses_a_model_without_derivatives():
    class Service:
        predict = KinematicModel.predict

    with pytest.raises(ConfigError, match="in their own process"):
        build_agent(load_task(task_file("reach_gradient")), SPEC, KINEMATICS, Service())


POLICY = {
    "checkpoint": "",
    "horizon": 4,
    "steps_left": 8,
    "gripper": "hold",
    "proposals": 8,
    "temperature": 1.0,
    "residual": False,
    "alone_below_quantile": 0.9,
}
CAUTION = {"checkpoint": "", "slow_above_quantile": 0.99, "slow_step_share": 0.5, "refuse_above": 2.0}
ENCODER = "e" * 64


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A policy that was taught nothing, on latents of four numbers."""
    folder, network, novelty = tmp_path_factory.mktemp("policy"), PolicyNetwork(PolicyConfig(4, 8, 1, 8)), Novelty(4)
    values = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    novelty.fit(values, values)
    record = {"encoder_sha256": ENCODER}
    save_checkpoint(folder, {"policy": network, "novelty": novelty}, {"policy": network.config}, record)
    return folder


def task_with(tmp_path, folder, planner="icem", policy=None, caution=None):
    def change(data):
        icem = data.pop("icem")
        data.update(planner=planner)
        if planner == "icem":
            data.update(icem=icem)
        if policy is not None:
            data.update(policy={**POLICY, "checkpoint": str(folder), **policy})
        if caution is not None:
            data.update(caution={**CAUTION, "checkpoint": str(folder), **caution})

    return load_task(write(tmp_path, change))


def test_a_policy_plans_alone_beside_a_search_or_only_guides_it(tmp_path, taught):
    def planner(**sections):
        return build_agent(task_with(tmp_path, taught, **sections), SPEC, KINEMATICS, KinematicModel()).planner

    assert isinstance(planner(planner="policy", policy={}), Policy)
    switch = planner(policy={})
    assert isinstance(switch, ModeSwitch) and isinstance(switch.search, ICEM)
    guided = planner(policy={"alone_below_quantile": 0.0})
    assert isinstance(guided, ICEM) and guided._guide is not None
    alone = planner(policy={"alone_below_quantile": 0.0, "proposals": 0})
    assert isinstance(alone, ICEM) and alone._guide is None
    cautious = planner(caution={})
    assert isinstance(cautious, Caution) and isinstance(cautious.planner, ICEM)


def test_an_agent_with_a_policy_takes_only_latents_of_the_encoder_it_was_taught_on(tmp_path, taught):
    agent = build_agent(task_with(tmp_path, taught, policy={}), SPEC, KINEMATICS, KinematicModel())
    assert agent.memory.checkpoint_sha256 == ENCODER
    for sections in ({"policy": {}}, {"caution": {}}):
        task = task_with(tmp_path, taught, **sections)
        with pytest.raises(CheckpointError, match="taught on latents of checkpoint eeeeeeeeeeee"):
            build_agent(task, SPEC, KINEMATICS, KinematicModel(), checkpoint_sha256="0" * 64)


def test_a_policy_plans_through_the_guardrail_file(tmp_path, taught):
    agent = build_agent(task_with(tmp_path, taught, planner="policy", policy={}), SPEC, KINEMATICS, KinematicModel())
    tool = np.array([0.5, 0.0, 0.2])
    belief = Belief(0, np.zeros(4), np.concatenate([tool, np.zeros(3), tool, [0.04]]), KINEMATICS.inverse(tool)[0])
    plan = agent.planner.plan(belief, Goal(tool, np.ones(4)))
    assert isinstance(plan, Plan) and plan.actions.shape == (4, 4) and plan.margin >= 0


@pytest.mark.parametrize(
    ("sections", "sentence"),
    [
        ({"policy": {"gripper": "search"}}, r"policy: gripper is 'search'; valid are hold, policy"),
        ({"policy": {"steps_left": 0}}, r"steps_left must be at least 1"),
        ({"policy": {"alone_below_quantile": 1.5}}, r"alone_below_quantile must be between 0 and 1"),
        ({"policy": {"pruposals": 1}}, r"policy has unknown keys pruposals; known are .*proposals"),
        ({"caution": {"refuse_above": 0.5}}, r"refuse_above >= 1"),
        ({"caution": {"max_spread": 0.0}}, r"max_spread must be positive"),
        ({"caution": {"max_sprat": 0.1}}, r"unknown keys max_sprat; known are .*max_spread"),
        ({"planner": "policy"}, r"lacks policy"),
    ],
)
def test_a_mistake_about_policy_or_caution_is_named(tmp_path, sections, sentence):
    with pytest.raises(StrictError, match=sentence):
        task_with(tmp_path, tmp_path, **sections)


@pytest.mark.parametrize("name", ["reach_gradient", "push"])
def test_a_residual_round_a_policy_is_for_planners_that_draw_displacements(tmp_path, name):
    def change(data):
        data.update(policy={**POLICY, "checkpoint": "reach", "residual": True})

    with pytest.raises(StrictError, match=r"policy.residual is for icem and mppi"):
        load_task(write(tmp_path, change, task_file(name)))


def test_spread_has_a_weight_only_where_the_task_gives_it_one(tmp_path):
    assert "spread" not in build_cost(load_task(REACH).cost).names
    weighed = load_task(write(tmp_path, lambda d: d["cost"].update(spread=0.5)))
    assert "spread" in build_cost(weighed.cost).names


def test_arrival_goes_round_everything_else_and_lets_the_agent_take_a_way(tmp_path, taught):
    arrival = {"latent_distance": 0.2, "tool_distance_m": 0.02, "leave_factor": 1.5, "most_steps": 12}
    path = write(tmp_path, lambda d: d.update(arrival=arrival, caution={**CAUTION, "checkpoint": str(taught)}))
    agent = build_agent(load_task(path), SPEC, KINEMATICS, KinematicModel())
    assert isinstance(agent.planner, Arrival) and isinstance(agent.planner.planner, Caution)
    inside, outside = Goal(np.array([0.5, 0.0, 0.2])), Goal(np.array([5.0, 0.0, 0.2]))
    assert agent.pursue(replace(inside, way=(inside,))) is None
    assert agent.pursue(replace(inside, way=(outside,))).guardrail == "workspace"
    del arrival["most_steps"]
    with pytest.raises(StrictError, match="arrival lacks most_steps"):
        load_task(write(tmp_path, lambda d: d.update(arrival=arrival)))


@pytest.fixture
def head(tmp_path):
    """A checkpoint that says where the block is, in tmp_path / "head"."""
    sizes = ConvConfig(latent_dim=4, channels=(8, 8, 8, 8), hidden=8, head_hidden=8)
    return save_checkpoint(tmp_path / "head", {"block_head": PlaceHead(sizes)}, {"encoder": sizes}, {})


def test_a_distance_of_the_block_comes_with_a_head_that_says_where_it_is(tmp_path, head):
    def change(data):
        data["cost"].update(block_distance=2.0)

    with pytest.raises(StrictError, match="needs block_head, a checkpoint"):
        load_task(write(tmp_path, change))
    task = load_task(write(tmp_path, lambda d: (change(d), d.update(block_head=str(tmp_path / "head")))))
    agent = build_agent(task, SPEC, KINEMATICS, KinematicModel())
    assert agent.memory.checkpoint_sha256 == head.sha256
    assert agent.pursue(Goal(None, block_position=np.array([0.5, 0.1, 0.02]))) is None
    with pytest.raises(CheckpointError, match="these are of 000000000000"):
        build_agent(task, SPEC, KINEMATICS, KinematicModel(), checkpoint_sha256="0" * 64)
    with pytest.raises(StrictError, match="block_head has to be a name or a path, got 3"):
        load_task(write(tmp_path, lambda d: d.update(block_head=3)))


def test_the_sections_that_the_page_on_planners_shows_are_taken_as_they_are(tmp_path, taught, head):
    page = Path(__file__).parents[2] / "docs" / "how-to" / "planners.md"
    shown = "\n".join(re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL))
    sections = yaml.safe_load(shown.replace("/home/me/runs/policy", str(taught)))
    contacts = {name: sections.pop(name) for name in ("planner", "block_head", "contacts")}
    assert set(sections) == {"policy", "caution", "arrival"}
    task = load_task(write(tmp_path, lambda d: d.update(sections)))
    assert isinstance(build_agent(task, SPEC, KINEMATICS, KinematicModel()).planner, Arrival)

    def change(data):
        del data["icem"]
        data["cost"].update(block_distance=2.0)
        data.update(contacts, block_head=str(tmp_path / "head"))

    assert isinstance(
        build_agent(load_task(write(tmp_path, change)), SPEC, KINEMATICS, KinematicModel()).planner, Contacts
    )
    with pytest.raises(StrictError, match="contacts needs block_head"):
        load_task(write(tmp_path, lambda d: (change(d), d.pop("block_head"), d["cost"].update(block_distance=0.0))))
