"""Intentions: settlements begun and concluded. One payment moves one order (or one declared group), once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Row, case, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.domain.order import ChannelName, OrderKey
from reconciler.ledger.pen import Page
from reconciler.ledger.tables import intentions
from reconciler.ledger.values import canonical, chunks, clean, from_us, to_us
from reconciler.ports import Begun, Entry, Intention, IntentionId, OpenIntention, Outcome, Settled, Taken

CLAIMED = 1
MOVED = (Outcome.SETTLED.value, Outcome.CALLBACK_WON.value)
"""The outcomes after which the payment is spent."""

ENTRY_KINDS = {
    Outcome.SETTLED: "settled",
    Outcome.CALLBACK_WON: "callback_won",
    Outcome.REFUSED: "settle_refused",
    Outcome.SUPERSEDED: "superseded",
}

_Found = Row[Any]


async def begin(page: Page, item: Intention, now: datetime) -> Begun | Taken:
    """Write the intention, or find it; refuse a payment that is spent, or being spent, on another order.

    A payment that has moved this very order is spent too: whoever put the order back must decide what becomes of it.
    Raises ValueError for an intention without orders, or with one order twice.
    """
    keys = [order.key for order in item.orders]
    if not keys or len(set(keys)) != len(keys):
        raise ValueError(f"an intention settles one order or several different ones, not {keys}")
    claims = await _claims(page.connection, item)
    spent = [row for row in claims if row.outcome is not None]
    if spent:
        return Taken(_first_of(spent, keys))
    holders = {row.order_key for row in claims}
    if holders == set(keys):
        found = IntentionId(claims[0].id)
        _note(page, claims, item, now, again=True)
        return Begun(found)
    if holders and not holders & set(keys):
        return Taken(OrderKey(claims[0].order_key))
    await _supersede(page, keys, claims, now)
    return Begun(await _insert(page, item, now))


async def conclude(page: Page, intention: IntentionId, outcome: Outcome, why: str, now: datetime) -> bool:
    """Write how an intention ended; give False where it was written already, by a commit whose outcome was lost.

    Raises ValueError for one that is not known or has ended otherwise.
    """
    rows = await _rows(page.connection, intention)
    if not rows:
        raise ValueError(f"there is no intention {intention}")
    ended = rows[0].outcome
    if ended == outcome.value:
        return False
    if ended is not None:
        raise ValueError(f"intention {intention} has ended as {ended} and cannot end as {outcome.value}")
    await _end(page, rows, outcome, why, now)
    return True


async def opened(connection: AsyncConnection, order_keys: Sequence[OrderKey] | None = None) -> list[OpenIntention]:
    """Give the open ones (of these orders), oldest first."""
    rows: list[_Found] = []
    query = select(intentions).where(intentions.c.outcome.is_(None))
    if order_keys is None:
        rows += (await connection.execute(query.where(intentions.c.open_order.is_not(None)))).all()
    else:
        ids: set[str] = set()
        for keys in chunks(order_keys):
            ids |= set(
                (await connection.execute(select(intentions.c.id).where(intentions.c.open_order.in_(keys)))).scalars()
            )
        for some in chunks(sorted(ids)):
            rows += (await connection.execute(query.where(intentions.c.id.in_(some)))).all()
    rows.sort(key=lambda row: (row.begun_at, row.id, row.share))
    return [_read(list(members)) for _, members in groupby(rows, key=lambda row: row.id)]


async def moved(
    connection: AsyncConnection, order_keys: Sequence[str], transaction_ids: Sequence[str]
) -> tuple[list[_Found], list[_Found]]:
    """Give the settlements of these orders, and those of these transactions, each in the order they were concluded."""
    of_orders: list[_Found] = []
    for keys in chunks(order_keys):
        query = select(intentions).where(intentions.c.order_key.in_(keys), intentions.c.outcome.in_(MOVED))
        of_orders += (await connection.execute(query)).all()
    of_transactions: list[_Found] = []
    for ids in chunks(transaction_ids):
        query = select(intentions).where(intentions.c.transaction_id.in_(ids), intentions.c.outcome.in_(MOVED))
        of_transactions += (await connection.execute(query)).all()
    return _in_order(of_orders), _in_order(of_transactions)


async def settled(connection: AsyncConnection, since: datetime) -> Settled:
    """Count the settlements of ours that were concluded since then. A payment stands in the row of its first order."""
    query = select(
        func.count().label("orders"),
        func.coalesce(func.sum(case((intentions.c.share == 0, intentions.c.amount_fen), else_=0)), 0).label("fen"),
    ).where(intentions.c.outcome == Outcome.SETTLED.value, intentions.c.concluded_at >= to_us(since))
    row = (await connection.execute(query)).one()
    return Settled(row.orders, int(row.fen))


async def _claims(connection: AsyncConnection, item: Intention) -> list[_Found]:
    query = select(intentions).where(
        intentions.c.transaction_id == item.transaction_id,
        intentions.c.channel == item.channel,
        intentions.c.claim == CLAIMED,
    )
    return sorted((await connection.execute(query)).all(), key=lambda row: int(row.share))


async def _rows(connection: AsyncConnection, intention: str) -> list[_Found]:
    query = select(intentions).where(intentions.c.id == intention).order_by(intentions.c.share)
    return list((await connection.execute(query)).all())


async def _supersede(page: Page, keys: Sequence[OrderKey], claims: Iterable[_Found], now: datetime) -> None:
    """End whatever is open for these orders, and for this payment with other members than now."""
    found = await page.connection.execute(
        select(intentions.c.id).where(
            or_(intentions.c.open_order.in_(keys), intentions.c.id.in_({row.id for row in claims}))
        )
    )
    for intention in sorted(set(found.scalars())):
        rows = await _rows(page.connection, intention)
        await _end(page, rows, Outcome.SUPERSEDED, "another settlement of this order was begun", now)


async def _insert(page: Page, item: Intention, now: datetime) -> IntentionId:
    """Name it after what it settles and where the chain stands: unlike any other, and the same in a replayed run."""
    material = canonical([page.head.hash, item.channel, item.transaction_id, [order.key for order in item.orders]])
    intention = IntentionId(hashlib.sha256(material.encode()).hexdigest()[:32])
    rows = [
        {
            "id": intention,
            "share": share,
            "order_key": order.key,
            "order_no": clean(order.order_no),
            "channel": item.channel,
            "out_trade_no": item.out_trade_no,
            "transaction_id": item.transaction_id,
            "amount_fen": item.amount.fen,
            "currency": item.amount.currency,
            "paid_at": to_us(item.paid_at),
            "why": clean(item.why),
            "begun_at": to_us(now),
            "evidence_digest": item.evidence.digest() if item.evidence is not None else None,
            "open_order": order.key,
            "claim": CLAIMED,
        }
        for share, order in enumerate(item.orders)
    ]
    await page.connection.execute(insert(intentions), rows)
    _note(page, await _rows(page.connection, intention), item, now, again=False)
    return intention


def _note(page: Page, rows: Iterable[_Found], item: Intention, now: datetime, *, again: bool) -> None:
    """Write `settle_begun` for each order, with the evidence that this decision rests on."""
    for row in rows:
        body = _body(row) | {"why": clean(item.why)} | ({"again": True} if again else {})
        page.append(_entry("settle_begun", row, body, item), now)


async def _end(page: Page, rows: Sequence[_Found], outcome: Outcome, why: str, now: datetime) -> None:
    await page.connection.execute(
        update(intentions)
        .where(intentions.c.id == rows[0].id)
        .values(
            outcome=outcome.value,
            concluded_at=to_us(now),
            ending=clean(why),
            open_order=None,
            claim=CLAIMED if outcome.value in MOVED else None,
        )
    )
    for row in rows:
        entry = _entry(ENTRY_KINDS[outcome], row, _body(row) | {"why": clean(why)})
        page.append(entry, now, rests_on=row.evidence_digest)


def _entry(kind: str, row: _Found, body: dict[str, object], item: Intention | None = None) -> Entry:
    return Entry(
        kind,
        OrderKey(row.order_key),
        row.order_no,
        ChannelName(row.channel),
        row.out_trade_no,
        body,
        item.evidence if item is not None else None,
        item.key if item is not None else None,
    )


def _body(row: _Found) -> dict[str, object]:
    return {
        "intention": row.id,
        "share": row.share,
        "transaction_id": row.transaction_id,
        "amount_fen": row.amount_fen,
        "currency": row.currency,
        "paid_at": from_us(row.paid_at).isoformat(),
    }


def _read(rows: Sequence[_Found]) -> OpenIntention:
    first = rows[0]
    return OpenIntention(
        id=IntentionId(first.id),
        order_keys=tuple(OrderKey(row.order_key) for row in rows),
        order_no=first.order_no,
        channel=ChannelName(first.channel),
        out_trade_no=first.out_trade_no,
        transaction_id=first.transaction_id,
        begun_at=from_us(first.begun_at),
    )


def _first_of(rows: Sequence[_Found], keys: Sequence[OrderKey]) -> OrderKey:
    """Name this order itself where it is among those that were moved, else the first that was."""
    own = [row.order_key for row in rows if row.order_key in keys]
    return OrderKey(own[0] if own else rows[0].order_key)


def _in_order(rows: list[_Found]) -> list[_Found]:
    return sorted(rows, key=lambda row: (row.concluded_at, row.id, row.share))
