"""Reading from elsewhere: a view where a join is needed, a replica for finding. The table is what is written."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url

from reconciler.domain.order import ChannelName, Order, OrderKey, OrderState
from reconciler.ports import Moved, NotMoved, Position, ReplicaUnavailable
from reconciler.shops.sql import open_shop
from tests.integration.databases import KINDS, Database, database
from tests.integration.shops.made import CREATED, mapping_of, move_of, orders_of, problems_of, shop_over, walked

MOMENT = {"sqlite": "DATETIME", "mysql": "DATETIME", "postgresql": "TIMESTAMP"}
ORDERS = """CREATE TABLE orders (id BIGINT PRIMARY KEY, sn VARCHAR(64), price DECIMAL(10,2), status INT,
    created {moment}, pay_id INT, trade_no VARCHAR(64), touched {moment}, gone SMALLINT DEFAULT 0)"""
INSERT = """INSERT INTO orders (id, sn, price, status, created, pay_id)
    VALUES ({id}, 'A{id}', 99, 1, '2026-03-01 12:00:00', {pay})"""
PAYS = "CREATE TABLE pays (id INT PRIMARY KEY, code VARCHAR(16))"
VIEW = """CREATE VIEW orders_for_reconciler AS SELECT orders.id, sn, price, status, created, code, trade_no, gone
    FROM orders LEFT JOIN pays ON pays.id = orders.pay_id"""
COLUMNS = "id, sn, price, status, created, code, trade_no, gone"
CHANNELS = {ChannelName("alipay-main"): ("zfbf2f",), ChannelName("wechat-main"): ("wescan",)}

pytestmark = pytest.mark.parametrize("kind", KINDS)


async def make_orders(base: Database) -> None:
    await base.script(
        ORDERS.format(moment=MOMENT[base.kind]),
        PAYS,
        "INSERT INTO pays VALUES (1, 'zfbf2f'), (2, 'wescan')",
        INSERT.format(id=1, pay=1),
        INSERT.format(id=2, pay=2),
    )


class TestView:
    @pytest.fixture(autouse=True)
    async def _tables(self, base: Database) -> None:
        await make_orders(base)
        await base.script(VIEW)

    def mapped(self) -> dict[str, object]:
        return {
            "read_from": "orders_for_reconciler",
            "channel": "code",
            "transaction_id": "trade_no",
            "touch": ("touched",),
            "where": "gone = 0",
            "shop": {"channels": CHANNELS},
        }

    async def test_what_the_view_joins_is_read_and_the_table_is_written(self, base: Database) -> None:
        async with shop_over(base, **self.mapped()) as shop:
            found = await walked(shop)
            assert [each.attempts[0].channel for each in found] == ["alipay-main", "wechat-main"]
            assert [each.row.key for each in await shop.look_up("A2")] == ["2"]
            assert [row.key for row in (await shop.holders(["A2"]))["A2"]] == ["2"]
            assert await shop.take_lock()
            assert await shop.settle(await move_of(shop, "2")) == Moved()
            assert await base.rows("SELECT id, status, pay_id FROM orders ORDER BY id") == [(1, 1, 1), (2, 2, 2)]
            assert await base.rows("SELECT count(*) FROM orders WHERE touched IS NOT NULL") == [(1,)]

    async def test_the_guard_is_the_tables(self, base: Database) -> None:
        async with shop_over(base, **self.mapped()) as shop:
            assert await shop.take_lock()
            for change in ("status = -1", "price = 98", "sn = 'B1'", "gone = 1"):
                move = await move_of(shop, "1")
                await base.script(f"UPDATE orders SET {change} WHERE id = 1")  # noqa: S608 # a test's own words
                assert isinstance(await shop.settle(move), NotMoved), change
                await base.script("UPDATE orders SET status = 1, price = 99, sn = 'A1', gone = 0 WHERE id = 1")
            assert await shop.settle(await move_of(shop, "1")) == Moved()

    async def test_columns_that_the_view_lacks_are_named(self, base: Database) -> None:
        problems = await problems_of(base, read_from="orders_for_reconciler", channel="pay_id", paid_at="touched")
        lacks = "no column `{}` in table orders_for_reconciler; it has: " + COLUMNS
        lacking = (("channel", "pay_id"), ("paid_at", "touched"))
        assert problems == tuple(f"shop.orders.{role}: {lacks.format(name)}" for role, name in lacking)

    async def test_a_view_that_is_not_there_is_named(self, base: Database) -> None:
        (problem,) = await problems_of(base, read_from="orders_for_reconcile")
        assert problem.startswith("shop.orders.read_from: no table `orders_for_reconcile`; there are: ")
        assert problem.endswith("did you mean `orders_for_reconciler`?")

    async def test_a_predicate_must_hold_of_the_table_too(self, base: Database) -> None:
        (problem,) = await problems_of(base, read_from="orders_for_reconciler", where="code = 'zfbf2f'")
        assert problem.startswith("shop.orders.where: the database says of orders: ")

    async def test_a_column_that_the_view_makes_something_else_of_is_refused(self, base: Database) -> None:
        if base.kind == "sqlite":
            pytest.skip("its columns hold anything")
        as_text = "CAST(status AS CHAR(8))" if base.kind == "mysql" else "CAST(status AS VARCHAR(8))"
        await base.script(f"CREATE VIEW worded AS SELECT id, sn, price, {as_text} AS status, created FROM orders")  # noqa: S608 # a test's own words
        (problem,) = await problems_of(base, read_from="worded")
        assert problem.startswith("shop.orders.status: status is VARCHAR(8) in the view and INTEGER in the table; ")

    async def test_a_view_and_its_table_have_one_lock(self, base: Database) -> None:
        async with shop_over(base, **self.mapped()) as shop, shop_over(base) as other:
            assert await shop.take_lock()
            assert not await other.take_lock()


@dataclass
class Replicated:
    """A primary, and a copy of it that nothing is replicated to any more: as late as can be."""

    primary: Database
    replica: Database

    def shop(self) -> dict[str, object]:
        return {"read_url": self.replica.url}


class TestReplica:
    @pytest.fixture
    async def two(self, base: Database, tmp_path: Path) -> AsyncIterator[Replicated]:
        await make_orders(base)
        (tmp_path / "replica").mkdir()
        async with database(base.kind, tmp_path / "replica") as replica:
            await make_orders(replica)
            yield Replicated(base, replica)

    async def test_finding_reads_the_replica_and_what_decides_reads_the_primary(self, two: Replicated) -> None:
        await two.primary.script(INSERT.format(id=3, pay=1))
        await two.primary.script("UPDATE orders SET price = 100 WHERE id = 1")
        async with shop_over(two.primary, shop=two.shop()) as shop:
            newest = await shop.newest()
            assert [found.row.key for found in await walked(shop)] == ["1", "2"]
            (one,) = await orders_of(shop, ["1"])
            assert one.amount.fen == 10000
            assert len((await shop.holders(["A3"]))["A3"]) == 1
            assert len(await shop.look_up("A3")) == 1
            await two.replica.script(INSERT.format(id=3, pay=1))
            assert [found.row.key for found in await walked(shop, newest)] == ["3"]  # late, and not missed

    async def test_settling_and_the_lock_are_the_primarys(self, two: Replicated) -> None:
        async with shop_over(two.primary, shop=two.shop()) as shop, shop_over(two.replica) as other:
            assert await shop.take_lock()
            assert await shop.settle(await move_of(shop, "1")) == Moved()
            assert await two.primary.rows("SELECT status FROM orders ORDER BY id") == [(2,), (1,)]
            assert await two.replica.rows("SELECT status FROM orders ORDER BY id") == [(1,), (1,)]
            assert await other.take_lock()

    async def test_what_the_replica_shows_waiting_and_the_primary_does_not_is_no_candidate(
        self, two: Replicated
    ) -> None:
        await two.primary.script(
            "UPDATE orders SET status = 2 WHERE id = 1", "UPDATE orders SET status = -1 WHERE id = 2"
        )
        async with shop_over(two.primary, shop=two.shop()) as shop:
            (found,) = await walked(shop)
            assert isinstance(found.row, Order)
            assert (found.row.key, found.row.state) == ("2", OrderState.CLOSED)
        await two.primary.script("DELETE FROM orders")
        async with shop_over(two.primary, shop=two.shop()) as shop:
            assert await walked(shop) == []

    async def test_what_the_replica_shows_resting_and_the_primary_does_not_rests_no_more(self, two: Replicated) -> None:
        await two.replica.script("UPDATE orders SET status = 2")
        await two.primary.script("UPDATE orders SET status = 2 WHERE id = 1")
        async with shop_over(two.primary, shop=two.shop()) as shop:
            page = await shop.resting(["2"], await shop.before(CREATED - timedelta(days=1)), 100)
            assert [found.row.key for found in page.found] == ["1"]

    async def test_a_replica_that_is_away_holds_up_finding_alone(self, two: Replicated) -> None:
        if two.primary.kind == "sqlite":
            away = two.replica.url
        else:
            away = make_url(two.replica.url).set(host="127.0.0.1", port=1).render_as_string()
        shop = await open_shop(mapping_of(two.primary, shop={"read_url": away}))
        try:
            if two.primary.kind == "sqlite":
                shutil.move(make_url(away).database or "", f"{make_url(away).database}.gone")
            for finding in (shop.newest(), shop.before(CREATED), shop.candidates(await before(two.primary), 10)):
                with pytest.raises(ReplicaUnavailable, match=r"^shop\.read_url: the shop's database cannot be asked: "):
                    await finding
            assert len(await shop.read([OrderKey("1")])) == 1
            assert len(await shop.holders(["A1"])) == 1
            assert await shop.take_lock()
            assert await shop.settle(await move_of(shop, "1")) == Moved()
        finally:
            await shop.release()


async def before(base: Database, since: datetime = CREATED) -> Position:
    """Give a position, as another shop of the same table does."""
    async with shop_over(base) as shop:
        return await shop.before(since)
