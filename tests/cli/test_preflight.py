"""`ami preflight` finds each planted fault in the check that is named for it, names the culprit, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from preflight_stranger import ARM
from preflight_table import BLIND, SLOW, assert_clean, assert_found, domain, preflight, rows_of  # noqa: F401

from ami_robot.cli.main import main
from ami_robot.configurator.configurator import REACH
from ami_robot.perception.checkpoint import DEFAULT_CHECKPOINT, TENSOR_FILE
from ami_robot.safety.spec import DEFAULT_SPEC, load_spec
from tests.untrained import untrained_checkpoint

pytestmark = pytest.mark.graph

BRINGUP = Path(__file__).parents[2] / "ros_ws" / "src" / "ami_bringup" / "launch" / "bringup.launch.xml"
ROBOT = ("arm:=ros2_control", "vision:=false", "config:=analytic")


@contextmanager
def beside(who):
    """Another process in the domain."""
    program = str(Path(__file__).with_name("preflight_stranger.py"))
    with subprocess.Popen([sys.executable, program, who], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "here\n"
            yield
        finally:
            process.terminate()  # one that is killed stays in the graph for a while


# Clean setups pass.


def test_the_default_graph_passes(capsys):
    outcome = preflight(capsys)
    assert_clean(
        outcome, "nodes", "domain", "network", "guardrails", "task", "checkpoint", "model error", "view", "clock"
    )
    assert load_spec().sha256 in str(outcome)


def test_the_loopback_arm_passes(capsys):
    assert_clean(preflight(capsys, *BLIND))


@pytest.mark.parametrize("part", ["robot", pytest.param("brain", marks=SLOW)])
def test_each_half_of_a_graph_on_two_hosts_passes(part, capsys):
    outcome = preflight(capsys, *BLIND, f"part:={part}")
    assert_clean(outcome)
    assert ("planner" in outcome[1][0][2]) == (part == "brain")


@SLOW
def test_what_neither_half_says_is_missed_in_both(capsys):
    for part in ("robot", "brain"):
        outcome = preflight(capsys, *BLIND, "use_sim_time:=true", f"part:={part}")
        assert_found(outcome, "topics", "/clock", "/planner")


@SLOW
def test_a_robot_that_is_there_passes(capsys):
    with beside("robot"):
        assert_clean(preflight(capsys, *ROBOT), "robot")


@SLOW
def test_an_own_namespace_keeps_clear_of_another_graph(capsys):
    with beside("guardrail"):
        assert_clean(preflight(capsys, *BLIND, "namespace:=/cell2"), "domain")


# Wrong usage is not a fault.


@pytest.mark.parametrize("words", [["arm"], [":=loopback"], ["arm:=loopback", "arm:=pybullet"]])
def test_what_is_no_launch_argument_is_wrong_usage(words, capsys):
    assert main(["preflight", *words]) == 2
    assert capsys.readouterr().err.startswith("ami: error: ")


@pytest.mark.parametrize("words", [["--minutes", "0"], ["--calibration-days", "soon"]])
def test_an_option_that_is_no_number_above_0_is_wrong_usage(words):
    with pytest.raises(SystemExit) as ended:
        main(["preflight", *words])
    assert ended.value.code == 2


# Planted faults.


@pytest.mark.parametrize(
    ("word", "culprits"),
    [
        ("camrea:=v4l2", ["camrea", "camera"]),
        pytest.param("arm:=pybulet", ["pybulet", "loopback"], marks=SLOW),
        pytest.param("params_file:=/nowhere/parameters.yaml", ["/nowhere/parameters.yaml"], marks=SLOW),
        pytest.param("launch_file", ["none.launch.xml"], marks=SLOW),
    ],
)
def test_a_launch_that_does_not_render(word, culprits, capsys):
    words = ["--launch-file", "none.launch.xml"] if word == "launch_file" else [word]
    assert_found(preflight(capsys, *words), "launch", *culprits)


@pytest.mark.parametrize(
    ("node", "parameters", "culprits"),
    [
        ("planner", {"answer_timeout": 0.5}, ["planner", "unknown parameter answer_timeout"]),
        pytest.param("arm", {"rate_hz": "fast"}, ["arm", "rate_hz", "'fast'"], marks=SLOW),
        pytest.param("arm", {"lag_s": 3.0}, ["arm", "lag_s", "0.2"], marks=SLOW),
        ("plannner", {"source": "planner"}, ["/**/plannner", "no node", "guardrail"]),
        pytest.param("people", {"delay_s": 7.0}, ["people", "delay_s"], marks=SLOW),
        pytest.param("camera", {"fsp": 30.0}, ["camera", "fsp"], marks=SLOW),
    ],
)
def test_parameters_of_a_file_that_no_node_takes(node, parameters, culprits, capsys, tmp_path):
    file = tmp_path / "parameters.yaml"
    file.write_text(yaml.safe_dump({f"/**/{node}": {"ros__parameters": parameters}}))
    assert_found(preflight(capsys, *BLIND, f"params_file:={file}"), "parameters", *culprits)


@SLOW
def test_parameters_of_a_node_that_could_be_started_are_no_fault(capsys, tmp_path):
    file = tmp_path / "parameters.yaml"
    file.write_text(yaml.safe_dump({"/**/camera": {"ros__parameters": {"fps": 15.0}}}))
    assert_clean(preflight(capsys, *BLIND, f"params_file:={file}"))


@SLOW
def test_a_launch_argument_that_a_node_does_not_take(capsys):
    words = ("vision:=false", "config:=analytic", "people:=nobodyy")
    assert_found(preflight(capsys, *words), "parameters", "people", "nobodyy")


@pytest.mark.parametrize(
    ("words", "culprits"),
    [
        pytest.param(["arm:=loopback"], ["/sim/state", "/camera"], marks=SLOW),
        ([*BLIND, "use_sim_time:=true"], ["/clock", "/planner"]),
        pytest.param(["arm:=loopback", "vision:=false"], ["/latent", "/planner"], marks=SLOW),
    ],
)
def test_a_node_that_waits_for_what_nobody_says(words, culprits, capsys):
    assert_found(preflight(capsys, *words), "topics", *culprits)


def own_launch_file(folder, old, new):
    """A changed copy of the bringup."""
    text = BRINGUP.read_text()
    assert old in text
    (folder / "own.launch.xml").write_text(text.replace(old, new))
    return "--launch-file", folder / "own.launch.xml"


@SLOW
def test_topics_of_two_types(capsys, tmp_path):
    pair = own_launch_file(
        tmp_path, '<param name="config"', '<remap from="plan" to="joint_states"/><param name="config"'
    )
    outcome = preflight(capsys, *pair, *BLIND)
    assert_found(outcome, "topics", "/joint_states", "ami_interfaces/msg/Plan", "sensor_msgs/msg/JointState")


def test_two_writers_of_the_arms_topic_in_one_launch(capsys, tmp_path):
    node = '<node pkg="ami_nodes" exec="guardrail" name="guardrail2"/><node pkg="ami_nodes" exec="planner"'
    pair = own_launch_file(tmp_path, '<node pkg="ami_nodes" exec="planner"', node)
    assert_found(preflight(capsys, *pair, *BLIND), "topics", f"/{ARM}", "/guardrail2")


@SLOW
def test_two_guardrail_files(capsys, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text(f"{DEFAULT_SPEC.read_text()}\n# another\n")
    old = '<param name="guardrail_file" value="$(var guardrail_file)"/>\n      <param name="config"'
    pair = own_launch_file(tmp_path, old, f'<param name="guardrail_file" value="{other}"/>\n      <param name="config"')
    assert_found(preflight(capsys, *pair, *BLIND), "guardrails", "planner", other, load_spec(other).sha256[:12])


def test_people_who_are_asked_and_nobody_speaks_of(capsys, tmp_path):
    file = tmp_path / "guardrails.yaml"
    file.write_text(DEFAULT_SPEC.read_text().replace("none_fenced_cell", "topic"))
    assert_found(preflight(capsys, *BLIND, f"guardrail_file:={file}"), "topics", "/people", "/guardrail")


def test_a_guardrail_file_with_a_number_that_is_none(capsys, tmp_path):
    file = tmp_path / "guardrails.yaml"
    file.write_text(DEFAULT_SPEC.read_text().replace("people_s: 0.2", "people_s: -0.2"))
    outcome = preflight(capsys, *BLIND, f"guardrail_file:={file}")
    assert_found(outcome, "guardrails", file, "people_s", beside_it={"nodes"})


@pytest.mark.parametrize(
    ("who", "check", "culprits"),
    [
        pytest.param("guardrail", "domain", ["/guardrail runs already"], marks=SLOW),
        pytest.param("clock", "domain", ["/clock"], marks=SLOW),
        ("second_writer", "domain", ["/second_writer", ARM]),
        pytest.param(
            "e_stop_that_is_not_latched", "topics", ["/e_stop", "latched", "/e_stop_that_is_not_latched"], marks=SLOW
        ),
        pytest.param("people_of_another_type", "topics", ["/people ", "std_msgs/msg/String"], marks=SLOW),
    ],
)
def test_somebody_in_the_domain_who_is_in_the_way(who, check, culprits, capsys):
    with beside(who):
        assert_found(preflight(capsys, *BLIND), check, *culprits, beside_it={"topics"})


@pytest.mark.parametrize(
    ("who", "culprits"),
    [
        pytest.param("robot_with_other_names", ["panda_joint1"], marks=SLOW),
        pytest.param("robot_that_is_slower", ["panda_joint1", "velocity", "1.25"], marks=SLOW),
        ("robot_that_begins_where_it_is_measured", ["joint_trajectory_controller", "interpolate_from_desired_state"]),
    ],
)
def test_a_robot_that_the_guardrails_do_not_fit(who, culprits, capsys):
    with beside(who):
        assert_found(preflight(capsys, *ROBOT), "robot", *culprits)


@SLOW
def test_a_robot_that_is_not_there(capsys):
    assert_found(preflight(capsys, *ROBOT), "robot", "/joint_states", beside_it={"topics"})


@pytest.mark.parametrize(
    ("variable", "value", "culprit"),
    [
        ("ROS_DOMAIN_ID", "300", "'300'"),
        pytest.param("ROS_AUTOMATIC_DISCOVERY_RANGE", "OFF", "OFF", marks=SLOW),
        pytest.param("ROS_AUTOMATIC_DISCOVERY_RANGE", "HOUSE", "'HOUSE'", marks=SLOW),
    ],
)
def test_a_network_that_cannot_be_used(variable, value, culprit, capsys, monkeypatch):
    monkeypatch.setenv(variable, value)
    assert_found(preflight(capsys, *BLIND), "network", culprit)


def test_a_host_whose_clock_is_ahead(capsys, monkeypatch):
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")  # DDS goes by what it was when this process began
    with beside("clock_ahead"):
        outcome = preflight(capsys, *BLIND)
    assert_found(outcome, "other clocks", "/clock_ahead", "ahead of ours", beside_it={"clock"})  # if not synchronised


@SLOW
def test_a_network_interface_that_there_is_not(monkeypatch):
    interface = '<General><Interfaces><NetworkInterface name="nic9"/></Interfaces></General>'
    monkeypatch.setenv("CYCLONEDDS_URI", interface)
    command = [sys.executable, "-m", "ami_robot.cli.main", "preflight", *BLIND]
    done = subprocess.run(command, capture_output=True, text=True)  # DDS reads it once in the life of a process
    assert_found((done.returncode, rows_of(done.stdout)), "network", "no usable network interface", "CYCLONEDDS_URI")


@pytest.mark.parametrize(
    ("text", "culprits"),
    [
        ("planner: straight_line\nstraight_line: {horizon: 6, gain: 0.5, max_step_m: 0.04, speed: 9}\n", ["speed"]),
        pytest.param(None, ["task.yaml"], marks=SLOW),
    ],
)
def test_a_task_file_that_cannot_be_used(text, culprits, capsys, tmp_path):
    if text:
        (tmp_path / "task.yaml").write_text(text)
    outcome = preflight(capsys, *BLIND[:2], f"config:={tmp_path / 'task.yaml'}")
    assert_found(outcome, "task", *culprits, beside_it={"nodes"})


def test_a_checkpoint_that_was_altered(capsys, tmp_path):
    shutil.copytree(DEFAULT_CHECKPOINT, tmp_path / "checkpoint")
    with (tmp_path / "checkpoint" / TENSOR_FILE).open("r+b") as file:
        file.write(b"x")
    outcome = preflight(capsys, f"checkpoint:={tmp_path / 'checkpoint'}")
    assert_found(outcome, "checkpoint", tmp_path / "checkpoint", "altered", beside_it={"nodes", "model error"})


def test_a_calibration_of_the_model_error_that_belongs_to_another_checkpoint(capsys, tmp_path):
    checkpoint = untrained_checkpoint(tmp_path / "checkpoint")
    outcome = preflight(capsys, f"checkpoint:={checkpoint}")
    assert_found(outcome, "model error", "model_error.yaml", checkpoint, "ami calibrate model-error")


@SLOW
def test_a_calibration_of_the_model_error_that_is_missing(capsys, tmp_path):
    task = yaml.safe_load(REACH.read_text()) | {"model_error": str(tmp_path / "none.yaml")}
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(task))
    assert_found(preflight(capsys, f"config:={tmp_path / 'task.yaml'}"), "model error", tmp_path / "none.yaml")


def test_a_folder_for_the_recording_that_exists(capsys, tmp_path):
    assert_found(
        preflight(capsys, *BLIND, "record:=true", f"record_folder:={tmp_path}"), "recording", tmp_path, "exists"
    )


def test_a_recording_that_the_disk_has_no_room_for(capsys, tmp_path):
    words = ("record:=true", f"record_folder:={tmp_path / 'bag'}", "--minutes", 1e9)
    assert_found(preflight(capsys, *BLIND, *words), "recording", tmp_path, "GB left", "--minutes")


@SLOW
def test_a_log_level_that_there_is_not(capsys):
    assert_found(preflight(capsys, *BLIND, "log_level:=loud"), "nodes", "arm", "loud")
