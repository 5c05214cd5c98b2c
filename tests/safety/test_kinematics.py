from pathlib import Path

import numpy as np
import pybullet
import pybullet_data
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ami_robot.safety.arm_panda import HOME
from ami_robot.safety.distances import table_clearance
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import load_spec

HAND_LINK = 8
TOOL_BELOW_HAND_M = np.array([0.0, 0.0, 0.1034])
SPEC = load_spec()
POSITIONS = st.tuples(
    *(st.floats(lower, upper) for lower, upper in zip(SPEC.workspace.lower_m, SPEC.workspace.upper_m, strict=True))
).map(np.array)


@pytest.fixture(scope="module")
def bullet():
    """(client, robot): PyBullet's own Panda, an oracle that shares no code with ours."""
    client = pybullet.connect(pybullet.DIRECT)
    urdf = Path(pybullet_data.getDataPath()) / "franka_panda" / "panda.urdf"
    robot = pybullet.loadURDF(str(urdf), useFixedBase=True, physicsClientId=client)
    yield client, robot
    pybullet.disconnect(client)


def place(bullet, q, finger_m: float = 0.0) -> None:
    client, robot = bullet
    for joint, angle in enumerate(q):
        pybullet.resetJointState(robot, joint, angle, physicsClientId=client)
    for finger in (9, 10):
        pybullet.resetJointState(robot, finger, finger_m, physicsClientId=client)


def random_joints(spec, count: int) -> np.ndarray:
    generator = np.random.default_rng(7)
    return generator.uniform(spec.joint_position.lower_rad, spec.joint_position.upper_rad, (count, 7))


def test_forward_kinematics_agree_with_pybullet(spec, kinematics, bullet):
    client, robot = bullet
    joints = random_joints(spec, 100)
    poses, positions = kinematics.tool_pose(joints), kinematics.tool_position(joints)
    for q, pose, position in zip(joints, poses, positions, strict=True):
        place(bullet, q)
        state = pybullet.getLinkState(robot, HAND_LINK, computeForwardKinematics=True, physicsClientId=client)
        rotation = np.array(pybullet.getMatrixFromQuaternion(state[5])).reshape(3, 3)
        np.testing.assert_allclose(pose[:3, :3], rotation, atol=2e-6)  # PyBullet's visual frames are float32
        np.testing.assert_allclose(pose[:3, 3], np.array(state[4]) + rotation @ TOOL_BELOW_HAND_M, atol=2e-6)
        np.testing.assert_allclose(position, pose[:3, 3], atol=1e-12)
        np.testing.assert_array_equal(pose[3], [0, 0, 0, 1])


def test_the_jacobian_is_the_derivative_of_the_tool_pose(spec, kinematics):
    step = 1e-6
    for q in random_joints(spec, 20):
        jacobian = kinematics.jacobian(q)
        for joint, nudge in enumerate(np.eye(7) * step):
            after, before = kinematics.tool_pose(q + nudge), kinematics.tool_pose(q - nudge)
            linear = (after[:3, 3] - before[:3, 3]) / (2 * step)
            spin = (after[:3, :3] - before[:3, :3]) / (2 * step) @ kinematics.tool_pose(q)[:3, :3].T
            np.testing.assert_allclose(jacobian[:3, joint], linear, atol=1e-8)
            np.testing.assert_allclose(jacobian[3:, joint], [spin[2, 1], spin[0, 2], spin[1, 0]], atol=1e-8)


def test_the_joints_twists_move_the_spheres_as_their_centres_do(spec, kinematics):
    step = 1e-6
    for q in random_joints(spec, 5):
        tool, centers, twists = kinematics.points_and_twists(q)
        np.testing.assert_array_equal(tool, kinematics.tool_position(q))
        np.testing.assert_array_equal(centers, kinematics.spheres(q))
        for joint, nudge in enumerate(np.eye(7) * step):
            slope = (kinematics.spheres(q + nudge) - kinematics.spheres(q - nudge)) / (2 * step)
            velocities = np.cross(twists[:3, joint], centers) + twists[3:, joint]
            moved = kinematics.sphere_links[:, None] > joint
            np.testing.assert_allclose(np.where(moved, velocities, 0.0), slope, atol=1e-8)


def test_batches_give_what_single_configurations_give(spec, kinematics):
    joints = random_joints(spec, 6).reshape(2, 3, 7)
    for function in (kinematics.tool_position, kinematics.tool_pose, kinematics.jacobian, kinematics.spheres):
        batch = function(joints)
        assert batch.shape[:2] == (2, 3)
        for row in range(2):
            for column in range(3):
                np.testing.assert_allclose(batch[row, column], function(joints[row, column]), atol=1e-14)


def test_at_home_the_gripper_points_straight_down_with_yaw_0(kinematics):
    np.testing.assert_allclose(kinematics.tool_pose(HOME)[:3, :3], np.diag([1.0, -1.0, -1.0]), atol=1e-15)


