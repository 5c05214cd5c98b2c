"""Runs the processes of a launch: prefixed output, a required node ends it, and nothing outlives it.

Each node leads a session of its own, so that Ctrl-C reaches this launcher alone, which then asks every node to end:
SIGINT, then SIGTERM, then SIGKILL for the whole session. Should this launcher be killed, its nodes get SIGINT (see
run.py).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from typing import TextIO

from ami_embedded.launch_description import Process
from ami_embedded.run import LAUNCHER_PID

INTERRUPT_S = 1.4
"""How long nodes have to end after SIGINT, before SIGTERM."""
TERMINATE_S = 0.4
"""How long after SIGTERM, before SIGKILL: with INTERRUPT_S it keeps the end of a launch under 2 s."""
DRAIN_S = 0.2
"""How long output is still read after a node has ended (a child of its own may hold the pipe)."""


def run(processes: Sequence[Process]) -> int:
    """Run until all have ended, a required one has ended, or SIGINT or SIGTERM comes; the exit code of the launch.

    0: every node ended well, or was asked to and did. 1: a node failed, could not be started, or had to be killed.
    """
    return asyncio.run(_Launch(processes).run())


class _Launch:
    def __init__(self, processes: Sequence[Process]):
        self._processes = processes
        self._stop = asyncio.Event()
        self._interrupts = 0
        self._failed = False
        self._last_error_line: dict[str, str] = {}
        self._running: dict[str, asyncio.subprocess.Process] = {}

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signum, self._on_signal, signum)
        supervisors: list[asyncio.Task[None]] = []
        for process in self._processes:
            if self._stop.is_set():
                break
            if started := await self._start(process):
                supervisors.append(asyncio.create_task(self._supervise(process, started)))
        stop = asyncio.create_task(self._stop.wait())
        everything = asyncio.gather(*supervisors)
        await asyncio.wait([stop, everything], return_when=asyncio.FIRST_COMPLETED)
        self._stop.set()
        await self._end_all()
        await everything
        await stop
        return int(self._failed)

    async def _start(self, process: Process) -> asyncio.subprocess.Process | None:
        environment = os.environ | {"PYTHONUNBUFFERED": "1"} | process.environment | {LAUNCHER_PID: str(os.getpid())}
        try:
            started = await asyncio.create_subprocess_exec(
                *process.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            self._say(f"[{process.label}] could not be started: {error}")
            self._failed = True
            self._stop.set()
            return None
        self._running[process.label] = started
        return started

    async def _supervise(self, process: Process, started: asyncio.subprocess.Process) -> None:
        assert started.stdout is not None and started.stderr is not None
        outputs = [
            asyncio.create_task(self._show(process.label, started.stdout, None if process.quiet else sys.stdout)),
            asyncio.create_task(self._show(process.label, started.stderr, sys.stderr, keep_last=True)),
        ]
        code = await started.wait()
        _kill(started, signal.SIGKILL)  # what the node may have left in its session
        _, late = await asyncio.wait(outputs, timeout=DRAIN_S)
        for task in late:
            task.cancel()
        del self._running[process.label]
        self._judge(process, code)

    def _judge(self, process: Process, code: int) -> None:
        asked = self._stop.is_set()
        if asked and code in (0, 130, -signal.SIGINT):
            return
        last = self._last_error_line.get(process.label)
        said = f"; its last error line: {last}" if last and code else ""
        self._say(f"[{process.label}] ended with {_reason(code)}{said}")
        self._failed |= code != 0 and not (asked and code == -signal.SIGTERM)
        if process.required and not asked:
            self._say(f"[{process.label}] is required, so the launch ends")
            self._stop.set()

    async def _show(
        self, label: str, stream: asyncio.StreamReader, out: TextIO | None, keep_last: bool = False
    ) -> None:
        async for line in _lines(stream):
            if keep_last and line.strip():
                self._last_error_line[label] = line.strip()
            if out is not None:
                print(f"[{label}] {line}", file=out, flush=True)

    async def _end_all(self) -> None:
        for signum, patience_s in ((signal.SIGINT, INTERRUPT_S), (signal.SIGTERM, TERMINATE_S), (signal.SIGKILL, 0.0)):
            for started in self._running.values():
                _kill(started, signum)
            deadline = asyncio.get_running_loop().time() + patience_s
            while self._running and asyncio.get_running_loop().time() < deadline and self._interrupts < 2:
                await asyncio.sleep(0.02)

    def _on_signal(self, signum: int) -> None:
        self._interrupts += 1
        self._say("ending all nodes" if self._interrupts == 1 else "killing all nodes")
        self._stop.set()

    def _say(self, sentence: str) -> None:
        print(f"[launch] {sentence}" if not sentence.startswith("[") else sentence, file=sys.stderr, flush=True)


async def _lines(stream: asyncio.StreamReader):  # type: ignore[no-untyped-def]
    """Decoded lines of any length (StreamReader.readline has a limit), the last one with or without its newline."""
    rest = b""
    while chunk := await stream.read(65536):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")


def _reason(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def _kill(started: asyncio.subprocess.Process, signum: int) -> None:
    try:
        os.killpg(started.pid, signum)
    except ProcessLookupError:
        return  # the session is empty: all of it has ended
