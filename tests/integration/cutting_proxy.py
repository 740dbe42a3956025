"""A wire between a client and a server that can be cut, or go dead, at a chosen word of the client's, or be slow."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

CHUNK_BYTES: Final = 65536


class Cut(Enum):
    """What happens when the word passes."""

    BEFORE = "the server never hears it, and both sides are cut off"
    AFTER = "the server hears it and answers; the client is cut off before it hears that"
    DEAD = "nothing passes any more, and nobody is told"


@dataclass(slots=True)
class CuttingProxy:
    """Forwards to one server. Armed, it waits for a word."""

    host: str
    server_port: int
    port: int = 0
    word: bytes = b""
    cut: Cut | None = None
    has_cut: asyncio.Event = field(default_factory=asyncio.Event)
    delay_s: Callable[[], float] = lambda: 0.0
    """How long each piece of what is said, either way, is held back."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def arm(self, word: bytes, cut: Cut) -> None:
        """Cut the next connection on which the client says this word."""
        self.word, self.cut = word, cut
        self.has_cut.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        far_reader, far_writer = await asyncio.open_connection(self.host, self.server_port)
        wire = _Wire(self, writer, far_writer)
        for work in (wire.outward(reader), wire.homeward(far_reader)):
            task = asyncio.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def cut_all(self) -> int:
        """Cut every connection there is, wherever it stands; give their number."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return len(tasks) // 2

    async def stop(self) -> None:
        """Cut everything."""
        await self.cut_all()


@dataclass(slots=True)
class _Wire:
    proxy: CuttingProxy
    near: asyncio.StreamWriter
    far: asyncio.StreamWriter
    is_dead: bool = False
    hangs_up_on_answer: bool = False

    async def outward(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError), contextlib.closing(self.near), contextlib.closing(self.far):
            while said := await reader.read(CHUNK_BYTES):
                cut = self.proxy.cut if self.proxy.cut is not None and self.proxy.word in said.upper() else None
                if cut is not None:
                    self.proxy.cut = None
                    self.proxy.has_cut.set()
                if cut is Cut.BEFORE:
                    return
                self.is_dead |= cut is Cut.DEAD
                self.hangs_up_on_answer |= cut is Cut.AFTER
                await asyncio.sleep(self.proxy.delay_s())
                if not self.is_dead:
                    self.far.write(said)
                    await self.far.drain()

    async def homeward(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError), contextlib.closing(self.near), contextlib.closing(self.far):
            while answered := await reader.read(CHUNK_BYTES):
                if self.hangs_up_on_answer:
                    return
                await asyncio.sleep(self.proxy.delay_s())
                if not self.is_dead:
                    self.near.write(answered)
                    await self.near.drain()


@asynccontextmanager
async def cutting_proxy(host: str, port: int) -> AsyncIterator[CuttingProxy]:
    """Stand between a client and the server at this address of the loopback."""
    proxy = CuttingProxy(host, port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.stop()
        await server.wait_closed()
