"""What was seen last beside what the arm was told to do: the belief that planning starts from."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from ami_robot.types import ACTION_DIM, MAX_COMMAND_DELAY_S, NS_PER_S, Array, Belief, Latent, Refusal

_KEPT_REPORTS = 512  # some tens of seconds of heartbeats; only those newer than the latest latent are ever needed


@dataclass(frozen=True)
class InFlight:
    """What was accepted after the frame was taken: the belief does not show it yet."""

    action: Array  # (ACTION_DIM,), m: sum of the accepted displacements, and the gripper width they end with
    target_joint_positions: Array  # (J,), rad: where the arm rests after it
    delay_s: float = MAX_COMMAND_DELAY_S / 2  # from the frame to when it was accepted, where anything was


@dataclass(frozen=True)
class _Target:
    stamp_ns: int
    joint_positions: Array  # (J,), rad
    tool_position: Array  # (3,), m
    gripper_width: float  # m


class CommandMemory:
    """Aligns frames with commands by their stamps, whichever of the two arrives first.

    The target that held when the frame was taken goes into the belief. What was accepted after it is in flight.
    An input that is out of order, malformed or from another encoder is refused and changes nothing.
    """

    def __init__(
        self, joints: int, max_age_s: float, max_future_s: float, checkpoint_sha256: str | None = None
    ) -> None:
        """Remember nothing yet.

        Args:
            joints: of the arm, J.
            max_age_s: a belief is refused when its frame, or the last word on the commanded target, is older than this.
            max_future_s: and when one of them is stamped further ahead of the clock than this.
            checkpoint_sha256: the encoder that latents must come from; None takes the first latent's.
        """
        self._joints, self._max_age_s = joints, max_age_s
        self._max_future_s = max_future_s
        self._checkpoint_sha256 = checkpoint_sha256
        self._latent: Latent | None = None
        self._targets: deque[_Target] = deque(maxlen=_KEPT_REPORTS)

    @property
    def latent(self) -> Latent | None:
        """The newest latent that was let in."""
        return self._latent

    @property
    def checkpoint_sha256(self) -> str:
        """The encoder that latents come from, empty while that is open."""
        return self._checkpoint_sha256 or ""

    @property
    def held_tool_target(self) -> Array | None:
        """Where the tool was told to go when the newest latent was seen, (3,) m; None when that is not known."""
        held = self._held()
        return None if held is None else held.tool_position

    def on_latent(self, latent: Latent) -> Refusal | None:
        """Take in an encoded frame; the refusal says why it was left out."""
        values = np.concatenate([latent.image_latent, latent.tool_position, latent.tool_velocity])
        if not (np.isfinite(values).all() and np.isfinite(latent.gripper_width)):
            return _refused("the latent holds a value that is not finite; nothing can be planned from it")
        if self._checkpoint_sha256 not in (None, latent.checkpoint_sha256):
            return _refused(
                f"the latent comes from checkpoint {latent.checkpoint_sha256[:12]}, "
                f"this memory holds those of {str(self._checkpoint_sha256)[:12]}; start both with one checkpoint"
            )
        if self._latent is not None:
            behind_s = (self._latent.stamp_ns - latent.stamp_ns) * 1e-9
            if behind_s >= 0:
                return _refused(f"the latent is not newer than the last one, it is {behind_s:.3f} s behind", -behind_s)
            if latent.image_latent.shape != self._latent.image_latent.shape:
                return _refused(
                    f"the latent has shape {latent.image_latent.shape}, it was {self._latent.image_latent.shape}"
                )
        self._checkpoint_sha256 = latent.checkpoint_sha256
        self._latent = latent
        while len(self._targets) > 1 and self._targets[1].stamp_ns <= latent.stamp_ns:
            self._targets.popleft()
        return None

    def on_report(
        self, target_joint_positions: Array, target_tool_position: Array, gripper_width: float, stamp_ns: int
    ) -> Refusal | None:
        """Take in where the guardrail says the arm will come to rest; the refusal says why it was left out.

        Args:
            target_joint_positions: (J,), rad.
            target_tool_position: (3,), m.
            gripper_width: commanded, m.
            stamp_ns: when the guardrail accepted it, or confirmed it in a heartbeat.
        """
        joints, tool = np.asarray(target_joint_positions, float), np.asarray(target_tool_position, float)
        if joints.shape != (self._joints,) or tool.shape != (3,):
            shapes = f"{joints.shape} and {tool.shape}; they must be ({self._joints},), (3,)"
            return _refused(f"the report has a target of shapes {shapes}")
        if not (np.isfinite(joints).all() and np.isfinite(tool).all() and np.isfinite(gripper_width)):
            return _refused("the report holds a value that is not finite; the target stays as it was")
        if self._targets and stamp_ns < self._targets[-1].stamp_ns:
            behind_s = (self._targets[-1].stamp_ns - stamp_ns) * 1e-9
            return _refused(f"the report is {behind_s:.3f} s behind the last one", -behind_s)
        self._targets.append(_Target(stamp_ns, joints, tool, float(gripper_width)))
        return None

    def recall(self, now_ns: int) -> tuple[Belief, InFlight] | Refusal:
        """The belief at the latest frame, and what was accepted since; refused when either side is missing or old."""
        if self._latent is None:
            return _refused("no latent yet: is the encoder active and the camera publishing?")
        if not self._targets:
            return _refused("no guardrail report yet: it is unknown where the arm was told to go")
        stamps_ns = {"latent": self._latent.stamp_ns, "guardrail report": self._targets[-1].stamp_ns}
        for name, stamp_ns in stamps_ns.items():
            age_s = (now_ns - stamp_ns) * 1e-9
            if age_s > self._max_age_s:
                reason = f"the latest {name} is {age_s:.2f} s old; at most {self._max_age_s:g} s is fresh"
                return _refused(reason, self._max_age_s - age_s)
            if -age_s > self._max_future_s:
                reason = f"the latest {name} is stamped {-age_s:.2f} s ahead of the clock; do both follow one clock?"
                return _refused(reason, self._max_future_s + age_s)
        held = self._held()
        if held is None:
            return _refused("the latest frame is older than the first guardrail report; wait for the next frame")
        newest = self._targets[-1]
        action = np.empty(ACTION_DIM)
        action[:3] = newest.tool_position - held.tool_position
        action[3] = newest.gripper_width
        belief = Belief(
            stamp_ns=self._latent.stamp_ns,
            image_latent=self._latent.image_latent,
            proprio=np.concatenate(
                [
                    self._latent.tool_position,
                    self._latent.tool_velocity,
                    held.tool_position,
                    [self._latent.gripper_width],
                ]
            ),
            target_joint_positions=held.joint_positions,
        )
        accepted_ns = self._accepted_ns(newest)
        if accepted_ns <= self._latent.stamp_ns:
            return belief, InFlight(action, newest.joint_positions)
        return belief, InFlight(action, newest.joint_positions, (accepted_ns - self._latent.stamp_ns) / NS_PER_S)

    def _accepted_ns(self, newest: _Target) -> int:
        """When the newest target was first reported, as far back as is remembered: heartbeats repeat it."""
        accepted_ns = newest.stamp_ns
        for target in reversed(self._targets):
            if not np.array_equal(target.tool_position, newest.tool_position):
                break
            accepted_ns = target.stamp_ns
        return accepted_ns

    def _held(self) -> _Target | None:
        """The last target that is not newer than the newest latent."""
        if self._latent is None:
            return None
        stamp_ns = self._latent.stamp_ns
        return next((target for target in reversed(self._targets) if target.stamp_ns <= stamp_ns), None)


def _refused(reason: str, margin: float = float("nan")) -> Refusal:
    return Refusal(reason, "staleness", margin)
