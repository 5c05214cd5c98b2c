"""The torque model against what it must agree with: our kinematics, virtual work, energy, and PyBullet."""

from pathlib import Path

import numpy as np
import pinocchio
import pybullet
import pytest

from ami_robot.safety.arm_panda import HAND, HOME
from ami_robot.safety.arms import ARMS
from ami_robot.safety.dynamics import TOOL_FRAME, Dynamics, arm_model, min_singular_value
from ami_robot.safety.motion import Spline, move_to_rest
from ami_robot.safety.spec import load_spec, spec_file
from ami_robot.types import JointState

GRAVITY = 9.81
LOAD_KG = 0.7
STATE = ("positions", "velocities", "accelerations")


@pytest.fixture(scope="module")
def dynamics() -> Dynamics:
    return Dynamics()


def random_states(spec, count: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator, shape = np.random.default_rng(seed), (count, len(spec.joint_names))
    q = generator.uniform(spec.joint_position.lower_rad, spec.joint_position.upper_rad, shape)
    return q, generator.normal(0.0, 1.0, shape), generator.normal(0.0, 3.0, shape)


def link_poses(arm, q: np.ndarray) -> list[np.ndarray]:
    """Homogeneous transforms of links 1 to 7 and the hand, multiplied out from the Denavit-Hartenberg table."""

    def turn(axis: str, angle: float) -> np.ndarray:
        c, s = np.cos(angle), np.sin(angle)
        block = np.array([[c, -s], [s, c]])
        pose = np.eye(4)
        rows = slice(1, 3) if axis == "x" else slice(0, 2)
        pose[rows, rows] = block
        return pose

    def shift(x: float, z: float) -> np.ndarray:
        pose = np.eye(4)
        pose[0, 3], pose[2, 3] = x, z
        return pose

    pose, poses = turn("z", arm.base_yaw_rad), []
    for angle, a, alpha, d in zip(q, arm.lengths_m, arm.twists, arm.offsets_m, strict=True):
        pose = pose @ shift(a, 0.0) @ turn("x", alpha * np.pi / 2) @ shift(0.0, d) @ turn("z", angle)
        poses.append(pose)
    return [*poses, pose @ shift(0.0, arm.flange_m) @ turn("z", arm.hand_yaw_rad)]


def potential_energy(arm, q: np.ndarray, load_kg: float = 0.0) -> float:
    poses = link_poses(arm, q)
    heights = [(poses[body.link - 1] @ [*body.center_m, 1.0])[2] * body.mass_kg for body in arm.bodies]
    return GRAVITY * (sum(heights) + load_kg * (poses[-1] @ [0.0, 0.0, arm.tool_m, 1.0])[2])


def kinetic_energy(arm, q: np.ndarray, dq: np.ndarray, load_kg: float = 0.0, step: float = 1e-6) -> float:
    """From velocities of the links' poses by central differences."""
    before, here, after = (link_poses(arm, q + shift * step * dq) for shift in (-1.0, 0.0, 1.0))
    energy = 0.0
    for body in arm.bodies:
        rate = (after[body.link - 1] - before[body.link - 1]) / (2 * step)
        velocity = rate @ [*body.center_m, 1.0]
        spin = here[body.link - 1][:3, :3].T @ rate[:3, :3]  # in the link's frame, skew
        omega = np.array([spin[2, 1], spin[0, 2], spin[1, 0]])
        xx, yy, zz, xy, xz, yz = body.inertia_kg_m2
        inertia = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        energy += 0.5 * body.mass_kg * velocity @ velocity + 0.5 * omega @ inertia @ omega
    tool = (after[-1] - before[-1]) / (2 * step) @ [0.0, 0.0, arm.tool_m, 1.0]
    return float(energy + 0.5 * load_kg * tool @ tool)


def test_the_model_has_the_kinematics_of_the_guardrail(spec, kinematics):
    model = arm_model("panda")
    workspace = model.createData()
    for q in random_states(spec, 50)[0]:
        pinocchio.framesForwardKinematics(model, workspace, q)
        pose = workspace.oMf[model.getFrameId(TOOL_FRAME)].homogeneous
        np.testing.assert_allclose(pose, kinematics.tool_pose(q), atol=1e-9)


@pytest.mark.parametrize("robot", ARMS)
@pytest.mark.parametrize("load_kg", [0.0, LOAD_KG])
def test_torques_at_rest_do_the_work_of_lifting_every_centre_of_mass(robot, load_kg):
    step, dynamics, arm = 1e-5, Dynamics(robot), ARMS[robot]
    rest = np.zeros(arm.joints)
    for q in random_states(load_spec(spec_file(robot)), 20)[0]:
        gradient = [
            (potential_energy(arm, q + nudge, load_kg) - potential_energy(arm, q - nudge, load_kg)) / (2 * step)
            for nudge in np.eye(arm.joints) * step
        ]
        np.testing.assert_allclose(dynamics.torques(q, rest, rest, load_kg), gradient, atol=1e-6)


@pytest.mark.parametrize("robot", ARMS)
@pytest.mark.parametrize("load_kg", [0.0, LOAD_KG])
def test_the_torques_power_is_the_rate_of_the_energy(robot, load_kg):
    step, dynamics, arm = 1e-4, Dynamics(robot), ARMS[robot]

    def energy(q, dq):
        return kinetic_energy(arm, q, dq, load_kg) + potential_energy(arm, q, load_kg)

    for q, dq, ddq in zip(*random_states(load_spec(spec_file(robot)), 20), strict=True):
        path = [(q + t * dq + t**2 / 2 * ddq, dq + t * ddq) for t in (-step, step)]
        rate = (energy(*path[1]) - energy(*path[0])) / (2 * step)
        assert rate == pytest.approx(dynamics.torques(q, dq, ddq, load_kg) @ dq, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("robot", ARMS)
@pytest.mark.parametrize("load_kg", [0.0, LOAD_KG])
def test_pinocchio_computes_the_same_torques(robot, load_kg):
    model, states = arm_model(robot), random_states(load_spec(spec_file(robot)), 200)
    tool = model.frames[model.getFrameId(TOOL_FRAME)].placement.translation
    model.inertias[ARMS[robot].joints] += pinocchio.Inertia(load_kg, tool, np.zeros((3, 3)))
    workspace = model.createData()
    oracle = [pinocchio.rnea(model, workspace, *state).copy() for state in zip(*states, strict=True)]
    np.testing.assert_allclose(Dynamics(robot).torques(*states, load_kg), oracle, rtol=0, atol=1e-12)


@pytest.mark.parametrize("robot", ARMS)
def test_pybullet_computes_the_same_torques_from_the_same_bodies(robot, tmp_path):
    dynamics, spec = Dynamics(robot), load_spec(spec_file(robot))
    client = pybullet.connect(pybullet.DIRECT)
    try:
        pybullet.setGravity(0, 0, -GRAVITY, client)
        flags = pybullet.URDF_USE_INERTIA_FROM_FILE
        arm = pybullet.loadURDF(write_urdf(tmp_path, robot), useFixedBase=True, flags=flags, physicsClientId=client)
        for q, dq, ddq in zip(*random_states(spec, 20), strict=True):
            oracle = pybullet.calculateInverseDynamics(arm, list(q), list(dq), list(ddq), physicsClientId=client)
            np.testing.assert_allclose(dynamics.torques(q, dq, ddq), oracle, atol=1e-3)
    finally:
        pybullet.disconnect(client)


def write_urdf(folder: Path, robot: str) -> str:
    """The arm as URDF: bodies alone, every one on a fixed joint of its own."""
    arm = ARMS[robot]
    parts, links = [], ["base", *(f"link{number}" for number in range(1, arm.joints + 1)), "hand"]
    nothing = '<inertial><mass value="1e-9"/><inertia ixx="1e-12" iyy="1e-12" izz="1e-12" ixy="0" ixz="0" iyz="0"/>'
    parts += [f'<link name="{link}">{nothing}</inertial></link>' for link in links]
    for joint in range(arm.joints):
        twist = arm.twists[joint] * np.pi / 2
        offset = arm.offsets_m[joint] * np.array([-np.sin(twist), np.cos(twist)])
        parts.append(
            f'<joint name="j{joint}" type="revolute"><parent link="{links[joint]}"/><child link="{links[joint + 1]}"/>'
            f'<origin xyz="{arm.lengths_m[joint]} {offset[0]} {offset[1]}" rpy="{twist} 0 0"/><axis xyz="0 0 1"/>'
            '<limit lower="-9" upper="9" effort="99" velocity="9"/></joint>'
        )
    parts.append(
        f'<joint name="flange" type="fixed"><parent link="{links[-2]}"/><child link="hand"/>'
        f'<origin xyz="0 0 {arm.flange_m}" rpy="0 0 {arm.hand_yaw_rad}"/></joint>'
    )
    for index, body in enumerate(arm.bodies):
        xx, yy, zz, xy, xz, yz = body.inertia_kg_m2
        parts.append(
            f'<link name="body{index}"><inertial><mass value="{body.mass_kg}"/><origin xyz="{body.center_m[0]} '
            f'{body.center_m[1]} {body.center_m[2]}"/><inertia ixx="{xx}" iyy="{yy}" izz="{zz}" ixy="{xy}" '
            f'ixz="{xz}" iyz="{yz}"/></inertial></link><joint name="b{index}" type="fixed">'
            f'<parent link="{links[body.link]}"/><child link="body{index}"/></joint>'
        )
    path = folder / "bodies.urdf"
    path.write_text(f'<robot name="bodies">{"".join(parts)}</robot>')
    return str(path)


def test_batches_give_what_single_states_give(spec, dynamics):
    q, dq, ddq = (array.reshape(2, 3, 7) for array in random_states(spec, 6))
    batch = dynamics.torques(q, dq, ddq)
    assert batch.shape == (2, 3, 7)
    for index in np.ndindex(2, 3):
        np.testing.assert_array_equal(batch[index], dynamics.torques(q[index], dq[index], ddq[index]))


def test_a_load_is_forgotten_with_the_next_call(dynamics):
    rest = np.zeros(7)
    bare = dynamics.torques(HOME, rest, rest)
    assert dynamics.torques(HOME, rest, rest, LOAD_KG)[1] < bare[1] - 1.0
    np.testing.assert_array_equal(dynamics.torques(HOME, rest, rest), bare)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("which", range(3))
def test_what_is_not_finite_stays_not_finite(dynamics, bad, which):
    state = [HOME.copy(), np.zeros(7), np.zeros(7)]
    state[which][3] = bad
    assert not np.isfinite(dynamics.torques(*state)).all()


def test_a_mass_that_is_nan_is_not_zero_and_one_that_is_negative_is_an_error(dynamics):
    rest = np.zeros(7)
    assert not np.isfinite(dynamics.torques(HOME, rest, rest, np.nan)).all()
    with pytest.raises(ValueError, match=r"a mass is not negative, got -1\.0 kg"):
        dynamics.torques(HOME, rest, rest, -1.0)


def test_external_torque_is_what_the_model_does_not_explain(spec, dynamics):
    q, dq, ddq = (array[0] for array in random_states(spec, 1))
    push = np.array([1.0, -2.0, 0.5, 3.0, 0.1, -0.2, 0.3])
    measured = dynamics.torques(q, dq, ddq, LOAD_KG) + push
    np.testing.assert_allclose(dynamics.external_torque(q, dq, ddq, measured, LOAD_KG), push, atol=1e-12)


def test_the_least_singular_value_is_small_for_an_arm_stretched_upwards_and_not_at_home(spec, kinematics):
    stretched = np.array([0.3, 0.0, 0.0, -0.09, 0.0, 1.57, 0.8])
    assert min_singular_value(kinematics, HOME) > spec.singularity.min_singular_value
    assert min_singular_value(kinematics, stretched) < spec.singularity.min_singular_value
    batch = np.array([[HOME, stretched], [stretched, HOME]])
    values = min_singular_value(kinematics, batch)
    assert values.shape == (2, 2)
    for q, value in ((HOME, values[0, 0]), (stretched, values[0, 1])):
        assert value == pytest.approx(np.linalg.svd(kinematics.jacobian(q), compute_uv=False)[-1], rel=1e-9)


def test_the_least_singular_value_of_unknown_joints_is_unknown(kinematics):
    batch = np.array([HOME, np.full(7, np.nan), np.full(7, np.inf)])
    with np.errstate(invalid="ignore"):
        values = min_singular_value(kinematics, batch)
    assert np.isfinite(values[0])
    assert np.isnan(values[1:]).all()


def test_ordinary_motions_through_the_workspace_stay_far_from_the_torque_and_singularity_rows(
    spec, kinematics, dynamics
):
    """A limit that refuses ordinary work would be switched off; one this far from work catches what is not work."""
    generator = np.random.default_rng(5)
    starts = generator.uniform(spec.workspace.lower_m, spec.workspace.upper_m, (60, 3))
    steps = generator.normal(size=(60, 3))
    steps *= spec.tool_displacement.max_m_per_step / np.linalg.norm(steps, axis=1, keepdims=True)
    ends = np.clip(starts + steps, spec.workspace.lower_m, spec.workspace.upper_m)
    rest, share, least = np.zeros(7), 0.0, np.inf
    for start, end in zip(kinematics.inverse(starts)[0], kinematics.inverse(ends)[0], strict=True):
        begin = JointState(start, rest, rest)
        trajectory = move_to_rest(begin, end, spec)
        spline = Spline(begin, trajectory)
        states = [spline.sample(t) for t in np.linspace(0.0, spline.duration_s, 11)]
        q, dq, ddq = (np.array([getattr(s, name) for s in states]) for name in STATE)
        share = max(share, float((np.abs(dynamics.torques(q, dq, ddq)) / spec.torque.command_limit_n_m).max()))
        least = min(least, float(min_singular_value(kinematics, q).min()))
    assert 0.2 < share < 0.8
    assert spec.singularity.min_singular_value * 1.5 < least < 0.3


@pytest.mark.parametrize(("robot", "mass_kg"), [("panda", 16.82), ("fr3", 16.25)])
def test_the_hand_and_its_fingers_are_in_the_table(robot, mass_kg):
    assert [body.link for body in ARMS[robot].bodies] == [1, 2, 3, 4, 5, 6, 7, HAND, HAND]
    assert sum(body.mass_kg for body in ARMS[robot].bodies) == pytest.approx(mass_kg, abs=0.01)
