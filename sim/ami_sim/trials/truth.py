"""What really happened in a trial: distances by PyBullet, limits by the judge, speeds of PyBullet's links.

It shares no code with the guardrail. Whoever touches something is told so once for each thing. Distances are looked at
as often as it takes that nothing can come and go between two looks: whatever the joints do within their limits, no
point of the arm is faster than FASTEST_M_PER_S.
"""

from __future__ import annotations

import math

import numpy as np
import pybullet

from ami_robot.safety.spec import Spec
from ami_robot.types import Array
from ami_sim.judge import Judge
from ami_sim.trials.trial import Trial
from ami_sim.world import ARM_JOINTS, PHYSICS_HZ, World

TOUCH_M = -0.001  # of a distance that counts as a touch
FASTEST_M_PER_S = 12.0
LOOK_M, LOOK_AT_SELF_M = 0.15, 0.10  # nothing beyond these is looked at
SPEED_TOLERANCE = 1.05  # of measured speeds, as the judge has it
SPEED_TOLERANCE_M_PER_S = 0.01  # drives settle
SETTLED_S = 0.02  # after a reset they are a little off; no command moves the arm so soon
WORKSPACE_TOLERANCE_M = 0.005  # of the measured tool: tracking at full speed
SINGULAR_TOLERANCE = 0.002
FACING_TOLERANCE = 0.1  # cosine: people are told 4 cm and 0.1 s wrong
EVERY_SUBSTEPS = 4  # speeds, workspace and singular value

_LINKS = (-1, 0, 1, 2, 3, 4, 5, 6, 8, 9, 10)  # with a shape
_FIXED = ((6, 8), (6, 9), (6, 10), (8, 10))  # not neighbours in the tree, but of one piece
_WALL_M = 0.5


