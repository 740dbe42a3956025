"""A shop over a database of a test's own making."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from reconciler.domain.money import Money
from reconciler.domain.order import ChannelName, Order, OrderKey
from reconciler.ports import Found, Move, Page, Position
from reconciler.shops.sql import AttemptsMapping, MappingError, OrdersMapping, ShopMapping, SqlShop, States, open_shop
from reconciler.testing.clock import ManualClock
from tests.integration.databases import Database

SHANGHAI: Final = ZoneInfo("Asia/Shanghai")
ALIPAY: Final = ChannelName("alipay-main")
NOW: Final = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
CREATED: Final = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)
PAID_AT: Final = datetime(2026, 3, 1, 4, 1, 2, 999999, tzinfo=UTC)
TRANSACTION: Final = "2026030122001400000000000001"
PAGES_MAX: Final = 1000
STATES: Final = States(pending=(1,), paid=(2,), closed=(-1,), settled_as=2, closed_as=-1)
ORDERS: Final = OrdersMapping(
    table="orders",
    key="id",
    order_no="sn",
    out_trade_no="sn",
    amount="price",
    status="status",
    created_at="created",
    states=STATES,
)


def mapping_of(
    base: Database,
    *,
    shop: Mapping[str, Any] | None = None,
    attempts: AttemptsMapping | None = None,
    **orders: Any,  # noqa: ANN401 # any field of the mapping
) -> ShopMapping:
    """Map `orders(id, sn, price, status, created)` of one channel, with changes to the orders or (`shop`) the shop."""
    mapping = ShopMapping(
        url=base.url,
        orders=dataclasses.replace(ORDERS, **orders),
        channels={ALIPAY: ("3",)},
        clock=ManualClock(NOW),
        time_zone=SHANGHAI,
        attempts=attempts,
    )
    return dataclasses.replace(mapping, **(shop or {}))


@asynccontextmanager
async def shop_over(base: Database, **changes: Any) -> AsyncIterator[SqlShop]:  # noqa: ANN401 # of `mapping_of`
    """Open the shop, and release it at the end."""
    shop = await open_shop(mapping_of(base, **changes))
    try:
        yield shop
    finally:
        await shop.release()


async def problems_of(base: Database, **changes: Any) -> tuple[str, ...]:  # noqa: ANN401 # of `mapping_of`
    """Say what is wrong with a mapping."""
    try:
        async with shop_over(base, **changes):
            return ()
    except MappingError as error:
        return error.problems


async def orders_of(shop: SqlShop, keys: Sequence[str]) -> tuple[Order, ...]:
    """Read orders that are there and can be read."""
    rows = await shop.read([OrderKey(key) for key in keys])
    orders = tuple(row for row in rows.values() if isinstance(row, Order))
    assert len(orders) == len(keys), rows
    return orders


async def move_of(shop: SqlShop, *keys: str) -> Move:
    """Make the move that settles these orders as they are now."""
    orders = await orders_of(shop, keys)
    amount = Money(sum(order.amount.fen for order in orders))
    return Move("i1", orders, ALIPAY, "A1", TRANSACTION, amount, PAID_AT)


async def walked(shop: SqlShop, after: Position | None = None) -> list[Found]:
    """Walk to the end of the table."""
    met: list[Found] = []
    position: Position | None = after if after is not None else await shop.before(datetime(2001, 1, 1, tzinfo=UTC))
    for _ in range(PAGES_MAX):
        if position is None:
            return met
        page: Page = await shop.candidates(position, 100)
        met += page.found
        position = page.next
    raise AssertionError("the walk does not end")


MOMENT: Final = {"sqlite": "DATETIME", "mysql": "DATETIME", "postgresql": "TIMESTAMP"}
NOON: Final = datetime(2026, 3, 1, 12)  # noqa: DTZ001 # CREATED, as the clocks of the shop show it


async def table(base: Database, **columns: str) -> None:
    """Make `orders(id, sn, price, status, created)`, with other types or more columns."""
    types = {"id": "BIGINT PRIMARY KEY", "sn": "VARCHAR(64)", "price": "DECIMAL(10,2)", "status": "INT"}
    types |= {"created": MOMENT[base.kind]} | columns
    await base.script(f"CREATE TABLE orders ({', '.join(f'{name} {type_}' for name, type_ in types.items())})")


async def put(base: Database, **values: object) -> None:
    """Insert an order: number A1, 99 yuan, pending since CREATED, unless said otherwise."""
    given: dict[str, object] = {"id": 1, "sn": "A1", "price": "99" if base.kind == "sqlite" else Decimal(99)}
    given |= {"status": 1, "created": local(base)} | values
    names, places = ", ".join(given), ", ".join(f":{name}" for name in given)
    await base.execute(f"INSERT INTO orders ({names}) VALUES ({places})", **given)  # noqa: S608 # a test's own words


def local(base: Database, moment: datetime = NOON) -> object:
    """Give a local time as the database takes it."""
    return moment.isoformat(" ") if base.kind == "sqlite" else moment
