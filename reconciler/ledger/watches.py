"""Watches: which attempts are open, and when each is asked next."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, bindparam, case, func, insert, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.domain.order import Attempt, ChannelName, OrderKey
from reconciler.domain.schedule import INTERRUPTIONS_MAX, RETRY_MAX, RETRY_SPREAD
from reconciler.ledger.tables import watches
from reconciler.ledger.values import (
    canonical,
    chunks,
    clean,
    from_us,
    from_us_or_none,
    money_or_none,
    to_us,
    to_us_or_none,
)
from reconciler.ports import HELD_UP_MAX, Ask, HeldUp, NewWatch, Watch, WatchCounts, WatchId, WatchUpdate

ASKS_KEPT = 32
NO_ASKS = "[]"
DUE_SORTED_MAX = 20_000
WOULD_SETTLE = "would_settle"
"""The decision that the flow notes in observe mode in place of settling."""
DECISION_LENGTH_MAX = 64
DUE_AGAIN_WITHIN = RETRY_MAX * (1 + RETRY_SPREAD)
"""A watch whose last ask came to nothing is due again within this; one that is leased, too, but for suspects."""

_Found = Row[Any]
_OF_KNOWN = tuple(watches.c[name] for name in ("id", "order_key", "channel", "out_trade_no", "was_paid", "ended_at"))


async def add(connection: AsyncConnection, new: Sequence[NewWatch]) -> int:
    """Insert the attempts that are not known yet; give their number. The pen keeps every other writer out.

    A watch that ended with its order paid, and whose order waits for payment again, is woken.
    """
    wanted = {_identity(item.attempt): item for item in new}
    for keys in chunks(sorted({key for key, _, _ in wanted})):
        known = await connection.execute(select(*_OF_KNOWN).where(watches.c.order_key.in_(keys)))
        for row in known.all():
            item = wanted.pop((row.order_key, row.channel, row.out_trade_no), None)
            if item is not None and _waits_again(item, row.ended_at, was_paid=row.was_paid):
                due = to_us(item.next_ask_at)
                awake = {"ended_at": None, "due_at": due, "next_ask_at": due}
                await connection.execute(update(watches).where(watches.c.id == row.id).values(awake))
    rows = [_new_row(item) for item in wanted.values()]
    if rows:
        await connection.execute(insert(watches), rows)
    return len(rows)


def _waits_again(item: NewWatch, ended_at: int | None, *, was_paid: bool) -> bool:
    """Whether the row was seen to wait after its watch had ended with the order paid."""
    return item.waits_at is not None and ended_at is not None and was_paid and ended_at < to_us(item.waits_at)


def is_due(channel: ChannelName, now: datetime) -> Select[Any]:
    """Select one due watch of a channel, if there is any."""
    return select(watches.c.id).where(watches.c.channel == channel, watches.c.due_at <= to_us(now)).limit(1)


def suspects(channel: ChannelName, now: datetime) -> Select[Any]:
    """Select the due watch that was interrupted least among those that were too often: it may be what breaks us."""
    return (
        select(watches.c.id, watches.c.interruptions)
        .where(watches.c.channel == channel, watches.c.due_at <= to_us(now))
        .order_by(watches.c.interruptions, watches.c.due_at, watches.c.id)
        .limit(1)
    )


def due(channel: ChannelName, now: datetime, limit: int, *, newest: bool) -> Select[Any]:
    """Select the newest (or oldest) due watches of a channel, out of an index alone, without the suspects.

    Where more are due than `DUE_SORTED_MAX`, only so many are sorted: of the newest those that became due last, which
    new attempts are among, and of the oldest those that have been due for longest.
    """
    inner = (watches.c.due_at, watches.c.created_at, watches.c.id)
    some = (
        select(watches.c.id, watches.c.created_at)
        .where(
            watches.c.channel == channel,
            watches.c.due_at <= to_us(now),
            watches.c.interruptions <= INTERRUPTIONS_MAX,
        )
        .order_by(*([column.desc() for column in inner] if newest else inner))
        .limit(DUE_SORTED_MAX)
        .subquery()
    )
    outer = (some.c.created_at, some.c.id)
    return select(some.c.id).order_by(*([column.desc() for column in outer] if newest else outer)).limit(limit)


def next_due(channel: ChannelName) -> Select[Any]:
    """Select when a channel's next open watch is due."""
    return select(func.min(watches.c.due_at)).where(watches.c.channel == channel)