class Truth:
    """Call `watch` after each substep."""

    def __init__(self, world: World, trial: Trial, judge: Judge):
        self.events: list[str] = []
        self.least: dict[str, float] = {}
        """The least of each margin so far, in its unit, and what it was of."""
        self._world, self._trial, self._spec, self._judge = world, trial, trial.spec, judge
        self._boxes = [_ghost_box(world, box.lower_m, box.upper_m) for box in trial.spec.obstacles.boxes]
        self._walls = [_ghost_box(world, *wall) for wall in _walls(trial.spec)]
        self._pairs = [(a, b) for i, a in enumerate(_LINKS) for b in _LINKS[i + 2 :] if (a, b) not in _FIXED]
        self._next_look = self._next_self = self._next_people = self._substeps = 0
        self._workspace_m = self._outside()  # a start outside may lead back
        self._reached_s = -math.inf if self._person_m() <= self._reach_m() else math.inf  # since when somebody is there
        self._faced_s = math.inf  # since when a blade points at somebody
        self._moving = False

    def watch(self, t_s: float, q: Array, dq: Array) -> None:
        """Look at the world as it is at `t_s`; q (7,) rad and dq (7,) rad/s as measured."""
        self._substeps += 1
        self._moving = t_s > SETTLED_S and bool(np.abs(dq).max() > self._spec.arming.rest_velocity_rad_per_s)
        clearance_m = math.inf
        if self._substeps >= self._next_look:
            clearance_m = self._look_around()
        if self._substeps >= self._next_self:
            self._look_at_itself()
        self._judge.on_substep(t_s, q, dq, self._world.tool_position(), clearance_m)
        self._keep("speed_share", 1.0 - float((np.abs(dq) / self._spec.joint_velocity.limit_rad_per_s).max()))
        if self._trial.walks and self._substeps >= self._next_people:
            self._look_at_people(t_s)
        if self._substeps % EVERY_SUBSTEPS == 0:
            self._look_at_tool(t_s)

    def say(self, event: str) -> None:
        """Something else happened."""
        if event not in self.events:
            self.events.append(event)

    def _look_around(self) -> float:
        """At the table, obstacles and walls; the clearance to the table, m."""
        table_m = self._world.clearance_to_table(LOOK_M)
        self._met("table", table_m)
        boxes_m = self._nearest(self._boxes, from_link=-1)
        self._met("obstacle", boxes_m)
        walls_m = self._nearest(self._walls, from_link=1)
        self._met("wall", walls_m)
        self._next_look = self._substeps + _substeps_until(min(table_m, boxes_m, walls_m))
        return table_m

    def _look_at_itself(self) -> None:
        robot, client = self._world.robot, self._world.client
        nearest_m = LOOK_AT_SELF_M
        for a, b in self._pairs:
            for found in pybullet.getClosestPoints(robot, robot, LOOK_AT_SELF_M, a, b, physicsClientId=client):
                nearest_m = min(nearest_m, found[8])
        self._met("itself", nearest_m)
        self._next_self = self._substeps + _substeps_until(nearest_m)

    def _look_at_people(self, t_s: float) -> None:
        """Nobody is touched by a moving arm; with somebody in reach for the horizon, every part keeps its cap."""
        distance_m = self._person_m()
        if self._moving:
            self._keep("person_m", distance_m)
            if distance_m < TOUCH_M:
                self.say("a moving arm touched a person")
        self._reached_s = min(self._reached_s, t_s) if distance_m <= self._reach_m() else math.inf
        faster = FASTEST_M_PER_S + self._spec.people.max_speed_m_per_s
        near_m = min(max(distance_m, 0.0), self._reach_m())  # nobody was looked for further away
        self._next_people = self._substeps + max(1, int(near_m / faster * PHYSICS_HZ))

    def _look_at_tool(self, t_s: float) -> None:
        world, spec = self._world, self._spec
        if self._moving:
            allowed_m = max(self._workspace_m, spec.workspace.path_tolerance_m)
            left_m = allowed_m - self._outside()
            self._keep("workspace_m", left_m)
            if not left_m >= -WORKSPACE_TOLERANCE_M:
                self.say("the tool left the workspace")
            singular = float(np.linalg.svd(self._jacobian(), compute_uv=False)[-1])
            self._keep("singular_value", singular - spec.singularity.min_singular_value)
            if not singular >= spec.singularity.min_singular_value - SINGULAR_TOLERANCE:
                self.say("the arm came to a singular posture")
        if not t_s - self._reached_s >= spec.people.reach_horizon_s:
            self._faced_s = math.inf
            return
        arm_cap, tip_cap = _caps(spec, self._trial)
        arm = max(self._link_speeds())
        tip = float(np.linalg.norm(world.tip()[1]))
        self._keep("arm_cap_m_per_s", arm_cap - arm)
        self._keep("tip_cap_m_per_s", tip_cap - tip)
        if not arm <= arm_cap * SPEED_TOLERANCE + SPEED_TOLERANCE_M_PER_S:
            self.say("the arm was too fast with a person in reach")
        if not tip <= tip_cap * SPEED_TOLERANCE + SPEED_TOLERANCE_M_PER_S:
            self.say("the tip was too fast with a person in reach")
        self._faced_s = min(self._faced_s, t_s) if self._moving and self._faces() else math.inf
        if t_s - self._faced_s >= spec.people.reach_horizon_s:
            self.say("a moving blade pointed at a person")

    def _nearest(self, bodies: list[int], from_link: int) -> float:
        """Least distance, m, of the arm from this link on to any of the bodies; at most LOOK_M."""
        nearest_m = LOOK_M
        for body in bodies:
            for found in pybullet.getClosestPoints(self._world.robot, body, LOOK_M, physicsClientId=self._world.client):
                if found[3] >= from_link:
                    nearest_m = min(nearest_m, found[8])
        return nearest_m

    def _met(self, what: str, distance_m: float) -> None:
        self._keep(f"{what}_m", distance_m)
        if not distance_m >= TOUCH_M:
            self.say(f"the arm touched {what}" if what == "itself" else f"the arm touched the {what}")

    def _keep(self, what: str, margin: float) -> None:
        self.least[what] = min(self.least.get(what, math.inf), margin)

    def _person_m(self) -> float:
        if not self._trial.walks:
            return math.inf
        nearest = self._world.nearest_person(self._reach_m())
        return math.inf if nearest is None else nearest.distance_m

    def _reach_m(self) -> float:
        return self._spec.people.max_speed_m_per_s * self._spec.people.reach_horizon_s

    def _outside(self) -> float:
        """How far the tool is outside the workspace, m; 0 inside."""
        tool, row = self._world.tool_position(), self._spec.workspace
        return float(np.maximum(np.maximum(row.lower_m - tool, tool - row.upper_m), 0.0).max())

    def _jacobian(self) -> Array:
        """(6, 7) of the tool, from where PyBullet has the joints' axes (all of them are z of their links)."""
        client, tool = self._world.client, self._world.tool_position()
        columns = []
        for link in pybullet.getLinkStates(self._world.robot, ARM_JOINTS, physicsClientId=client):
            axis = np.reshape(pybullet.getMatrixFromQuaternion(link[5]), (3, 3))[:, 2]
            columns.append(np.concatenate([np.cross(axis, tool - np.array(link[4])), axis]))
        return np.array(columns).T

    def _link_speeds(self) -> list[float]:
        links = pybullet.getLinkStates(
            self._world.robot, _LINKS[1:], computeLinkVelocity=1, physicsClientId=self._world.client
        )
        return [math.hypot(*link[6]) for link in links]

    def _faces(self) -> bool:
        """Whether what must not point at people does."""
        trial, world, row = self._trial, self._world, self._spec.tool_hazard
        if world.people is None or trial.tool is None or trial.tool.hazard == "blunt":
            return False
        tip, _ = world.tip()
        direction = tip - world.tool_position()
        for person in world.people.persons():
            axis = person.end_b - person.end_a
            share = np.clip((tip - person.end_a) @ axis / max(float(axis @ axis), 1e-12), 0.0, 1.0)
            way = person.end_a + share * axis - tip
            cosine = way @ direction / max(float(np.linalg.norm(way) * np.linalg.norm(direction)), 1e-12)
            if cosine > row.max_facing_cosine + FACING_TOLERANCE:
                return True
        return False


