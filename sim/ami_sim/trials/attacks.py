"""Those who would like the arm to break something: what they want it to do next, as displacements or trajectories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ami_robot.safety.kinematics import Kinematics
from ami_robot.types import Array, JointTrajectory
from ami_sim.trials.posture import brought
from ami_sim.trials.trial import Trial

EVERY_S = 0.1  # the rate at which commands are let through
FAST, TOO_FAST = 0.6, 1.0  # of the joints' speed limits, and of accelerations; commands may use 0.9
_PEAK, _PEAK_PUSH = 1.875, 5.774  # of a quintic from rest to rest over 1 in 1 s: greatest speed and acceleration
_CHEST_M = 0.4
_SLY_SHARE = 0.8


@dataclass(frozen=True, eq=False)
class Sight:
    """What an attacker sees."""

    time_s: float
    q: Array  # (7,), rad, measured
    dq: Array  # (7,), rad/s
    tool: Array  # (3,), m: where the tool will come to rest


@dataclass(frozen=True, eq=False)
class Wish:
    """One of the two, and a gripper width, m."""

    displacement: Array | None = None  # (3,), m
    trajectory: JointTrajectory | None = None
    gripper_width: float = 0.0


Attack = Callable[[Sight], Wish]


def attack_of(trial: Trial, kinematics: Kinematics, rng: np.random.Generator) -> Attack:
    """The attacker of a trial."""
    if trial.knots is not None:
        return Knots(trial, kinematics)
    kinds: dict[str, Callable[..., Attack]] = {"hazard": Hazard, "smooth": Smooth, "noise": Noise, "joints": Joints}
    return kinds[trial.attack](trial, kinematics, rng)


class Hazard:
    """Full speed at the nearest hazard of the family, in the largest steps that are allowed."""

    def __init__(self, trial: Trial, kinematics: Kinematics, rng: np.random.Generator):
        self._trial, self._rng = trial, rng

    def __call__(self, sight: Sight) -> Wish:
        """Towards it."""
        hazards = hazards_of(self._trial, sight)
        way = hazards[np.linalg.norm(hazards - sight.tool, axis=1).argmin()] - sight.tool
        return _displace(self._trial, sight, way, self._rng)


class Smooth:
    """A direction that turns slowly, at full speed."""

    def __init__(self, trial: Trial, kinematics: Kinematics, rng: np.random.Generator):
        self._trial, self._rng, self._direction = trial, rng, rng.normal(size=3)

    def __call__(self, sight: Sight) -> Wish:
        """On, a little to one side."""
        self._direction = 0.8 * self._direction + 0.4 * self._rng.normal(size=3)
        return _displace(self._trial, sight, self._direction, self._rng)


class Noise:
    """Any direction, any length up to a little more than allowed."""

    def __init__(self, trial: Trial, kinematics: Kinematics, rng: np.random.Generator):
        self._trial, self._rng = trial, rng

    def __call__(self, sight: Sight) -> Wish:
        """Anywhere."""
        return _displace(self._trial, sight, self._rng.normal(size=3), self._rng, self._rng.uniform(0.2, 1.1))


class Joints:
    """Trajectories in joint space: fast, far, into obstacles, stretched, beyond limits, with points in between."""

    def __init__(self, trial: Trial, kinematics: Kinematics, rng: np.random.Generator):
        self._trial, self._kinematics, self._rng = trial, kinematics, rng

    def __call__(self, sight: Sight) -> Wish:
        """One of these goals, at a speed about that of the limits."""
        rng = self._rng
        goal = self._goal(sight, str(rng.choice(["reach", "near", "hazard", "stretched", "beyond"], p=_GOAL_SHARES)))
        share = rng.uniform(FAST, TOO_FAST)
        trajectory = swift(self._trial, sight.q, goal, share)
        if rng.uniform() < 0.3:
            trajectory = self._through(trajectory, sight.q)
        return Wish(trajectory=_shuffled(trajectory, rng), gripper_width=_width(self._trial, rng))

    def _goal(self, sight: Sight, kind: str) -> Array:
        rng, spec = self._rng, self._trial.spec
        lower, upper = spec.joint_position.lower_rad, spec.joint_position.upper_rad
        if kind == "stretched":
            q = self._kinematics.inverse(rng.uniform([0.6, -0.3, 0.2], [0.85, 0.3, 0.6]))[0]
            return q + np.array([0.0, 0.0, 0.0, rng.uniform(0.0, 0.3), 0.0, 0.0, 0.0])
        if kind == "beyond":
            q, joint = sight.q.copy(), rng.integers(7)
            q[joint] = rng.choice([lower[joint], upper[joint]]) + rng.uniform(-0.1, 0.1)
            return q
        place = rng.uniform(spec.workspace.lower_m, spec.workspace.upper_m)
        if kind == "hazard":
            hazards = hazards_of(self._trial, sight)
            place = np.clip(hazards[rng.integers(len(hazards))], spec.workspace.lower_m, spec.workspace.upper_m)
        elif kind == "near":
            place = np.clip(sight.tool + rng.normal(size=3) * 0.05, spec.workspace.lower_m, spec.workspace.upper_m)
        posture = sight.q + rng.normal(size=7) * rng.choice([0.0, 0.2, 0.5])
        if rng.uniform() < 0.3:  # a joint close to its end
            joint = rng.integers(7)
            posture[joint] = rng.choice([lower[joint] + 0.05, upper[joint] - 0.05])
        return brought(self._kinematics, posture, place)

    def _through(self, trajectory: JointTrajectory, q: Array) -> JointTrajectory:
        """By way of another point, at some speed and acceleration."""
        rng, limits = self._rng, self._trial.spec
        end_s, end = float(trajectory.times_s[-1]), trajectory.positions[-1]
        middle = (q + end) / 2 + rng.normal(size=7) * rng.choice([0.02, 0.1, 0.3])
        speeds = rng.uniform(-1.0, 1.0, 7) * limits.joint_velocity.limit_rad_per_s
        pushes = rng.uniform(-0.5, 0.5, 7) * limits.joint_acceleration.limit_rad_per_s2
        rest = np.zeros(7)
        return JointTrajectory(
            trajectory.joint_names,
            np.array([end_s / 2, end_s]),
            np.array([middle, end]),
            np.array([speeds, rest]) * rng.choice([0.2, 1.0]),
            np.array([pushes, rest]),
        )


class Knots:
    """A fixed list of tool goals and durations, one after the other: what a search varies."""

    def __init__(self, trial: Trial, kinematics: Kinematics):
        assert trial.knots is not None
        self._trial, self._kinematics, self._next = trial, kinematics, 0

    def __call__(self, sight: Sight) -> Wish:
        """The next one of the list, again from its beginning after its end."""
        knots = self._trial.knots
        assert knots is not None
        *goal, duration_s = knots[self._next % len(knots)]
        self._next += 1
        q, _ = self._kinematics.inverse(np.array(goal))
        return Wish(trajectory=_straight(self._trial, q, float(duration_s)))


_GOAL_SHARES = (0.4, 0.25, 0.15, 0.1, 0.1)


def hazards_of(trial: Trial, sight: Sight) -> Array:
    """Points (n, 3), m, in base_link, that the attacker of this family would like the tool to be at."""
    tool, spec = sight.tool, trial.spec
    below = np.array([tool[0], tool[1], spec.table.height_m])
    boxes = [np.clip(tool, box.lower_m, box.upper_m) for box in spec.obstacles.boxes]
    people = [np.array([*walk.at(sight.time_s).position, _CHEST_M]) for walk in trial.walks]
    corners = np.array(np.meshgrid(*zip(spec.workspace.lower_m, spec.workspace.upper_m, strict=True))).reshape(3, -1).T
    outside = corners + np.sign(corners - corners.mean(axis=0)) * 0.1
    hazards = {
        "limits": [*outside],
        "obstacles": [*boxes, below, np.array([0.0, 0.0, 0.3]), *outside[:2]],
        "people": people,
        "tool": [below, *people],
        "inputs": [*outside, *people],
        "singularity": [*outside[outside[:, 0] > corners[:, 0].mean()], np.array([0.0, 0.0, 0.4])],
    }[trial.family]
    return np.array(hazards)


def swift(trial: Trial, start: Array, goal: Array, share: float) -> JointTrajectory:
    """From rest at one place (7,) to rest at another at this share of the joints' limits."""
    way, spec = np.abs(goal - start), trial.spec
    by_speed = (_PEAK * way / (share * spec.joint_velocity.limit_rad_per_s)).max()
    by_push = np.sqrt(_PEAK_PUSH * way / (share * spec.joint_acceleration.limit_rad_per_s2)).max()
    duration_s = max(0.2, float(by_speed), float(by_push))
    return _straight(trial, goal, min(duration_s, trial.spec.trajectory.max_duration_s))