async def lease(connection: AsyncConnection, ids: Sequence[int], until: datetime) -> list[Watch]:
    """Take these watches until then, and give them in order."""
    found: dict[int, Watch] = {}
    for some in chunks(ids):
        await connection.execute(
            update(watches)
            .where(watches.c.id.in_(some))
            .values(leased_until=to_us(until), due_at=to_us(until), interruptions=watches.c.interruptions + 1)
        )
        rows = await connection.execute(select(watches).where(watches.c.id.in_(some)))
        found.update({row.id: read(row) for row in rows})
    return [found[item] for item in ids]


async def free_leases(connection: AsyncConnection, *, lives: bool) -> int:
    """Make due again what a crash, or an outage, left leased; give the number."""
    counted = watches.c.interruptions
    result = await connection.execute(
        update(watches)
        .where(
            watches.c.leased_until > 0,  # "is not NULL" uses no index
            watches.c.due_at.is_not(None),
        )
        .values(
            leased_until=None,
            due_at=watches.c.next_ask_at,
            interruptions=case((counted > 0, counted - 1), else_=0) if lives else counted,
        )
    )
    return result.rowcount


async def apply(connection: AsyncConnection, updates: Sequence[WatchUpdate], now: datetime) -> None:
    """Write what asks did to their watches; each ends its lease. An unknown watch (pruned meanwhile) is left out."""
    asks: dict[int, str] = {}
    for ids in chunks(sorted({item.watch for item in updates})):
        rows = await connection.execute(select(watches.c.id, watches.c.asks).where(watches.c.id.in_(ids)))
        asks.update({row.id: row.asks for row in rows})
    parameters = []
    for item in updates:
        if item.watch not in asks:
            continue
        if item.ask is not None:
            asks[item.watch] = _with(asks[item.watch], item.ask)
        parameters.append(_update_row(item, asks[item.watch], now))
    if parameters:
        await connection.execute(_UPDATE, parameters)


async def wake(connection: AsyncConnection, order_keys: Sequence[OrderKey], at: datetime) -> None:
    """Make every watch of these orders due at `at`, or when its lease ends."""
    for keys in chunks(sorted(set(order_keys))):
        await connection.execute(update(watches).where(watches.c.order_key.in_(keys)).values(_woken(at)))


async def wake_later(connection: AsyncConnection, at: datetime) -> int:
    """Make every open watch due at `at` that is due later, and break its lease."""
    us = to_us(at)
    woken = update(watches).where(watches.c.due_at > us).values(next_ask_at=us, due_at=us, leased_until=None)
    return (await connection.execute(woken)).rowcount


async def wake_would_settle(connection: AsyncConnection, at: datetime) -> int:
    """Do as `wake` with the open watches that observing would have settled; give their number."""
    result = await connection.execute(
        update(watches).where(watches.c.last_decision == WOULD_SETTLE, watches.c.due_at.is_not(None)).values(_woken(at))
    )
    return result.rowcount


async def counts(connection: AsyncConnection, now: datetime) -> WatchCounts:
    """Count, out of an index alone."""
    is_due_now = watches.c.due_at <= to_us(now)
    row = (
        await connection.execute(
            select(
                func.count().label("all"),
                func.count(watches.c.due_at).label("open"),
                func.count(case((is_due_now, 1))).label("due"),
                func.min(case((is_due_now, watches.c.due_at))).label("oldest"),
            )
        )
    ).one()
    return WatchCounts(row.open, row.due, row.all - row.open, from_us_or_none(row.oldest))


def held_up_query(channel: ChannelName, now: datetime) -> Select[int, Any]:
    """Select number and beginning of what is held up, out of the due end of an index, and no more than so many.

    A watch whose ask came to nothing has waited for no longer than since the answer before, or since it was made.
    """
    answered = func.coalesce(watches.c.last_answered_at, watches.c.created_at)
    some = (
        select(
            watches.c.order_key,
            case((watches.c.failures > 0, answered), else_=watches.c.next_ask_at).label("since"),
        )
        .where(
            watches.c.channel == channel,
            watches.c.due_at <= to_us(now + DUE_AGAIN_WITHIN),
            or_(watches.c.failures > 0, watches.c.next_ask_at <= to_us(now)),
        )
        .limit(HELD_UP_MAX)
        .subquery()
    )
    return select(func.count(some.c.order_key.distinct()).label("orders"), func.min(some.c.since).label("since"))


async def held_up(connection: AsyncConnection, channel: ChannelName, now: datetime) -> HeldUp:
    """Count what is held up."""
    row = (await connection.execute(held_up_query(channel, now))).one()
    return HeldUp(row.orders, from_us_or_none(row.since))