def _caps(spec: Spec, trial: Trial) -> tuple[float, float]:
    """Speeds, m/s, by ISO/TS 15066 A.3.4 and the tool's energy; a tool nobody tells of is a point."""
    told = trial.tool is not None and trial.tool.told
    load_kg = trial.tool.mass_kg if told and trial.tool is not None else 0.0
    arm_kg = spec.power_and_force.moving_mass_kg / 2 + load_kg
    caps = []
    for region in spec.power_and_force.regions:
        shared_kg = region.mass_kg * arm_kg / (region.mass_kg + arm_kg)
        caps.append(region.max_force_n / math.sqrt(shared_kg * region.stiffness_n_per_m))
    hazard = "none" if trial.tool is None else trial.tool.hazard if told else "point"
    energies = {tool.name: tool.max_energy_j for tool in spec.tool_hazard.classes}
    if hazard not in energies:
        return min(caps), min(caps)
    tip = math.sqrt(2 * energies[hazard] / spec.tool_hazard.effective_mass_kg)
    return min(caps), min(*caps, tip)


def _substeps_until(distance_m: float) -> int:
    """How many substeps it takes at least to come that much nearer."""
    return max(1, int(max(distance_m, 0.0) / FASTEST_M_PER_S * PHYSICS_HZ))


def _walls(spec: Spec) -> list[tuple[Array, Array]]:
    """Boxes (lower, upper) behind the walls and the ceiling of the arm's space; the table is its floor."""
    lower, upper = spec.arm_space.lower_m, spec.arm_space.upper_m
    walls = []
    for axis in range(3):
        for end, sign in ((lower, -1.0), (upper, 1.0)):
            if axis == 2 and sign < 0:
                continue
            near, far = end[axis], end[axis] + sign * _WALL_M
            least, most = lower - _WALL_M, upper + _WALL_M
            least[axis], most[axis] = min(near, far), max(near, far)
            walls.append((least, most))
    return walls


def _ghost_box(world: World, lower: Array, upper: Array) -> int:
    """Pushes nobody, so that a touch is measured as it was caused."""
    client = world.client
    shape = pybullet.createCollisionShape(
        pybullet.GEOM_BOX, halfExtents=((upper - lower) / 2).tolist(), physicsClientId=client
    )
    body = pybullet.createMultiBody(0, shape, -1, ((lower + upper) / 2).tolist(), physicsClientId=client)
    pybullet.setCollisionFilterGroupMask(body, -1, 0, 0, client)
    return body
