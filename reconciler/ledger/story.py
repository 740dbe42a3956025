"""Everything about one order."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.domain.order import ChannelName, OrderKey
from reconciler.ledger import cases as cases_of
from reconciler.ledger import evidence as evidence_of
from reconciler.ledger import intentions as intentions_of
from reconciler.ledger import walk as walk_of
from reconciler.ledger import watches as watches_of
from reconciler.ledger.tables import entries, watches
from reconciler.ledger.values import chunks, from_us
from reconciler.ports import Entry, Story, StoryEntry

ORDERS_MAX = 100
ENTRIES_MAX = 10_000
"""Of one story, the oldest: more is no story."""


async def story(connection: AsyncConnection, number: str) -> Story:
    """Tell the story of the orders with this order_no, out_trade_no or key."""
    keys = [OrderKey(key) for key in await walk_of.orders(connection, number, ORDERS_MAX)]
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


async def _entries(connection: AsyncConnection, keys: Sequence[OrderKey], number: str) -> list[walk_of.Step]:
    wanted = or_(entries.c.order_key.in_(keys), walk_of.names(entries, number))
    query = select(*walk_of.COLUMNS).where(wanted).order_by(entries.c.id).limit(ENTRIES_MAX)
    return await walk_of.steps(connection, query)


def _read(step: walk_of.Step) -> StoryEntry:
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
