"""Who proposes in the stories: obstinate, tireless, and blind to people."""

from __future__ import annotations

import numpy as np

from ami_robot.types import Array, JointTrajectory
from ami_sim.stories.stage import Stage, quintic_to

TICKS_PER_STEP = 20  # of 10 ms in a model step
_PEAK_SPEED, _PEAK_ACCELERATION = 1.875, 5.774  # of a quintic from rest to rest over 1 s by 1


def step_towards(stage: Stage, goal: Array, longest_m: float | None = None) -> Array:
    """The displacement (3,), m, of one model step from where the tool comes to rest to `goal` (3,)."""
    longest_m = longest_m or stage.spec.tool_displacement.max_m_per_step
    gap = np.asarray(goal) - stage.tool_target
    return gap * min(1.0, longest_m / max(float(np.linalg.norm(gap)), 1e-12))


class Patrol:
    """Goes round through points (3,), m, for ever, one displacement a model step, or one trajectory a leg."""

    def __init__(self, stage: Stage, points: list[Array], by_trajectory: bool = False):
        self._stage, self._points, self._by_trajectory = stage, points, by_trajectory
        self._next, self._due = 0, 0

    def act(self, observed_ns: int | None = None) -> None:
        """Call at every tick; `observed_ns` is the stamp of the frame that it says to have looked at."""
        stage = self._stage
        if stage.ticks < self._due or (self._by_trajectory and stage.moving):
            return
        if self._by_trajectory or np.linalg.norm(self._points[self._next] - stage.tool_target) < 1e-3:
            self._next = (self._next + 1) % len(self._points)
        goal = self._points[self._next]
        if self._by_trajectory:
            self._due = stage.ticks + TICKS_PER_STEP // 2
            stage.propose(trajectory=leap(stage, stage.kinematics.inverse(goal)[0]), observed_ns=observed_ns)
        else:
            self._due = stage.ticks + TICKS_PER_STEP
            stage.propose(step_towards(stage, goal), observed_ns=observed_ns)


def leap(stage: Stage, q: Array, share: float = 0.8) -> JointTrajectory:
    """From rest to rest at joint positions (7,), rad, at this share of what commands may use of joint limits."""
    row, acceleration = stage.spec.joint_velocity, stage.spec.joint_acceleration
    way = np.abs(q - stage.joints) / share
    by_speed = _PEAK_SPEED * way / row.command_limit_rad_per_s
    by_acceleration = np.sqrt(_PEAK_ACCELERATION * way / acceleration.command_limit_rad_per_s2)
    return quintic_to(stage, (max(0.4, float(by_speed.max()), float(by_acceleration.max())), q))


def there_and_back(stage: Stage, q: Array, share: float = 0.8) -> JointTrajectory:
    """From rest through joint positions (7,), rad, and back to where the arm is."""
    half_s = float(leap(stage, q, share).times_s[-1])
    return quintic_to(stage, (half_s, q), (2.0 * half_s, stage.desired_joints))


def random_points(rng: np.random.Generator, stage: Stage, count: int, apart_m: float = 0.2) -> list[Array]:
    """Points (3,), m, of the workspace, each this far from the one before."""
    lower, upper = stage.spec.workspace.lower_m + 0.02, stage.spec.workspace.upper_m - 0.02
    points: list[Array] = [rng.uniform(lower, upper)]
    while len(points) < count:
        point = rng.uniform(lower, upper)
        if np.linalg.norm(point - points[-1]) > apart_m:
            points.append(point)
    return points
