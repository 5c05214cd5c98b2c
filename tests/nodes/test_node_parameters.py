"""A misspelt, mistyped or impossible parameter is one sentence, not a default."""

from types import SimpleNamespace

import pytest

from ami_nodes.parameters import Param, ParameterError, checked_parameters

SCHEMA = (
    Param("rate_hz", 10.0, "how often", minimum=1.0, maximum=100.0),
    Param("seed", 0, "of the scene", minimum=0),
    Param("gui", False, "a window"),
    Param("mode", "slow", "how", choices=("slow", "fast")),
    Param("names", ["a"], "of nodes"),
)


class FakeNode:
    """The parameter interface of a node whose overrides were declared."""

    def __init__(self, **given):
        self.values = {name.replace("__", "."): value for name, value in given.items()}

    def get_parameters_by_prefix(self, prefix):
        return dict(self.values)

    def has_parameter(self, name):
        return name in self.values

    def declare_parameter(self, name, value):
        self.values[name] = value

    def get_parameter(self, name):
        return SimpleNamespace(value=self.values[name])


def test_defaults_are_declared_and_given_values_win():
    node = FakeNode(seed=5)
    settings = checked_parameters(node, SCHEMA)
    assert (settings.seed, settings.rate_hz, settings.mode, settings.names) == (5, 10.0, "slow", ["a"])
    assert node.has_parameter("rate_hz")


def test_an_unknown_key_is_refused_and_the_valid_ones_are_named():
    with pytest.raises(ParameterError, match=r"unknown parameter raet_hz; .* rate_hz, seed, gui"):
        checked_parameters(FakeNode(raet_hz=3.0), SCHEMA)


def test_the_parameters_of_rclpy_itself_are_known():
    checked_parameters(FakeNode(use_sim_time=True, start_type_description_service=True, qos_overrides__x=1), SCHEMA)


def test_a_whole_number_is_taken_for_a_float():
    assert checked_parameters(FakeNode(rate_hz=20), SCHEMA).rate_hz == 20.0


@pytest.mark.parametrize(
    "wrong", [{"rate_hz": "10"}, {"seed": 1.0}, {"seed": True}, {"gui": 1}, {"mode": 3}, {"names": "a"}, {"names": [1]}]
)
def test_a_wrong_type_is_refused(wrong):
    with pytest.raises(ParameterError, match=f"parameter {next(iter(wrong))} has to be a"):
        checked_parameters(FakeNode(**wrong), SCHEMA)


@pytest.mark.parametrize("wrong", [{"rate_hz": 0.5}, {"rate_hz": 101.0}, {"rate_hz": float("nan")}, {"seed": -1}])
def test_a_value_out_of_range_is_refused(wrong):
    with pytest.raises(ParameterError, match="has to be between"):
        checked_parameters(FakeNode(**wrong), SCHEMA)


def test_a_value_that_is_not_a_choice_is_refused():
    with pytest.raises(ParameterError, match="one of slow, fast"):
        checked_parameters(FakeNode(mode="medium"), SCHEMA)
