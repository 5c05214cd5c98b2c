"""A recorded run, decided again: the same decisions by the same code and files; any that differs is named."""

import itertools
import json
import shutil
import subprocess
import sys

import pytest
import yaml
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from ami_nodes.replay import load_recorded
from ami_robot.cli.main import main
from ami_robot.configurator.configurator import REACH, load_task
from ami_robot.episodes.recording import RecordingWriter
from ami_robot.perception.checkpoint import load_checkpoint
from ami_robot.safety.spec import DEFAULT_SPEC, load_spec
from tests.nodes.recordings.record import RECORDING, record

SHORT = 8


def replayed(capsys, *words):
    """Exit status, and what it says as JSON."""
    status = main(["replay", "--json", *map(str, words)])
    return status, json.loads(capsys.readouterr().out)


def written(folder, source, messages):
    """A recording with the topics of another and these (connection, time of receipt, data)."""
    with RecordingWriter(folder) as writer:
        for each in source.connections:
            writer.add_topic(each.topic, each.msgtype, each.msgdef.data)
        for connection, received_ns, data in messages:
            writer.write(connection.topic, bytes(data), received_ns)
    return folder


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """The first plans of the committed recording."""
    with Reader(RECORDING) as reader:
        plans = [received_ns for connection, received_ns, _ in reader.messages() if connection.topic == "/plan"]
        messages = (each for each in reader.messages() if each[1] <= plans[SHORT - 1])
        return written(tmp_path_factory.mktemp("short") / "run", reader, messages)


def rewritten(folder, source, topic, change):
    """The recording with what `change(number, message)` makes of each message of a topic: None leaves it out."""

    def messages(reader):
        store, numbers = get_typestore(Stores.EMPTY), itertools.count(1)
        for connection, received_ns, data in reader.messages():
            if connection.topic == topic:
                store.register(get_types_from_msg(connection.msgdef.data, connection.msgtype))
                message = change(next(numbers), store.deserialize_cdr(data, connection.msgtype))
                if message is None:
                    continue
                data = store.serialize_cdr(message, connection.msgtype)
            yield connection, received_ns, data

    with Reader(source) as reader:
        return written(folder, reader, messages(reader))


def with_plan(folder, source, which, **fields):
    """The recording with other values of these fields of one plan, made from what they are."""

    def change(number, message):
        for name, value in fields.items() if number == which else ():
            setattr(message, name, value(getattr(message, name)))
        return message

    return rewritten(folder, source, "/plan", change)


def differing(document):
    return [each["number"] for each in document["decided"] if each["differs"]]


def said(document, what, sha256=""):
    """Whether a note says that this file, of this SHA-256, is not that of the recording."""
    sentence = f"the {what} is not that of the recording: it is {sha256[:12]}"
    return any(note.startswith(sentence) for note in document["notes"])


def count(topic, recording=RECORDING):
    with Reader(recording) as reader:
        return next(each.msgcount for each in reader.connections if each.topic == topic)


def test_the_committed_run_is_decided_like_that_again(capsys):
    status, document = replayed(capsys, RECORDING)
    assert status == 0, document
    assert document["agrees"] is True
    assert len(document["decided"]) == count("/plan") >= 20 and document["passed_over"] == 0
    assert document["frames"] == count("/latent") >= 60 and document["taken"] == 0
    assert document["latent"] < 1e-5
    assert not any(said(document, what) for what in ("checkpoint", "task file"))


