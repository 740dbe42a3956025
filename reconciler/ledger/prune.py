"""Delete what nobody needs any more. Entries stay: the chain goes on verifying."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, Table, delete, exists, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.ledger.cases import OPEN
from reconciler.ledger.tables import cases, entries, evidence, intentions, marks, verifying_keys, watches
from reconciler.ledger.values import CHUNK, to_us

PRUNED_MARK = "pruned_before"
"""Evidence of entries from before it (microseconds since 1970 UTC) may be gone; `verify` minds younger that is."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """One table to sweep: its key, and which rows may go."""

    table: Table
    key: Column[Any]
    needless: ColumnElement[bool]


def sweeps(before: datetime) -> tuple[Sweep, ...]:
    """Say what may go, in the order in which it goes: keys last, when their evidence has gone.

    Whatever belongs to an order with an open case or an open intention stays; so do the watches of an order of which an
    attempt is still asked about, since what is known of the others decides on what comes.
    """
    us = to_us(before)
    sibling = watches.alias()
    waiting = exists().where(
        entries.c.evidence_digest == evidence.c.digest,
        or_(
            exists().where(cases.c.order_key == entries.c.order_key, cases.c.open == OPEN),
            exists().where(intentions.c.open_order == entries.c.order_key),
        ),
    )
    asked = or_(
        exists().where(cases.c.order_key == watches.c.order_key, cases.c.open == OPEN),
        exists().where(intentions.c.open_order == watches.c.order_key),
        exists().where(sibling.c.order_key == watches.c.order_key, sibling.c.ended_at.is_(None)),
    )
    used = exists().where(evidence.c.key_fingerprint == verifying_keys.c.fingerprint)
    return (
        Sweep(evidence, evidence.c.digest, (evidence.c.used_at < us) & ~waiting),
        Sweep(watches, watches.c.id, (watches.c.ended_at < us) & ~asked),
        Sweep(verifying_keys, verifying_keys.c.fingerprint, ~used),
    )


def needless(sweep: Sweep) -> Select[Any]:
    """Select the keys of the next rows that may go."""
    return select(sweep.key).where(sweep.needless).limit(CHUNK)


async def remove(connection: AsyncConnection, sweep: Sweep, keys: Sequence[Any]) -> None:
    """Delete the rows with these keys (selected apart: MySQL deletes from no table that it reads)."""
    await connection.execute(delete(sweep.table).where(sweep.key.in_(keys)))


async def note(connection: AsyncConnection, before: datetime) -> None:
    """Keep how far pruning has gone, in the transaction that prunes; it never goes back."""
    found = (await connection.execute(select(marks.c.value).where(marks.c.name == PRUNED_MARK))).scalar()
    if found is None:
        await connection.execute(insert(marks).values(name=PRUNED_MARK, value=str(to_us(before))))
    elif not found.lstrip("-").isdigit() or int(found) < to_us(before):
        await connection.execute(update(marks).where(marks.c.name == PRUNED_MARK).values(value=str(to_us(before))))
