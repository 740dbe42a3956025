"""Whatever keeps amounts and times: exact, in the zone of the shop, and written as the column has them."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from reconciler.domain.money import Money
from reconciler.domain.order import OrderKey, OrderState, UnreadableOrder
from reconciler.ports import Moved, NotMoved
from tests.integration.databases import KINDS, Database
from tests.integration.shops.made import (
    CREATED,
    MOMENT,
    NOON,
    NOW,
    PAID_AT,
    TRANSACTION,
    move_of,
    orders_of,
    problems_of,
    put,
    shop_over,
    table,
    walked,
)

LATER = datetime(2026, 3, 1, 16)  # noqa: DTZ001 # the moment of settling

pytestmark = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.parametrize(
    ("type_", "unit", "raw", "fen"),
    [
        ("DECIMAL(10,2)", "yuan", "99.01", 9901),
        ("DECIMAL(20,6)", "yuan", "99.010000", 9901),
        ("DECIMAL(10,1)", "yuan", "99.1", 9910),
        ("DECIMAL(12,0)", "yuan", "99", 9900),
        ("DECIMAL(12,0)", "fen", "9901", 9901),
        ("INT", "yuan", "99", 9900),
        ("BIGINT", "fen", "9901", 9901),
        ("VARCHAR(20)", "yuan", "'99.01'", 9901),
    ],
)
async def test_an_amount_is_exact_whatever_keeps_it(base: Database, type_: str, unit: str, raw: str, fen: int) -> None:
    await table(base, price=type_)
    when = f"'{NOON.isoformat(' ')}'"
    await base.script(f"INSERT INTO orders VALUES (1, 'A1', {raw}, 1, {when})")  # noqa: S608 # a test's own words
    async with shop_over(base, amount_unit=unit) as shop:
        (order,) = await orders_of(shop, ["1"])
        assert order.amount == Money(fen)
        assert await shop.take_lock()
        assert await shop.settle(await move_of(shop, "1")) == Moved()


async def test_a_fraction_of_a_fen_is_unreadable(base: Database) -> None:
    await table(base, price="DECIMAL(20,6)")
    await put(base, price="99.001" if base.kind == "sqlite" else Decimal("99.001"))
    async with shop_over(base) as shop:
        (found,) = await walked(shop)
        assert isinstance(found.row, UnreadableOrder)


@pytest.mark.parametrize("type_", ["FLOAT", "REAL", "DOUBLE PRECISION"])
async def test_a_floating_point_amount_is_refused_with_the_remedy(base: Database, type_: str) -> None:
    await table(base, price=type_)
    (problem,) = await problems_of(base)
    assert problem.startswith("shop.orders.amount: price is ")
    assert "make it DECIMAL(12,2), or keep fen in BIGINT" in problem


TIMES: dict[str, dict[str, str]] = {
    "of the shop's own": MOMENT,
    "with fractions": {"mysql": "DATETIME(6)", "postgresql": "TIMESTAMP(6)"},
    "of the session's": {"mysql": "TIMESTAMP NULL", "postgresql": "TIMESTAMPTZ"},
    "unix seconds": dict.fromkeys(KINDS, "INT"),
    "unix seconds, wide": dict.fromkeys(KINDS, "BIGINT"),
    "unix seconds, unsigned": {"mysql": "INT UNSIGNED"},
    "text": dict.fromkeys(KINDS, "VARCHAR(32)"),
}


@pytest.mark.parametrize("types", TIMES.values(), ids=TIMES)
async def test_times_are_read_and_written_in_the_shops_zone(base: Database, types: dict[str, str]) -> None:
    if base.kind not in types:
        pytest.skip("this database has no such type")
    type_ = types[base.kind]
    await table(base, created=type_, paid=type_, touched=type_)
    async with shop_over(base, paid_at="paid", touch=("touched",)) as shop:
        column = shop._shop.orders.created_at
        is_number, is_text = "INT" in type_, "CHAR" in type_ or base.kind == "sqlite"
        created: Any = NOON
        if is_number:
            created = int(CREATED.timestamp())
        elif is_text:
            created = NOON.isoformat(" ")
        elif column.has_offset:
            created = CREATED
        elif base.kind == "mysql" and "TIMESTAMP" in type_:
            await base.script("SET time_zone = '+08:00'")  # as the shop's own sessions have it
        await put(base, created=created)
        (order,) = await orders_of(shop, ["1"])
        assert order.created_at == CREATED
        assert [found.row.key for found in await walked(shop, await shop.before(CREATED))] == ["1"]
        assert await shop.take_lock()
        assert await shop.settle(await move_of(shop, "1")) == Moved()
        (order,) = await orders_of(shop, ["1"])
        assert order.paid_at == PAID_AT.replace(microsecond=0)
        ((touched,),) = await base.rows("SELECT touched FROM orders")
        expected: Any = LATER
        if is_number:
            expected = int(NOW.timestamp())
        elif is_text:
            expected = LATER.isoformat(" ")
        elif column.has_offset:
            expected = NOW
        assert touched == expected


async def test_a_shop_whose_sessions_keep_another_zone_than_its_clock_is_read_and_written_as_it_writes(
    base: Database,
) -> None:
    """Beijing time, written into TIMESTAMP columns by connections in UTC: what dujiaoka does on many a server."""
    if base.kind != "mysql":
        pytest.skip("only there a session's zone changes what was written")
    changed = "TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP"
    await table(base, created="TIMESTAMP NULL", paid="TIMESTAMP NULL", touched="TIMESTAMP NULL", changed=changed)
    await base.script("SET time_zone = '+00:00'")
    await put(base, created=NOON)
    mapped = {"paid_at": "paid", "touch": ("touched",)}
    async with shop_over(base, **mapped) as shop:
        (order,) = await orders_of(shop, ["1"])
        assert order.created_at - CREATED == timedelta(hours=8)  # the trap
    async with shop_over(base, shop={"session_time_zone": ZoneInfo("UTC")}, **mapped) as shop:
        (order,) = await orders_of(shop, ["1"])
        assert order.created_at == CREATED
        assert [found.row.key for found in await walked(shop, await shop.before(CREATED))] == ["1"]
        assert await shop.take_lock()
        assert await shop.settle(await move_of(shop, "1")) == Moved()
        (order,) = await orders_of(shop, ["1"])
        assert order.paid_at == PAID_AT.replace(microsecond=0)
    assert await base.rows("SELECT touched FROM orders") == [(LATER,)]
    own = "SELECT ABS(TIMESTAMPDIFF(SECOND, changed, CURRENT_TIMESTAMP)) < 900 FROM orders"
    assert await base.rows(own) == [(True,)]


async def test_a_session_cannot_be_further_from_utc_than_every_server_knows(base: Database) -> None:
    if base.kind != "mysql":
        pytest.skip("only there offsets have an end")
    await table(base)
    (problem,) = await problems_of(base, shop={"session_time_zone": ZoneInfo("Pacific/Kiritimati")})
    assert problem == "shop.session_time_zone: Pacific/Kiritimati is further from UTC than a session can be"


async def test_what_the_shops_own_defaults_write_is_in_the_shops_time(base: Database) -> None:
    """`ON UPDATE CURRENT_TIMESTAMP` and triggers go by the session: eight hours off would be a surprise to the shop."""
    if base.kind == "sqlite":
        pytest.skip("a session of SQLite's has no zone")
    if base.kind == "mysql":
        changes = "DATETIME DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP"
        await table(base, changed=changes)
    else:
        await table(base, changed="TIMESTAMP DEFAULT now()")
        await base.script(
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql"
            " AS $$ BEGIN NEW.changed := now(); RETURN NEW; END $$",
            "CREATE TRIGGER changed BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION note()",
        )
    await put(base)
    async with shop_over(base) as shop:
        assert await shop.take_lock()
        assert await shop.settle(await move_of(shop, "1")) == Moved()
    shanghai = {
        "mysql": "SELECT ABS(TIMESTAMPDIFF(SECOND, changed, UTC_TIMESTAMP() + INTERVAL 8 HOUR)) < 900 FROM orders",
        "postgresql": "SELECT abs(extract(epoch FROM changed - now() AT TIME ZONE 'Asia/Shanghai')) < 900 FROM orders",
    }
    assert await base.rows(shanghai[base.kind]) == [(True,)]


async def test_a_time_that_is_not_yet_is_none(base: Database) -> None:
    await table(base, paid={"sqlite": "DATETIME", "mysql": "DATETIME", "postgresql": "INT"}[base.kind])
    if base.kind == "mysql":
        await base.script("SET sql_mode = ''")
    await put(base, paid=0 if base.kind == "postgresql" else "0000-00-00 00:00:00")
    async with shop_over(base, paid_at="paid") as shop:
        (order,) = await orders_of(shop, ["1"])
        assert order.paid_at is None


async def test_without_columns_for_the_payment_only_the_status_is_written(base: Database) -> None:
    await table(base)
    await put(base)
    async with shop_over(base) as shop:
        assert await shop.take_lock()
        before = await base.rows("SELECT id, sn, price, created FROM orders")
        assert await shop.settle(await move_of(shop, "1")) == Moved()
        assert await base.rows("SELECT id, sn, price, created FROM orders") == before
        (order,) = await orders_of(shop, ["1"])
        assert (order.state, order.transaction_id, order.paid_at) == (OrderState.PAID, None, None)


async def test_constants_and_the_payments_numbers_are_set_as_their_columns_have_them(base: Database) -> None:
    bit = {"sqlite": "INT", "mysql": "BIT(1)", "postgresql": "BIT(1)"}[base.kind]
    await table(
        base, trade_no="VARCHAR(64)", flag="BOOLEAN", bit=bit, level="SMALLINT", memo="VARCHAR(64)", rate="DECIMAL(6,3)"
    )
    await put(base)
    values = {"flag": True, "bit": 1, "level": -3, "memo": "{out_trade_no}", "rate": 1, "trade_no": "{transaction_id}"}
    async with shop_over(base, set=values) as shop:
        assert await shop.take_lock()
        assert await shop.settle(await move_of(shop, "1")) == Moved()
    flags = {"sqlite": "flag = 1 AND bit = 1", "mysql": "flag = 1 AND bit = b'1'", "postgresql": "flag AND bit = b'1'"}
    where = f"{flags[base.kind]} AND level = -3 AND memo = 'A1' AND rate = 1 AND trade_no = '{TRANSACTION}'"
    assert await base.rows(f"SELECT count(*) FROM orders WHERE {where}") == [(1,)]  # noqa: S608 # a test's own words


async def test_a_text_that_is_too_long_for_its_column_is_refused_and_nothing_is_cut_off(base: Database) -> None:
    await table(base, memo="VARCHAR(30)", trade_no="VARCHAR(64)")
    await put(base)
    async with shop_over(base, transaction_id="trade_no") as shop:
        assert await shop.take_lock()
        move = await move_of(shop, "1")
        outcome = await shop.settle(dataclasses.replace(move, transaction_id="9" * 65))
        assert isinstance(outcome, NotMoved)
        assert outcome.why == "trade_no: 65 characters are due, and the column takes 64"


async def test_what_a_constraint_or_a_trigger_refuses_is_told_in_the_databases_words(base: Database) -> None:
    if base.kind == "sqlite":
        pytest.skip("see test_sqlite_settle.py")
    await table(base, trade_no="VARCHAR(64) UNIQUE", level="INT CHECK (level < 5)")
    await put(base)
    await put(base, id=2, sn="A2", trade_no=TRANSACTION)
    async with shop_over(base, transaction_id="trade_no") as shop:
        assert await shop.take_lock()
        outcome = await shop.settle(await move_of(shop, "1"))
        assert isinstance(outcome, NotMoved)
        assert "uplicate" in outcome.why
    async with shop_over(base, set={"level": 9}) as shop:
        assert await shop.take_lock()
        outcome = await shop.settle(await move_of(shop, "1"))
        assert isinstance(outcome, NotMoved)
        assert "level" in outcome.why
    if base.kind == "mysql":
        await base.script(
            "CREATE TRIGGER no BEFORE UPDATE ON orders FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'ask me'"
        )
    else:
        await base.script(
            "CREATE FUNCTION no() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'ask me'; END $$ LANGUAGE plpgsql",
            "CREATE TRIGGER no BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION no()",
        )
    async with shop_over(base) as shop:
        assert await shop.take_lock()
        outcome = await shop.settle(await move_of(shop, "1"))
        assert isinstance(outcome, NotMoved)
        assert outcome.why == "ask me"
        assert await shop.holds_lock()


async def test_a_constraint_that_is_checked_at_commit_refuses_too(base: Database) -> None:
    if base.kind != "postgresql":
        pytest.skip("this database checks at once")
    await base.script("CREATE TABLE goods (id INT PRIMARY KEY)")
    await table(base, goods="INT REFERENCES goods (id) DEFERRABLE INITIALLY DEFERRED")
    await put(base)
    async with shop_over(base, set={"goods": 9}) as shop:
        assert await shop.take_lock()
        outcome = await shop.settle(await move_of(shop, "1"))
        assert isinstance(outcome, NotMoved)
        assert "foreign key" in outcome.why
        assert outcome.rows[OrderKey("1")].state is OrderState.PENDING
        assert await shop.holds_lock()


async def test_one_payment_moves_all_its_rows_or_none(base: Database) -> None:
    await table(base)
    for key in (1, 2, 3):
        await put(base, id=key)
    async with shop_over(base, shared_payment=True) as shop:
        assert await shop.take_lock()
        held = await shop.holders(["A1"])
        move = await move_of(shop, *(row.key for row in held["A1"]))
        await base.execute("UPDATE orders SET status = -1 WHERE id = 3")
        assert isinstance(await shop.settle(move), NotMoved)
        assert await base.rows("SELECT status FROM orders ORDER BY id") == [(1,), (1,), (-1,)]
        assert await shop.settle(await move_of(shop, "1", "2", "3")) == Moved()
        assert await base.rows("SELECT status FROM orders ORDER BY id") == [(2,), (2,), (2,)]


async def test_a_table_that_cannot_roll_back_takes_no_shared_payments(base: Database) -> None:
    if base.kind != "mysql":
        pytest.skip("every table of this database can")
    await table(base)
    await base.script("ALTER TABLE orders ENGINE = MyISAM")
    assert await problems_of(base) == ()
    (problem,) = await problems_of(base, shared_payment=True)
    assert problem == "shop.orders.table: orders cannot roll back, which shared_payment needs; use InnoDB"