def test_it_is_a_table_and_a_sentence_in_a_process_without_a_graph():
    command = [sys.executable, "-m", "ami_robot.cli.main", "replay", str(RECORDING)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    number = count("/plan")
    assert any(line.split()[:3] == ["plans", str(number), str(number)] for line in done.stdout.splitlines())
    assert f"{number} of {number} decisions agree (" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"actions": lambda actions: actions + 1e-3}, "an action differs by 0.001 m, more than 1e-06"),
        ({"cost": lambda cost: cost + 0.01}, "the cost differs by 0.01, more than 1e-05"),
        ({"iterations": lambda number: number + 1}, " differs by "),
        ({"report_stamp": lambda stamp: type(stamp)(sec=0, nanosec=0)}, "it is refused now: no guardrail report yet"),
        ({"refused": lambda _: True, "reason": lambda _: "Why."}, "it is planned now, refused in the recording: Why."),
        ({"begun": lambda stamp: type(stamp)(sec=stamp.sec + 9, nanosec=0)}, "it is refused now: the latest latent is"),
    ],
)
def test_a_plan_that_was_not_made_like_that_is_named(fields, sentence, short, tmp_path, capsys):
    status, document = replayed(capsys, with_plan(tmp_path / "run", short, 1, **fields))
    assert status == 1 and document["agrees"] is False
    assert differing(document)[0] == 1
    assert sentence in document["decided"][0]["differs"]


def test_plans_after_one_that_differs_are_judged_by_themselves(short, tmp_path, capsys):
    """The recorded plan is the next one's warm start, so an altered one may change that one, and none after it."""
    other = with_plan(tmp_path / "run", short, 5, actions=lambda actions: actions + 1e-3)
    _, document = replayed(capsys, other)
    assert differing(document) in ([5], [5, 6])


def test_messages_altered_in_the_file_are_no_recording(short, tmp_path, capsys):
    altered = with_plan(tmp_path / "run", short, 1, cost=lambda cost: cost + 1e-12)
    shutil.copy(short / "metadata.yaml", altered)  # with the digests of what was recorded
    assert main(["replay", str(altered)]) == 2
    assert "their digest differs" in capsys.readouterr().err


def test_another_checkpoint_is_said_and_decides_otherwise(short, checkpoint, capsys):
    status, document = replayed(capsys, short, "--checkpoint", checkpoint)
    assert status == 1
    assert len(differing(document)) == len(document["decided"])
    assert said(document, "checkpoint", load_checkpoint(checkpoint).sha256)


def test_another_task_file_is_said_and_decides_otherwise(short, tmp_path, capsys):
    task = tmp_path / "task.yaml"
    task.write_text(REACH.read_text().replace("initial_std: 0.5", "initial_std: 0.4"))
    status, document = replayed(capsys, short, "--config", task)
    assert status == 1
    assert differing(document)
    assert said(document, "task file", load_task(task).sha256)


def test_another_guardrail_file_is_said_also_when_it_decides_the_same(short, tmp_path, capsys):
    other = tmp_path / "other.yaml"
    other.write_text(DEFAULT_SPEC.read_text() + "\n")
    status, document = replayed(capsys, short, "--guardrail-file", other)
    assert status == 0
    assert said(document, "guardrail file", load_spec(other).sha256)


def test_a_picture_that_was_not_recorded_is_counted_and_its_latent_taken_as_recorded(short, tmp_path, capsys):
    lossy = rewritten(tmp_path / "run", short, "/camera/image_raw", lambda number, image: image if number % 5 else None)
    status, document = replayed(capsys, lossy)
    assert status == 0
    assert document["taken"] >= 3 and document["frames"] + document["taken"] == count("/latent", short)


def test_what_the_agent_did_not_decide_is_passed_over(short, tmp_path, capsys):
    """No frame came in, or the world model did not answer: both are recorded as refusals without a decision."""

    def change(number, message):
        if number in (1, 2):
            message.refused, message.guardrail = True, "world_model"
        if number == 3:
            message.refused, message.observation_stamp = True, type(message.observation_stamp)(sec=0, nanosec=0)
        return message

    _, document = replayed(capsys, rewritten(tmp_path / "run", short, "/plan", change))
    assert document["passed_over"] == 3
    assert [each["number"] for each in document["decided"]] == list(range(4, SHORT + 1))


