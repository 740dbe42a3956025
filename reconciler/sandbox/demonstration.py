"""The demo's half minute: gateways, shop and buyers here, the real daemon beside them."""

from __future__ import annotations

import asyncio
import os

from reconciler.ports import Clock
from reconciler.sandbox.book import Book
from reconciler.sandbox.buyers import Buyers
from reconciler.sandbox.configuration import write_configuration
from reconciler.sandbox.daemon import daemon, open_cases
from reconciler.sandbox.directory import Place
from reconciler.sandbox.errors import DaemonFailed
from reconciler.sandbox.invocation import shown_path
from reconciler.sandbox.keys import keep_keys
from reconciler.sandbox.plan import demo_plan
from reconciler.sandbox.server import serve
from reconciler.sandbox.shop import Shop
from reconciler.sandbox.tally import Tally, tally

START_SECONDS = 30.0
EXTRA_SECONDS = 20.0
"""How much longer than asked the daemon may take on a slow machine."""
LOOK_SECONDS = 0.1


class Demonstration:
    """One run of the demo."""

    def __init__(self, place: Place, seconds: float, clock: Clock) -> None:
        self._place = place
        self._seconds = seconds
        self._clock = clock
        self._book = Book()
        self._shop = Shop(place.shop)
        self._buyers = Buyers(self._shop, self._book, self._clock)

    async def run(self) -> Tally:
        """Play it, and say what became of every order. Raises DaemonFailed."""
        keys = await asyncio.to_thread(keep_keys, self._place.keys)
        await asyncio.to_thread(self._shop.open)
        async with serve(keys, self._book, self._clock) as serving:
            configuration = write_configuration(self._place, serving)
            plan = demo_plan(self._seconds)
            await self._buyers.play(plan.before)
            self._introduce(len(plan.before), len(plan.during))
            async with daemon(configuration) as process:
                await self._until_asked(process)
                playing = [
                    asyncio.create_task(self._buyers.play(plan.during)),
                    asyncio.create_task(self._buyers.look()),
                ]
                try:
                    await self._until_done(process, playing)
                finally:
                    for task in playing:
                        task.cancel()
            if process.returncode != os.EX_OK:
                raise DaemonFailed(f"the daemon was stopped and ended with {process.returncode}, not 0")
        return await self._tally()

    def _introduce(self, before: int, during: int) -> None:
        print(f"Gateways, a shop and its buyers, all in {shown_path(self._place.directory)}.")
        print(f"{before} orders are stuck already; {during} more come, of every kind.")
        print(f"The daemon's log, as an operator sees it, for about {self._seconds:g} seconds:")
        print(flush=True)

    async def _until_asked(self, process: asyncio.subprocess.Process) -> None:
        """Wait for the daemon's first ask: only then does it see what comes."""
        deadline = self._clock.monotonic() + START_SECONDS
        while not self._book.asks_total:
            if process.returncode is not None:
                raise DaemonFailed(f"the daemon ended with {process.returncode} before it asked a gateway")
            if self._clock.monotonic() > deadline:
                raise DaemonFailed(f"the daemon asked no gateway within {START_SECONDS:g} s")
            await self._clock.sleep(LOOK_SECONDS)

    async def _until_done(self, process: asyncio.subprocess.Process, playing: list[asyncio.Task[None]]) -> None:
        """Let it run its time, and a little longer while a paid order is neither moved nor in a case."""
        end = self._clock.monotonic() + self._seconds
        while self._clock.monotonic() < end + EXTRA_SECONDS:
            if process.returncode is not None:
                raise DaemonFailed(f"the daemon ended by itself, with {process.returncode}")
            for task in playing:
                if task.done():
                    task.result()
            if self._clock.monotonic() >= end and not (await self._tally()).failures:
                return
            await self._clock.sleep(LOOK_SECONDS)

    async def _tally(self) -> Tally:
        await self._buyers.look_once()
        rows = await asyncio.to_thread(self._shop.rows)
        cases = await open_cases(self._place.configuration)
        return tally(self._buyers, self._book, rows, cases, self._clock.now())