def read(row: _Found) -> Watch:
    """Make a watch of its row."""
    return Watch(
        id=WatchId(row.id),
        attempt=Attempt(
            OrderKey(row.order_key),
            row.order_no,
            ChannelName(row.channel),
            row.out_trade_no,
            from_us(row.created_at),
            money_or_none(row.amount_fen, row.currency),
        ),
        next_ask_at=from_us(row.next_ask_at),
        last_answered_at=from_us_or_none(row.last_answered_at),
        failures=row.failures,
        untrusted_run=row.untrusted_run,
        last_decision=row.last_decision,
        why=row.why,
        ended_at=from_us_or_none(row.ended_at),
        asks=tuple(
            Ask(from_us(at), answer, reason, duration_ms, decision)
            for at, answer, reason, duration_ms, decision in json.loads(row.asks)
        ),
    )


_UPDATE = (
    update(watches)
    .where(watches.c.id == bindparam("b_id"))
    .values(
        leased_until=None,
        interruptions=0,
        # A watch that had ended keeps its end, whoever asks once more by hand.
        ended_at=case(
            (bindparam("b_ended", type_=watches.c.ended_at.type).is_(None), None),
            else_=func.coalesce(watches.c.ended_at, bindparam("b_ended", type_=watches.c.ended_at.type)),
        ),
        # What was verified once stays known until another verified answer takes its place.
        last_verified=func.coalesce(
            bindparam("b_verified", type_=watches.c.last_verified.type), watches.c.last_verified
        ),
        transaction_id=func.coalesce(
            bindparam("b_transaction", type_=watches.c.transaction_id.type), watches.c.transaction_id
        ),
        was_paid=or_(watches.c.was_paid, bindparam("b_paid", type_=watches.c.was_paid.type)),
    )
)


def _update_row(item: WatchUpdate, asks: str, now: datetime) -> dict[str, Any]:
    next_ask_at = to_us(item.next_ask_at)
    return {
        "b_id": item.watch,
        "b_verified": item.last_verified,
        "b_transaction": item.transaction_id,
        "b_paid": item.shows_paid,
        "next_ask_at": next_ask_at,
        "due_at": None if item.ended else next_ask_at,
        "last_answered_at": to_us_or_none(item.last_answered_at),
        "failures": item.failures,
        "untrusted_run": item.untrusted_run,
        "last_decision": item.decision[:DECISION_LENGTH_MAX],
        "why": clean(item.why),
        "b_ended": to_us(now) if item.ended else None,
        "asks": asks,
    }


def _with(asks: str, ask: Ask) -> str:
    """Append to a list in JSON, of which the last are kept. What cannot be longer than that is not taken apart."""
    row = [to_us(ask.asked_at), ask.answer, clean(ask.reason), ask.duration_ms, ask.decision]
    if asks.count("[") <= ASKS_KEPT:  # one for the list, one for each in it, and as many as their texts have
        return f"{asks[:-1]},{canonical(row)}]" if asks != NO_ASKS else canonical([row])
    return canonical([*json.loads(asks), row][-ASKS_KEPT:])


def _new_row(item: NewWatch) -> dict[str, Any]:
    attempt = item.attempt
    return {
        "order_key": attempt.order_key,
        "order_no": attempt.order_no,
        "channel": attempt.channel,
        "out_trade_no": attempt.out_trade_no,
        "created_at": to_us(attempt.created_at),
        "amount_fen": attempt.amount.fen if attempt.amount else None,
        "currency": attempt.amount.currency if attempt.amount else None,
        "next_ask_at": to_us(item.next_ask_at),
        "due_at": to_us(item.next_ask_at),
        "interruptions": 0,
        "failures": 0,
        "untrusted_run": 0,
        "last_decision": "",
        "why": "",
        "asks": NO_ASKS,
        "was_paid": False,
    }


def _woken(at: datetime) -> dict[str, Any]:
    """Due at `at`, but not while somebody holds the lease."""
    us = literal(to_us(at), watches.c.due_at.type)
    return {
        "ended_at": None,
        "next_ask_at": us,
        "due_at": case((watches.c.leased_until > us, watches.c.leased_until), else_=us),
        "leased_until": case((watches.c.leased_until > us, watches.c.leased_until)),
    }


def _identity(attempt: Attempt) -> tuple[str, str, str]:
    return (attempt.order_key, attempt.channel, attempt.out_trade_no)
