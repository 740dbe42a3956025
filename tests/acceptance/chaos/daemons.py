"""The program's processes, as a test sees them: every line of their log, and what it does to them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.acceptance.cradle import Child, Cradle, cradle

WITHIN_S: Final = 180.0
"""A loaded machine is slow, and that is no finding."""
LOOK_EVERY_S: Final = 0.01

_names = itertools.count(1)


@dataclass(eq=False)
class Daemon:
    """One process, and every line of its log as it comes."""

    child: Child
    arguments: Sequence[str]
    lines: list[dict[str, Any]] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    printed: bytes = b""
    came: asyncio.Event = field(default_factory=asyncio.Event)
    reading: list[asyncio.Task[None]] = field(default_factory=list)
    name: str = field(default_factory=lambda: f"daemon {next(_names)}")

    @property
    def pid(self) -> int:
        """Its number."""
        return self.child.pid

    async def read_log(self) -> None:
        """Read standard error until it ends."""
        async for line in self.child.stderr:
            self.raw.append(line.decode())
            with contextlib.suppress(ValueError):  # a line that a kill cut short, or one of Python's own
                self.lines.append(json.loads(line))
            self.came.set()

    async def read_output(self) -> None:
        """Read standard output until it ends."""
        self.printed = await self.child.stdout.read()

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended yet."""
        return self.child.returncode is None

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
                    waits: set[asyncio.Future[Any]] = {asyncio.ensure_future(self.came.wait()), self.child.ended}
                    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            raise AssertionError(f"{self.name} said no {count} {name}:\n{''.join(self.raw[-30:])}") from None
        return self.events(name)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.child.send_signal(number)

    async def ends(self, within_s: float = WITHIN_S) -> int:
        """Wait for its end and its last line; give the exit code, or minus the signal that killed it."""
        try:
            async with asyncio.timeout(within_s):
                code = await self.child.wait()
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
    """The program's processes of one test."""

    cradle: Cradle
    born: list[Daemon] = field(default_factory=list)

    async def start(self, *arguments: str, clock: Path | None = None) -> Daemon:
        """Start `reconciler` with these arguments."""
        daemon = Daemon(await self.cradle.start(*arguments, clock=clock), arguments)
        daemon.reading = [asyncio.create_task(daemon.read_output()), asyncio.create_task(daemon.read_log())]
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
    async with cradle() as made:
        opened = Nursery(made)
        try:
            yield opened
        finally:
            for daemon in opened.born:
                await daemon.kill()
