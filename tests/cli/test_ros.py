"""`ami ros` as it is typed, on other processes: what is there, what they say and answer, and what is not there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.domains import NOBODYS, TERMINAL

pytestmark = pytest.mark.alone

SUBJECTS = Path(__file__).parent / "subjects"
PATH = os.pathsep.join((str(SUBJECTS), os.environ.get("PYTHONPATH", "")))
ENVIRONMENT = os.environ | {"ROS_DOMAIN_ID": TERMINAL, "PYTHONPATH": PATH, "PYTHONUNBUFFERED": "1"}
PIPES = {"env": ENVIRONMENT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
WAIT_S = 60.0
PATIENCE = ("--timeout", "30")  # a test that reads in vain must not read for ever


@contextmanager
def started(*module_and_arguments):
    process = subprocess.Popen([sys.executable, "-m", *module_and_arguments], **PIPES)
    try:
        yield process
    finally:
        process.terminate()  # a killed one would stay in the graph for 10 s
        try:
            process.communicate(timeout=WAIT_S)
        finally:
            process.kill()


@pytest.fixture(scope="module", autouse=True)
def talker():
    with started("ami_embedded.run", "talker") as process:
        assert process.stdout.readline() == "ready\n"
        yield process


def ami_ros(*words, domain=TERMINAL):
    """Exit status, what it printed, what it complained of."""
    command = [sys.executable, "-m", "ami_robot.cli.main", "ros", *words]
    environment = ENVIRONMENT | {"ROS_DOMAIN_ID": domain}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=WAIT_S)
    return done.returncode, done.stdout, done.stderr


def heard(*words):
    """The messages of a command that has to succeed."""
    status, out, err = ami_ros(*words)
    assert (status, err) == (0, "")
    assert out.endswith("---\n")
    return list(yaml.safe_load_all(out.removesuffix("---\n")))


def refusal(status, *words, **kwargs):
    """The one sentence of a command that has to fail in this way, with nothing printed."""
    ended, out, err = ami_ros(*words, **kwargs)
    assert (ended, out) == (status, "")
    assert err.startswith("ami: error: ") and err.count("\n") == 1
    return err


def test_everybody_and_everything_is_listed_with_types_and_ends():
    status, out, _ = ami_ros("list")
    assert status == 0
    lines = [line.split(maxsplit=2) for line in out.splitlines()]
    assert ["nodes", "(1)"] in lines and ["/talker"] in lines
    assert ["/image", "sensor_msgs/msg/Image", "1 publisher, 0 subscriptions"] in lines
    assert ["/mixed", "std_msgs/msg/String", "2 publishers, 0 subscriptions"] in lines
    assert ["/ear", "std_msgs/msg/String", "0 publishers, 1 subscription"] in lines
    assert ["/switch", "std_srvs/srv/SetBool"] in lines
    assert ["/parameter_events", "rcl_interfaces/msg/ParameterEvent", "1 publisher, 0 subscriptions"] in lines
    assert "_hidden" not in out and "_ami_ros" not in out


def test_flags_choose_what_is_listed():
    services = ami_ros("list", "--services")[1]
    assert re.match(r"services \(\d+\)\n", services) and "/image" not in services
    both = ami_ros("list", "--nodes", "--topics", "--all")[1]
    assert "/_hidden" in both and "/switch" not in both
    assert "_ami_ros" not in both


def test_what_was_latched_is_heard():
    assert heard("echo", "/latched", "--count", "3") == [{"data": "one"}, {"data": "two"}, {"data": "three"}]


def test_best_effort_is_heard_and_a_long_array_only_counted():
    (picture,) = heard("echo", "/image", "--once")
    assert picture["data"] == "<uint8 array, 921600 elements>"
    assert (picture["height"], picture["encoding"], list(picture["header"])) == (480, "rgb8", ["stamp", "frame_id"])


def test_reliable_and_best_effort_publishers_of_a_topic_are_both_heard():
    assert {message["data"] for message in heard("echo", "mixed", "--count", "6")} == {"reliable", "unreliable"}


def test_rate_gaps_and_age():
    status, out, err = ami_ros("hz", "/image", "--seconds", "3")
    assert (status, err) == (0, "")
    rate, gap, age = out.splitlines()
    assert float(rate.split()[0]) == pytest.approx(20.0, rel=0.3)  # a busy machine loses some
    assert 0.0 <= float(re.search(r"min ([\d.]+) ms", gap)[1]) <= 60.0
    assert 200.0 <= float(re.search(r"min ([\d.]+) ms", age)[1]) < 400.0


def test_a_rate_needs_no_stamp():
    status, out, _ = ami_ros("hz", "/mixed", "--seconds", "2")
    assert status == 0 and " Hz" in out and "\nage" not in out


def test_one_message_has_no_rate():
    assert ami_ros("hz", "/once", "--seconds", "1") == (0, "1 message: too few for a rate\n", "")


def test_a_service_answers():
    status, out, err = ami_ros("call", "/switch", "{data: true}")
    assert (status, err) == (0, "")
    assert out == "success: true\nmessage: switched on\n"
    assert "switched off" in ami_ros("call", "switch")[1]


def test_nested_requests_and_answers():
    request = "{parameters: [{name: words, value: {type: 9, string_array_value: [two, three]}}]}"
    assert yaml.safe_load(ami_ros("call", "/talker/set_parameters", request)[1]) == {
        "results": [{"successful": True, "reason": ""}]
    }
    (value,) = yaml.safe_load(ami_ros("call", "/talker/get_parameters", "{names: [words]}")[1])["values"]
    assert value["string_array_value"] == ["two", "three"]


@pytest.mark.parametrize(
    ("request_text", "said"),
    [
        ("{data: true", "is not YAML"),
        ("[true]", "the message takes {data: bool}, not [True]"),
        ("{dato: true}", "has no field 'dato'; it takes {data: bool}"),
        ("{data: 1}", "data takes bool, not 1"),
    ],
)
def test_a_request_that_is_none_is_refused_before_it_is_sent(request_text, said):
    assert said in refusal(2, "call", "/switch", request_text)


def test_an_answer_that_does_not_come_ends_in_a_sentence():
    assert "/ponder did not answer within 1 s" in refusal(1, "call", "/ponder", "--timeout", "1")


@pytest.mark.parametrize("words", [("echo", "/lached"), ("hz", "lached")])
def test_an_unknown_topic_is_answered_with_the_nearest(words):
    said = refusal(2, *words)
    assert "there is no topic /lached (the nearest: /latched)" in said
    assert f"ROS_DOMAIN_ID={TERMINAL}" in said


def test_an_unknown_service_is_answered_with_the_nearest():
    assert "there is no service /swich (the nearest: /switch)" in refusal(2, "call", "/swich")


def test_a_topic_of_two_types_is_refused():
    said = refusal(2, "echo", "/quarrel", "--once")
    assert "more than one type: std_msgs/msg/Bool, std_msgs/msg/String" in said


def test_silence_ends_in_a_sentence():
    assert "/silent has a publisher" in refusal(1, "echo", "/silent", "--once", "--timeout", "1")
    assert "/silent has a publisher" in refusal(1, "hz", "/silent", "--seconds", "1")


def test_a_topic_that_nobody_publishes_is_not_waited_for():
    assert "nobody publishes /ear" in refusal(1, "echo", "/ear", "--once")


def test_in_an_empty_domain_nobody_is_there():
    assert f"nobody is there: only nodes with ROS_DOMAIN_ID={NOBODYS}" in refusal(1, "list", domain=NOBODYS)


def test_a_domain_that_is_no_number_is_refused():
    assert "ROS_DOMAIN_ID is 'two'" in refusal(2, "list", domain="two")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("echo", "/image", "--count", "0"), "a whole number from 1 on"),
        (("echo", "/image", "--once", "--count", "2"), "not allowed with"),
        (("hz", "/image", "--seconds", "nan"), "a positive number of seconds"),
        (("call", "/switch", "--timeout", "-1"), "a positive number of seconds"),
    ],
)
def test_wrong_arguments_are_refused(words, said):
    assert said in refusal(2, *words)


@pytest.mark.parametrize(("topic", "number"), [("/mixed", signal.SIGTERM), ("/silent", signal.SIGINT)])
def test_an_echo_goes_on_until_it_is_interrupted_and_then_ends_at_once(topic, number):
    with started("ami_robot.cli.main", "ros", "echo", topic, *PATIENCE) as echo:
        if topic == "/mixed":
            assert echo.stdout.readline().startswith("data: ")
        else:
            time.sleep(3.0)
            assert echo.poll() is None
        begin_s = time.monotonic()
        echo.send_signal(number)
        _, errors = echo.communicate(timeout=WAIT_S)
        assert time.monotonic() - begin_s < 2.0
        assert (echo.returncode, errors) == (130, "ami: interrupted\n")


def test_a_reader_that_has_enough_ends_it_without_a_complaint():
    with started("ami_robot.cli.main", "ros", "echo", "/mixed", *PATIENCE) as echo:
        echo.stdout.readline()
        echo.stdout.close()
        echo.stdout = None
        _, errors = echo.communicate(timeout=WAIT_S)
        assert (echo.returncode, errors) == (0, "")


def test_joint_states_of_an_arm_of_ours_are_echoed():
    with started("ami_embedded.run", "ami_nodes.loopback_arm"):
        while "/arm/change_state" not in ami_ros("list", "--services")[1]:
            pass
        for transition in ("{transition: {id: 1}}", "{transition: {id: 3}}"):
            assert ami_ros("call", "/arm/change_state", transition, "--timeout", "30")[1] == "success: true\n"
        (state,) = heard("echo", "/joint_states", "--once")
        assert state["name"][0] == "panda_joint1" and len(state["position"]) == 9