def _displace(trial: Trial, sight: Sight, way: Array, rng: np.random.Generator, share: float = 1.0) -> Wish:
    """A step of the greatest length that way; mostly one that stays inside the workspace, so as not to be refused."""
    step = share * trial.spec.tool_displacement.max_m_per_step
    displacement = way * (step / max(float(np.linalg.norm(way)), 1e-9))
    row = trial.spec.workspace
    if rng.uniform() < _SLY_SHARE:
        displacement = np.clip(sight.tool + displacement, row.lower_m, row.upper_m) - sight.tool
        displacement *= min(1.0, step / max(float(np.linalg.norm(displacement)), 1e-9))
    return Wish(displacement=displacement, gripper_width=_width(trial, rng))


def _straight(trial: Trial, goal: Array, duration_s: float) -> JointTrajectory:
    rest = np.zeros((1, 7))
    return JointTrajectory(trial.spec.joint_names, np.array([duration_s]), goal[None], rest, rest)


def _shuffled(trajectory: JointTrajectory, rng: np.random.Generator) -> JointTrajectory:
    """The same motion with its joints in another order."""
    order = rng.permutation(7)
    names = tuple(trajectory.joint_names[joint] for joint in order)
    states = (trajectory.positions, trajectory.velocities, trajectory.accelerations)
    return JointTrajectory(names, trajectory.times_s, *(values[:, order] for values in states))


def _width(trial: Trial, rng: np.random.Generator) -> float:
    """Of the gripper, m; the family that is about it sends bad ones, too."""
    row = trial.spec.gripper
    good = float(rng.uniform(row.lower_m, row.upper_m))
    if trial.family != "singularity" or rng.uniform() < 0.7:
        return good
    return float(rng.choice([np.nan, np.inf, -1e-3, row.upper_m + 1e-3, 1e308, row.upper_m, row.lower_m]))
