"""Whatever comes in, what goes out is a whole motion within the limits, or nothing; and no input raises."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ami_robot.safety.choice import PASSING
from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.guardrail import Guardrail
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.motion import ROUNDING, Spline, excess
from ami_robot.safety.spec import load_spec
from ami_robot.types import HeldTool, JointState, JointTrajectory, People, Person, Proposal

SPEC, KINEMATICS, DYNAMICS = load_spec(), Kinematics(), Dynamics()
REST = np.zeros(7)
START = KINEMATICS.inverse(np.array([0.5, 0.0, 0.2]))[0]
MS = 1_000_000

junk = st.one_of(
    st.none(),
    st.booleans(),
    st.text(max_size=3),
    st.integers(),
    st.floats(),
    st.lists(st.one_of(st.none(), st.floats(), st.text(max_size=2)), max_size=9),
    arrays(np.float64, st.integers(0, 9), elements=st.floats()),
)
names = st.one_of(
    st.just(SPEC.joint_names),
    st.permutations(SPEC.joint_names),
    st.lists(st.sampled_from([*SPEC.joint_names, "panda_finger_joint1"]), max_size=10),
    junk,
)
sevens = arrays(np.float64, 7, elements=st.floats(-4, 4))
points = arrays(np.float64, (2, 7), elements=st.one_of(st.floats(-3, 3), st.floats()))
stamps = st.one_of(st.integers(-200, 400).map(lambda ms: ms * MS), st.integers(), junk)
trajectories = st.one_of(
    st.builds(
        JointTrajectory,
        st.just(SPEC.joint_names),
        arrays(np.float64, 2, elements=st.floats(), unique=True).map(np.sort),
        points,
        points,
        points,
    ),
    st.builds(JointTrajectory, names, junk, junk, junk, junk),
    junk,
)
proposals = st.one_of(
    st.builds(
        Proposal,
        source=st.one_of(st.just("planner"), junk),
        sequence=st.one_of(st.integers(1, 9), junk),
        stamp_ns=stamps,
        observation_stamp_ns=stamps,
        valid_for_s=st.one_of(st.just(0.3), junk),
        gripper_width=st.one_of(st.just(0.04), junk),
        tool_displacement=st.one_of(arrays(np.float64, 3, elements=st.floats(-0.05, 0.05)), junk),
        trajectory=st.one_of(st.none(), trajectories),
    ),
    junk,
)


threes = arrays(np.float64, 3, elements=st.one_of(st.floats(-2, 2), st.floats()))
persons = st.one_of(
    st.builds(
        Person,
        end_a=st.one_of(threes, junk),
        end_b=st.one_of(threes, junk),
        radius=st.one_of(st.floats(0, 0.5), junk),
        velocity=st.one_of(threes, junk),
        radius_error=st.one_of(st.just(0.02), junk),
    ),
    junk,
)
people = st.one_of(
    st.builds(People, stamp_ns=stamps, persons=st.one_of(st.lists(persons, max_size=3).map(tuple), junk)), junk
)
held_tools = st.one_of(
    st.builds(
        HeldTool,
        stamp_ns=stamps,
        hazard=st.one_of(st.sampled_from(["none", "blunt", "edge", "point", "hammer"]), junk),
        tip=st.one_of(threes, junk),
        mass_kg=st.one_of(st.floats(0, 3), junk),
    ),
    junk,
)
TOPIC = replace(SPEC, people=replace(SPEC.people, source_of_people="topic"))
HEARTBEAT = replace(TOPIC, e_stop=replace(SPEC.e_stop, max_silence_s=0.1))


def armed(spec=SPEC) -> Guardrail:
    guardrail = Guardrail(spec, KINEMATICS, DYNAMICS)
    guardrail.select_source("planner")
    assert guardrail.arm(JointState(START, REST, REST), 0, 0) is None
    return guardrail


def assert_legal_or_nothing(report, start: JointState) -> None:
    """By whole-motion bounds: finite, within the whole limits, at rest at the end."""
    if report is None or report.sent is None:
        return
    assert report.decision in ("accepted", "modified", "brake")
    assert report.sequence > 0
    for name in ("times_s", "positions", "velocities", "accelerations"):
        assert np.isfinite(getattr(report.sent, name)).all()
    assert not report.sent.velocities[-1].any()
    extremes = Spline(start, report.sent).extremes()
    assert (extremes.lower_rad >= SPEC.joint_position.lower_rad).all()
    assert (extremes.upper_rad <= SPEC.joint_position.upper_rad).all()
    assert (extremes.speed_rad_per_s <= SPEC.joint_velocity.limit_rad_per_s).all()
    assert (extremes.acceleration_rad_per_s2 <= SPEC.joint_acceleration.limit_rad_per_s2).all()
    assert (extremes.jerk_rad_per_s3 <= SPEC.joint_jerk.limit_rad_per_s3).all()


@given(names=names, positions=st.one_of(sevens, junk), velocities=st.one_of(sevens, junk), stamp=stamps, now=stamps)
@settings(max_examples=200, deadline=None)
def test_no_joint_state_raises_and_what_is_not_known_disarms(names, positions, velocities, stamp, now):
    guardrail = armed()
    guardrail.propose(Proposal("planner", 1, 0, 0, 0.3, 0.04, tool_displacement=np.array([0.0, 0.0, 0.03])))
    report = guardrail.step(names, positions, velocities, stamp, now)
    assert report is not None
    assert_legal_or_nothing(report, JointState(START, REST, REST))
    if guardrail.armed:  # then the joint states were good ones
        order = [list(names).index(name) for name in SPEC.joint_names]
        assert np.abs(np.asarray(positions)[order] - START).max() <= SPEC.tracking.max_error_rad
        assert abs(now - stamp) <= 50 * MS
    else:
        assert report.decision == "brake"


@given(proposals=st.lists(proposals, min_size=1, max_size=4))
@settings(max_examples=400, deadline=None)
def test_no_proposal_raises_disarms_or_sends_an_illegal_motion(proposals):
    guardrail = armed()
    for proposal in proposals:
        guardrail.propose(proposal)
    report = guardrail.step(SPEC.joint_names, START, REST, 0, 0)
    assert guardrail.armed
    if report is None:
        assert proposals[-1] is None
        return
    assert report.decision in ("accepted", "modified", "refused")
    assert (report.sent is None) == (report.decision == "refused")
    assert_legal_or_nothing(report, JointState(START, REST, REST))


class Walk:
    """An arm that follows what is sent, each trajectory arriving with its own delay."""

    def __init__(self) -> None:
        self.guardrail = armed()
        self.now_ns, self.sequence = 0, 0
        self.controller, self.since_ns, self.arrives_ns = None, 0, 0

    def desired(self, at_ns: int) -> JointState:
        if self.controller is None:
            return JointState(START, REST, REST)
        return self.controller.sample((at_ns - self.since_ns) / 1e9)

    def listen(self, delay_ms: float = 0.0):
        """One joint state; what is sent for it arrives that much later."""
        state = self.desired(self.now_ns)
        report = self.guardrail.step(SPEC.joint_names, state.positions, state.velocities, self.now_ns, self.now_ns)
        if report is not None and report.sent is not None:
            self.arrives_ns = max(self.arrives_ns, self.now_ns + int(delay_ms * MS))  # one topic keeps its order
            self.controller, self.since_ns = Spline(self.desired(self.arrives_ns), report.sent), self.arrives_ns
        return report

    def step(self, displacement, delay_ms: float, until_next_ms: int = 200):
        """The reports until the next step, each with what the controller executes from then on."""
        self.sequence += 1
        self.guardrail.propose(
            Proposal("planner", self.sequence, self.now_ns, self.now_ns, 0.3, 0.0, tool_displacement=displacement)
        )
        heard = []
        for _ in range(until_next_ms // 10):
            report = self.listen(delay_ms)
            if report is not None:
                heard.append((report, self.controller))
            self.now_ns += 10 * MS
        return heard


DIRECTIONS = st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1)).map(np.array)


@given(
    steps=st.lists(
        st.tuples(DIRECTIONS, st.floats(0.0, SPEC.transport.jitter_s * 1e3), st.sampled_from([100, 110, 150, 200])),
        min_size=2,
        max_size=12,
    )
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_a_walk_with_transport_jitter_keeps_the_joint_limits_as_executed(steps):
    """What the controller really executes, after up to 30 ms of delay that changes from message to message.

    Also where a command arrives before the arm has joined the motion before it.
    """
    walk = Walk()
    for direction, delay_ms, until_next_ms in steps:
        displacement = direction * min(1.0, 0.04 / max(np.linalg.norm(direction), 1e-9))
        for report, executed in walk.step(displacement, delay_ms, until_next_ms):
            assert walk.guardrail.armed, report.refusal
            assert report.decision != "refused" or report.refusal.guardrail in ("workspace", "contact", *PASSING)
            if report.sent is not None:
                assert excess(executed.extremes(), SPEC, whole_limits=True) <= ROUNDING


@given(start=DIRECTIONS, steps=st.lists(DIRECTIONS, min_size=1, max_size=5), wait_ms=st.integers(0, 399))
@settings(max_examples=60, deadline=None)
def test_a_brake_at_any_moment_of_a_walk_is_legal(start, steps, wait_ms):
    walk, displacements = Walk(), [d * min(1.0, 0.04 / max(np.linalg.norm(d), 1e-9)) for d in (start, *steps)]
    for displacement in displacements[:-1]:
        walk.step(displacement, 0.0)
    walk.step(displacements[-1], 0.0, until_next_ms=10)
    now_ns = walk.now_ns + (wait_ms - 10) * MS
    while walk.now_ns < now_ns:
        walk.listen()
        walk.now_ns += 10 * MS
    state = walk.desired(max(now_ns, walk.now_ns - 10 * MS))
    report = walk.guardrail.disarm(now_ns)
    assert report.decision == "brake"
    assert_legal_or_nothing(report, state)
    if report.sent is not None:
        assert report.sent.times_s[-1] <= 0.4


@given(
    spec=st.sampled_from([SPEC, TOPIC]),
    heard=st.lists(st.tuples(people, held_tools), min_size=1, max_size=3),
    efforts=st.one_of(st.none(), junk, sevens),
    displacement=arrays(np.float64, 3, elements=st.floats(-0.02, 0.02)),
)
@settings(max_examples=150, deadline=None)
def test_nothing_heard_of_people_tool_or_efforts_raises_or_sends_an_illegal_motion(spec, heard, efforts, displacement):
    """Moving, then hearing anything at every tick: what is sent is legal, what is not known does not move on."""
    guardrail, controller, since_ns = armed(spec), None, 0
    guardrail.people(People(0, ()))
    guardrail.propose(Proposal("planner", 1, 0, 0, 0.3, 0.04, tool_displacement=displacement))
    for tick, (somebody, tool) in enumerate([(People(0, ()), None), *heard]):
        now_ns = tick * 150 * MS
        state = JointState(START, REST, REST) if controller is None else controller.sample((now_ns - since_ns) / 1e9)
        guardrail.people(somebody)
        guardrail.held_tool(tool)
        guardrail.propose(Proposal("planner", tick + 2, now_ns, now_ns, 0.3, 0.04, tool_displacement=displacement))
        positions, velocities = state.positions, state.velocities
        report = guardrail.step(SPEC.joint_names, positions, velocities, now_ns, now_ns, efforts if tick else None)
        assert report is not None
        assert_legal_or_nothing(report, state)
        if report.sent is not None:
            controller, since_ns = Spline(state, report.sent), now_ns
        if spec is TOPIC and not isinstance(somebody, People):
            assert report.decision in ("refused", "brake")
        if not guardrail.armed:
            assert report.decision == "brake"
            return


@given(
    pressed=st.lists(st.tuples(st.one_of(st.booleans(), junk), stamps), min_size=1, max_size=4),
    held=st.lists(st.tuples(st.one_of(st.just("teleop"), junk), st.one_of(st.booleans(), junk), stamps), max_size=4),
    reset=stamps,
    spec=st.sampled_from([SPEC, HEARTBEAT]),
)
@settings(max_examples=150, deadline=None)
def test_no_switch_raises_and_what_is_not_clearly_released_is_pressed(pressed, held, reset, spec):
    guardrail = Guardrail(spec, KINEMATICS, DYNAMICS)
    guardrail.select_source("planner")
    guardrail.e_stop(False, 0)
    assert guardrail.reset_e_stop(0) is None
    assert guardrail.arm(JointState(START, REST, REST), 0, 0) is None
    guardrail.propose(Proposal("planner", 1, 0, 0, 0.3, 0.04, tool_displacement=np.array([0.0, 0.0, 0.03])))
    for switch in held:
        guardrail.deadman(*switch)
    report = guardrail.step(SPEC.joint_names, START, REST, 0, 0)
    assert_legal_or_nothing(report, JointState(START, REST, REST))
    for line, now_ns in pressed:
        report = guardrail.e_stop(line, now_ns)
        assert (report is None) == (line is False)
    if any(line is not False for line, _ in pressed):
        guardrail.silence(2**62)  # where no brake held it waits for one, or for the end of the motion
        assert not guardrail.armed
        assert guardrail.status(0).e_stopped
    guardrail.reset_e_stop(reset)
    assert guardrail.armed or guardrail.silence(reset) is None
