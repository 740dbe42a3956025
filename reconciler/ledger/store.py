"""The ledger over SQL: the port, put together from its parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.domain.case import CaseKind
from reconciler.domain.history import History
from reconciler.domain.learning import Payments
from reconciler.domain.order import ChannelName, OrderKey
from reconciler.domain.schedule import leased_for
from reconciler.ledger import acts as acts_of
from reconciler.ledger import cases as cases_of
from reconciler.ledger import figures as figures_of
from reconciler.ledger import histories as histories_of
from reconciler.ledger import intentions as intentions_of
from reconciler.ledger import payments as payments_of
from reconciler.ledger import prune as prune_of
from reconciler.ledger import size as size_of
from reconciler.ledger import story as story_of
from reconciler.ledger import telling as telling_of
from reconciler.ledger import walk as walk_of
from reconciler.ledger import watches as watches_of
from reconciler.ledger.engine import Engines, open_engines, translated
from reconciler.ledger.pen import EPOCH_MARK, Page, Pen, head_of
from reconciler.ledger.schema import bring_up
from reconciler.ledger.tables import marks
from reconciler.ledger.values import chunks, from_us_or_none
from reconciler.ports import (
    NO_CASE,
    TOLD_AT_ONCE_MAX,
    Acted,
    Batch,
    Begun,
    Case,
    CaseAct,
    CaseId,
    CaseNews,
    CaseOutcome,
    Ends,
    HeldUp,
    Intention,
    IntentionId,
    Look,
    NewWatch,
    OpenCases,
    OpenIntention,
    Outcome,
    Question,
    Settled,
    Story,
    Taken,
    Watch,
    WatchCounts,
)

SHARE_OF_OLDEST = 4
"""One in so many leases is for the oldest."""


async def open_ledger(
    url: str,
    password: bytes | None = None,
    *,
    create: bool = True,
    tls: str | None = None,
    tls_ca: bytes | None = None,
) -> SqlLedger:
    """Open a ledger, its tables made or migrated; without `create` only one that is there and up to date.

    Raises LedgerUnavailable (no file, no driver, not reachable, a newer schema), ValueError for a URL of no ledger.
    """
    engines = open_engines(url, password, create=create, tls=tls, tls_ca=tls_ca)
    try:
        await bring_up(engines, migrate=create)
    except BaseException:
        await engines.close()
        raise
    return SqlLedger(engines)


class SqlLedger:
    """Our own store (`reconciler.ports.Ledger`) in SQLite, PostgreSQL or MySQL."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._pen = Pen(engines)
        self._leased: dict[ChannelName, int] = {}

    async def lead(self, who: str, now: datetime) -> int:
        """Take the pen: raise the epoch and give it. Once overtaken, always Overtaken."""
        return await self._pen.take(who, now)

    def may_still_write(self) -> None:
        """Raise Overtaken where the pen is broken."""
        self._pen.raise_if_broken()

    async def mark(self, name: str) -> str | None:
        """Read a named position."""
        async with self._reading() as connection:
            value: str | None = (await connection.execute(select(marks.c.value).where(marks.c.name == name))).scalar()
            return value

    async def set_mark(self, name: str, value: str) -> None:
        """Write a named position. Raises ValueError for the epoch, which `lead` alone raises."""
        async with self._pen.writing() as page:
            await _set_mark(page.connection, name, value)

    async def watch(self, new: Sequence[NewWatch], now: datetime) -> int:  # noqa: ARG002 # the port's; nothing is stamped
        """Add the watches that are not known yet (open or ended); give their number."""
        if not new:
            return 0
        async with self._pen.writing() as page:
            return await watches_of.add(page.connection, new)

    async def lease(self, channel: ChannelName, now: datetime, until: datetime, limit: int) -> Sequence[Watch]:
        """Take due watches of a channel until then: the newest, and a quarter for the oldest. Writes only if any is.

        Where only suspects are due, one of them, alone, and for longer.
        """
        async with self._reading() as connection:
            if not await self._pen.glance(connection, watches_of.is_due(channel, now)) or limit < 1:
                return ()
        async with self._pen.writing() as page:
            ids = await self._choose(page.connection, channel, now, limit)
            if not ids and (suspect := (await page.connection.execute(watches_of.suspects(channel, now))).first()):
                ids, until = [suspect.id], now + leased_for(until - now, suspect.interruptions)
            return await watches_of.lease(page.connection, ids, until)

    async def free_leases(self, *, lives: bool = False) -> int:
        """Make due again what a crash, or an outage, left leased."""
        async with self._pen.writing() as page:
            return await watches_of.free_leases(page.connection, lives=lives)

    async def next_due(self, channel: ChannelName) -> datetime | None:
        """Say when the channel's next open watch is due (or its lease ends); None where there is none."""
        async with self._reading() as connection:
            return from_us_or_none((await connection.execute(watches_of.next_due(channel))).scalar())

    async def wake(self, order_keys: Sequence[OrderKey], at: datetime) -> None:
        """Make these orders' watches due at `at`, ended ones too; a leased one when its lease ends."""
        async with self._pen.writing() as page:
            await watches_of.wake(page.connection, order_keys, at)

    async def wake_later(self, at: datetime) -> int:
        """Make due at `at` every open watch that is due later, leased or not; give their number."""
        async with self._pen.writing() as page:
            return await watches_of.wake_later(page.connection, at)

    async def wake_would_settle(self, at: datetime) -> int:
        """Make the open watches due at `at` whose last decision was to settle and that were only observed."""
        async with self._pen.writing() as page:
            return await watches_of.wake_would_settle(page.connection, at)

    async def histories(self, questions: Sequence[Question]) -> Sequence[History]:
        """Give what is known beside each question's attempt, in order."""
        async with self._reading() as connection:
            return await histories_of.histories(connection, questions)

    async def record(self, batch: Batch, now: datetime) -> Sequence[CaseOutcome]:
        """Write a batch, all or none; one outcome per case report, in order."""
        async with self._pen.writing() as page:
            return await _apply(page, batch, now)

    async def begin(self, intention: Intention, now: datetime) -> Begun | Taken:
        """Write the intention to settle, before the shop is touched. An open one for another payment is superseded."""
        async with self._pen.writing() as page:
            return await intentions_of.begin(page, intention, now)

    async def conclude(
        self, intention: IntentionId, outcome: Outcome, why: str, batch: Batch, now: datetime
    ) -> Sequence[CaseOutcome]:
        """Write how it ended, with the batch, in one transaction. Said again, it writes nothing again.

        Raises ValueError for an intention that is not known, or has ended otherwise.
        """
        async with self._pen.writing() as page:
            if await intentions_of.conclude(page, intention, outcome, why, now):
                return await _apply(page, batch, now)
            return [await cases_of.report(page, item, now) for item in batch.cases]

    async def open_intentions(self) -> Sequence[OpenIntention]:
        """Give the settlements that were begun and have no outcome, oldest first."""
        async with self._reading() as connection:
            return await intentions_of.opened(connection)

    async def settled(self, since: datetime) -> Settled:
        """Count what was settled since then."""
        async with self._reading() as connection:
            return await intentions_of.settled(connection, since)

    async def payments(self, since: datetime, limit: int) -> Payments:
        """Say when buyers have paid."""
        async with self._reading() as connection:
            return await payments_of.payments(connection, since, limit)

    async def story(self, number: str) -> Story:
        """Give everything about the orders with this order_no, out_trade_no or key."""
        async with self._reading() as connection:
            return await story_of.story(connection, number)

    async def walk(self, after: int | None, limit: int) -> Sequence[walk_of.Step]:
        """Read the next entries of the chain after that number, as they stand in their rows: for `verify`.

        None: from the very first, whatever its number.
        """
        async with self._reading() as connection:
            return await walk_of.walk(connection, after, limit)

    async def next_number(self, after: int | None) -> int | None:
        """Say which entry comes next, without reading what it holds."""
        async with self._reading() as connection:
            return await walk_of.next_number(connection, after)

    async def orphans(self) -> int:
        """Count the evidence that no entry names: there is none, unless entries were taken away."""
        found = 0
        for digit in range(16):
            async with self._reading() as connection:
                found += await walk_of.orphans(connection, digit)
        return found

    async def chosen(self, selection: walk_of.Selection, limit: int) -> AsyncIterator[Sequence[walk_of.Step]]:
        """Read the entries of a selection in pages, as they stand in their rows. Raises TooManyOrders."""
        if selection.number is not None:
            async with self._reading() as connection:
                numbers = await walk_of.numbers_of(connection, selection)
            for some in chunks(numbers, limit):
                async with self._reading() as connection:
                    yield await walk_of.numbered(connection, some)
            return
        after: int | None = None
        while True:
            async with self._reading() as connection:
                steps, after = await walk_of.timed(connection, selection, after, limit)
            if steps:
                yield steps
            if after is None:
                return

    async def cases(
        self, *, with_ended: bool = False, kind: CaseKind | None = None, after: CaseId = NO_CASE, limit: int = 1000
    ) -> Sequence[Case]:
        """List cases, of one kind where it is named, oldest first, from the one behind `after` on."""
        async with self._reading() as connection:
            return await cases_of.listed(connection, limit, with_ended=with_ended, kind=kind, after=after)

    async def open_cases(self) -> Mapping[CaseKind, OpenCases]:
        """Count the open cases by kind, in one statement, by the index."""
        async with self._reading() as connection:
            return await cases_of.opened(connection)

    async def case(self, case: CaseId) -> Case | None:
        """Give one case."""
        async with self._reading() as connection:
            return await cases_of.one(connection, case)

    async def handle(self, acts: Sequence[CaseAct], now: datetime) -> Sequence[Acted]:
        """Write what a person does with cases; one outcome per act."""
        async with self._pen.writing() as page:
            return await acts_of.handle(page, acts, now)

    async def news(self, look: Look) -> CaseNews:
        """Give what somebody is to be told of cases."""
        async with self._reading() as connection:
            return await telling_of.news(connection, look)

    async def told(self, look: Look) -> int:
        """Write that a target took what this look found, in short transactions; give the number of cases."""
        told = 0
        while told < TOLD_AT_ONCE_MAX:
            async with self._pen.writing() as page:
                ids = await telling_of.next_told(page.connection, look)
                if not ids:
                    break
                await telling_of.tell(page, look, ids)
            told += len(ids)
        return told

    async def untold(self) -> int:
        """Count the open cases that no target has taken yet."""
        async with self._reading() as connection:
            return int((await connection.execute(telling_of.untold())).scalar_one())

    async def counts(self, now: datetime) -> WatchCounts:
        """Count the watches."""
        async with self._reading() as connection:
            return await watches_of.counts(connection, now)

    async def held_up(self, channel: ChannelName, now: datetime) -> HeldUp:
        """Say how many orders of a channel wait for an ask that is overdue, or whose last one came to nothing."""
        async with self._reading() as connection:
            return await watches_of.held_up(connection, channel, now)

    async def ends(self, since: datetime, until: datetime) -> Mapping[ChannelName, Ends]:
        """Say by channel what became of payments within some time."""
        async with self._reading() as connection:
            return await figures_of.ends(connection, since, until)

    async def stuck(self) -> int:
        """Count what is confirmed and not moved, and the open cases."""
        async with self._reading() as connection:
            return await figures_of.stuck(connection)

    async def head(self) -> tuple[int, str]:
        """Give the chain's head: the last entry's number and hash (0 and 64 zeros before the first)."""
        async with self._reading() as connection:
            head = await head_of(connection)
            return head.id, head.hash

    async def size(self) -> size_of.LedgerSize:
        """Say how much room it takes, as far as that is known without reading it."""
        if self._engines.server is not None:
            async with self._reading() as connection:
                return await size_of.of_server(connection)
        with translated(self._engines):
            return await asyncio.to_thread(size_of.of_file, Path(self._engines.where))

    async def prune(self, before: datetime) -> int:
        """Delete what is from before that time and needed no more, in short transactions; give the number of rows."""
        pruned = 0
        for sweep in prune_of.sweeps(before):
            while True:
                async with self._pen.writing() as page:
                    keys = (await page.connection.execute(prune_of.needless(sweep))).scalars().all()
                    if not keys:
                        break
                    await prune_of.note(page.connection, before)
                    await prune_of.remove(page.connection, sweep, keys)
                pruned += len(keys)
        return pruned

    async def close(self) -> None:
        """Let go of the database."""
        await self._engines.close()

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        with translated(self._engines):
            async with self._engines.deadline(), self._engines.read.connect() as connection:
                yield connection

    async def _choose(
        self, connection: AsyncConnection, channel: ChannelName, now: datetime, limit: int
    ) -> Sequence[int]:
        """Choose the newest, and, where more are due than fit, every fourth place over time for the oldest."""
        newest = list((await connection.execute(watches_of.due(channel, now, limit + 1, newest=True))).scalars())
        if len(newest) <= limit:
            return newest
        quarter, self._leased[channel] = divmod(self._leased.get(channel, 0) + limit, SHARE_OF_OLDEST)
        quarter = min(quarter, limit)
        taken = newest[: limit - quarter]
        oldest = (await connection.execute(watches_of.due(channel, now, quarter, newest=False))).scalars()
        return [*taken, *[item for item in oldest if item not in taken]]


async def _apply(page: Page, batch: Batch, now: datetime) -> list[CaseOutcome]:
    """Write a batch. Cases end before new ones open, so that a question raised together with an ending stays open."""
    for entry in batch.entries:
        page.append(entry, now)
    for mark in batch.marks:
        await _set_mark(page.connection, mark.name, mark.value)
    await watches_of.apply(page.connection, batch.updates, now)
    await cases_of.end(page, batch.ends, now)
    return [await cases_of.report(page, item, now) for item in batch.cases]


async def _set_mark(connection: AsyncConnection, name: str, value: str) -> None:
    if name == EPOCH_MARK:
        raise ValueError("the epoch is raised by taking the lead")
    known = (await connection.execute(select(marks.c.name).where(marks.c.name == name))).first()
    changed = update(marks).where(marks.c.name == name).values(value=value)
    await connection.execute(changed if known else insert(marks).values(name=name, value=value))
