"""Who was told of which cases. Every read goes by an index of what is not told yet, however many cases there are.

News carry the number of the entry that made them, which only ever grows: what is written as told is exactly what a
look could see. A case that opens again meanwhile has a higher number, and stays untold.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Select, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.domain.case import CaseKind
from reconciler.domain.money import Money
from reconciler.ledger.cases import read
from reconciler.ledger.pen import Page
from reconciler.ledger.tables import cases
from reconciler.ledger.values import CHUNK, to_us
from reconciler.ports import (
    EXAMPLES,
    REMINDED_EVERY,
    REMINDED_TOGETHER,
    TOLD_AT_ONCE_MAX,
    Case,
    CaseNews,
    Look,
    News,
)

WAITS: Final[dict[News, Column[Any]]] = {
    News.OPENED: cases.c.untold,
    News.STANDING: cases.c.remind_at,
    News.ENDED: cases.c.end_untold,
}
"""The column that holds a number while the news wait."""


async def news(connection: AsyncConnection, look: Look) -> CaseNews:
    """Count what waits, by kind and by currency, and give the first few."""
    if look.news is News.STANDING and not await _is_due(connection, look):
        return CaseNews()
    counts: dict[CaseKind, int] = {}
    sums: dict[str, int] = {}
    priced = 0
    for row in await connection.execute(_counted(look)):
        counts[CaseKind(row.kind)] = counts.get(CaseKind(row.kind), 0) + row.number
        if row.currency is not None and row.fen is not None:
            sums[row.currency] = sums.get(row.currency, 0) + int(row.fen)
            priced += row.number
    return CaseNews(
        tuple((kind, counts[kind]) for kind in CaseKind if kind in counts),
        tuple(Money(fen, currency) for currency, fen in sorted(sums.items())),
        priced,
        await _examples(connection, look) if counts else (),
    )


async def next_told(connection: AsyncConnection, look: Look) -> list[int]:
    """Choose the next cases to be written as told of, at most a chunk."""
    waits = WAITS[look.news]
    chosen = select(cases.c.id).where(_found_by(look)).order_by(waits, cases.c.id).limit(CHUNK)
    return list((await connection.execute(chosen)).scalars())


async def tell(page: Page, look: Look, ids: list[int]) -> None:
    """Write that these were told of, where they are still what the look saw."""
    at, again = to_us(look.at), to_us(look.at + REMINDED_EVERY)
    values: dict[News, dict[str, Any]] = {
        News.OPENED: {"untold": None, "told_at": at, "remind_at": again},
        News.STANDING: {"remind_at": again},
        News.ENDED: {"end_untold": None},
    }
    seen = cases.c.id.in_(ids)
    await page.connection.execute(update(cases).where(seen, _found_by(look)).values(**values[look.news]))
    if look.news is News.OPENED:  # put off before anybody was told of it
        later = (cases.c.remind_at == again) & (cases.c.snoozed_until > again)
        await page.connection.execute(update(cases).where(seen, later).values(remind_at=cases.c.snoozed_until))


def untold() -> Select[Any]:
    """Count what no target has taken."""
    return select(func.count()).select_from(cases).where(cases.c.untold >= 0)


def _found_by(look: Look) -> ColumnElement[bool]:
    waits = WAITS[look.news]
    mine = cases.c.kind.in_(sorted(kind.value for kind in look.kinds))
    if look.news is not News.STANDING:
        return (waits >= 0) & (waits <= look.entry) & mine
    awake = or_(cases.c.snoozed_until.is_(None), cases.c.snoozed_until <= to_us(look.at))
    return (waits <= to_us(look.at + REMINDED_TOGETHER)) & awake & mine


async def _is_due(connection: AsyncConnection, look: Look) -> bool:
    mine = cases.c.kind.in_(sorted(kind.value for kind in look.kinds))
    due = select(cases.c.id).where(cases.c.remind_at <= to_us(look.at), mine).order_by(cases.c.remind_at).limit(1)
    return (await connection.execute(due)).first() is not None


def _counted(look: Look) -> Select[Any]:
    waits = WAITS[look.news]
    c = cases.c
    first = select(c.kind, c.currency, c.amount_fen).where(_found_by(look)).order_by(waits, c.id)
    some = first.limit(TOLD_AT_ONCE_MAX).subquery("some")
    number, fen = func.count().label("number"), func.sum(some.c.amount_fen).label("fen")
    return select(some.c.kind, some.c.currency, number, fen).group_by(some.c.kind, some.c.currency)


async def _examples(connection: AsyncConnection, look: Look) -> tuple[Case, ...]:
    waits = WAITS[look.news]
    query = select(cases).where(_found_by(look)).order_by(waits, cases.c.id).limit(EXAMPLES)
    return tuple(read(row) for row in await connection.execute(query))
