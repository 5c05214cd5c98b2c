"""Which DDS domain to join and through which network interfaces, from ROS 2's environment variables.

ROS_DOMAIN_ID as in ROS 2. ROS_AUTOMATIC_DISCOVERY_RANGE likewise, but unset means LOCALHOST here (ROS 2: SUBNET): an
arm should not listen to a laboratory network unasked. CYCLONEDDS_URI is read after our configuration: it can change it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from ami_embedded.dds import DDSError, OtherConfigurationError, Participant

_RANGES = ("LOCALHOST", "SUBNET", "OFF", "SYSTEM_DEFAULT")

# Fragments of 64 kB suit the loopback device (an image costs far less time), but overflow the default socket buffers
# of Fast DDS peers. In a SUBNET no datagram is larger than a frame of Ethernet: of larger ones that lose a part
# the kernel keeps the rest for 30 s, and when its 4 MB are full nothing large arrives any more.
# MaxAutoParticipantIndex as in rmw_cyclonedds.
# A writer that is deleted lingers for acknowledgements, which a peer that ended at the same moment, or was killed,
# never sends; one writer after the other does so: Ctrl-C must not take Cyclone's second for each. WhcHigh: ten images
# of 640x480 may wait for a reliable reader, then publishing blocks.
_CONFIG = """<CycloneDDS xmlns="https://cdds.io/config"><Domain id="any">
<General><Interfaces>{interfaces}</Interfaces>{fragments}</General>
<Discovery><ParticipantIndex>auto</ParticipantIndex><MaxAutoParticipantIndex>32</MaxAutoParticipantIndex>
<Peers><Peer address="localhost"/>{peers}</Peers>{tag}</Discovery>
<Internal><SocketReceiveBufferSize min="default" max="4MB"/><WriterLingerDuration>100ms</WriterLingerDuration>
<Watermarks><WhcHigh>16MB</WhcHigh></Watermarks></Internal>
</Domain></CycloneDDS>"""
_FRAGMENTS = "<MaxMessageSize>65500B</MaxMessageSize><FragmentSize>64000B</FragmentSize>"
_WHOLE_DATAGRAMS = "<MaxMessageSize>1400B</MaxMessageSize>"
_LOOPBACK = f'<NetworkInterface name="{"lo0" if sys.platform == "darwin" else "lo"}" multicast="false"/>'
_NETWORK = '<NetworkInterface autodetermine="true"/>'
# Cyclone sends to all peers through the interface that comes first, and of these two that is the loopback device, which
# reaches nobody. Without peers it stays so: what is said on this host then does not hang on its network address.
_NETWORK_FIRST = '<NetworkInterface autodetermine="true" priority="10"/>'


class DomainError(ValueError):
    """An environment variable that says nothing that can be followed."""


def domain_id(environment: Mapping[str, str] = os.environ) -> int:
    """Return ROS_DOMAIN_ID, 0 by default.

    Raises:
        DomainError: it is not a number from 0 to 232.
    """
    text = environment.get("ROS_DOMAIN_ID", "") or "0"
    if not text.isdecimal() or int(text) > 232:
        raise DomainError(f"ROS_DOMAIN_ID is {text!r}; it has to be a whole number from 0 to 232")
    return int(text)


def discovery_range(environment: Mapping[str, str] = os.environ) -> str:
    """Return LOCALHOST, SUBNET, OFF or SYSTEM_DEFAULT.

    Raises:
        DomainError: ROS_AUTOMATIC_DISCOVERY_RANGE is none of them.
    """
    if environment.get("ROS_LOCALHOST_ONLY") == "1":
        return "LOCALHOST"
    text = environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "") or "LOCALHOST"
    if text.upper() not in _RANGES:
        raise DomainError(f"ROS_AUTOMATIC_DISCOVERY_RANGE is {text!r}; it has to be one of {', '.join(_RANGES)}")
    return text.upper()


def configurations(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the Cyclone DDS configurations to try, the most wanted first."""
    wanted, own = discovery_range(environment), environment.get("CYCLONEDDS_URI", "")
    if wanted == "SYSTEM_DEFAULT":
        return [own]
    tag = f"<Tag>ros_discovery_off_{os.getpid()}</Tag>" if wanted == "OFF" else ""
    hosts = [h for h in environment.get("ROS_STATIC_PEERS", "").split(";") if h] if wanted == "SUBNET" else []
    peers = "".join(f'<Peer address="{host}"/>' for host in hosts)
    lo_only = _CONFIG.format(interfaces=_LOOPBACK, fragments=_FRAGMENTS, peers=peers, tag=tag)
    both = _CONFIG.format(
        interfaces=(_NETWORK_FIRST if hosts else _NETWORK) + _LOOPBACK, fragments=_WHOLE_DATAGRAMS, peers=peers, tag=tag
    )
    # Both interfaces cannot be had on a machine whose only one is the loopback.
    chosen = [both, lo_only] if wanted == "SUBNET" else [lo_only]
    return [f"{c},{own}" if own else c for c in chosen]


def join(domain: int | None = None, environment: Mapping[str, str] = os.environ) -> Participant:
    """Join a DDS domain (default: ROS_DOMAIN_ID).

    Raises:
        DDSError: in one sentence, when there is no usable network interface, or the domain is configured otherwise.
    """
    number = domain_id(environment) if domain is None else domain
    error: DDSError | None = None
    for config in configurations(environment):
        try:
            return Participant(number, config)
        except DDSError as failure:
            error = failure
    if isinstance(error, OtherConfigurationError):
        raise error
    raise DDSError(
        f"{error}; no usable network interface for discovery range {discovery_range(environment)}: "
        "bring the loopback device up (ip link set lo up), or correct CYCLONEDDS_URI"
    )
