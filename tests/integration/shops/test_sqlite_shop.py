"""A mapped table in SQLite passes what every shop must."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from reconciler.domain.order import OrderKey, OrderState
from reconciler.ports import Shop
from reconciler.shops.sql import OrdersMapping, ShopMapping, SqlShop, States, open_shop
from reconciler.testing.clock import ManualClock
from reconciler.testing.shop_conformance import CHANNELS, IGNORED, Given, ShopBench, ShopConformance

SHANGHAI = ZoneInfo("Asia/Shanghai")
STATUS = {
    OrderState.PENDING: 1,
    OrderState.PAID: 2,
    OrderState.CLOSED: -1,
    OrderState.REFUNDED: 9,
    OrderState.UNKNOWN: 77,
}
BY_INTEGER = "CREATE TABLE orders (id INTEGER PRIMARY KEY, {})"
BY_TEXT = "CREATE TABLE orders (id TEXT PRIMARY KEY, {}) WITHOUT ROWID"
COLUMNS = """sn VARCHAR(64), price DECIMAL(10,2), status TINYINT NOT NULL, created DATETIME, pay_id TEXT,
    trade_no VARCHAR(64), pay_time DATETIME, updated_at DATETIME, note BLOB"""


class SqliteBench:
    def __init__(self, path: Path, ddl: str) -> None:
        self.path = path
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.execute("PRAGMA synchronous = OFF")
        self.database.execute(ddl.format(COLUMNS))
        self.database.execute("CREATE INDEX created_index ON orders (created)")
        self.is_text = "TEXT PRIMARY" in ddl
        self.opened: list[SqlShop] = []
        self.count = 0

    @property
    def shop(self) -> Shop:
        return self.opened[0]

    async def rival(self) -> Shop:
        self.opened.append(await open_shop(self.mapping()))
        return self.opened[-1]

    def mapping(self) -> ShopMapping:
        orders = OrdersMapping(
            table="orders",
            key="id",
            order_no="sn",
            out_trade_no="sn",
            amount="price",
            status="status",
            created_at="created",
            channel="pay_id",
            transaction_id="trade_no",
            paid_at="pay_time",
            touch=("updated_at",),
            shared_payment=True,
            states=States(pending=(1,), paid=(2, "3"), closed=(-1,), refunded=("9",), settled_as=2, closed_as=-1),
        )
        return ShopMapping(
            url=f"sqlite:///{self.path}",
            orders=orders,
            channels=CHANNELS,
            clock=ManualClock(),
            time_zone=SHANGHAI,
            ignore_channels=(IGNORED,),
        )

    async def put(self, given: Given) -> OrderKey:
        self.count += 1
        key = f"k{self.count:04d}" if self.is_text else str(self.count)
        self.database.execute(
            "INSERT INTO orders (id, sn, price, status, created, pay_id, trade_no, pay_time, note)"
            " VALUES (?,?,?,?,?,?,?,?,?)",
            (key, *_values(given), b"\x00\xff"),
        )
        return OrderKey(key)

    async def change(self, key: OrderKey, given: Given) -> None:
        self.database.execute(
            "UPDATE orders SET sn=?, price=?, status=?, created=?, pay_id=?, trade_no=?, pay_time=? WHERE id=?",
            (*_values(given), key),
        )

    async def remove(self, key: OrderKey) -> None:
        self.database.execute("DELETE FROM orders WHERE id=?", (key,))

    async def snapshot(self) -> Mapping[OrderKey, object]:
        return {OrderKey(str(row[0])): row for row in self.database.execute("SELECT * FROM orders")}

    async def close(self) -> None:
        for shop in self.opened:
            await shop.release()
        self.database.close()


def _values(given: Given) -> tuple[object, ...]:
    return (
        given.out_trade_no,
        None if given.amount_fen is None else f"{given.amount_fen // 100}.{given.amount_fen % 100:02d}",
        STATUS[given.state],
        given.created_at.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S"),
        given.channel,
        given.transaction_id,
        given.paid_at and given.paid_at.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S"),
    )


class TestSqliteShopByIntegerKey(ShopConformance):
    @pytest.fixture
    async def bench(self, tmp_path: Path) -> AsyncIterator[ShopBench]:
        bench = SqliteBench(tmp_path / "shop.db", BY_INTEGER)
        await bench.rival()
        yield bench
        await bench.close()


class TestSqliteShopByTextKey(ShopConformance):
    @pytest.fixture
    async def bench(self, tmp_path: Path) -> AsyncIterator[ShopBench]:
        bench = SqliteBench(tmp_path / "shop.db", BY_TEXT)
        await bench.rival()
        yield bench
        await bench.close()
