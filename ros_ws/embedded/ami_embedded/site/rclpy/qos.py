"""Quality of service. The policies our nodes use: history, depth, reliability, durability, deadline, lifespan."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from ami_embedded import dds

from .duration import Duration, Infinite


class QoSHistoryPolicy(IntEnum):
    """What is kept."""

    SYSTEM_DEFAULT = 0
    KEEP_LAST = 1
    KEEP_ALL = 2


class QoSReliabilityPolicy(IntEnum):
    """Whether lost messages are sent again."""

    SYSTEM_DEFAULT = 0
    RELIABLE = 1
    BEST_EFFORT = 2


class QoSDurabilityPolicy(IntEnum):
    """Whether late joiners get what was published before."""

    SYSTEM_DEFAULT = 0
    TRANSIENT_LOCAL = 1
    VOLATILE = 2


class QoSLivelinessPolicy(IntEnum):
    """Only the automatic kind is supported."""

    SYSTEM_DEFAULT = 0
    AUTOMATIC = 1


class QoSPolicyKind(IntEnum):
    """Policies by name, with the numbers of rmw."""

    DURABILITY = 1 << 1
    RELIABILITY = 1 << 4
    HISTORY = 1 << 5
    DEPTH = 1 << 7


HistoryPolicy = QoSHistoryPolicy
ReliabilityPolicy = QoSReliabilityPolicy
DurabilityPolicy = QoSDurabilityPolicy


class QoSProfile:
    """A set of policies, all by keyword; `depth` or `history` has to be given."""

    __slots__ = ("deadline", "depth", "durability", "history", "lifespan", "liveliness", "reliability")

    def __init__(
        self,
        *,
        history: QoSHistoryPolicy | None = None,
        depth: int | None = None,
        reliability: QoSReliabilityPolicy = QoSReliabilityPolicy.RELIABLE,
        durability: QoSDurabilityPolicy = QoSDurabilityPolicy.VOLATILE,
        lifespan: Duration | None = None,
        deadline: Duration | None = None,
        liveliness: QoSLivelinessPolicy = QoSLivelinessPolicy.AUTOMATIC,
    ) -> None:
        if history is None:
            if depth is None:
                raise TypeError("History and/or depth settings are required.")
            history = QoSHistoryPolicy.KEEP_LAST
        if history == QoSHistoryPolicy.KEEP_LAST and depth is None:
            raise TypeError("History set to KEEP_LAST without a depth setting.")
        self.history, self.depth = QoSHistoryPolicy(history), depth or 0
        self.reliability, self.durability = QoSReliabilityPolicy(reliability), QoSDurabilityPolicy(durability)
        self.lifespan, self.deadline = lifespan or Infinite, deadline or Infinite
        self.liveliness = QoSLivelinessPolicy(liveliness)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, QoSProfile):
            return NotImplemented
        return all(getattr(self, s) == getattr(other, s) for s in self.__slots__)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        values = ((s, getattr(self, s)) for s in self.__slots__)
        return f"QoSProfile({', '.join(f'{s}={v.name if isinstance(v, IntEnum) else v}' for s, v in values)})"

    def _to_dds(self, user_data: str) -> dds.QoS:
        keep_all = self.history == QoSHistoryPolicy.KEEP_ALL
        return dds.QoS(
            self.reliability != QoSReliabilityPolicy.BEST_EFFORT,
            self.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL,
            0 if keep_all else max(self.depth, 1),
            self.deadline.nanoseconds,
            self.lifespan.nanoseconds,
            user_data,
        )

    @classmethod
    def _from_dds(cls, qos: dds.QoS) -> QoSProfile:
        return cls(
            history=QoSHistoryPolicy.KEEP_LAST if qos.depth else QoSHistoryPolicy.KEEP_ALL,
            depth=qos.depth,
            reliability=QoSReliabilityPolicy.RELIABLE if qos.reliable else QoSReliabilityPolicy.BEST_EFFORT,
            durability=QoSDurabilityPolicy.TRANSIENT_LOCAL if qos.transient_local else QoSDurabilityPolicy.VOLATILE,
        )


def qos_from(value: Any) -> QoSProfile:
    """Return the profile that an int (a depth) or a profile stands for.

    Raises:
        ValueError: a negative depth.
        TypeError: neither an int nor a QoSProfile.
    """
    if isinstance(value, QoSProfile):
        return value
    if isinstance(value, int):
        if value < 0:
            raise ValueError("history depth must be greater than or equal to zero")
        return QoSProfile(depth=value)
    raise TypeError(f"Expected QoSProfile or int, but received {type(value)!r}")


qos_profile_services_default = QoSProfile(depth=10)
qos_profile_parameters = QoSProfile(depth=1000)
qos_profile_parameter_events = QoSProfile(depth=1000)
qos_profile_action_status_default = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
qos_profile_rosout_default = QoSProfile(
    depth=1000, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL, lifespan=Duration(seconds=10)
)
