"""The pen: who may write, and every writing transaction.

The leader remembers the epoch that it raised and the chain's head as it left it. Each writing transaction first locks
the epoch's row and compares both with what is in the ledger; whatever differs breaks the pen for good.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.domain.answer import Evidence, VerifyingKey
from reconciler.ledger import evidence as evidence_of
from reconciler.ledger.chain import EntryRow, Head, hash_of
from reconciler.ledger.engine import Engines, translated
from reconciler.ledger.tables import entries, marks
from reconciler.ledger.values import canonical, clean, to_us
from reconciler.ports import Entry, LedgerUnavailable, Overtaken

EPOCH_MARK = "epoch"


class Page:
    """One writing transaction: what is appended here is in the ledger when it commits, all or none."""

    def __init__(self, connection: AsyncConnection, head: Head) -> None:
        self.connection = connection
        self.head = head
        self._rows: list[EntryRow] = []
        self._evidence: dict[str, Evidence | None] = {}
        self._keys: dict[str, VerifyingKey] = {}
        self._used_at = 0

    @property
    def next_number(self) -> int:
        """Say which number the next entry will have."""
        return self.head.id + 1

    def append(self, entry: Entry, now: datetime, *, rests_on: str | None = None) -> Head:
        """Chain one entry; give the new head. `rests_on` names evidence that is stored already."""
        at = to_us(now)
        digest = rests_on
        if entry.evidence is not None:
            digest = entry.evidence.digest()
            self._evidence[digest] = entry.evidence
        elif digest is not None:
            self._evidence.setdefault(digest, None)
        if entry.key is not None:
            self._keys[entry.key.fingerprint] = entry.key
        row = EntryRow(
            id=self.head.id + 1,
            at=at,
            kind=entry.kind,
            order_key=entry.order_key,
            order_no=clean(entry.order_no),
            channel=entry.channel,
            out_trade_no=clean(entry.out_trade_no),
            body=canonical(dict(entry.body)),
            evidence_digest=digest,
            previous=self.head.hash,
        )
        row = dataclasses.replace(row, hash=hash_of(row))
        self._rows.append(row)
        self._used_at = max(self._used_at, at)
        self.head = Head(row.id, row.hash)
        return self.head

    async def write(self) -> None:
        """Send the entries, their evidence and their keys to the database. The commit is the pen's."""
        await evidence_of.store_keys(self.connection, self._keys)
        await evidence_of.store(self.connection, self._evidence, self._used_at)
        if self._rows:
            await self.connection.execute(insert(entries), [dataclasses.asdict(row) for row in self._rows])


@dataclass(slots=True)
class _Lead:
    epoch: int
    head: Head
    perhaps: Head | None = None
    """Where the head is if a commit whose outcome we never learnt went through."""


class Pen:
    """The right to write. One transaction at a time; a read never waits for it."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._turn = asyncio.Lock()
        self._lead: _Lead | None = None
        self._broken: str | None = None

    async def take(self, who: str, now: datetime) -> int:
        """Raise the epoch, in one transaction with the entry that says so. Raises Overtaken on a broken pen."""
        async with self._turn:
            self.raise_if_broken()
            with translated(self._engines):
                async with self._engines.deadline(), self._engines.write.connect() as connection:
                    epoch = await self._epoch(connection) + 1
                    page = Page(connection, await head_of(connection))
                    await connection.execute(update(marks).where(marks.c.name == EPOCH_MARK).values(value=str(epoch)))
                    page.append(Entry("led", body={"who": clean(who), "epoch": epoch}), now)
                    await page.write()
                    await connection.commit()
            self._lead = _Lead(epoch, page.head)
            return epoch

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Page]:
        """Open a writing transaction under the fence, and commit it where the block ends well.

        Raises Overtaken, LedgerUnavailable. After either nothing of the block is in the ledger, save where the
        database cannot even tell whether it committed: then the next transaction finds out.
        """
        async with self._turn:
            lead = self._leading()
            with translated(self._engines):
                async with contextlib.AsyncExitStack() as stack:
                    async with self._engines.deadline():
                        connection = await stack.enter_async_context(self._engines.write.connect())
                        await self._compare(connection, lead)
                        page = Page(connection, lead.head)
                        yield page
                        await page.write()
                    await self._commit(connection, lead, page.head)

    async def glance(self, connection: AsyncConnection, query: Select[Any]) -> bool:
        """Say whether a query finds anything, in one statement with the epoch: an idle leader learns of its end too.

        The head is left out: a transaction of our own may move it meanwhile.
        """
        lead = self._leading()
        epoch = select(marks.c.value).where(marks.c.name == EPOCH_MARK).scalar_subquery()
        row = (await connection.execute(select(epoch.label("epoch"), query.exists().label("found")))).one()
        self._compare_epoch(lead, self._number(row.epoch))
        return bool(row.found)

    def raise_if_broken(self) -> None:
        """Raise Overtaken on a broken pen. Looks nothing up."""
        if self._broken is not None:
            raise Overtaken(self._broken)

    def _leading(self) -> _Lead:
        self.raise_if_broken()
        if self._lead is None:
            raise Overtaken(f"ledger {self._engines.where}: this process has not taken the lead and may not write")
        return self._lead

    async def _compare(self, connection: AsyncConnection, lead: _Lead) -> None:
        self._compare_epoch(lead, await self._epoch(connection))
        head = await head_of(connection)
        if head not in {lead.head, lead.perhaps}:
            raise self._break(f"it ends with {head}, we left it at {lead.head}")
        lead.head, lead.perhaps = head, None

    def _compare_epoch(self, lead: _Lead, epoch: int) -> None:
        if epoch != lead.epoch:
            raise self._break(f"its epoch is {epoch}, ours is {lead.epoch}")

    def _break(self, difference: str) -> Overtaken:
        self._broken = (
            f"ledger {self._engines.where}: {difference}. Another process has written it since; this one must end"
        )
        return Overtaken(self._broken)

    async def _commit(self, connection: AsyncConnection, lead: _Lead, head: Head) -> None:
        """Commit; where that fails, ask the ledger itself whether it did."""
        before, lead.perhaps = lead.head, head
        try:
            async with self._engines.deadline():
                await connection.commit()
        except self._engines.errors() as error:
            with contextlib.suppress(*self._engines.errors()):
                await connection.invalidate()
            if self._engines.is_rolled_back(error) or head == before or not await self._went_through(lead, head):
                raise
        lead.head, lead.perhaps = head, None

    async def _went_through(self, lead: _Lead, head: Head) -> bool:
        """Whether the chain ends where that commit left it; the lock waits for a commit that is still under way."""
        async with self._engines.deadline(), self._engines.write.connect() as connection:
            return await self._epoch(connection) == lead.epoch and await head_of(connection) == head

    async def _epoch(self, connection: AsyncConnection) -> int:
        # The row's lock lets one writer in at a time. On SQLite, BEGIN IMMEDIATE has done that and it is left out.
        query = select(marks.c.value).where(marks.c.name == EPOCH_MARK).with_for_update()
        return self._number((await connection.execute(query)).scalar())

    def _number(self, value: str | None) -> int:
        try:
            return int(str(value))
        except ValueError as error:
            raise LedgerUnavailable(
                f"ledger {self._engines.where}: the mark {EPOCH_MARK} holds {value!r}, not a number; correct it by hand"
            ) from error


async def head_of(connection: AsyncConnection) -> Head:
    """Read the chain's head."""
    query = select(entries.c.id, entries.c.hash).order_by(entries.c.id.desc()).limit(1)
    row = (await connection.execute(query)).first()
    return Head(row.id, row.hash) if row is not None else Head()
