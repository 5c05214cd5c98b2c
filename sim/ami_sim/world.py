"""The PyBullet world: a Panda bolted to a table, some blocks, a light and a camera.

The arm is pybullet_data's `franka_panda/panda.urdf` with every visual pointed at its own collision mesh: the detailed
visual meshes cost 20 ms a frame in the software renderer, the collision meshes 1 to 3 ms.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pybullet
import pybullet_data

from ami_robot.perception.camera import CameraModel
from ami_robot.types import Array
from ami_sim.body import FLOOR_M
from ami_sim.held_tool import ToolInHand
from ami_sim.lens import lens_of
from ami_sim.people import Approach, PeopleInWorld, point_velocity
from ami_sim.scene import Block, Scene
from ami_sim.walks import Walk

PHYSICS_HZ = 240
ARM_JOINTS = tuple(range(7))  # PyBullet's joint indices
FINGER_JOINTS = (9, 10)
HAND_LINK = 8
TOOL_BELOW_HAND_M = 0.1034  # the tool point, below panda_hand along its z

POSITION_GAIN = 0.5  # of the drives: share of the position error removed in a substep
SOLVER_ITERATIONS = 20  # tracking stays below 1 mm at 0.2 m/s, as with the default 50, in two thirds of the time
TABLE_HALF_EXTENTS_M, TABLE_X_M = (1.6, 1.7, 0.02), 0.0
BLOCK_DENSITY_KG_PER_M3 = 600.0  # 40 to 160 g
BLOCK_DAMPING_N_S_PER_M = 100.0
TABLE_TOP_M, TABLE_TOP_X_M, FLOOR_RGBA = (1.3, 1.3), 0.2, (0.80, 0.81, 0.82, 1.0)  # in films with people
NEAR_M, FAR_M = 0.1, 5.0
ARM_RGBA, HAND_RGBA, FINGER_RGBA = (0.93, 0.93, 0.93, 1.0), (0.22, 0.22, 0.25, 1.0), (0.95, 0.62, 0.10, 1.0)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Everything that moves: enough to draw the world, not to go on simulating it."""

    joint_positions: Array  # (9,), rad and m: arm, then fingers
    block_positions: Array  # (B, 3), m
    block_orientations: Array  # (B, 4), quaternions x y z w


