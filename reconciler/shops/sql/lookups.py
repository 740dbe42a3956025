"""Rows by key, by number and by name, on the primary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.domain.order import OrderKey, Row
from reconciler.ports import Found
from reconciler.shops.sql.attempts import found
from reconciler.shops.sql.bound import BoundShop
from reconciler.shops.sql.columns import Column
from reconciler.shops.sql.rows import ReadRow, read_row, selection

VALUES_PER_STATEMENT = 500
HOLDERS_MAX = 1000
"""Rows read for one number: more than one is ambiguous already, and no shared payment has a thousand."""
LOOKED_UP_MAX = 100


async def by_keys(connection: AsyncConnection, shop: BoundShop, keys: Iterable[str]) -> dict[OrderKey, ReadRow]:
    """Read these rows: one statement per 500 keys."""
    wanted = dict.fromkeys(keys)
    rows: dict[OrderKey, ReadRow] = {}
    for chunk in _chunks(wanted):
        found_rows, _ = await _where(connection, shop, "key", chunk, len(chunk) * 2)
        rows |= found_rows
    return {key: read for key, read in rows.items() if key in wanted}


async def holders(
    connection: AsyncConnection, shop: BoundShop, numbers: Iterable[str]
) -> Mapping[str, tuple[Row, ...]]:
    """Read every row that carries one of these numbers, on itself or through an attempt."""
    held: dict[str, dict[OrderKey, Row]] = {number: {} for number in numbers if number}
    for chunk in _chunks(held):
        if await _collect(connection, shop, chunk, held):
            continue
        for number in chunk:  # a number on very many rows must not crowd out the others
            await _collect(connection, shop, [number], held)
    return {number: tuple(rows.values()) for number, rows in held.items() if rows}


async def look_up(connection: AsyncConnection, shop: BoundShop, number: str) -> tuple[Found, ...]:
    """Find orders by order_no or out_trade_no: a hundred at most."""
    rows: dict[OrderKey, ReadRow] = {}
    for role in ("order_no", "out_trade_no"):
        rows |= (await _where(connection, shop, role, [number], LOOKED_UP_MAX))[0]
    owners, _ = await _owners(connection, shop, [number], LOOKED_UP_MAX)
    rows |= await by_keys(connection, shop, (owner for owner, _ in owners))
    return await found(connection, shop, list(rows.values()))


async def _collect(
    connection: AsyncConnection, shop: BoundShop, numbers: Sequence[str], held: dict[str, dict[OrderKey, Row]]
) -> bool:
    """Add the holders of these numbers; whether the answer was whole."""
    owners, has_all_owners = await _owners(connection, shop, numbers, HOLDERS_MAX)
    owned = await by_keys(connection, shop, (owner for owner, _ in owners))
    on_rows, has_all_rows = await _where(connection, shop, "out_trade_no", numbers, HOLDERS_MAX)
    for key, read in on_rows.items():
        if read.number in held:
            held[read.number][key] = read.row
    for owner, number in owners:
        key = OrderKey(owner)
        if number in held and key in owned:
            held[number][key] = owned[key].row
    return has_all_owners and has_all_rows


async def _owners(
    connection: AsyncConnection, shop: BoundShop, numbers: Sequence[str], limit: int
) -> tuple[list[tuple[str, str]], bool]:
    """Give (order key, number) of the attempts that carry these numbers, and whether that is all of them."""
    attempts = shop.attempts
    values = _values(attempts.out_trade_no, numbers) if attempts is not None else []
    if attempts is None or not values:
        return [], True
    statement = select(attempts.order.sql, attempts.out_trade_no.sql).where(attempts.out_trade_no.is_one_of(values))
    if attempts.where is not None:
        statement = statement.where(attempts.where)
    raws = (await connection.execute(statement.limit(limit))).all()
    is_asked = attempts.out_trade_no.among(values)
    exact = [raw for raw in raws if is_asked(raw[1])]
    owners = [(attempts.order.text(raw[0]) or "", attempts.out_trade_no.text(raw[1]) or "") for raw in exact]
    return owners, len(raws) < limit


async def _where(
    connection: AsyncConnection, shop: BoundShop, role: str, texts: Sequence[str], limit: int
) -> tuple[dict[OrderKey, ReadRow], bool]:
    """Read the rows whose column of this role holds one of these texts, to the letter, and say whether that is all."""
    column: Column | None = getattr(shop.orders, role)
    values = _values(column, texts) if column is not None else []
    if column is None or not values:
        return {}, True
    statement = selection(shop.orders).where(column.is_one_of(values)).limit(limit)
    raws = (await connection.execute(statement)).mappings().all()
    is_asked = column.among(values)
    rows = [read_row(shop.orders, shop.zone, raw) for raw in raws if is_asked(raw[role])]
    return {read.row.key: read for read in rows}, len(raws) < limit


def _values(column: Column, texts: Iterable[str]) -> list[object]:
    return list(dict.fromkeys(value for text in texts for value in column.lookup(text)))


def _chunks(values: Iterable[str]) -> Iterator[list[str]]:
    iterator = iter(values)
    while chunk := list(islice(iterator, VALUES_PER_STATEMENT)):
        yield chunk
