"""The program's processes, as a test sees them: every line of their log, and what it does to them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

WITHIN_S: Final = 60.0
"""A loaded machine is slow, and that is no finding."""
LOOK_EVERY_S: Final = 0.01
MESSAGE_BYTES_MAX: Final = 65536
LINE_BYTES_MAX: Final = 1 << 20

_names = itertools.count(1)


@dataclass(eq=False)
class Daemon:
    """One process, and every line of its log as it comes."""

    pid: int
    arguments: Sequence[str]
    ended: asyncio.Future[int]
    lines: list[dict[str, Any]] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    printed: bytes = b""
    came: asyncio.Event = field(default_factory=asyncio.Event)
    reading: list[asyncio.Task[None]] = field(default_factory=list)
    name: str = field(default_factory=lambda: f"daemon {next(_names)}")

    async def read_log(self, reader: asyncio.StreamReader) -> None:
        """Read standard error until it ends."""
        async for line in reader:
            self.raw.append(line.decode())
            with contextlib.suppress(ValueError):  # a line that a kill cut short, or one of Python's own
                self.lines.append(json.loads(line))
            self.came.set()

    async def read_output(self, reader: asyncio.StreamReader) -> None:
        """Read standard output until it ends."""
        self.printed = await reader.read()

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended yet."""
        return not self.ended.done()

    @property
    def leads(self) -> bool:
        """Whether it said that it leads, and not yet that it no longer does."""
        said = [line["event"] for line in self.lines if line["event"] in {"lead.taken", "lead.lost", "lead.overtaken"}]
        return self.is_alive and bool(said) and said[-1] == "lead.taken"

    def events(self, name: str) -> list[dict[str, Any]]:
        """Give the lines of one event so far."""
        return [line for line in self.lines if line["event"] == name]

    async def until(self, name: str, count: int = 1, within_s: float = WITHIN_S) -> list[dict[str, Any]]:
        """Wait for so many lines of an event."""
        try:
            async with asyncio.timeout(within_s):
                while len(self.events(name)) < count:
                    assert self.is_alive, f"{self.name} ended without {count} {name}:\n{''.join(self.raw[-30:])}"
                    self.came.clear()
                    waits: set[asyncio.Future[Any]] = {asyncio.ensure_future(self.came.wait()), self.ended}
                    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            raise AssertionError(f"{self.name} said no {count} {name}:\n{''.join(self.raw[-30:])}") from None
        return self.events(name)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self.is_alive:
            with contextlib.suppress(ProcessLookupError):  # it ends at this very moment
                os.kill(self.pid, number)

    async def ends(self, within_s: float = WITHIN_S) -> int:
        """Wait for its end and its last line; give the exit code, or minus the signal that killed it."""
        try:
            async with asyncio.timeout(within_s):
                code = await asyncio.shield(self.ended)
                await asyncio.gather(*self.reading)
        except TimeoutError:
            raise AssertionError(f"{self.name} does not end:\n{''.join(self.raw[-30:])}") from None
        return code

    async def kill(self) -> int:
        """SIGKILL, and wait."""
        self.send(signal.SIGKILL)
        return await self.ends()

    async def stop(self) -> int:
        """SIGTERM, and wait."""
        self.send(signal.SIGTERM)
        return await self.ends()


@dataclass
class Nursery:
    """Where processes of the program are born: see nursery.py."""

    socket: socket.socket
    process: asyncio.subprocess.Process
    born: list[Daemon] = field(default_factory=list)
    _pids: asyncio.Queue[int] = field(default_factory=asyncio.Queue)
    _ends: dict[int, asyncio.Future[int]] = field(default_factory=dict)
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def hear(self) -> None:
        """Take in births and ends."""
        loop = asyncio.get_running_loop()
        while message := await loop.sock_recv(self.socket, MESSAGE_BYTES_MAX):
            said = json.loads(message)
            if "born" in said:
                self._ends[said["born"]] = loop.create_future()
                self._pids.put_nowait(said["born"])
            else:
                self._ends.pop(said["ended"]).set_result(said["code"])

    async def start(self, *arguments: str, clock: Path | None = None) -> Daemon:
        """Start `reconciler` with these arguments."""
        message = json.dumps({"arguments": arguments, "clock": str(clock or "")}).encode()
        ways = [os.pipe(), os.pipe()]
        async with self._one_at_a_time:
            socket.send_fds(self.socket, [message], [end for _, end in ways])
            async with asyncio.timeout(WITHIN_S):
                pid = await self._pids.get()
            daemon = Daemon(pid, arguments, self._ends[pid])
        for (ours, theirs), read in zip(ways, (daemon.read_output, daemon.read_log), strict=True):
            os.close(theirs)
            reader = asyncio.StreamReader(LINE_BYTES_MAX)
            protocol = partial(asyncio.StreamReaderProtocol, reader)
            await asyncio.get_running_loop().connect_read_pipe(protocol, os.fdopen(ours, "rb"))
            daemon.reading.append(asyncio.create_task(read(reader)))
        self.born.append(daemon)
        return daemon

    async def command(self, *arguments: str) -> tuple[int, str]:
        """Run a command; give exit code and standard output."""
        process = await self.start(*arguments)
        code = await process.ends()
        self.born.remove(process)
        return code, process.printed.decode() or "".join(process.raw)


async def leading(daemons: Sequence[Daemon]) -> Daemon:
    """Wait until one of them leads; none may end by itself."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            if found := [daemon for daemon in daemons if daemon.leads]:
                return found[-1]
            for daemon in daemons:
                assert daemon.is_alive, f"{daemon.name} ended by itself:\n{''.join(daemon.raw[-20:])}"
            await asyncio.sleep(LOOK_EVERY_S)


@contextlib.asynccontextmanager
async def nursery() -> AsyncIterator[Nursery]:
    """Open a nursery; whatever was born in it and still lives at the end is killed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    with ours, theirs:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.acceptance.chaos.nursery", str(theirs.fileno()),
            pass_fds=[theirs.fileno()], cwd=Path(__file__).parents[3], stdin=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        theirs.close()
        made = Nursery(ours, process)
        hearing = asyncio.create_task(made.hear())
        try:
            yield made
        finally:
            for daemon in made.born:
                if daemon.is_alive:
                    await daemon.kill()
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)
            process.kill()
            await process.wait()
