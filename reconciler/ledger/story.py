"""Everything about one order, and the walk over all entries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Table, or_, select, union
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.domain.answer import VerifyingKey
from reconciler.domain.order import ChannelName, OrderKey
from reconciler.ledger import cases as cases_of
from reconciler.ledger import evidence as evidence_of
from reconciler.ledger import intentions as intentions_of
from reconciler.ledger import watches as watches_of
from reconciler.ledger.chain import EntryRow
from reconciler.ledger.tables import cases, entries, intentions, watches
from reconciler.ledger.values import chunks, from_us
from reconciler.ports import Entry, Story, StoryEntry

ORDERS_MAX = 100
ENTRIES_MAX = 10_000
"""Of one story, the oldest: more is no story."""

_COLUMNS = tuple(entries.c[field.name] for field in fields(EntryRow))


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of the walk, with what is still kept of its evidence, unread."""

    row: EntryRow
    evidence: RowMapping | None
    key: VerifyingKey | None


async def story(connection: AsyncConnection, number: str) -> Story:
    """Tell the story of the orders with this order_no, out_trade_no or key."""
    keys = await _orders(connection, number)
    found = []
    for some in chunks(keys):
        rows = await connection.execute(select(watches).where(watches.c.order_key.in_(some)).order_by(watches.c.id))
        found += [watches_of.read(row) for row in rows]
    return Story(
        watches=tuple(found),
        entries=tuple([_read(step) for step in await _entries(connection, keys, number)]),
        cases=tuple(await cases_of.of_orders(connection, keys)),
        intentions=tuple(await intentions_of.opened(connection, keys)),
    )


async def walk(connection: AsyncConnection, after: int, limit: int) -> list[Step]:
    """Read the next entries of the chain, as they stand in their rows."""
    query = select(*_COLUMNS).where(entries.c.id > after).order_by(entries.c.id).limit(limit)
    return await _steps(connection, query)


async def _orders(connection: AsyncConnection, number: str) -> list[OrderKey]:
    """Find the orders in every table that names them: watches are pruned, entries are not."""
    wanted = union(*(select(table.c.order_key).where(_names(table, number)) for table in _TABLES)).limit(ORDERS_MAX)
    return sorted(OrderKey(key) for key in (await connection.execute(wanted)).scalars() if key is not None)


async def _entries(connection: AsyncConnection, keys: Sequence[OrderKey], number: str) -> list[Step]:
    wanted = or_(entries.c.order_key.in_(keys), _names(entries, number))
    return await _steps(connection, select(*_COLUMNS).where(wanted).order_by(entries.c.id).limit(ENTRIES_MAX))


async def _steps(connection: AsyncConnection, query: Any) -> list[Step]:  # noqa: ANN401 # a Select of every entry column: its type has no name
    rows = [EntryRow(*row) for row in await connection.execute(query)]
    kept = await evidence_of.load_rows(connection, (row.evidence_digest for row in rows if row.evidence_digest))
    fingerprints = {row["key_fingerprint"] for row in kept.values() if row["key_fingerprint"]}
    keys = await evidence_of.load_keys(connection, fingerprints)
    steps = []
    for row in rows:
        evidence = kept.get(row.evidence_digest or "")
        steps.append(Step(row, evidence, keys.get(evidence["key_fingerprint"]) if evidence is not None else None))
    return steps


def _read(step: Step) -> StoryEntry:
    row = step.row
    entry = Entry(
        kind=row.kind,
        order_key=None if row.order_key is None else OrderKey(row.order_key),
        order_no=row.order_no,
        channel=None if row.channel is None else ChannelName(row.channel),
        out_trade_no=row.out_trade_no,
        body=json.loads(row.body),
        evidence=evidence_of.read(step.evidence) if step.evidence is not None else None,
        key=step.key,
    )
    return StoryEntry(row.id, from_us(row.at), entry, row.hash)


def _names(table: Table, number: str) -> ColumnElement[bool]:
    return or_(table.c.order_key == number, table.c.order_no == number, table.c.out_trade_no == number)


_TABLES = (watches, cases, intentions, entries)
