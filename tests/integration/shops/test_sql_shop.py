"""A mapped table passes what every shop must: in SQLite, in MariaDB, in PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from reconciler.databases import limits
from reconciler.domain.order import OrderKey, OrderState
from reconciler.ports import Shop
from reconciler.shops.sql import OrdersMapping, ShopMapping, SqlShop, States, open_shop
from reconciler.testing.clock import ManualClock
from reconciler.testing.shop_conformance import CHANNELS, IGNORED, Given, ShopBench, ShopConformance
from tests.integration.databases import KINDS, Database, database

SHANGHAI = ZoneInfo("Asia/Shanghai")
STATUS = {
    OrderState.PENDING: 1,
    OrderState.PAID: 2,
    OrderState.CLOSED: -1,
    OrderState.REFUNDED: 9,
    OrderState.UNKNOWN: 77,
}
KEYS = {
    "integer": dict.fromkeys(KINDS, "BIGINT PRIMARY KEY") | {"sqlite": "INTEGER PRIMARY KEY"},
    "text": dict.fromkeys(KINDS, "VARCHAR(32) PRIMARY KEY"),
}
TYPES = {
    "sqlite": {"status": "TINYINT", "moment": "DATETIME", "bytes": "BLOB"},
    "mysql": {"status": "TINYINT", "moment": "DATETIME", "bytes": "BLOB"},
    "postgresql": {"status": "SMALLINT", "moment": "TIMESTAMP", "bytes": "BYTEA"},
}
TABLE = """CREATE TABLE orders (id {key}, sn VARCHAR(64), price DECIMAL(10,2), status {status} NOT NULL,
    created {moment}, pay_id VARCHAR(32), trade_no VARCHAR(64), pay_time {moment}, updated_at {moment}, note {bytes})"""


class SqlBench:
    def __init__(self, base: Database, key: str) -> None:
        self.base = base
        self.is_text = key == "text"
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
            url=self.base.url,
            orders=orders,
            channels=CHANNELS,
            clock=ManualClock(),
            time_zone=SHANGHAI,
            ignore_channels=(IGNORED,),
        )

    async def put(self, given: Given) -> OrderKey:
        self.count += 1
        key = OrderKey(f"k{self.count:04d}" if self.is_text else str(self.count))
        await self.base.execute(
            "INSERT INTO orders (id, sn, price, status, created, pay_id, trade_no, pay_time, note)"
            " VALUES (:id, :sn, :price, :status, :created, :pay_id, :trade_no, :pay_time, :note)",
            **self._values(given),
            id=self._key(key),
            note=b"\x00\xff",
        )
        return key

    async def change(self, key: OrderKey, given: Given) -> None:
        await self.base.execute(
            "UPDATE orders SET sn=:sn, price=:price, status=:status, created=:created, pay_id=:pay_id,"
            " trade_no=:trade_no, pay_time=:pay_time WHERE id=:id",
            **self._values(given),
            id=self._key(key),
        )

    async def remove(self, key: OrderKey) -> None:
        await self.base.execute("DELETE FROM orders WHERE id=:id", id=self._key(key))

    @asynccontextmanager
    async def locking(self, key: OrderKey) -> AsyncIterator[None]:
        async with self.base.session() as other:
            if self.base.kind == "sqlite":
                await other.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                await other.execute(text("SELECT id FROM orders WHERE id = :id FOR UPDATE"), {"id": self._key(key)})
            yield
            await other.rollback()

    async def snapshot(self) -> Mapping[OrderKey, object]:
        return {OrderKey(str(row[0])): row for row in await self.base.rows("SELECT * FROM orders")}

    def _key(self, key: OrderKey) -> str | int:
        return key if self.is_text else int(key)

    def _values(self, given: Given) -> dict[str, object]:
        price = None if given.amount_fen is None else Decimal(given.amount_fen) / 100
        return {
            "sn": given.out_trade_no,
            "price": price if self.base.kind != "sqlite" or price is None else f"{price:.2f}",
            "status": STATUS[given.state],
            "created": self._moment(given.created_at),
            "pay_id": given.channel,
            "trade_no": given.transaction_id,
            "pay_time": given.paid_at and self._moment(given.paid_at),
        }

    def _moment(self, moment: datetime) -> object:
        local = moment.astimezone(SHANGHAI).replace(tzinfo=None)
        return local.isoformat(" ") if self.base.kind == "sqlite" else local


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", ["integer", "text"])
class TestSqlShop(ShopConformance):
    @pytest.fixture
    async def bench(
        self, kind: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[ShopBench]:
        monkeypatch.setattr(limits, "BUSY_TIMEOUT_S", 1)
        async with database(kind, tmp_path) as base:
            await base.script(
                TABLE.format(key=KEYS[key][kind], **TYPES[kind]), "CREATE INDEX created_index ON orders (created)"
            )
            bench = SqlBench(base, key)
            await bench.rival()
            yield bench
            for shop in bench.opened:
                await shop.release()
