"""One guardrail, an arm that follows it, and somebody who spoils one input in each turn, of every kind there is.

Six in ten inputs are malformed; the others are well-formed and odd, so that they get past the first look and as far as
the filter and the gates. Two kinds are handed to these directly, behind everything that would have stopped them.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.gate import workspace_margin
from ami_robot.safety.guardrail import Guardrail
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.motion import Spline, move_to_rest
from ami_robot.safety.rows import Box
from ami_robot.safety.spec import Spec
from ami_robot.types import (
    NS_PER_S,
    Array,
    GuardrailReport,
    HeldTool,
    JointState,
    JointTrajectory,
    People,
    Person,
    Proposal,
    Refusal,
)
from benchmarks.fuzz_inputs import Spoiler
from benchmarks.fuzz_stages import Stages

SHARES = {
    "displacement": 0.26, "trajectory": 0.20, "joint_state": 0.11, "efforts": 0.08, "clock": 0.03, "people": 0.10,
    "held_tool": 0.06, "e_stop": 0.02, "deadman": 0.03, "service": 0.04, "filter": 0.04, "last_gate": 0.03,
}  # fmt: skip
"""Kinds of inputs, and how often each of them comes."""

_KINDS, _SHARES = list(SHARES), list(SHARES.values())
TICK_NS, LONG_TICK_NS = 10_000_000, 30_000_000
OUTCOMES = ("brake", "accepted", "modified", "refused", "status", "nothing")  # the first that happened in a turn
REST = np.zeros(7)
_HEIGHT = np.array([0.0, 0.0, 1.7])
_LIMIT_TOLERANCE = 1e-6  # share of a limit
_MARGIN_TOLERANCE = 1e-6  # in the row's unit
_CLOCK_STEPS_S = (-1.0, -0.02, -1e-9, 1e-9, 0.06, 0.1, 1.0, 1e6)  # smaller ones ahead look like a late joint state


class Illegal(Exception):  # noqa: N818  # it is the finding, not an error of this program
    """Something got through that should not have."""


class Episode:
    """Call `turn` until there were enough inputs. What raises is a finding; `Illegal` is one, too."""

    def __init__(
        self, spec: Spec, kinematics: Kinematics, dynamics: Dynamics, rng: np.random.Generator, stages: Stages
    ) -> None:
        self.rng, self.spoiler, self.stages = rng, Spoiler(rng), stages
        self.kinematics, self.dynamics = kinematics, dynamics
        self.spec = spec = _with_boxes(spec, rng) if rng.random() < 0.5 else spec
        self.asked = spec.people.source_of_people == "topic"
        self.real_ns, self.clock_ns = 0, int(rng.integers(10**10, 10**12))  # clocks may step, time does not
        self.persons = self._persons() if rng.random() < 0.7 else ()
        self.tool = self._tool() if rng.random() < 0.4 else None
        self.decisions: Counter[str] = Counter()
        self.kind = ""
        self.sequence = self.sent = 0
        self.resting, self.spline, self.since_ns = JointState(REST, REST, REST), None, 0
        self.guardrail = Guardrail(spec, kinematics, dynamics, self._late_s)
        for _ in range(50):  # of which some are in a box
            self.resting = JointState(kinematics.inverse(self._place())[0], REST, REST)
            self._arm()
            if self.guardrail.armed:
                break

    @property
    def now_ns(self) -> int:
        """What the clocks say."""
        return self.clock_ns + self.real_ns

    @property
    def state(self) -> JointState:
        """Where the arm is."""
        return self.resting if self.spline is None else self.spline.sample((self.real_ns - self.since_ns) / NS_PER_S)

    def _late_s(self) -> float:
        """Seldom too late, or not a time."""
        return 0.0 if self.rng.random() < 0.95 else float(self.rng.choice([np.nan, np.inf, -1.0, 1e308]))

    def turn(self) -> str:
        """Some good messages, then one input of some `kind` that is not; what came of it, of OUTCOMES."""
        if not self.guardrail.armed and self.rng.random() < 0.8:
            self._arm()
        self.kind = str(self.rng.choice(_KINDS, p=_SHARES))
        self._let_time_pass(self.kind in ("displacement", "trajectory", "filter", "last_gate"))
        self.stages.clear()
        before = self.decisions.copy()
        getattr(self, f"_feed_{self.kind}")(bool(self.rng.random() < 0.6))
        came = self.decisions - before
        return next((outcome for outcome in OUTCOMES if came[outcome]), "nothing")

    # what is good

    def _arm(self) -> None:
        """Wait for rest, let go of all switches and arm."""
        if self.spline is not None:
            rest_ns = self.since_ns + int(self.spline.duration_s * NS_PER_S)
            self.real_ns = max(self.real_ns, rest_ns) + int(0.2 * NS_PER_S)
        guardrail, now_ns = self.guardrail, self.now_ns
        guardrail.deadman("teleop", False, now_ns)
        self._tell("step", *self._joint_state())
        guardrail.select_source("planner")
        self._tell("e_stop", False, now_ns)
        guardrail.reset_e_stop(now_ns)
        guardrail.people(People(now_ns, self.persons))
        guardrail.arm(self.state, now_ns, now_ns)

    def _let_time_pass(self, for_a_command: bool) -> None:
        """Until the next command may come, or some ticks; the arm mostly moves by then.

        Now and then joint states are missing afterwards, almost as long as they may.
        """
        ticks = 3 if for_a_command else int(self.rng.integers(1, 4))
        for tick in range(ticks):
            self.real_ns += LONG_TICK_NS if for_a_command else TICK_NS
            if tick == 0:
                self._tell_around()
                if not for_a_command and self.rng.random() < 0.3:
                    self.guardrail.propose(self._displacement())
            self._tell("step", *self._joint_state())
        self.real_ns += int(self.rng.choice([1, 1, 1, 4])) * TICK_NS

    def _tell_around(self) -> None:
        if self.asked:
            self.guardrail.people(People(self.now_ns, self.persons))
        if self.rng.random() < 0.5:
            tool = self.tool or HeldTool(self.now_ns, "none", np.zeros(3))
            self.guardrail.held_tool(replace(tool, stamp_ns=self.now_ns))

    def _joint_state(self, with_efforts: bool | None = None) -> list[Any]:
        state, now_ns = self.state, self.now_ns
        felt = self.rng.random() < 0.3 if with_efforts is None else with_efforts
        efforts = self.dynamics.torques(state.positions, state.velocities, state.accelerations) if felt else None
        return [self.spec.joint_names, state.positions, state.velocities, now_ns, now_ns, efforts]

    def _proposal(self) -> Proposal:
        self.sequence += 1
        now_ns, width = self.now_ns, float(self.rng.uniform(self.spec.gripper.lower_m, self.spec.gripper.upper_m))
        return Proposal("planner", self.sequence, now_ns, now_ns, 0.3, width)

    def _displacement(self) -> Proposal:
        """Anywhere, or towards the next box: far enough for the filter to be needed."""
        boxes = self.spec.obstacles.boxes
        to_box = self.rng.random() < 0.7
        place = (boxes[-1].lower_m + boxes[-1].upper_m) / 2 if to_box else self._place()
        way = place - self.kinematics.tool_position(self.state.positions)
        length_m = self.rng.uniform(0.3, 1.0) * self.spec.tool_displacement.max_m_per_step
        way *= length_m / max(float(np.linalg.norm(way)), 1e-9)
        return replace(self._proposal(), tool_displacement=way)

    def _trajectory(self) -> Proposal:
        """To rest at some posture not too far away."""
        target = self.state.positions + self.rng.normal(size=7) * self.rng.choice([0.02, 0.1, 0.3])
        trajectory = move_to_rest(self.state, target, self.spec)
        return self._displacement() if trajectory is None else replace(self._proposal(), trajectory=trajectory)

    def _persons(self) -> tuple[Person, ...]:
        count, distance_m = int(self.rng.integers(1, 3)), self.rng.choice([0.8, 2.0, 4.0])
        bearings = self.rng.uniform(-np.pi, np.pi, count)
        feet = distance_m * np.stack([np.cos(bearings), np.sin(bearings), 0.0 * bearings], axis=-1)
        return tuple(Person(foot, foot + _HEIGHT, 0.15, np.zeros(3), 0.02) for foot in feet)

    def _tool(self) -> HeldTool:
        hazard = str(self.rng.choice(["blunt", "edge", "point", "hammer"]))
        return HeldTool(0, hazard, self.rng.normal(size=3) * 0.05, float(self.rng.uniform(0.0, 0.5)))

    def _place(self) -> Array:
        return self.rng.uniform(self.spec.workspace.lower_m, self.spec.workspace.upper_m)

    # what is not

    def _feed_displacement(self, malformed: bool) -> None:
        proposal = self._displacement()
        odd = replace(
            proposal,
            tool_displacement=self.spoiler.tiny(
                proposal.tool_displacement * self.rng.choice([5e-324, 1e-12, 1.0, 1.0])
            ),
        )
        self._decide(self.spoiler.malformed(proposal) if malformed else odd)

    def _feed_trajectory(self, malformed: bool) -> None:
        proposal = self._trajectory()
        if malformed or proposal.trajectory is None:
            self._decide(self.spoiler.malformed(proposal))
            return
        order, way = self.rng.permutation(7), proposal.trajectory
        columns = [self.spoiler.tiny(x[:, order]) for x in (way.positions, way.velocities, way.accelerations)]
        columns[1:] = [np.vstack([np.asarray(x)[:-1], REST]) for x in columns[1:]]  # at rest at the end
        names = tuple(way.joint_names[joint] for joint in order)
        self._decide(replace(proposal, trajectory=JointTrajectory(names, self.spoiler.tiny(way.times_s), *columns)))

    def _feed_joint_state(self, malformed: bool) -> None:
        names, positions, velocities, stamp_ns, now_ns, efforts = self._joint_state(with_efforts=False)
        if malformed:
            five = self.spoiler.one_of(names, positions, velocities, stamp_ns, now_ns)
            self._tell("step", *five, efforts)
            return
        row, order = self.spec.tracking, self.rng.permutation(9)
        names = [[*names, "panda_finger_joint1", "x"][joint] for joint in order]
        strayed = positions + self.rng.uniform(-1.5, 1.5) * row.max_error_rad * self.rng.integers(0, 2, 7)
        q, dq = (np.append(values, self.rng.choice([np.nan, 1e308], 2))[order] for values in (strayed, velocities))
        old_ns = int(self.rng.choice([0, self.spec.staleness.joint_state_s, -self.spec.staleness.future_s]) * NS_PER_S)
        self._tell("step", names, self.spoiler.tiny(q), self.spoiler.tiny(dq), stamp_ns - old_ns, now_ns)

    def _feed_efforts(self, malformed: bool) -> None:
        *known, efforts = self._joint_state(with_efforts=True)
        push_n_m = (
            self.rng.choice([0.0, 0.9, 1.1]) * self.spec.contact.max_external_torque_n_m * self.rng.choice([-1, 1])
        )
        odd = self.spoiler.tiny(efforts + push_n_m * np.eye(7)[self.rng.integers(7)])
        self._tell("step", *known, self.spoiler.malformed(efforts) if malformed else odd)

    def _feed_clock(self, _: bool) -> None:
        """It steps for everybody: stamps and times agree, and the arm is somewhere else than they say."""
        step_s = float(self.rng.choice(_CLOCK_STEPS_S))
        self.clock_ns = max(0, self.clock_ns + (round(step_s * NS_PER_S) or int(np.sign(step_s))))
        self._decide(self._displacement())

    def _feed_people(self, malformed: bool) -> None:
        people = People(self.now_ns, self._persons())
        first = people.persons[0]
        foot = self.spoiler.tiny(first.end_a * self.rng.choice([1e-320, 1.0, 1e12]))
        odd = replace(people, persons=(replace(first, end_a=foot, radius=float(self.rng.choice([0.0, 5e-324, 1e3]))),))
        self.guardrail.people(self.spoiler.malformed(people) if malformed else odd)
        self._decide(self._displacement())

    def _feed_held_tool(self, malformed: bool) -> None:
        tool = replace(self._tool(), stamp_ns=self.now_ns)
        mass_kg = float(self.rng.choice([0.0, 5e-324, 3.0, 1e6]))
        odd = replace(tool, tip=self.spoiler.tiny(tool.tip * self.rng.choice([0.0, 1.0, 1e3])), mass_kg=mass_kg)
        self.guardrail.held_tool(self.spoiler.malformed(tool) if malformed else odd)
        self._decide(self._displacement())

    def _feed_e_stop(self, malformed: bool) -> None:
        released = [False, self.now_ns]
        self._tell("e_stop", *(self.spoiler.one_of(*released) if malformed else [np.False_, self.now_ns]))
        self._decide(self._displacement())

    def _feed_deadman(self, malformed: bool) -> None:
        """Then who holds the switch commands, or does not."""
        old_ns = int(self.rng.choice([0.0, 1.0, 1.1]) * self.spec.deadman.max_age_s * NS_PER_S)
        held = ["teleop", True, self.now_ns - (0 if malformed else old_ns)]
        self.guardrail.deadman(*(self.spoiler.one_of(*held) if malformed else held))
        self._decide(replace(self._displacement(), source="teleop"))
        self.guardrail.deadman("teleop", False, self.now_ns)
        self.real_ns += TICK_NS
        self._tell("step", *self._joint_state())
        with contextlib.suppress(ValueError):  # a faulty step ends before the switch is looked at
            self.guardrail.select_source("planner")

    def _feed_service(self, _: bool) -> None:
        """What somebody calls seldom. A source without a name is refused by ValueError, as it says."""
        state, now_ns = self.state, self.now_ns
        service = self.rng.choice(["arm", "disarm", "silence", "status", "reset_e_stop", "select_source"])
        if service == "arm":
            measured = self.spoiler.one_of(state.positions, state.velocities)
            self._tell("disarm", now_ns)
            self.guardrail.arm(JointState(*measured, REST), *self.spoiler.one_of(now_ns, now_ns))
            if self.guardrail.armed and not np.array_equal(measured[0], state.positions):
                self._tell("disarm", now_ns)  # it was told that the arm is where it is not, and cannot know
        elif service == "select_source":
            with contextlib.suppress(ValueError):
                self.guardrail.select_source(self.spoiler.malformed("planner"))
        else:
            self._tell(str(service), *self.spoiler.one_of(now_ns))
        self._tell("step", *self._joint_state())

    def _feed_filter(self, malformed: bool) -> None:
        """The filter is handed it: numbers, and arrays of other shapes."""

        def spoil(spec: Spec, kinematics: Kinematics, start: JointState, target: Array, *times: float) -> tuple:
            change: Callable[[Array], Any] = self.spoiler.numbers if malformed else self.spoiler.tiny
            place = int(self.rng.integers(5))
            inputs = [start.positions, start.velocities, start.accelerations, target, np.array(times[:1])]
            inputs[place] = change(inputs[place])
            return spec, kinematics, JointState(*inputs[:3]), inputs[3], np.ravel(inputs[4])[:1].sum(), *times[1:]

        self.stages.spoil["filter"] = spoil
        self._decide(self._displacement())

    def _feed_last_gate(self, malformed: bool) -> None:
        """The last gate is handed it: a trajectory that was exchanged, another sequence, start, time or lateness."""

        def spoil(
            gate: Any, way: JointTrajectory, sequence: int, start: JointState, at_ns: int, late_s: float
        ) -> tuple:
            change: Callable[[Array], Any] = (
                self.spoiler.numbers if malformed else lambda x: x + self.rng.choice([5e-324, 1e-3])
            )
            choice = self.rng.integers(8)
            if choice < 4:
                name = ("times_s", "positions", "velocities", "accelerations")[choice]
                way = replace(way, **{name: change(getattr(way, name))})
            elif choice == 4:
                sequence += int(self.rng.choice([-1, 1, 2**62]))
            elif choice == 5:
                start = replace(start, velocities=start.velocities + self.rng.choice([np.nan, 0.1]))
            elif choice == 6:
                at_ns += int(self.rng.choice([-(10**9), TICK_NS, 10**18]))
            else:
                late_s = float(self.rng.choice([np.nan, np.inf, -np.inf, -1e-3, 5e-324, 1e308]))
            return gate, way, sequence, start, at_ns, late_s

        self.stages.spoil["last_gate"] = spoil
        self._decide(self._displacement())
        if "last_gate" in self.stages.reached:  # if it let it through, it believes in another motion than was sent
            self._tell("disarm", self.now_ns)

    def _decide(self, proposal: Any) -> None:
        self.guardrail.propose(proposal)
        self._tell("step", *self._joint_state())

    # what came of it

    def _tell(self, method: str, *arguments: Any) -> None:
        armed = self.guardrail.armed
        report = getattr(self.guardrail, method)(*arguments)
        if isinstance(report, GuardrailReport):
            self._check(report, armed)
        elif report is not None and not isinstance(report, Refusal):
            raise Illegal(f"{method} answers {report!r}")

    def _check(self, report: GuardrailReport, was_armed: bool) -> None:
        """What came out is legal, and the arm follows it."""
        self.decisions[report.decision] += 1
        if report.decision not in OUTCOMES[:-1]:
            raise Illegal(f"unknown decision {report.decision!r}")
        row = self.spec.gripper
        if not row.lower_m <= report.gripper_width <= row.upper_m:
            raise Illegal(f"gripper width {report.gripper_width}")
        if report.sent is None:
            return
        if report.decision not in ("accepted", "modified", "brake"):
            raise Illegal(f"sent with the decision {report.decision!r}")
        if not was_armed:
            raise Illegal("sent by a guardrail that was not armed")
        if report.sequence != self.sent + 1:
            raise Illegal(f"sent with the sequence number {report.sequence} after {self.sent}")
        kept = {row: margin >= -_MARGIN_TOLERANCE for row, margin in report.margins.items() if row != "workspace"}
        if report.decision != "brake" and not all(kept.values()):
            raise Illegal(f"sent with margins {report.margins}")
        self.sent = report.sequence
        self.spline, self.since_ns = self._legal(report.sent), self.real_ns
        if report.decision != "brake" and self._leaves_workspace(self.spline):
            raise Illegal(f"sent out of the workspace, with margins {report.margins}")

    def _legal(self, sent: JointTrajectory) -> Spline:
        """The motion, sampled: finite, at rest at the end, in the whole limits from where the arm really is."""
        for name in ("times_s", "positions", "velocities", "accelerations"):
            if not np.isfinite(getattr(sent, name)).all():
                raise Illegal(f"sent {name} that are not finite")
        forward = bool((np.diff(sent.times_s, prepend=0.0) > 0.0).all())
        if sent.velocities[-1].any() or sent.accelerations[-1].any() or not forward:
            raise Illegal("sent what does not end at rest, or goes back in time")
        spline, spec = Spline(self.state, sent), self.spec
        times_s = np.linspace(0.0, spline.duration_s, 101)
        states = spline.states(times_s)
        jerks = np.diff(states.accelerations, axis=0) / times_s[1]
        row = spec.joint_position
        middle, half = (row.upper_rad + row.lower_rad) / 2, (row.upper_rad - row.lower_rad) / 2
        shares = {
            "position": np.abs(states.positions - middle) / half,
            "velocity": np.abs(states.velocities) / spec.joint_velocity.limit_rad_per_s,
            "acceleration": np.abs(states.accelerations) / spec.joint_acceleration.limit_rad_per_s2,
            "jerk": np.abs(jerks) / spec.joint_jerk.limit_rad_per_s3,
        }
        for limit, share in shares.items():
            if not share.max() <= 1.0 + _LIMIT_TOLERANCE:
                raise Illegal(f"sent a motion at {share.max():.4f} of a joint's {limit} limit")
        return spline

    def _leaves_workspace(self, spline: Spline) -> bool:
        """By more than the path's tolerance, and further than where it begins: from there it may come back."""
        tools = self.kinematics.tool_position(spline.states(np.linspace(0.0, spline.duration_s, 101)).positions)
        inside_m = workspace_margin(self.spec, tools) + self.spec.workspace.path_tolerance_m
        return bool(inside_m.min() < min(0.0, inside_m[0]) - _MARGIN_TOLERANCE)


def _with_boxes(spec: Spec, rng: np.random.Generator) -> Spec:
    """Something stands in the workspace."""
    lower, upper = spec.workspace.lower_m, spec.workspace.upper_m
    center, half = rng.uniform(lower, upper), rng.uniform(0.02, 0.08, 3)
    box = Box("box", center - half, center + half)
    return replace(spec, obstacles=replace(spec.obstacles, boxes=(*spec.obstacles.boxes, box)))
