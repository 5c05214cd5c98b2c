"""A recorded run, decided again: its pictures through the encoder, what the planner knew through its agent.

No graph, no clock, no waiting: each plan says in its message what it was made from (the newest frame, report and word
on people by their stamps, the time, the iterations that there was time for). Each is made again with the recorded plan
before it as its warm start, so that one that differs does not make those after it differ.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ami_nodes.convert import as_array, from_latent_msg, from_people_msg, to_ns, xyz
from ami_nodes.eye import Eye
from ami_nodes.interfaces import interface_class
from ami_nodes.pursuit import NO_ANSWER
from ami_nodes.replay_decision import Decided, compare, recorded_actions
from ami_nodes.shown_goal import goal_of
from ami_robot.actor.arrival import Arrival
from ami_robot.actor.icem import ICEM
from ami_robot.agent import Agent
from ami_robot.configurator.configurator import ConfigError, TaskSettings, build_agent
from ami_robot.episodes.pictures import IMAGE_TYPE, INFO_TYPE
from ami_robot.episodes.recording import REPORT_TOPIC, REPORT_TYPE, RecordingError, open_recording, read_topic
from ami_robot.perception.checkpoint import Checkpoint
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import Spec
from ami_robot.types import Latent, Refusal
from ami_robot.world_model.model import LatentWorldModel

PLAN, GOAL, LATENT, JOINTS, PEOPLE = "plan", "pursued_goal", "latent", "joint_states", "people"
IMAGES, INFOS = "camera/image_raw", "camera/camera_info"
TOPICS = {
    PLAN: "ami_interfaces/msg/Plan",
    GOAL: "ami_interfaces/msg/PursuedGoal",
    LATENT: "ami_interfaces/msg/Latent",
    JOINTS: "sensor_msgs/msg/JointState",
    INFOS: INFO_TYPE,
    REPORT_TOPIC: REPORT_TYPE,
    PEOPLE: "ami_interfaces/msg/PersonArray",  # where there is a detector of people
}

SHOWN = 12
"""Digits of a SHA-256 that tell two files apart for people."""


@dataclass(frozen=True)
class Recorded:
    """What a replay reads of a recording, decoded; the pictures stay in the file."""

    folder: Path
    namespace: str  # ends with a slash
    messages: dict[str, list[Any]]  # by the names of TOPICS, in the order of the recording


@dataclass(frozen=True)
class Replayed:
    """What came out."""

    notes: list[str]  # what it was replayed with that is not what it was recorded with; a sentence each
    frames: int  # that were encoded again
    latent: float | None  # largest difference of a component of their latents
    taken: int  # latents taken as recorded, since picture or joint states are not in the recording
    decided: list[Decided]
    passed_over: int  # refusals that the agent did not decide: no frame came in, or no answer of the world model

    @property
    def agrees(self) -> bool:
        """Whether nothing differs; a recording in which nothing was decided proves nothing."""
        return bool(self.decided) and not any(each.differs for each in self.decided)


def load_recorded(folder: Path) -> Recorded:
    """Raises RecordingError when a topic that the replay needs is missing, damaged, or of messages of another time."""
    with closing(open_recording(folder)) as reader:
        topics = {each.topic for each in reader.connections}
        plans = sorted({each.topic for each in reader.connections if each.msgtype == TOPICS[PLAN]})
        if len(plans) != 1:
            raise RecordingError(
                f"{folder} must hold one topic of {TOPICS[PLAN]}, it has {', '.join(plans) or 'none'}."
            )
        namespace = plans[0].removesuffix(PLAN)
        read = {name: kind for name, kind in TOPICS.items() if name != PEOPLE or namespace + name in topics}
        messages = {name: list(read_topic(reader, namespace + name, kind)) for name, kind in read.items()}
    for name, some in messages.items():
        known = interface_class(TOPICS[name]).get_fields_and_field_types()
        if some and (lacking := [field for field in known if not hasattr(some[0], field)]):
            raise RecordingError(
                f"{folder}: {namespace + name} is of an older {TOPICS[name]} without {', '.join(lacking)}; replay it "
                "with the version that recorded it, or record it again."
            )
    return Recorded(folder, namespace, {PEOPLE: [], **messages})


def replay(recorded: Recorded, spec: Spec, task: TaskSettings, checkpoint: Checkpoint) -> Replayed:
    """Decide everything again.

    Raises:
        ConfigError: the planner of the task is not iCEM.
        RecordingError: the pictures are missing or damaged.
    """
    agent = build_agent(task, spec, Kinematics(spec.robot), LatentWorldModel(checkpoint))
    search = agent.planner.planner if isinstance(agent.planner, Arrival) else agent.planner
    if not isinstance(search, ICEM):
        raise ConfigError("a replay needs a task with planner icem: no other imagines with what the encoder saw")
    eye = Eye(checkpoint, spec)
    latents = [from_latent_msg(message) for message in recorded.messages[LATENT]]
    seen = _see_again(recorded, eye, {latent.stamp_ns for latent in latents})
    differences = [
        _difference(seen[old.stamp_ns].image_latent, old.image_latent) for old in latents if old.stamp_ns in seen
    ]
    decided = list(_decide_again(recorded, agent, search, eye, [seen.get(old.stamp_ns, old) for old in latents]))
    return Replayed(
        notes=_notes(recorded, spec, task, checkpoint),
        frames=len(seen),
        latent=max(differences, default=None),
        taken=len(latents) - len(seen),
        decided=decided,
        passed_over=len(recorded.messages[PLAN]) - len(decided),
    )


def _see_again(recorded: Recorded, eye: Eye, stamps_ns: set[int]) -> dict[int, Latent]:
    """What the encoder says of the frames with these stamps, by stamp."""
    joint_states, infos = deque(recorded.messages[JOINTS]), deque(recorded.messages[INFOS])
    seen = {}
    with closing(open_recording(recorded.folder)) as reader:
        for image in read_topic(reader, recorded.namespace + IMAGES, IMAGE_TYPE):
            stamp_ns = _stamp_ns(image)
            while len(infos) > 1 and _stamp_ns(infos[1]) <= stamp_ns:
                infos.popleft()
            while joint_states and not eye.history.covers(stamp_ns):
                eye.history.add(joint_states.popleft())
            if stamp_ns in stamps_ns and infos:
                with suppress(ValueError):  # joint states around it that the encoder heard and the recorder did not
                    seen[stamp_ns] = from_latent_msg(eye.see(image, infos[0]))
    return seen


def _decide_again(
    recorded: Recorded, agent: Agent, search: ICEM, eye: Eye, latents: Sequence[Latent]
) -> Iterator[Decided]:
    """Each plan or refusal of the agent, made again and compared."""
    settings, goals, frames = search.settings, deque(recorded.messages[GOAL]), deque(latents)
    reports, people = deque(recorded.messages[REPORT_TOPIC]), deque(recorded.messages[PEOPLE])
    goal_refused: Refusal | None = None
    for number, message in enumerate(recorded.messages[PLAN], 1):
        begun_ns, frame_ns = to_ns(message.begun), to_ns(message.observation_stamp)
        while goals and _stamp_ns(goals[0]) <= begun_ns:
            goal = goal_of(goals.popleft().shown, lambda *picture: from_latent_msg(eye.see_goal(*picture)))
            goal_refused = goal if isinstance(goal, Refusal) else agent.pursue(goal)
        if frame_ns == 0:
            continue
        while reports and _stamp_ns(reports[0]) <= to_ns(message.report_stamp):
            _tell_report(agent, reports.popleft())
        while people and _stamp_ns(people[0]) <= to_ns(message.people_stamp):
            with suppress(ValueError):  # as the planner drops what cannot be read
                agent.on_people(from_people_msg(people.popleft()))
        while frames and frames[0].stamp_ns <= frame_ns:
            agent.on_latent(frames.popleft())
        search.settings = replace(settings, iterations=message.iterations or settings.iterations)
        planned = goal_refused or agent.act(begun_ns)
        if message.refused and message.guardrail == NO_ANSWER:
            agent.planner.reset()  # as the planner did then
            continue
        yield compare(number, message, planned)
        if message.candidates > 1:  # neither refused nor, without a search, to hold
            search.last = recorded_actions(message)[:, :3]


def _tell_report(agent: Agent, message: Any) -> None:
    joints, tool = as_array(message.target_joint_positions), xyz(message.target_tool_position)
    agent.on_report(joints, tool, message.gripper_width, _stamp_ns(message))


def _stamp_ns(message: Any) -> int:
    return to_ns(message.header.stamp)


def _difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest one; inf where they are not of one shape."""
    return float(np.abs(ours - theirs).max()) if ours.shape == theirs.shape else float("inf")


def _notes(recorded: Recorded, spec: Spec, task: TaskSettings, checkpoint: Checkpoint) -> list[str]:
    """A sentence for each file that is not the one of the recording."""
    read = (
        ("checkpoint", LATENT, "checkpoint_sha256", checkpoint.sha256),
        ("guardrail file", REPORT_TOPIC, "spec_sha256", spec.sha256),
        ("task file", GOAL, "task_sha256", task.sha256),
    )
    return [
        f"the {what} is not that of the recording: it is {ours[:SHOWN]}, the recording was made with {theirs[:SHOWN]}"
        for what, topic, field, ours in read
        for theirs in sorted({getattr(message, field) for message in recorded.messages[topic]} - {ours})
    ]
