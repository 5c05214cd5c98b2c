"""Is the arm where it was told to be? Every joint state is looked at; what is wrong with one is a fault."""

from __future__ import annotations

from typing import Any

import numpy as np

from ami_robot.safety.checks import check_age, check_measured, read_efforts, read_joint_state
from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.record import CommandRecord
from ami_robot.safety.spec import Spec
from ami_robot.types import NS_PER_S, JointState, Refusal


class JointWatch:
    """Joint states since arming: well-formed, fresh, in order, in limits, close to the command, free of contact."""

    def __init__(self, spec: Spec, dynamics: Dynamics):
        self._spec, self._dynamics = spec, dynamics
        self._last_stamp_ns = 0
        self.last_now_ns = 0  # the greatest time that was believed

    def start(self, stamp_ns: int, now_ns: int) -> None:
        """Joint states come in order from here on."""
        self._last_stamp_ns, self.last_now_ns = int(stamp_ns), int(now_ns)

    def fault(
        self,
        names: Any,
        positions: Any,
        velocities: Any,
        efforts: Any,
        stamp_ns: Any,
        now_ns: Any,
        record: CommandRecord,
        load_kg: float,
    ) -> Refusal | None:
        """What is wrong with joint states (J,) in any order, or None: then they are the newest ones."""
        spec = self._spec
        measured = read_joint_state(spec, names, positions, velocities)
        if isinstance(measured, Refusal):
            return measured
        stale = check_age(stamp_ns, now_ns, spec.staleness.joint_state_s, spec.staleness.future_s, "joint state")
        if stale is not None:
            return stale
        stamp_ns, now_ns = int(stamp_ns), int(now_ns)
        if stamp_ns < self._last_stamp_ns or now_ns < self.last_now_ns:
            step_s = min(stamp_ns - self._last_stamp_ns, now_ns - self.last_now_ns) / NS_PER_S
            return Refusal(f"Time went back by {-step_s:.3f} s.", "staleness", step_s)
        silent_s = (now_ns - self.last_now_ns) / NS_PER_S  # or the clock was set: then the arm is not where it says
        if not silent_s <= spec.staleness.joint_state_s:
            reason = f"No joint states came for {silent_s:.3f} s, at most {spec.staleness.joint_state_s} s are allowed."
            return Refusal(reason, "staleness", spec.staleness.joint_state_s - silent_s)
        commanded = record.state(stamp_ns)
        fault = check_measured(spec, measured) or self._stray(measured, commanded)
        if fault is None and efforts is not None:
            fault = self._contact(names, efforts, measured, commanded, load_kg)
        if fault is None:
            self.start(stamp_ns, now_ns)
        return fault

    def _stray(self, measured: JointState, commanded: JointState) -> Refusal | None:
        error_rad = float(np.abs(measured.positions - commanded.positions).max())
        margin = self._spec.tracking.max_error_rad - error_rad
        if margin >= 0.0:
            return None
        return Refusal(f"The arm is {error_rad:.3f} rad away from where it was sent.", "tracking", margin)

    def _contact(
        self, names: Any, efforts: Any, measured: JointState, commanded: JointState, load_kg: float
    ) -> Refusal | None:
        """The motors push against more than the model of the arm and its load."""
        torques = read_efforts(self._spec, names, efforts)
        if isinstance(torques, Refusal):
            return torques
        external = self._dynamics.external_torque(
            measured.positions, measured.velocities, commanded.accelerations, torques, load_kg
        )
        greatest = float(np.abs(external).max())
        margin = self._spec.contact.max_external_torque_n_m - greatest
        if margin >= 0.0:
            return None
        return Refusal(f"Something pushes a joint with {greatest:.1f} N m.", "contact", margin)
