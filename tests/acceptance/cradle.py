"""Processes of the program, born quickly: nursery.py has everything imported, and each is a fork of it.

Its process lives as long as this one, and is started when first asked for. What runs in a fork is what the command
runs; that a shell can start the command, too, is for `World.start_anew` and for tests/system to show.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from tests.acceptance.nursery import MESSAGE_BYTES_MAX

BORN_WITHIN_S: Final = 120.0
"""The first waits for everything to be imported; a loaded machine is slow, and that is no finding."""
LINE_BYTES_MAX: Final = 1 << 20
ROOT: Final = Path(__file__).parents[2]

_numbers = itertools.count(1)


@dataclass(eq=False)
class Child:
    """One process, as `asyncio.subprocess.Process` would show it."""

    pid: int
    ended: asyncio.Future[int]
    """Its exit code, or minus the signal that killed it."""
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader

    @property
    def returncode(self) -> int | None:
        """What it ended with; None while it runs."""
        return self.ended.result() if self.ended.done() else None

    async def wait(self) -> int:
        """Wait for its end."""
        return await asyncio.shield(self.ended)

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if not self.ended.done():
            with contextlib.suppress(ProcessLookupError):  # it ends at this very moment
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


@dataclass
class Cradle:
    """Where one test's processes are born."""

    socket: socket.socket
    _births: dict[int, asyncio.Future[int]] = field(default_factory=dict)
    _ends: dict[int, asyncio.Future[int]] = field(default_factory=dict)
    _born: list[Child] = field(default_factory=list)

    async def start(self, *arguments: str, clock: Path | None = None) -> Child:
        """Start `reconciler` with these arguments, and the environment of this moment."""
        loop = asyncio.get_running_loop()
        number = next(_numbers)
        birth = self._births[number] = loop.create_future()
        told = {"number": number, "arguments": arguments, "clock": str(clock or ""), "environment": dict(os.environ)}
        ways = [os.pipe(), os.pipe()]
        try:
            socket.send_fds(self.socket, [json.dumps(told).encode()], [end for _, end in ways])
        finally:
            for _, theirs in ways:
                os.close(theirs)
        readers = []
        for ours, _ in ways:
            readers.append(asyncio.StreamReader(LINE_BYTES_MAX))
            protocol = partial(asyncio.StreamReaderProtocol, readers[-1])
            await loop.connect_read_pipe(protocol, os.fdopen(ours, "rb"))
        async with asyncio.timeout(BORN_WITHIN_S):
            pid = await birth
        child = Child(pid, self._ends[pid], *readers)
        self._born.append(child)
        return child

    async def hear(self) -> None:
        """Take in births and ends; what is left of a test that was broken off is nobody's."""
        loop = asyncio.get_running_loop()
        while message := await loop.sock_recv(self.socket, MESSAGE_BYTES_MAX):
            said = json.loads(message)
            if birth := self._births.pop(said.get("number"), None):
                self._ends[said["born"]] = loop.create_future()
                birth.set_result(said["born"])
            elif end := self._ends.pop(said.get("ended"), None):
                end.set_result(said["code"])

    async def kill_all(self) -> None:
        """Kill what still runs."""
        for child in self._born:
            child.kill()
        async with asyncio.timeout(BORN_WITHIN_S):
            await asyncio.gather(*(child.wait() for child in self._born))


@contextlib.asynccontextmanager
async def cradle() -> AsyncIterator[Cradle]:
    """Open a cradle; whatever was born in it and still lives at the end is killed."""
    made = Cradle(_nursery())
    hearing = asyncio.create_task(made.hear())
    try:
        yield made
    finally:
        await made.kill_all()
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)


@functools.cache
def _nursery() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    with theirs:
        process = subprocess.Popen(  # noqa: S603 # our own interpreter
            [sys.executable, "-m", "tests.acceptance.nursery", str(theirs.fileno())],
            pass_fds=[theirs.fileno()], cwd=ROOT, stdin=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C must not end it before it has ended the others
        )  # fmt: skip

    def away() -> None:
        ours.close()  # that ends it
        process.wait()

    atexit.register(away)
    return ours
