"""Launch files: what is read, and what is refused with one sentence and exit code 2."""

import os
from pathlib import Path

import pytest

from ami_embedded import launch
from ami_embedded.launch_description import Process, describe
from ami_embedded.launch_errors import LaunchError

SETUP = """
from setuptools import find_packages, setup
NODES = ("talker", "listener")
setup(name="zoo", packages=find_packages(), entry_points={"console_scripts": [f"{n} = zoo.{n}:main" for n in NODES]})
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "src" / "zoo"
    (folder / "launch").mkdir(parents=True)
    (folder / "config").mkdir()
    (folder / "package.xml").write_text("<package/>")
    (folder / "setup.py").write_text(SETUP)
    (folder / "config" / "zoo.yaml").write_text("/**:\n  ros__parameters:\n    a: 1\n")
    return folder


def write(package: Path, body: str, name: str = "zoo.launch.xml") -> Path:
    path = package / "launch" / name
    path.write_text(f"<launch>\n{body}\n</launch>\n")
    return path


def processes(package: Path, body: str, **given: str) -> list[Process]:
    return describe(write(package, body), given).processes


def ros_arguments(process: Process) -> list[str]:
    command = list(process.command)
    return command[command.index("--ros-args") + 1 :]


def refusal(package: Path, body: str, **given: str) -> str:
    with pytest.raises(LaunchError) as caught:
        describe(write(package, body), given)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def test_a_node_gets_its_name_namespace_parameters_remaps_arguments_and_environment(package):
    (process,) = processes(
        package,
        """<arg name="rate" default="20"/>
        <push_ros_namespace namespace="left"/>
        <node pkg="zoo" exec="talker" name="t1" namespace="inner" args="--loud 'two words'" on_exit="shutdown">
          <param name="rate" value="$(var rate)"/>
          <param from="$(find-pkg-share zoo)/config/zoo.yaml"/>
          <remap from="chatter" to="/talk"/>
          <env name="OMP_NUM_THREADS" value="2"/>
        </node>""",
        rate="30",
    )
    assert process.command[1:6] == ("-m", "ami_embedded.run", "zoo.talker:main", "--loud", "two words")
    yaml = str(package / "config" / "zoo.yaml")
    assert ros_arguments(process) == [
        *("-r", "__node:=t1", "-r", "__ns:=/left/inner"),
        *("-p", "rate:=30", "--params-file", yaml, "-r", "chatter:=/talk"),
    ]
    assert process.environment["OMP_NUM_THREADS"] == "2"
    assert process.environment["PYTHONPATH"].split(os.pathsep)[0] == str(package)
    assert process.required and process.label == "t1"


def test_a_node_comes_back_where_an_argument_says_so(package):
    body = """<arg name="respawn" default="false"/>
        <node pkg="zoo" exec="talker" respawn="$(var respawn)" respawn_delay="0.5"/>"""
    (stays,), (returns,) = processes(package, body), processes(package, body, respawn="true")
    assert (stays.respawn, returns.respawn, returns.respawn_delay_s) == (False, True, 0.5)


def test_a_group_has_a_scope_of_its_own(package):
    inside, outside = processes(
        package,
        """<let name="who" value="out"/>
        <group>
          <push-ros-namespace namespace="/in"/>
          <set_parameter name="use_sim_time" value="true"/>
          <set_env name="WHO" value="in"/>
          <let name="who" value="in"/>
          <node pkg="zoo" exec="talker" name="a"><param name="who" value="$(var who) $(env WHO)"/></node>
        </group>
        <node pkg="zoo" exec="talker" name="a"><param name="who" value="$(var who) $(env WHO none)"/></node>""",
    )
    assert ros_arguments(inside)[2:] == ["-r", "__ns:=/in", "-p", "use_sim_time:=true", "-p", "who:=in in"]
    assert ros_arguments(outside) == ["-r", "__node:=a", "-p", "who:=out none"]
    assert (inside.label, outside.label) == ("a", "a-2")


@pytest.mark.parametrize(
    ("condition", "taken"),
    [
        ('if="true"', True),
        ('if="0"', False),
        ('unless="$(var sim)"', False),
        ('if="$(not $(var sim))"', False),
        ('if="$(and $(var sim) $(equals $(var arm) panda))"', True),
        ("if=\"$(not-equals '$(var arm)' 'panda')\"", False),
        ('if="$(or false $(equals 1.0 1))"', True),
    ],
)
def test_conditions_choose_what_runs(package, condition, taken):
    body = '<arg name="sim" default="true"/><arg name="arm" default="panda"/>'
    found = processes(package, body + f'<node pkg="zoo" exec="talker" {condition}/>')
    assert len(found) == taken


def test_an_include_takes_arguments_and_its_own_defaults(package):
    write(
        package,
        """<arg name="name"/><arg name="loud" default="$(equals $(var name) x)"/>
        <node pkg="zoo" exec="talker" name="$(var name)"><param name="loud" value="$(var loud)"/></node>""",
        "one.launch.xml",
    )
    one = '<include file="$(dirname)/one.launch.xml"><arg name="name" value="x"/></include>'
    (process,) = processes(package, one)
    assert ros_arguments(process) == ["-r", "__node:=x", "-p", "loud:=true"]
    (process,) = processes(package, one, loud="false")  # an argument of an included file can be given from outside
    assert ros_arguments(process)[-1] == "loud:=false"


def test_show_args_lists_arguments_of_included_files_even_when_required_ones_are_missing(package, capsys):
    write(package, '<arg name="inner" default="i" description="the inner one"/>', "one.launch.xml")
    path = write(
        package,
        """<arg name="robot"><choice value="panda"/><choice value="ur5"/></arg>
        <group if="$(equals $(var robot) never)"><include file="$(dirname)/one.launch.xml"/></group>""",
    )
    assert launch.main([str(path), "--show-args"]) == 0
    shown = capsys.readouterr().out
    assert "robot (required, one of panda, ur5)" in shown
    assert "inner (default i): the inner one" in shown


def test_print_shows_commands_and_starts_nothing(package, capsys):
    path = write(package, '<node pkg="zoo" exec="talker"><param name="text" value="two words"/></node>')
    assert launch.main([str(path), "--print"]) == 0
    assert "-m ami_embedded.run zoo.talker:main --ros-args -p 'text:=two words'" in capsys.readouterr().out


def test_a_launch_file_is_found_by_package_and_name(capsys):
    assert launch.main(["ami_nodes", "nothing.launch.xml", "--print"]) == 2
    assert "has no launch file 'nothing.launch.xml'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("<nod/>", "2: <nod> cannot be in <launch>; there can be: <arg>, <let>, <node>"),
        ('<node pkg="zoo" exe="talker"/>', "2: <node> has no attribute 'exe'; there are: args, exec"),
        ('<node pkg="zoo"/>', "2: <node> lacks the attribute 'exec'"),
        ('<node pkg="zoo" exec="talker"><choice value="1"/></node>', "<choice> cannot be in <node>"),
        ('<node pkg="zoo" exec="taker"/>', "package 'zoo' has no executable 'taker'; it has listener, talker"),
        ('<node pkg="zo" exec="talker"/>', "there is no package 'zo' in "),
        ('<node pkg="zoo" exec="talker" respawn="yes"/>', "respawn is 'yes', it has to be true, false, 1 or 0"),
        (
            '<node pkg="zoo" exec="talker" respawn_delay="-1"/>',
            "respawn_delay is '-1', it has to be a number of seconds",
        ),
        ('<let name="d" value="1"/><node pkg="zoo" exec="talker" respawn_delay="$(var d)"/>', "without $()"),
        ('<node pkg="zoo" exec="talker" on_exit="restart"/>', "on_exit is 'restart', it can only be shutdown"),
        ('<node pkg="zoo" exec="talker" output="tty"/>', "output is 'tty', it has to be one of screen, both, log"),
        ('<node pkg="zoo" exec="talker" name="a b"/>', "the node name 'a b'"),
        ('<node pkg="zoo" exec="talker" namespace="a//b"/>', "'a//b' is not a namespace"),
        ('<node pkg="zoo" exec="talker"><param from="no.yaml"/></node>', "there is no parameter file no.yaml"),
        ('<node pkg="zoo" exec="talker"><param name="a"/></node>', "<param> takes either name and value, or from"),
        ('<node pkg="zoo" exec="talker" if="maybe"/>', "if is 'maybe', it has to be true, false, 1 or 0"),
        ('<node pkg="zoo" exec="talker" if="1" unless="0"/>', "<node> has both if and unless"),
        ('<include file="$(dirname)/no.xml"/>', "no.xml to include"),
        ('<include file="zoo.launch.xml"/>', "is included by itself"),
        ('<arg name="a"/>', "2: the launch argument 'a' has no default: give a:=value"),
        ('<arg name="a" default="3"><choice value="1"/><choice value="2"/></arg>', "a:=3 is not one of 1, 2"),
        ('<let name="a" value="$(var b)"/>', "the launch argument 'b' is not set"),
        ('<let name="a" value="$(env AMI_NOT_SET)"/>', "the environment variable 'AMI_NOT_SET' is not set"),
        ('<let name="a" value="$(eval 1)"/>', "$(eval) is not supported; there are $(var), $(env)"),
        ('<let name="a" value="$(var  b)"/>', "exactly one space"),
        ('<let name="a" value="$(var b"/>', "has a $( without its )"),
        ('<let name="a" value="$(dirname b)"/>', "$(dirname) takes 0 arguments, not 1"),
        ('<let name="a" value="$(not 1)"/>', "take true or false, not '1'"),
        ("hello", "2: stray text in <launch>: 'hello'"),
        ("<group>", "not well-formed XML"),
    ],
)
def test_a_wrong_launch_file_is_refused_with_the_place_and_what_would_be_right(package, body, words):
    assert words in refusal(package, body)


def test_an_unknown_argument_is_refused_naming_the_valid_ones(package):
    body = '<arg name="robot" default="a"/><arg name="sim" default="b"/>'
    assert "zoo.launch.xml has no launch argument 'robt'; there are: robot, sim" in refusal(package, body, robt="c")


def test_an_unknown_argument_of_an_include_is_refused(package):
    write(package, '<arg name="inner" default="i"/>', "one.launch.xml")
    body = '<include file="$(dirname)/one.launch.xml"><arg name="iner" value="x"/></include>'
    assert "one.launch.xml has no argument 'iner'; there are: inner" in refusal(package, body)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere.launch.xml"], "there is no launch file"),
        (["a", "b", "c"], "give a launch file"),
        (["x:=1"], "give a launch file"),
        (["nowhere.launch.xml", "x:=1", "x:=2"], "'x' is given twice"),
    ],
)
def test_wrong_words_on_the_command_line_end_with_one_sentence_and_exit_code_2(words, sentence, capsys):
    assert launch.main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("launch: error: ") and sentence in error and error.count("\n") == 1
