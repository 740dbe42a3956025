"""The walk over the entries, page by page, as they stand in their rows: for `verify` and `export`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Table, exists, func, or_, select, union
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.domain.answer import VerifyingKey
from reconciler.ledger import evidence as evidence_of
from reconciler.ledger.chain import EntryRow
from reconciler.ledger.tables import entries, evidence, watches
from reconciler.ledger.values import to_us

WINDOW = 10_000
"""Entries that one statement looks through where the time is a condition: it has no index."""
ORDERS_MAX = 500
"""Orders that one number may stand for in a selection."""
NUMBER_MAX = 2**63 - 1

COLUMNS = tuple(entries.c[field.name] for field in fields(EntryRow))
"""What `steps` reads."""
_DIGITS = "0123456789abcdef"


class TooManyOrders(Exception):
    """A number stands for more orders than an export by order takes."""


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of the walk, with what is still kept of its evidence, unread."""

    row: EntryRow
    evidence: RowMapping | None
    key: VerifyingKey | None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which entries are wanted: those that meet every condition that is given."""

    number: str | None = None
    """An order_no, an out_trade_no or an order's key."""
    since: datetime | None = None
    until: datetime | None = None
    """Before this moment, not at it."""


async def walk(connection: AsyncConnection, after: int | None, limit: int) -> list[Step]:
    """Read the next entries after that number; None: from the very first, whatever its number."""
    query = select(*COLUMNS).order_by(entries.c.id).limit(limit)
    return await steps(connection, query if after is None else query.where(entries.c.id > after))


async def next_number(connection: AsyncConnection, after: int | None) -> int | None:
    """Say which entry is the next, without reading it; None where there is none."""
    query = select(func.min(entries.c.id))
    found: int | None = (
        await connection.execute(query if after is None else query.where(entries.c.id > after))
    ).scalar()
    return found


async def orphans(connection: AsyncConnection, digit: int) -> int:
    """Count the evidence that no entry names; a sixteenth of it, by the first digit of its digest."""
    query = select(func.count()).where(
        evidence.c.digest >= _DIGITS[digit], ~exists().where(entries.c.evidence_digest == evidence.c.digest)
    )
    if digit + 1 < len(_DIGITS):
        query = query.where(evidence.c.digest < _DIGITS[digit + 1])
    return (await connection.execute(query)).scalar_one()


async def numbers_of(connection: AsyncConnection, selection: Selection) -> list[int]:
    """Give the numbers of the entries about an order, within the selection's time. Raises TooManyOrders."""
    number = selection.number or ""
    keys = await orders(connection, number, ORDERS_MAX + 1)
    if len(keys) > ORDERS_MAX:
        raise TooManyOrders(f"{number} stands for more than {ORDERS_MAX} orders")
    wanted = select(entries.c.id).where(or_(entries.c.order_key.in_(keys), names(entries, number)), *_timed(selection))
    return list((await connection.execute(wanted.order_by(entries.c.id))).scalars())


async def numbered(connection: AsyncConnection, numbers: Sequence[int]) -> list[Step]:
    """Read the entries of these numbers, which are so many as fit one statement."""
    return await steps(connection, select(*COLUMNS).where(entries.c.id.in_(numbers)).order_by(entries.c.id))


async def timed(
    connection: AsyncConnection, selection: Selection, after: int | None, limit: int
) -> tuple[list[Step], int | None]:
    """Read some entries of the selection's time after that number, and say from which number to go on (None: the end).

    Some may be none: a statement looks through so many entries, and no more.
    """
    first = await next_number(connection, after)
    if first is None:
        return [], None
    last = min(first + WINDOW - 1, NUMBER_MAX)
    within = (entries.c.id >= first, entries.c.id <= last, *_timed(selection))
    found = await steps(connection, select(*COLUMNS).where(*within).order_by(entries.c.id).limit(limit))
    return found, found[-1].row.id if len(found) == limit else last


async def orders(connection: AsyncConnection, number: str, limit: int) -> list[str]:
    """Find the orders by what has an index: whatever a case or an intention names, an entry of it does too."""
    wanted = union(*(select(table.c.order_key).where(names(table, number)) for table in (watches, entries)))
    return sorted(key for key in (await connection.execute(wanted.limit(limit))).scalars() if key is not None)


def names(table: Table, number: str) -> ColumnElement[bool]:
    """Give the condition that a row names this number: as key, order_no or out_trade_no."""
    return or_(table.c.order_key == number, table.c.order_no == number, table.c.out_trade_no == number)


async def steps(connection: AsyncConnection, query: Any) -> list[Step]:  # noqa: ANN401 # a Select of every entry column: its type has no name
    """Read the entries of a query, and what is kept of their evidence."""
    rows = [EntryRow(*row) for row in await connection.execute(query)]
    # Texts only: SQLite keeps anything that somebody put there.
    digests = [row.evidence_digest for row in rows if isinstance(row.evidence_digest, str)]
    kept = await evidence_of.load_rows(connection, digests)
    fingerprints = {row["key_fingerprint"] for row in kept.values() if isinstance(row["key_fingerprint"], str)}
    keys = await evidence_of.load_keys(connection, fingerprints)
    found = []
    for row in rows:
        item = kept.get(row.evidence_digest or "")
        found.append(Step(row, item, keys.get(item["key_fingerprint"]) if item is not None else None))
    return found


def _timed(selection: Selection) -> list[ColumnElement[bool]]:
    conditions = []
    if selection.since is not None:
        conditions.append(entries.c.at >= to_us(selection.since))
    if selection.until is not None:
        conditions.append(entries.c.at < to_us(selection.until))
    return conditions
