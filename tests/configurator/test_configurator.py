"""A task file is taken whole or refused in one sentence."""

import numpy as np
import pytest
import yaml

from ami_robot.actor.analytic import StraightLine
from ami_robot.actor.icem import ICEM
from ami_robot.configurator.configurator import ANALYTIC, REACH, build_agent, build_cost, load_task
from ami_robot.configurator.strict import ConfigError
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import load_spec
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
        (lambda d: d["icem"].update(elits=3), r"icem has unknown keys elits; valid are .*elites"),
        (lambda d: d.update(extra=3), r"unknown keys extra; valid are cost, icem, model_error, planner"),
        (lambda d: d["cost"].update(height=1.0), r"cost has unknown keys height; valid are .*tool_distance"),
        (lambda d: d["icem"].pop("elites"), r"icem lacks the keys elites"),
        (lambda d: d.pop("cost"), r"lacks the keys cost"),
        (lambda d: d.update(planner="cem"), r"planner is 'cem'; valid are icem, mppi, gradient, policy, straight_line"),
        (lambda d: d["icem"].update(elites=True), r"icem.elites is True; it must be a int"),
        (lambda d: d["icem"].update(elites=1.5), r"icem.elites is 1.5; it must be a int"),
        (lambda d: d["icem"].update(noise_beta=float("nan")), r"noise_beta is nan; it must be a finite number"),
        (lambda d: d["icem"].update(noise_beta="2"), r"noise_beta is '2'; it must be a finite number"),
        (lambda d: d["icem"].update(gripper="open"), r"gripper is 'open'; valid are hold, search"),
        (lambda d: d["icem"].update(elites=500), r"elites <= candidates"),
        (lambda d: d["cost"].update(action_rate=-1.0), r"action_rate must not be negative"),
        (
            lambda d: d["cost"].update(latent_distance=0.0, tool_distance=0.0, decoded_slack_m=0.0),
            r"nothing is pursued",
        ),
        (lambda d: d["cost"].update(latent_distance=0.0), r"nothing decides within decoded_slack_m"),
        (lambda d: d.update(icem=[1]), r"icem must be a mapping with the keys"),
    ],
)
def test_a_mistake_is_named_in_one_sentence(tmp_path, change, sentence):
    with pytest.raises(ConfigError, match=sentence) as caught:
        load_task(write(tmp_path, change))
    assert "\n" not in str(caught.value) and "task.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"), [("a: [", "is not YAML"), ("- a", "must be a mapping"), (None, "cannot be read")]
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text, sentence):
    path = tmp_path / "task.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        load_task(path)


def test_a_term_of_weight_zero_is_left_out(tmp_path):
    path = write(tmp_path, lambda d: d["cost"].update(action_rate=0.0, latent_distance=1.0, tool_distance=1.0))
    assert build_cost(load_task(path).cost).names == ("latent_distance", "tool_distance")


def test_the_belief_gets_old_by_the_guardrail_file():
    memory = build_agent(load_task(ANALYTIC), SPEC, KINEMATICS).memory
    assert memory._max_age_s == SPEC.staleness.frame_s and np.isfinite(memory._max_age_s)
