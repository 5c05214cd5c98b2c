"""Runs the processes of a launch: prefixed output, a required node ends it, others may come back, nothing outlives it.

Each node leads a session of its own, so that Ctrl-C reaches this launcher alone, which then asks every node to end:
SIGINT, then SIGTERM, then SIGKILL for the whole session. Should this launcher be killed, its nodes get SIGINT (see
run.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TextIO

from ami_embedded.launch_description import Process
from ami_embedded.run import INTERRUPTED, LAUNCHER_PID

INTERRUPT_S = 1.4
"""How long nodes have to end after SIGINT, before SIGTERM."""
TERMINATE_S = 0.4
"""How long after SIGTERM, before SIGKILL: with INTERRUPT_S it keeps the end of a launch under 2 s."""
DRAIN_S = 0.2
"""How long output is still read after a node has ended (a child of its own may hold the pipe)."""


def run(processes: Sequence[Process]) -> int:
    """Run until all have ended, a required one has ended, or a signal asks to end; the exit code of the launch.

    0: every node ended well, was asked to and did, or came back. 1: a node failed for good, could not be started or had
    to be killed, or a required one ended unasked, however well.
    """
    return asyncio.run(_Launch(processes).run())


class _Node(asyncio.SubprocessProtocol):
    """One running node: shows its lines with its name before them, remembers the last error line, knows its end.

    (asyncio's own Process.wait() waits for the pipes too, which a child of a node may hold open long after the node.)
    """

    def __init__(self, process: Process, on_reader_gone: Callable[[], None]):
        self.process = process
        self._on_reader_gone = on_reader_gone
        self.last_error_line = ""
        self.exited = asyncio.Event()
        self.drained = asyncio.Event()
        self._outs: dict[int, TextIO | None] = {1: None if process.quiet else sys.stdout, 2: sys.stderr}
        self._rests = {1: b"", 2: b""}
        self._open = {1, 2}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        *lines, self._rests[fd] = (self._rests[fd] + data).split(b"\n")
        for line in lines:
            self._show(fd, line)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._open.discard(fd)
        if not self._open:
            self.drained.set()

    def process_exited(self) -> None:
        self.exited.set()

    def show_rest(self) -> None:
        """Show what came without a newline at its end."""
        for fd, rest in self._rests.items():
            if rest:
                self._show(fd, rest)

    def _show(self, fd: int, line: bytes) -> None:
        text, out = line.decode(errors="replace"), self._outs[fd]
        if fd == 2 and text.strip():
            self.last_error_line = text.strip()
        if out is None:
            return
        try:
            print(f"[{self.process.label}] {text}", file=out, flush=True)
        except OSError:  # `| head` has ended, or the terminal has: nobody is left to watch
            self._outs[fd] = None
            self._on_reader_gone()


class _Launch:
    def __init__(self, processes: Sequence[Process]):
        self._processes = processes
        self._stop = asyncio.Event()
        self._interrupts = 0
        self._failed = False
        self._running: dict[str, asyncio.SubprocessTransport] = {}

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(signum, self._on_signal)
        supervisors = []
        for process in self._processes:
            if self._stop.is_set():
                break
            if started := await self._start(process):
                supervisors.append(asyncio.create_task(self._keep(process, *started)))
        stop = asyncio.create_task(self._stop.wait())
        everything = asyncio.gather(*supervisors)
        ends: list[asyncio.Future] = [stop, everything]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        self._stop.set()
        await self._end_all(everything)
        await everything
        await stop
        return int(self._failed)

    async def _start(self, process: Process) -> tuple[asyncio.SubprocessTransport, _Node] | None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **process.environment, LAUNCHER_PID: str(os.getpid())}
        try:
            transport, node = await asyncio.get_running_loop().subprocess_exec(
                lambda: _Node(process, self._stop.set),
                *process.command,
                stdin=asyncio.subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            self._say(f"[{process.label}] could not be started: {error}")
            self._failed = True
            self._stop.set()
            return None
        self._running[process.label] = transport
        if self._stop.is_set():  # while it was starting
            _kill(transport, signal.SIGINT)
        return transport, node

    async def _keep(self, process: Process, transport: asyncio.SubprocessTransport, node: _Node) -> None:
        """Until the process has ended, and need not or cannot come back."""
        await self._supervise(transport, node)
        while process.respawn and not self._stop.is_set():
            self._say(f"[{process.label}] comes back in {process.respawn_delay_s:g} s")
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stop.wait(), process.respawn_delay_s)
            if not self._stop.is_set() and (started := await self._start(process)):
                await self._supervise(*started)

    async def _supervise(self, transport: asyncio.SubprocessTransport, node: _Node) -> None:
        await node.exited.wait()
        _kill(transport, signal.SIGKILL)  # what the node may have left in its session
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(node.drained.wait(), DRAIN_S)
        node.show_rest()
        code = transport.get_returncode()
        transport.close()
        del self._running[node.process.label]
        assert code is not None
        self._judge(node, code)

    def _judge(self, node: _Node, code: int) -> None:
        asked, label = self._stop.is_set(), node.process.label
        if asked and code in (0, INTERRUPTED, -signal.SIGINT):
            return
        said = f"; its last error line: {node.last_error_line}" if node.last_error_line and code else ""
        self._say(f"[{label}] ended with {_reason(code)}{said}")
        comes_back = node.process.respawn and not asked
        self._failed |= code != 0 and not comes_back and not (asked and code == -signal.SIGTERM)
        if node.process.required and not asked:
            self._say(f"[{label}] is required, so the launch ends")
            self._failed = True  # nobody asked it to end, so what the launch was for did not come about
            self._stop.set()

    async def _end_all(self, everything: asyncio.Future) -> None:
        loop = asyncio.get_running_loop()
        for signum, patience_s in ((signal.SIGINT, INTERRUPT_S), (signal.SIGTERM, TERMINATE_S), (signal.SIGKILL, 0.0)):
            for transport in self._running.values():
                _kill(transport, signum)
            deadline_s = loop.time() + patience_s
            while not everything.done() and loop.time() < deadline_s and self._interrupts < 2:
                await asyncio.sleep(0.02)

    def _on_signal(self) -> None:
        self._interrupts += 1
        self._say("[launch] ending all nodes" if self._interrupts == 1 else "[launch] killing all nodes")
        self._stop.set()

    def _say(self, sentence: str) -> None:
        with contextlib.suppress(OSError):  # nobody reads it; the nodes have to be ended all the same
            print(sentence, file=sys.stderr, flush=True)


def _reason(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def _kill(transport: asyncio.SubprocessTransport, signum: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # the session is empty: all of it has ended
        os.killpg(transport.get_pid(), signum)
