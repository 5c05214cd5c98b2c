"""Two hosts on one machine: a network namespace each, and a cable between them that delays, loses and can be pulled.

The kernel's netem does this too, where it was built in. Here every Ethernet frame passes a thread of ours, between two
TAP devices, so it works on any Linux with /dev/net/tun, and for ordinary users below `unshare -rn`.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import heapq
import os
import random
import select
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType

from ami_nodes.urgency import be_urgent

CLONE_NEWNET = 0x40000000  # sched.h
TUNSETIFF, TUNSETCARRIER, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x400454E2, 0x0002, 0x1000  # linux/if_tun.h
LONGEST_FRAME = 1514
ETHERNET, IPV4, UDP, MORE_FRAGMENTS = 14, b"\x08\x00", 17, 1 << 13
BURST = 64
WAKE_S = 0.05
MEASURING_PORT = 9  # of the service "discard"
STAMP = struct.Struct("d")
DATAGRAMS, DATAGRAM_EVERY_S, LAST_S = 300, 0.002, 0.1


class NotPossibleError(RuntimeError):
    """No network namespaces can be made here, and why."""


@dataclass(frozen=True)
class Host:
    """A network of its own, with one wire."""

    address: str
    namespace: int  # file descriptor
    wire: int  # file descriptor of the TAP device

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """What this thread starts meanwhile, processes, sockets and threads, is on this host."""
        with open("/proc/thread-self/ns/net", "rb") as home:
            _enter(self.namespace)
            try:
                yield
            finally:
                _enter(home.fileno())


def make_host(address: str) -> Host:
    """A host with this IPv4 address (in a /24); it is gone when nobody is on it any more.

    Raises:
        NotPossibleError: without the rights, the command ip or /dev/net/tun.
    """
    if shutil.which("ip") is None:
        raise NotPossibleError("there is no command ip (iproute2)")
    with open("/proc/thread-self/ns/net", "rb") as home:
        try:
            _check(ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET), "make a network namespace")
        except PermissionError as error:
            raise NotPossibleError(str(error)) from error
        try:
            namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            wire = _tap("wire")
            for command in ("addr add {}/24 dev wire", "link set lo up", "link set wire up"):
                subprocess.run(["ip", *command.format(address).split()], check=True)
        finally:
            _enter(home.fileno())
    return Host(address, namespace, wire)


@dataclass
class Cable:
    """Carries frames between two hosts, for as long as it is in a `with` statement. Its attributes may be changed."""

    ends: tuple[Host, Host]
    delay_s: float = 0.0
    jitter_s: float = 0.0  # a frame takes delay_s, plus or minus as much as this, so some overtake others
    loss: float = 0.0  # share of the frames
    multicast: bool = True  # whether IPv4 multicast passes
    seed: int = 0
    frames: int = 0  # that were put in, lost ones included
    ip_fragments: int = 0
    udp_ports: set[int] = field(default_factory=set)  # to which they were sent

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._plugged, self._running = threading.Event(), True
        self._plugged.set()
        self._thread = threading.Thread(target=self._carry, name="cable", daemon=True)

    def __enter__(self) -> Cable:
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._running = False
        self._thread.join()

    def pull(self) -> None:
        """Both hosts lose the carrier; what is in the cable is lost."""
        self._plugged.clear()
        self._carrier(False)

    def plug(self) -> None:
        """As before."""
        self._carrier(True)
        self._plugged.set()

    def _carrier(self, there: bool) -> None:
        for host in self.ends:
            fcntl.ioctl(host.wire, TUNSETCARRIER, struct.pack("i", there))

    def _carry(self) -> None:
        be_urgent()
        first, second = (host.wire for host in self.ends)
        other = {first: second, second: first}
        under_way: list[tuple[float, int, int, bytes]] = []  # due, number, where to, frame
        while self._running:
            wait_s = min(WAKE_S, max(0.0, under_way[0][0] - time.monotonic())) if under_way else WAKE_S
            for wire in select.select([first, second], [], [], wait_s)[0]:
                for frame in _read(wire):
                    self.frames += 1
                    self._note(frame)
                    if self._passes(frame):
                        due_s = time.monotonic() + self.delay_s + self._random.uniform(-1.0, 1.0) * self.jitter_s
                        heapq.heappush(under_way, (due_s, self.frames, other[wire], frame))
            if not self._plugged.is_set():
                under_way.clear()
            while under_way and under_way[0][0] <= time.monotonic():
                _, _, wire, frame = heapq.heappop(under_way)
                with contextlib.suppress(OSError):  # it was pulled at this moment, or the host's queue is full
                    os.write(wire, frame)

    def _passes(self, frame: bytes) -> bool:
        is_multicast = frame[0] & 1 and frame[12:ETHERNET] == IPV4  # ARP's broadcasts are none
        return (self.multicast or not is_multicast) and self._random.random() >= self.loss

    def _note(self, frame: bytes) -> None:
        """Whether it is a part of a datagram, and the port of UDP."""
        if frame[12:ETHERNET] != IPV4:
            return
        head = 4 * (frame[ETHERNET] & 0x0F)
        flags, offset = divmod(int.from_bytes(frame[ETHERNET + 6 : ETHERNET + 8], "big"), MORE_FRAGMENTS)
        self.ip_fragments += flags % 2 or offset > 0
        if frame[ETHERNET + 9] == UDP and not offset:
            self.udp_ports.add(int.from_bytes(frame[ETHERNET + head + 2 : ETHERNET + head + 4], "big"))
            self.udp_ports.discard(MEASURING_PORT)


def measure(cable: Cable) -> tuple[list[float], float]:
    """How long datagrams took, beside all else that is in the cable, s, and which share of them was lost."""
    here, there = cable.ends
    with here.inside():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with there.inside():
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    took_s: list[float] = []

    def listen(until_s: float) -> None:
        while (left_s := until_s - time.monotonic()) > 0.0:
            if select.select([receiver], [], [], left_s)[0]:
                (sent_s,) = STAMP.unpack(receiver.recv(STAMP.size))
                took_s.append(time.monotonic() - sent_s)

    with sender, receiver:
        receiver.bind((there.address, MEASURING_PORT))
        for _ in range(DATAGRAMS):
            sender.sendto(STAMP.pack(time.monotonic()), receiver.getsockname())
            listen(time.monotonic() + DATAGRAM_EVERY_S)
        listen(time.monotonic() + LAST_S)
    return took_s, 1.0 - len(took_s) / DATAGRAMS


def _read(wire: int) -> Iterator[bytes]:
    """What waits, some at a time."""
    for _ in range(BURST):
        try:
            yield os.read(wire, LONGEST_FRAME)
        except BlockingIOError:
            return


def _tap(name: str) -> int:
    """A TAP device in the namespace of this thread."""
    try:
        wire = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(wire, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    except (FileNotFoundError, PermissionError) as error:
        raise NotPossibleError(f"cannot make a TAP device: {error}") from error
    return wire


def _enter(namespace: int) -> None:
    _check(ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET), "enter a network namespace")


def _check(outcome: int, what: str) -> None:
    if outcome:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot {what}: {os.strerror(number)}")
