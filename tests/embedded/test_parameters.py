"""Parameters: where values come from, what is refused, and how others reach them."""

import ast

import pytest
from core import WAIT_S, companion, namespace_of, own_parameters, running, spin_until
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    ParameterEvent,
)
from rcl_interfaces.srv import GetParameters, ListParameters, SetParameters
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterAlreadyDeclaredException,
    ParameterNotDeclaredException,
    ParameterUninitializedException,
)
from rclpy.parameter import Parameter

FILE = """
/**:
  ros__parameters: {everywhere: 1, overridden: all}
/**/companion:
  ros__parameters: {overridden: mine, gains: {p: 1e-3, list: [1.0, 2.5]}}
companion:
  ros__parameters: {outside_of_any_namespace: true}
another_node:
  ros__parameters: {not_mine: true}
"""


def test_another_process_reads_file_and_command_line(tmp_path):
    path = tmp_path / "parameters.yaml"
    path.write_text(FILE)
    given = ("--params-file", str(path), "-p", "everywhere:=2", "-p", "words:=[a, b]", "-p", "companion:flag:=true")
    with companion("/parameters", *given) as (_, lines):
        shown = ast.literal_eval(next(line for line in lines if line.startswith("parameters"))[len("parameters ") :])
    assert {name: shown[name] for name in own_parameters(shown)} == {
        "everywhere": 2,
        "gains.list": [1.0, 2.5],
        "gains.p": 0.001,
        "overridden": "mine",
        "use_sim_time": False,
        "words": ["a", "b"],
    }


def test_a_list_of_mixed_types_in_a_file_is_refused(tmp_path):
    path = tmp_path / "parameters.yaml"
    path.write_text("/**: {ros__parameters: {list: [1, 2.5]}}")
    with (
        pytest.raises(Exception, match=r"parameters\.yaml.*[tT]ype"),
        running(args=["--ros-args", "--params-file", str(path)]),
    ):
        pass


def test_another_process_is_reached_by_the_parameter_services():
    with running() as (node, executor), companion(namespace_of(node), "-p", "speed:=0.5"):
        events = []
        node.create_subscription(ParameterEvent, "/parameter_events", events.append, 10)

        def call(kind, name, request):
            client = node.create_client(kind, f"companion/{name}")
            assert client.wait_for_service(timeout_sec=WAIT_S)
            future = client.call_async(request)
            spin_until(executor, future.done)
            return future.result()

        listed = call(ListParameters, "list_parameters", ListParameters.Request())
        assert own_parameters(listed.result.names) == {"speed", "use_sim_time"}
        wanted = [Parameter("speed", value=0.75), Parameter("unknown", value=1)]
        request = SetParameters.Request(parameters=[p.to_parameter_msg() for p in wanted])
        results = call(SetParameters, "set_parameters", request).results
        assert [r.successful for r in results] == [True, False] and "undeclared" in results[1].reason
        values = call(GetParameters, "get_parameters", GetParameters.Request(names=["speed"])).values
        assert values[0].double_value == 0.75
        spin_until(executor, lambda: any(p.name == "speed" for e in events for p in e.changed_parameters))


@pytest.fixture
def node():
    overrides = [Parameter("speed", value=0.5), Parameter("typo", value=1), Parameter("names", value=[])]
    with running(parameter_overrides=overrides) as (made, _):
        yield made


def test_an_override_wins_over_the_default_and_an_unknown_one_stays_out_of_sight(node):
    assert node.declare_parameter("speed", 1.0).value == 0.5
    assert not node.has_parameter("typo")
    assert own_parameters(node.get_parameters_by_prefix("")) == {"speed", "use_sim_time"}
    with pytest.raises(ParameterNotDeclaredException, match="typo"):
        node.get_parameter("typo")


def test_unknown_overrides_are_visible_when_all_are_declared_automatically():
    overrides = [Parameter("typo", value=1)]
    made = running(parameter_overrides=overrides, automatically_declare_parameters_from_overrides=True)
    with made as (node, _):
        assert node.get_parameters_by_prefix("")["typo"].value == 1
        with pytest.raises(ParameterAlreadyDeclaredException):
            node.declare_parameter("typo", 2)


def test_undeclared_parameters_can_be_allowed():
    with running(allow_undeclared_parameters=True) as (node, _):
        assert node.get_parameter("anything").type_ == Parameter.Type.NOT_SET
        assert node.set_parameters([Parameter("anything", value=3)])[0].successful
        assert node.get_parameter("anything").value == 3


def test_the_declared_type_is_kept(node):
    with pytest.raises(InvalidParameterTypeException, match=r"'speed'.*'DOUBLE'.*'INTEGER'"):
        node.declare_parameter("speed", 1)
    node.declare_parameter("count", 1)
    result = node.set_parameters([Parameter("count", value="many")])[0]
    assert not result.successful and "INTEGER" in result.reason


@pytest.mark.embedded
def test_an_empty_list_is_one_of_any_type(node):
    """To rclpy it is one of bytes, which it then refuses."""
    assert node.declare_parameter("names", ["a"]).type_ == Parameter.Type.STRING_ARRAY


def test_a_parameter_declared_by_type_has_to_be_given(node):
    node.declare_parameter("must", Parameter.Type.DOUBLE)
    with pytest.raises(ParameterUninitializedException):
        node.get_parameter("must")


def test_ranges_and_read_only_are_kept(node):
    limits = [FloatingPointRange(from_value=0.0, to_value=1.0)]
    node.declare_parameter("speed", 0.1, ParameterDescriptor(floating_point_range=limits))
    assert not node.set_parameters([Parameter("speed", value=1.5)])[0].successful
    assert node.describe_parameter("speed").floating_point_range == limits
    steps = ParameterDescriptor(integer_range=[IntegerRange(from_value=0, to_value=10, step=5)])
    with pytest.raises(InvalidParameterValueException, match="step"):
        node.declare_parameter("even", 3, steps)
    node.declare_parameter("fixed", 1, ParameterDescriptor(read_only=True))
    assert "read-only" in node.set_parameters([Parameter("fixed", value=2)])[0].reason


def test_of_values_that_are_set_together_one_that_is_refused_keeps_all_from_changing(node):
    node.declare_parameters("", [("a", 1), ("b", 2)])
    result = node.set_parameters_atomically([Parameter("a", value=5), Parameter("b", value="many")])
    assert not result.successful and "Wrong parameter type" in result.reason
    assert [node.get_parameter(name).value for name in ("a", "b")] == [1, 2]


@pytest.mark.embedded
@pytest.mark.parametrize("args", [["-p", "novalue"], ["--params-file", "/nowhere.yaml"], ["--what"], ["-r"]])
def test_wrong_ros_arguments_are_refused_with_a_sentence(args):
    from rclpy.arguments import Arguments, UnknownROSArgsError

    with pytest.raises(UnknownROSArgsError):
        Arguments(["program", "--ros-args", *args])


@pytest.mark.embedded
def test_arguments_that_are_not_for_ros_are_left_alone():
    from rclpy.arguments import Arguments

    arguments = Arguments(["program", "mine", "--ros-args", "-r", "a:=b", "--", "also", "mine"])
    assert arguments.others == ["program", "mine", "also", "mine"]
    assert arguments.remaps == [(None, "a", "b")]
