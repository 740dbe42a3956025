"""Rows whose time is missing, or beyond what Python knows: one of them stops nothing, on any database."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reconciler.domain.order import Order, OrderKey, UnreadableOrder
from reconciler.ports import Found, Position
from reconciler.shops.sql import AttemptsMapping
from tests.integration.databases import KINDS, Database
from tests.integration.shops import made

UUIDS = [f"{digit * 8}-0000-4000-8000-000000000000" for digit in "123456789abcdef"]
ON_EACH = pytest.mark.parametrize("kind", KINDS)
OF_ALL_TIMES = ["'20261-01-01'", "'infinity'", "'-infinity'", "'0044-03-15 BC'"]


def numbers(found: list[Found]) -> list[str]:
    return [each.row.order_no for each in found]


@ON_EACH
async def test_a_row_without_a_time_hides_no_other_from_a_walk_by_time(base: Database) -> None:
    await made.table(base, id="VARCHAR(36) PRIMARY KEY")
    await base.script("CREATE INDEX by_time ON orders (created, id)")
    await made.put(base, id=UUIDS[0], sn="FIRST")
    await made.put(base, id=UUIDS[9], sn="NO TIME", created=None)
    async with made.shop_over(base) as shop:
        newest = await shop.newest()
        await made.put(base, id=UUIDS[1], sn="NEXT", created=made.local(base, made.NOON + timedelta(minutes=1)))
        assert numbers(await made.walked(shop)) == ["FIRST", "NEXT"]
        assert numbers(await made.walked(shop, await shop.before(made.CREATED))) == ["FIRST", "NEXT"]
        assert numbers(await made.walked(shop, newest)) == ["NEXT"]


@ON_EACH
async def test_a_row_far_in_the_future_hides_nothing_that_is_new(base: Database) -> None:
    await made.table(base, id="VARCHAR(36) PRIMARY KEY")
    await made.put(base, id=UUIDS[1], sn="OLD", created=made.local(base, made.NOON - timedelta(days=1)))
    await made.put(base, id=UUIDS[0], sn="MADE UP", created=made.local(base, made.NOON + timedelta(days=365 * 10)))
    async with made.shop_over(base) as shop:
        newest = await shop.newest()
        await made.put(base, id=UUIDS[2], sn="NEXT")
        assert numbers(await made.walked(shop, newest)) == ["NEXT", "MADE UP"]


@ON_EACH
async def test_where_every_row_lies_there_the_newest_is_the_newest(base: Database) -> None:
    await made.table(base, id="VARCHAR(36) PRIMARY KEY")
    await made.put(base, id=UUIDS[0], created=made.local(base, made.NOON + timedelta(days=365 * 10)))
    async with made.shop_over(base) as shop:
        assert numbers(await made.walked(shop, await shop.newest())) == []


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize("time", ["soon", "9999-99-99", "", "-", "0000-00-00 00:00:00", "2025-13-01 00:00:00"])
@pytest.mark.parametrize("declared", ["TEXT", "INTEGER"])
async def test_nor_does_a_time_that_is_none(base: Database, declared: str, time: str) -> None:
    await made.table(base, id="VARCHAR(36) PRIMARY KEY", created=declared)
    now = made.local(base) if declared == "TEXT" else int(made.NOW.timestamp())
    old = made.local(base, made.NOON - timedelta(days=1)) if declared == "TEXT" else int(made.NOW.timestamp()) - 86_400
    await made.put(base, id=UUIDS[1], sn="OLD", created=old)
    await made.put(base, id=UUIDS[0], sn="BROKEN", created=time)
    async with made.shop_over(base) as shop:
        newest = await shop.newest()
        await made.put(base, id=UUIDS[2], sn="NEXT", created=now)
        assert "NEXT" in numbers(await made.walked(shop, newest))


@pytest.mark.parametrize("kind", ["postgresql"])
@pytest.mark.parametrize("declared", ["TIMESTAMP", "TIMESTAMPTZ"])
@pytest.mark.parametrize("time", [*OF_ALL_TIMES, "'9999-12-31 23:59:59'"])
@pytest.mark.parametrize("rows", [1, 3])
async def test_nor_does_a_time_that_python_does_not_know(base: Database, declared: str, time: str, rows: int) -> None:
    await made.table(base, id="VARCHAR(36) PRIMARY KEY", created=declared)
    await base.script("CREATE INDEX by_time ON orders (created, id)")
    insert = "INSERT INTO orders (id, sn, price, status, created) VALUES ('{}', 'B', 99, 1, {})"
    await base.script(*(insert.format(UUIDS[at], time) for at in range(rows)))
    async with made.shop_over(base) as shop:
        newest = await shop.newest()
        at = made.CREATED if declared == "TIMESTAMPTZ" else made.local(base)
        await made.put(base, id=UUIDS[7], sn="NEXT", created=at)
        for position in (newest, await shop.before(made.CREATED), Position("")):
            assert "NEXT" in numbers(await made.walked(shop, position))


@ON_EACH
async def test_nor_does_an_attempt_without_one(base: Database) -> None:
    await made.table(base)
    await base.script(
        "CREATE TABLE tries (id VARCHAR(36) PRIMARY KEY, owner BIGINT, no VARCHAR(64), at TIMESTAMP NULL)"
    )
    attempts = AttemptsMapping(table="tries", key="id", order="owner", out_trade_no="no", created_at="at")
    insert = "INSERT INTO tries VALUES (:id, :owner, :no, :at)"
    await made.put(base, id=1, sn="OLD", created=made.local(base, made.NOON - timedelta(days=30)))
    await base.execute(insert, id=UUIDS[9], owner=1, no="T0", at=None)
    async with made.shop_over(base, attempts=attempts, out_trade_no=None) as shop:
        newest = await shop.newest()
        await base.execute(insert, id=UUIDS[0], owner=1, no="T1", at=made.local(base))
        (met,) = await made.walked(shop, newest)
        assert {attempt.out_trade_no for attempt in met.attempts} == {"T0", "T1"}


@ON_EACH
@pytest.mark.parametrize("key", ["BIGINT PRIMARY KEY", "VARCHAR(36) PRIMARY KEY"])
@pytest.mark.parametrize(
    "kept",
    ['[["None","A"],null,0]', '[["None"],null,0]', '[[null,"A"],null,0]', "[[7],null,0]", '[["a","b","c"],null,0]'],
)
async def test_a_place_of_another_mapping_or_version_is_the_beginning(base: Database, key: str, kept: str) -> None:
    await made.table(base, id=key)
    await made.put(base, id=9 if key.startswith("BIGINT") else "9", sn="A1")
    async with made.shop_over(base) as shop:
        assert numbers(await made.walked(shop, Position(kept))) == ["A1"]


@pytest.mark.parametrize("kind", ["postgresql"])
@pytest.mark.parametrize("time", OF_ALL_TIMES)
@pytest.mark.parametrize("declared", ["TIMESTAMP", "TIMESTAMPTZ"])
async def test_a_time_that_python_does_not_know_is_that_rows_trouble_alone(
    base: Database, declared: str, time: str
) -> None:
    await made.table(base, paid=declared)
    await made.put(base, id=1, sn="GOOD")
    await base.script("INSERT INTO orders (id, sn, price, status, created) VALUES (2, 'B', 9, 1, now())")
    await base.script("INSERT INTO orders (id, sn, price, status, created) VALUES (3, 'P', 9, 2, now())")
    update = "UPDATE orders SET {} = {} WHERE id = {}"
    await base.script(update.format("created", time, 2), update.format("paid", time, 3))
    async with made.shop_over(base, paid_at="paid") as shop:
        met = await made.walked(shop, Position(""))
        assert [type(each.row) for each in met if each.row.order_no == "GOOD"] == [Order]
        rows = await shop.read([OrderKey(key) for key in "123"])
        assert isinstance(rows[OrderKey("1")], Order)
        assert isinstance(rows[OrderKey("2")], UnreadableOrder)
        assert OrderKey("3") in rows


@pytest.mark.parametrize("kind", ["postgresql"])
async def test_other_times_are_what_they_were(base: Database) -> None:
    await made.table(base, created="TIMESTAMPTZ", paid="TIMESTAMP")
    await made.put(base, id=1, created=made.CREATED)
    async with made.shop_over(base, paid_at="paid") as shop:
        (order,) = await made.orders_of(shop, ["1"])
        assert order.created_at == made.CREATED
        assert await shop.take_lock()
        await shop.settle(await made.move_of(shop, "1"))
        ((paid,),) = await base.rows("SELECT paid FROM orders")
        assert paid == made.PAID_AT.astimezone(made.SHANGHAI).replace(tzinfo=None, microsecond=0)