class World:
    """One physics client. Rendering reads the state only, so a world that is never stepped can mirror another."""

    def __init__(self, scene: Scene, camera: CameraModel | None = None, gui: bool = False):
        """Raise RuntimeError when PyBullet gives no client (no display for gui=True)."""
        self.camera, self._gui, self.client = camera, gui, -1
        self.reset(scene)

    def close(self) -> None:
        """Give the physics client back."""
        if self.client >= 0:
            pybullet.disconnect(self.client)
        self.client = -1

    def reset(self, scene: Scene, gripper_width: float = 0.0) -> None:
        """Build the scene from nothing, so that what happened before leaves no trace in the solver's caches."""
        client = self._empty()
        self.scene = scene
        self.people: PeopleInWorld | None = None
        self.held_tool: ToolInHand | None = None
        self._substeps = 0  # since the scene's start
        pybullet.setGravity(0, 0, -9.81, client)
        pybullet.setTimeStep(1.0 / PHYSICS_HZ, client)
        pybullet.setPhysicsEngineParameter(
            deterministicOverlappingPairs=1, numSolverIterations=SOLVER_ITERATIONS, physicsClientId=client
        )
        self.table = _load_table(client, scene.table_rgba)
        self.robot = _load_arm(client)
        self.blocks = tuple(_load_block(client, block) for block in scene.blocks)
        joints = [pybullet.getJointInfo(self.robot, joint, client) for joint in (*ARM_JOINTS, *FINGER_JOINTS)]
        self.joint_names = tuple(info[1].decode() for info in joints)  # (9,): arm, then fingers
        self.max_gripper_width = sum(info[9] for info in joints[7:])  # m
        self._forces = [info[10] for info in joints]  # N m and N, from the URDF
        self._speeds = np.array([info[11] for info in joints])  # rad/s and m/s, from the URDF
        self._set_joints(np.concatenate([scene.start_joint_positions, [gripper_width / 2] * 2]))

    def _empty(self) -> int:
        """A client with nothing in it: a new one, since resetSimulation keeps memory of each mesh; a window stays."""
        if self.client >= 0 and self._gui:
            pybullet.resetSimulation(physicsClientId=self.client)
            return self.client
        self.close()
        self.client = pybullet.connect(pybullet.GUI if self._gui else pybullet.DIRECT)
        if self.client < 0:
            raise RuntimeError("PyBullet gave no physics client; with gui=True a display is needed.")
        return self.client

    def substep(self, positions: Array, velocities: Array, gripper_width: float) -> None:
        """Advance 1/PHYSICS_HZ s towards positions (7,) rad and velocities (7,) rad/s wanted at its end.

        The drives are velocity loops under a position loop and saturate at the motors' speeds, as real ones do:
        without that, a joint that was held back by a block would catch up at twice its limit.
        """
        finger = gripper_width / 2
        measured, _ = self.joint_state()
        wanted = np.array([*velocities, 0.0, 0.0])
        wanted += POSITION_GAIN * PHYSICS_HZ * (np.array([*positions, finger, finger]) - measured)
        pybullet.setJointMotorControlArray(
            self.robot,
            (*ARM_JOINTS, *FINGER_JOINTS),
            pybullet.VELOCITY_CONTROL,
            targetVelocities=np.clip(wanted, -self._speeds, self._speeds).tolist(),
            forces=self._forces,
            physicsClientId=self.client,
        )
        pybullet.stepSimulation(self.client)
        self._substeps += 1
        if self.people is not None:
            self.people.move_to(self._substeps / PHYSICS_HZ)
        if self.held_tool is not None:
            self.held_tool.follow(*self._tool_frame())

    def add_people(self, walks: Sequence[Walk], solid: bool = False) -> PeopleInWorld:
        """Let people walk through the scene from its start on, until the next reset; they replace those before.

        Ghosts by default, whom the arm goes through; solid ones push it and are not pushed.
        """
        if self.people is not None:
            self.people.remove()
        self.people = PeopleInWorld(self.client, walks, solid)
        self.people.move_to(self._substeps / PHYSICS_HZ)
        return self.people

    def furnish(self) -> None:
        """For films with people: a table of a cell's size on a floor instead of the slab that fills a camera's view.

        Looks only, until the next reset: a policy that was trained above the slab has never seen it.
        """
        pybullet.changeVisualShape(self.table, -1, rgbaColor=(0, 0, 0, 0), physicsClientId=self.client)
        x, (length, width) = TABLE_TOP_X_M, TABLE_TOP_M
        legs = [(x + sx * (length / 2 - 0.06), sy * (width / 2 - 0.06)) for sx in (-1, 1) for sy in (-1, 1)]
        boxes = [((x, 0.0, -0.02), (length, width, 0.04), self.scene.table_rgba)]
        boxes += [((*leg, FLOOR_M / 2 - 0.02), (0.06, 0.06, -FLOOR_M - 0.04), ARM_RGBA) for leg in legs]
        boxes += [((x, 0.0, FLOOR_M - 0.01), (8.0, 8.0, 0.02), FLOOR_RGBA)]
        for centre, size, rgba in boxes:
            visual = pybullet.createVisualShape(
                pybullet.GEOM_BOX, halfExtents=np.divide(size, 2), rgbaColor=rgba, physicsClientId=self.client
            )
            pybullet.createMultiBody(0, -1, visual, centre, physicsClientId=self.client)

    def hold_tool(self, hazard: str, tip: Array) -> None:
        """Put a tool into the hand, until the next reset; see HeldTool. It weighs nothing; blocks do not feel it."""
        if self.held_tool is not None:
            self.held_tool.remove()
        self.held_tool = ToolInHand(self.client, hazard, tip)
        self.held_tool.follow(*self._tool_frame())

    def tip(self) -> tuple[Array, Array]:
        """Position (3,), m, and velocity (3,), m/s, of the held tool's tip, or of the tool point, in base_link."""
        position, orientation = self._tool_frame()
        if self.held_tool is not None:
            position = pybullet.multiplyTransforms(position, orientation, self.held_tool.tip, (0, 0, 0, 1))[0]
        return np.array(position), point_velocity(self.client, self.robot, HAND_LINK, np.array(position))

    def nearest_person(self, up_to_m: float = 0.5) -> Approach | None:
        """Where the arm, or what it holds, is nearest to anybody; None when nobody is within `up_to_m`."""
        if self.people is None:
            return None
        held = None if self.held_tool is None else self.held_tool.body
        return self.people.nearest(self.robot, HAND_LINK, held, up_to_m)

    def joint_state(self) -> tuple[Array, Array]:
        """Measured positions (9,) and velocities (9,), rad and m: arm, then fingers."""
        states = pybullet.getJointStates(self.robot, (*ARM_JOINTS, *FINGER_JOINTS), self.client)
        return np.array([state[0] for state in states]), np.array([state[1] for state in states])

    def joint_efforts(self) -> Array:
        """What the motors applied in the last substep, (9,) N m and N: arm, then fingers."""
        states = pybullet.getJointStates(self.robot, (*ARM_JOINTS, *FINGER_JOINTS), self.client)
        return np.array([state[3] for state in states])

    def tool_position(self) -> Array:
        """The true tool point, (3,) m in base_link."""
        return np.array(self._tool_frame()[0])

    def clearance_to_table(self, up_to_m: float = 0.15) -> float:
        """Least distance, m, from the arm above its first link to the table, negative in contact; capped at up_to_m."""
        found = pybullet.getClosestPoints(self.robot, self.table, up_to_m, physicsClientId=self.client)
        return min((contact[8] for contact in found if contact[3] > 0), default=up_to_m)

    def clearance_to_block(self, index: int, up_to_m: float) -> float:
        """Least distance, m, from the arm to a block, negative in contact; capped at up_to_m."""
        found = pybullet.getClosestPoints(self.robot, self.blocks[index], up_to_m, physicsClientId=self.client)
        return min((contact[8] for contact in found), default=up_to_m)

    def block_poses(self) -> tuple[Array, Array]:
        """Positions (B, 3) m and orientations (B, 4) x y z w of the blocks in base_link."""
        poses = [pybullet.getBasePositionAndOrientation(block, self.client) for block in self.blocks]
        return np.array([pose[0] for pose in poses]), np.array([pose[1] for pose in poses])

    def snapshot(self) -> Snapshot:
        """Where everything is now."""
        return Snapshot(self.joint_state()[0], *self.block_poses())

    def mirror(self, snapshot: Snapshot) -> None:
        """Put everything where the snapshot says, without stepping."""
        self._set_joints(snapshot.joint_positions)
        for block, position, orientation in zip(
            self.blocks, snapshot.block_positions, snapshot.block_orientations, strict=True
        ):
            pybullet.resetBasePositionAndOrientation(block, position, orientation, self.client)
        if self.held_tool is not None:
            self.held_tool.follow(*self._tool_frame())

    def render(self, camera: CameraModel | None = None, size: tuple[int, int] | None = None) -> np.ndarray:
        """The picture (height, width, 3) uint8 rgb that a camera sees, by default the world's own at its own size."""
        camera = camera or self.camera
        if camera is None:
            raise ValueError("this world has no camera: give one to World or to render.")
        if size is not None:
            camera = camera.resized(*size)
        if camera.distortion.any():
            lens = lens_of(camera)
            return lens(self._pinhole_picture(lens.pinhole))
        return self._pinhole_picture(camera)

    def _pinhole_picture(self, camera: CameraModel) -> np.ndarray:
        _, _, rgba, _, _ = pybullet.getCameraImage(
            *camera.size,
            view_matrix(camera),
            projection_matrix(camera),
            lightDirection=self.scene.light_direction.tolist(),
            lightAmbientCoeff=self.scene.light_ambient,
            lightDiffuseCoeff=self.scene.light_diffuse,
            lightSpecularCoeff=0.05,
            shadow=0,
            flags=pybullet.ER_NO_SEGMENTATION_MASK,
            renderer=pybullet.ER_TINY_RENDERER,
            physicsClientId=self.client,
        )
        return np.ascontiguousarray(np.reshape(rgba, (camera.height, camera.width, 4))[..., :3]).astype(np.uint8)

    def _tool_frame(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The true tool point (3,), m, and its orientation, x y z w, in base_link."""
        link = pybullet.getLinkState(self.robot, HAND_LINK, computeForwardKinematics=1, physicsClientId=self.client)
        return pybullet.multiplyTransforms(link[4], link[5], (0, 0, TOOL_BELOW_HAND_M), (0, 0, 0, 1))

    def _set_joints(self, positions: Array) -> None:
        """Put the joints (9,) somewhere at rest, without stepping."""
        for joint, position in zip((*ARM_JOINTS, *FINGER_JOINTS), positions, strict=True):
            pybullet.resetJointState(self.robot, joint, position, 0.0, self.client)


def view_matrix(camera: CameraModel) -> list[float]:
    """OpenGL's view matrix, column by column: the optical frame with y and z turned round."""
    rotation = (camera.rotation * [1.0, -1.0, -1.0]).T
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, -rotation @ camera.position
    return matrix.T.ravel().tolist()


def projection_matrix(camera: CameraModel) -> list[float]:
    """OpenGL's projection matrix of a pinhole, column by column; OpenCV's pixel centres are whole numbers."""
    (fx, _, cx), (_, fy, cy), _ = camera.matrix
    matrix = np.zeros((4, 4))
    matrix[0, 0], matrix[1, 1] = 2 * fx / camera.width, 2 * fy / camera.height
    matrix[0, 2], matrix[1, 2] = 1 - (2 * cx + 1) / camera.width, (2 * cy + 1) / camera.height - 1
    matrix[2, 2:] = (FAR_M + NEAR_M) / (NEAR_M - FAR_M), 2 * FAR_M * NEAR_M / (NEAR_M - FAR_M)
    matrix[3, 2] = -1
    return matrix.T.ravel().tolist()


def render_goal_image(scene: Scene, camera: CameraModel) -> np.ndarray:
    """What the camera would see with the arm at the goal and the blocks where the scene starts them, uint8 rgb."""
    world = World(scene.at_goal(), camera)
    try:
        return world.render()
    finally:
        world.close()


def robot_description() -> str:
    """The Panda as URDF, visuals replaced by collision meshes, which are given as file:// URLs of this machine."""
    folder = Path(pybullet_data.getDataPath()) / "franka_panda"
    text = (folder / "panda.urdf").read_text()
    return text.replace("meshes/visual/", "meshes/collision/").replace("package://", f"file://{folder}/")


def _load_arm(client: int) -> int:
    """The Panda of robot_description; inertias, joints and limits are those of the original file."""
    text = robot_description().replace("file://", "")
    with tempfile.TemporaryDirectory(prefix="ami_panda_") as temporary:
        path = Path(temporary) / "panda.urdf"
        path.write_text(text)
        robot = pybullet.loadURDF(str(path), useFixedBase=True, physicsClientId=client)
    for link in range(-1, pybullet.getNumJoints(robot, client)):
        rgba = {HAND_LINK: HAND_RGBA, **dict.fromkeys(FINGER_JOINTS, FINGER_RGBA)}.get(link, ARM_RGBA)
        pybullet.changeVisualShape(robot, link, rgbaColor=rgba, physicsClientId=client)
    for finger in FINGER_JOINTS:
        pybullet.changeDynamics(robot, finger, lateralFriction=1.0, physicsClientId=client)
    return robot


def _load_table(client: int, rgba: tuple[float, float, float, float]) -> int:
    """A box whose top is the plane z = 0."""
    shape = pybullet.createCollisionShape(pybullet.GEOM_BOX, halfExtents=TABLE_HALF_EXTENTS_M, physicsClientId=client)
    visual = pybullet.createVisualShape(
        pybullet.GEOM_BOX, halfExtents=TABLE_HALF_EXTENTS_M, rgbaColor=rgba, physicsClientId=client
    )
    centre = (TABLE_X_M, 0, -TABLE_HALF_EXTENTS_M[2])
    return pybullet.createMultiBody(0, shape, visual, centre, physicsClientId=client)


def _load_block(client: int, block: Block) -> int:
    """A cube at its place."""
    half = [block.half_extent_m] * 3
    shape = pybullet.createCollisionShape(pybullet.GEOM_BOX, halfExtents=half, physicsClientId=client)
    visual = pybullet.createVisualShape(
        pybullet.GEOM_BOX, halfExtents=half, rgbaColor=block.rgba, physicsClientId=client
    )
    turn = pybullet.getQuaternionFromEuler((0, 0, block.yaw))
    mass = BLOCK_DENSITY_KG_PER_M3 * (2 * block.half_extent_m) ** 3
    body = pybullet.createMultiBody(mass, shape, visual, block.position.tolist(), turn, physicsClientId=client)
    pybullet.changeDynamics(
        body,
        -1,
        lateralFriction=block.friction,
        spinningFriction=0.005,
        rollingFriction=0.001,
        contactStiffness=block.stiffness_n_per_m,
        contactDamping=BLOCK_DAMPING_N_S_PER_M,
        activationState=pybullet.ACTIVATION_STATE_ENABLE_SLEEPING,  # untouched blocks would take half of the physics
        physicsClientId=client,
    )
    return body