@given(position=POSITIONS)
def test_inverse_kinematics_reach_every_point_of_the_workspace_within_the_limits(position):
    q, error_m = Kinematics().inverse(position)
    assert error_m < 1e-9
    pose = Kinematics().tool_pose(q)
    np.testing.assert_allclose(pose[:3, 3], position, atol=1e-9)
    np.testing.assert_allclose(pose[:3, :3], np.diag([1.0, -1.0, -1.0]), atol=1e-9)
    assert (q >= SPEC.joint_position.command_lower_rad).all()
    assert (q <= SPEC.joint_position.command_upper_rad).all()


def test_inverse_kinematics_of_the_home_position_are_home(kinematics):
    q, _ = kinematics.inverse(kinematics.tool_position(HOME))
    np.testing.assert_allclose(q, HOME, atol=1e-12)


def test_inverse_kinematics_say_by_how_much_a_point_is_out_of_reach(kinematics):
    position = np.array([[1.2, 0.0, 0.2], [0.5, 0.0, 0.2], [0.5, 0.0, 2.0]])
    q, error_m = kinematics.inverse(position)
    np.testing.assert_allclose(error_m, np.linalg.norm(kinematics.tool_position(q) - position, axis=-1))
    assert error_m[0] > 0.1
    assert error_m[1] < 1e-9
    assert error_m[2] > 0.1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_inverse_kinematics_never_call_a_position_that_is_not_finite_reached(kinematics, bad):
    for axis in range(3):
        position = np.array([0.5, 0.0, 0.2])
        position[axis] = bad
        _, error_m = kinematics.inverse(position)
        assert not error_m < 1.0


def read_vertices(mesh: Path) -> np.ndarray:
    lines = (line.split() for line in mesh.read_text().splitlines())
    return np.array([[float(x) for x in words[1:4]] for words in lines if words and words[0] == "v"])


@pytest.mark.parametrize("width_m", [0.0, 0.03, 0.08])
def test_the_spheres_contain_every_vertex_of_the_collision_meshes(kinematics, bullet, width_m):
    """In the world, through PyBullet's own link frames: a wrong frame would leave vertices outside."""
    client, robot = bullet
    meshes = Path(pybullet_data.getDataPath()) / "franka_panda" / "meshes" / "collision"
    parts = {link - 1: f"link{link}.obj" for link in range(1, 8)} | {8: "hand.obj", 9: "finger.obj", 10: "finger.obj"}
    for q in random_joints(SPEC, 5):
        place(bullet, q, width_m / 2.0)
        centers = kinematics.spheres(q)
        for link, mesh in parts.items():
            state = pybullet.getLinkState(robot, link, computeForwardKinematics=True, physicsClientId=client)
            rotation = np.array(pybullet.getMatrixFromQuaternion(state[5])).reshape(3, 3)
            vertices = read_vertices(meshes / mesh) * ([-1, -1, 1] if link == 10 else [1, 1, 1])
            world = vertices @ rotation.T + state[4]
            outside_m = np.linalg.norm(world[:, None] - centers, axis=-1) - kinematics.sphere_radii
            assert outside_m.min(axis=1).max() <= 1e-5, mesh


def test_the_spheres_contain_every_vertex_of_the_base(kinematics):
    mesh = Path(pybullet_data.getDataPath()) / "franka_panda" / "meshes" / "collision" / "link0.obj"
    outside_m = np.linalg.norm(read_vertices(mesh)[:, None] - kinematics.spheres(HOME), axis=-1)
    assert (outside_m - kinematics.sphere_radii).min(axis=1).max() <= 1e-5


def test_the_spheres_never_promise_more_table_clearance_than_pybullet_sees(kinematics, bullet):
    client, robot = bullet
    half_extents = [2.0, 2.0, 0.05]
    shape = pybullet.createCollisionShape(pybullet.GEOM_BOX, halfExtents=half_extents, physicsClientId=client)
    table = pybullet.createMultiBody(0.0, shape, basePosition=[0, 0, -0.05], physicsClientId=client)
    generator = np.random.default_rng(11)
    tightest_m = np.inf
    for position in generator.uniform(SPEC.workspace.lower_m, SPEC.workspace.upper_m, (40, 3)):
        q = kinematics.inverse(position)[0] + generator.normal(0.0, 0.1, 7)
        place(bullet, q, generator.uniform(0.0, 0.04))
        points = [
            point[8]
            for link in range(1, 11)
            for point in pybullet.getClosestPoints(robot, table, 1.0, linkIndexA=link, physicsClientId=client)
        ]
        promised_m = (
            table_clearance(SPEC, kinematics.spheres(q), kinematics.sphere_radii).min() + SPEC.table.clearance_m
        )
        assert promised_m <= min(points) + 1e-3
        tightest_m = min(tightest_m, min(points) - promised_m)
    assert tightest_m < 0.01, "a cover that is a centimetre too large would forbid half of the workspace"


@settings(max_examples=50)
@given(position=POSITIONS)
def test_every_point_of_the_workspace_leaves_the_table_its_clearance(position):
    kinematics = Kinematics()
    q, _ = kinematics.inverse(position)
    assert table_clearance(SPEC, kinematics.spheres(q), kinematics.sphere_radii).min() >= 0.0