def test_a_recording_in_which_nothing_was_decided_proves_nothing(short, tmp_path, capsys):
    empty = rewritten(tmp_path / "run", short, "/plan", lambda *_: None)
    assert main(["replay", str(empty)]) == 1
    assert "0 of 0 decisions agree: nothing was decided in it" in capsys.readouterr().out


def test_what_cannot_be_replayed_is_one_sentence(tmp_path, capsys):
    old = tmp_path / "old"
    with Reader(RECORDING) as reader, RecordingWriter(old) as writer:
        (plan,) = (each for each in reader.connections if each.topic == "/plan")
        writer.add_topic(plan.topic, plan.msgtype, plan.msgdef.data)
    for words, sentence in (
        ([tmp_path], "is not a finished recording"),
        ([old], "has no topic /pursued_goal of ami_interfaces/msg/PursuedGoal."),
        ([RECORDING, "--config", "analytic"], "a replay needs a task with planner icem"),
    ):
        assert main(["replay", *map(str, words)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and sentence in error


def test_a_recording_with_messages_of_another_time_is_refused_by_name(short, tmp_path, capsys):
    """As those were whose goals had a kind: whatever is guessed for the field would be a decision nobody took."""
    with Reader(short) as reader, RecordingWriter(tmp_path / "old") as writer:
        for each in reader.connections:
            text = each.msgdef.data.replace("ami_interfaces/ShownGoal shown\n", "uint8 kind\n")
            writer.add_topic(each.topic, each.msgtype, text)
            if each.topic == "/pursued_goal":
                store = get_typestore(Stores.EMPTY)
                store.register(get_types_from_msg(text, each.msgtype))
        for connection, received_ns, data in reader.messages():
            if connection.topic == "/pursued_goal":
                now = get_typestore(Stores.EMPTY)
                now.register(get_types_from_msg(connection.msgdef.data, connection.msgtype))
                goal = now.deserialize_cdr(data, connection.msgtype)
                old = store.types[connection.msgtype](goal.header, 1, goal.task_sha256)
                data = store.serialize_cdr(old, connection.msgtype)
            writer.write(connection.topic, bytes(data), received_ns)
    assert main(["replay", str(tmp_path / "old")]) == 2
    error = capsys.readouterr().err
    assert "/pursued_goal is of an older ami_interfaces/msg/PursuedGoal without shown; replay it with" in error


def arriving(folder, latent_distance):
    """The task `reach`, which stays where it is once the picture is so near."""
    path = folder / "arriving.yaml"
    arrival = {"latent_distance": latent_distance, "tool_distance_m": 0.01, "leave_factor": 1.5, "most_steps": 12}
    path.write_text(yaml.safe_dump({**yaml.safe_load(REACH.read_text()), "arrival": arrival}))
    return path


def test_a_task_that_stays_where_it_arrives_decides_as_the_search_does_until_it_is_there(short, tmp_path, capsys):
    status, document = replayed(capsys, short, "--config", arriving(tmp_path, latent_distance=0.0))
    assert status == 0, document
    status, document = replayed(capsys, short, "--config", arriving(tmp_path, latent_distance=1e9))
    assert status == 1
    assert {each["differs"] for each in document["decided"]} == {"it has 2 steps now, 6 in the recording"}


@pytest.mark.slow
@pytest.mark.graph
@pytest.mark.parametrize("stays", [False, True])
def test_what_the_graph_of_today_records_is_decided_like_that_again(ros, tmp_path, capsys, stays):
    config = str(arriving(tmp_path, latent_distance=0.3)) if stays else "reach"
    record(tmp_path / "run", config)
    to_stay = [plan.candidates == 1 for plan in load_recorded(tmp_path / "run").messages["plan"]]
    assert any(to_stay) == stays and not all(to_stay)
    status, document = replayed(capsys, tmp_path / "run", "--config", config)
    assert status == 0, document
    assert len(document["decided"]) >= 20
