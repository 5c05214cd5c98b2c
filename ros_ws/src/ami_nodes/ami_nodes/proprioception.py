"""What the joints say at the moment of a camera frame: interpolated between the joint states around it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from ami_nodes.convert import as_array, to_ns
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import Spec
from ami_robot.types import Array

KEPT = 100  # joint states: 1 s at 100 Hz
MAX_GAP_NS = 20_000_000
"""A joint state further from the frame than this says nothing about it: two periods at 100 Hz."""


@dataclass(frozen=True)
class Proprioception:
    """The tool and the gripper at one moment."""

    tool_position: Array  # (3,), m
    tool_velocity: Array  # (3,), m/s
    gripper_width: float  # m


class JointHistory:
    """The last second of joint states of an arm and its fingers, as the guardrail file names them."""

    def __init__(self, spec: Spec) -> None:
        self._names, self._fingers = spec.joint_names, spec.gripper.joint_names
        self._kinematics = Kinematics(spec.robot)
        self._order: tuple[tuple[str, ...], list[int], list[int]] | None = None
        self._states: deque[tuple[int, Array, Array]] = deque(maxlen=KEPT)

    def add(self, message: Any) -> None:
        """Take in a sensor_msgs/JointState; one that is not newer than the last empties the history first."""
        stamp_ns = to_ns(message.header.stamp)
        if self._states and stamp_ns <= self._states[-1][0]:
            self._states.clear()
        self._states.append((stamp_ns, *self._sorted(message)))

    def covers(self, stamp_ns: int) -> bool:
        """Whether joint states from this moment or after it are here."""
        return bool(self._states) and self._states[-1][0] >= stamp_ns

    def at(self, stamp_ns: int) -> Proprioception:
        """Between the two joint states around the stamp. Raises ValueError when there are none near enough."""
        after = next((state for state in self._states if state[0] >= stamp_ns), None)
        before = next((state for state in reversed(self._states) if state[0] <= stamp_ns), None)
        if after is None or before is None or max(after[0] - stamp_ns, stamp_ns - before[0]) > MAX_GAP_NS:
            raise ValueError(
                f"there are no joint states within {MAX_GAP_NS // 1_000_000} ms on both sides of the frame."
            )
        span_ns = after[0] - before[0]
        share = (stamp_ns - before[0]) / span_ns if span_ns else 0.0
        positions = before[1] + share * (after[1] - before[1])
        velocities = before[2] + share * (after[2] - before[2])
        arm, fingers = np.split(positions, [len(self._names)])
        return Proprioception(
            tool_position=self._kinematics.tool_position(arm),
            tool_velocity=(self._kinematics.jacobian(arm) @ velocities[: len(arm)])[:3],
            gripper_width=float(fingers.sum()),
        )

    def _sorted(self, message: Any) -> tuple[Array, Array]:
        """Positions and velocities: arm, then the fingers that are there. Raises ValueError on a missing joint."""
        names = tuple(message.name)
        if self._order is None or self._order[0] != names:
            if missing := sorted(set(self._names) - set(names)):
                raise ValueError(f"joint_states lacks {', '.join(missing)}.")
            fingers = [names.index(name) for name in self._fingers if name in names]
            self._order = (names, [names.index(name) for name in self._names], fingers)
        order = [*self._order[1], *self._order[2]]
        positions, velocities = as_array(message.position), as_array(message.velocity)
        return positions[order], velocities[order]  # fancy indexing copies
