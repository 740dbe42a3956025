"""A SQLite shop whose tables each test makes for itself."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from reconciler.domain.order import ChannelName
from reconciler.shops.sql import OrdersMapping, ShopMapping, SqlShop, States, open_shop
from reconciler.testing.clock import ManualClock
from tests.integration.databases import Database
from tests.integration.databases import database as database_of

Opens = Callable[..., Awaitable[SqlShop]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


@pytest.fixture
def database(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    yield connection
    connection.close()


@pytest.fixture
def mapping(path: Path) -> ShopMapping:
    """Map `orders(id, sn, price, status, created)` of one channel."""
    return ShopMapping(
        url=f"sqlite:///{path}",
        orders=OrdersMapping(
            table="orders",
            key="id",
            order_no="sn",
            out_trade_no="sn",
            amount="price",
            status="status",
            created_at="created",
            states=States(pending=(1,), paid=(2,), closed=(-1,), settled_as=2, closed_as=-1),
        ),
        channels={ChannelName("alipay-main"): ("3",)},
        clock=ManualClock(datetime(2026, 3, 1, 8, 0, tzinfo=UTC)),
        time_zone=ZoneInfo("Asia/Shanghai"),
    )


@pytest.fixture
async def opens(mapping: ShopMapping) -> AsyncIterator[Opens]:
    """Open the shop, with changes to the mapping of orders, or of the shop (`shop=`, a dict)."""
    opened: list[SqlShop] = []

    async def opener(*, shop: dict[str, object] | None = None, **orders: Any) -> SqlShop:  # noqa: ANN401 # any field of the mapping
        changes: dict[str, Any] = {"orders": dataclasses.replace(mapping.orders, **orders)} | (shop or {})
        opened.append(await open_shop(dataclasses.replace(mapping, **changes)))
        return opened[-1]

    yield opener
    for each in opened:
        await each.release()


@pytest.fixture
async def base(kind: str, tmp_path: Path) -> AsyncIterator[Database]:
    """Give a database of the kind that the test is parametrised with."""
    async with database_of(kind, tmp_path) as made:
        yield made
