"""Two processes that both want to write, and kills at any moment: the chain verifies, and lacks nothing that was said.

A nursery imports the program once and forks writers. Each takes the lead, writes whatever a daemon writes, and says
each head that it has committed. While one writes the next takes over (whose epoch then makes the first one's stale);
then one of them, or both, are killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from reconciler.ledger import SqlLedger, open_ledger
from reconciler.ledger.verify import verify
from reconciler.ports import Batch, Entry
from reconciler.testing.ledger_examples import LATER
from tests.integration.databases import KINDS, Database

ROUNDS = 12
SAYS_WITHIN_S = 30
LINES_MAX = 12
"""Lines that a writer may say before it is killed: whatever it was doing by then is cut short."""

_NURSERY = """
import asyncio, os, signal, sys
import aiosqlite, asyncmy, asyncpg, alembic.command
from datetime import timedelta
from reconciler.ledger import open_ledger
from reconciler.ports import Batch, Begun, Entry, LedgerUnavailable, NewWatch, Outcome, Overtaken
from reconciler.testing.ledger_examples import CHANNEL, NOW, attempt, evidence, intention

def say(*words):
    os.write(1, (" ".join([str(os.getpid()), *map(str, words)]) + "\\n").encode())  # one write: never torn

async def insistent(work):
    while True:
        try:
            return await work()
        except LedgerUnavailable:
            continue

async def write(url, turn):
    ledger = await insistent(lambda: open_ledger(url))
    await insistent(lambda: ledger.lead(f"writer {turn}", NOW))
    say("leads")
    for place in range(100_000):
        now, key = NOW + timedelta(seconds=place), f"{turn}-{place}"
        shared, own = (Entry("noted", body={"at": key}, evidence=evidence(mark)) for mark in (str(place % 7), key))
        await insistent(lambda: ledger.record(Batch(entries=(shared, own)), now))
        say(*await insistent(ledger.head))
        await insistent(lambda: ledger.watch([NewWatch(attempt(key), now)], now))
        begun = await insistent(lambda: ledger.begin(intention(key, transaction_id=key), now))
        if isinstance(begun, Begun):
            await insistent(lambda: ledger.conclude(begun.id, Outcome.CALLBACK_WON, "done", Batch(), now))
        say(*await insistent(ledger.head))
        await insistent(lambda: ledger.set_mark("find.quick", key))
        if place % 5 == 4:
            await insistent(lambda: ledger.prune(now - timedelta(seconds=3)))

def live(url, turn):
    try:
        asyncio.run(write(url, turn))
    except Overtaken:
        say("overtaken")
    except BaseException as error:
        say("failed", repr(error))
    finally:
        os._exit(0)

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    if os.fork() == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        live(sys.argv[1], line.strip())
"""


@dataclass
class Nursery:
    process: asyncio.subprocess.Process
    heads: list[tuple[int, str]] = field(default_factory=list)
    overtaken: set[int] = field(default_factory=set)
    _born: int = 0

    async def writer(self) -> int:
        """Let one more writer be born; give its process once it leads."""
        assert self.process.stdin
        self._born += 1
        self.process.stdin.write(f"{self._born}\n".encode())
        while True:
            process, said = await self.line()
            if said == "leads":
                return process

    async def line(self) -> tuple[int, str]:
        """Hear what some writer says."""
        assert self.process.stdout
        async with asyncio.timeout(SAYS_WITHIN_S):
            line = (await self.process.stdout.readline()).decode()
        process, _, said = line.strip().partition(" ")
        assert said, "the nursery has ended"
        assert not said.startswith("failed"), said
        if said == "overtaken":
            self.overtaken.add(int(process))
        elif said != "leads":
            number, _, digest = said.partition(" ")
            self.heads.append((int(number), digest))
        return int(process), said

    async def lines_of(self, process: int, count: int) -> None:
        """Hear so many lines of one writer, or that it was overtaken."""
        while count and process not in self.overtaken:
            count -= (await self.line())[0] == process

    async def until_overtaken(self, process: int) -> None:
        async with asyncio.timeout(SAYS_WITHIN_S):
            while process not in self.overtaken:
                await self.line()


def kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


@asynccontextmanager
async def nursery(url: str) -> AsyncIterator[Nursery]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _NURSERY, url, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        yield Nursery(process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # its writers too
        await process.wait()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[SqlLedger]:
    ledger = await open_ledger(url)
    try:
        yield ledger
    finally:
        await ledger.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_writers_that_take_over_and_are_killed_leave_one_chain_without_a_gap(base: Database, kind: str) -> None:
    chance = random.Random(kind)  # noqa: S311 # moments, no secrets
    async with opened(base.url), nursery(base.url) as writers:
        first = await writers.writer()
        for turn in range(ROUNDS):
            await writers.lines_of(first, chance.randrange(LINES_MAX))
            second = await writers.writer()
            if turn % 3 == 0:  # the stale one finds out by itself
                await writers.until_overtaken(first)
            await writers.lines_of(second, chance.randrange(LINES_MAX))
            kill(first)
            if turn % 3 == 2:  # both die
                kill(second)
                second = await writers.writer()
            first = second
        kill(first)
        heads, overtaken = list(writers.heads), len(writers.overtaken)

    async with opened(base.url) as ledger:
        before = await verify(ledger, {}, heads)
        assert before.problems == ()
        assert before.entries >= max(number for number, _ in heads)
        assert len(heads) > ROUNDS
        assert overtaken >= ROUNDS // 3
        assert before.pruned > 0
        ((led,),) = await base.rows("SELECT count(*) FROM entries WHERE kind = 'led'")
        assert await ledger.mark("epoch") == str(led)
        await ledger.lead("last", LATER)
        await ledger.record(Batch(entries=(Entry("noted"),)), LATER)
        assert (await verify(ledger, {}, heads)).is_sound
