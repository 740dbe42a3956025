"""What real shops store, and what we read in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from reconciler.domain.money import Money
from reconciler.domain.order import Order, OrderKey, OrderState, UnreadableOrder
from reconciler.shops.sql import SqlShop, States

Opens = Callable[..., Awaitable[SqlShop]]

KEY = OrderKey("1")
TIME = "2026-03-01 12:00:00"


def table(
    database: sqlite3.Connection, *, price: str = "DECIMAL(10,2)", status: str = "INT", created: str = "DATETIME"
) -> None:
    database.execute(
        f"CREATE TABLE orders (id INTEGER PRIMARY KEY, sn TEXT, price {price}, status {status}, created {created})"
    )


@pytest.mark.parametrize(
    ("declared", "unit", "raw", "fen"),
    [
        ("DECIMAL(10,2)", "yuan", "99.00", 9900),
        ("DECIMAL(10,2)", "yuan", "99.9", 9990),
        ("DECIMAL(10,2)", "yuan", 0.07, 7),
        ("DECIMAL(10,2)", "yuan", 99, 9900),
        ("DECIMAL(20,6)", "yuan", "1234567.890000", 123456789),
        ("VARCHAR(20)", "yuan", "0.10", 10),
        ("INTEGER", "yuan", 3, 300),
        ("INTEGER", "fen", 9900, 9900),
        ("BIGINT", "fen", "9900", 9900),
        ("TEXT", "fen", "9900", 9900),
        ("DECIMAL(10,0)", "fen", "9900.0", 9900),
        ("INTEGER", "fen", 0, 0),
    ],
)
async def test_an_amount_is_read_to_the_fen(
    database: sqlite3.Connection, opens: Opens, declared: str, unit: str, raw: object, fen: int
) -> None:
    table(database, price=declared)
    database.execute("INSERT INTO orders VALUES (1, 'A1', ?, 1, ?)", (raw, TIME))
    order = (await (await opens(amount_unit=unit)).read([KEY]))[KEY]
    assert isinstance(order, Order)
    assert order.amount == Money(fen)


@pytest.mark.parametrize("unit", ["yuan", "fen"])
@pytest.mark.parametrize(
    "raw",
    [None, "", "free", -1, "-1.00", 99.005, "1e3", "٣", " 99", "99 ", b"\xff\xfe", 10**17, float("inf"), "9" * 99],
)
async def test_an_amount_that_is_none_makes_the_order_unreadable(
    database: sqlite3.Connection, opens: Opens, unit: str, raw: object
) -> None:
    table(database, price="BLOB")
    database.execute("INSERT INTO orders VALUES (1, 'A1', ?, 1, ?)", (raw, TIME))
    row = (await (await opens(amount_unit=unit)).read([KEY]))[KEY]
    assert isinstance(row, UnreadableOrder)
    assert row.problem.startswith("price: ")
    assert row.problem.isprintable()


async def test_a_sum_that_no_decimal_wrote_is_no_amount(database: sqlite3.Connection, opens: Opens) -> None:
    table(database)
    for key, raw in ((1, 0.1 + 0.2), (2, 99.9), (3, 0.3)):
        database.execute("INSERT INTO orders VALUES (?, ?, ?, 1, ?)", (key, f"A{key}", raw, TIME))
    rows = await (await opens()).read([OrderKey(str(key)) for key in (1, 2, 3)])
    sums, fair, small = (rows[OrderKey(str(key))] for key in (1, 2, 3))
    assert isinstance(sums, UnreadableOrder)
    assert sums.problem.startswith("price: ")
    assert isinstance(fair, Order)
    assert isinstance(small, Order)
    assert (fair.amount, small.amount) == (Money(9990), Money(30))


@pytest.mark.parametrize(
    ("declared", "raw", "instant"),
    [
        ("DATETIME", "2026-03-01 12:00:00", "2026-03-01T04:00:00"),
        ("DATETIME", "2026-03-01T12:00:00", "2026-03-01T04:00:00"),
        ("TEXT", "2026-03-01 12:00:00.5", "2026-03-01T04:00:00.500000"),
        ("TEXT", "2026-03-01 12:00:00.123456", "2026-03-01T04:00:00.123456"),
        ("TEXT", "2026-03-01T12:00:00Z", "2026-03-01T12:00:00"),
        ("TEXT", "2026-03-01 12:00:00+09:00", "2026-03-01T03:00:00"),
        ("TIMESTAMP", "2026-03-01 12:00:00 -0130", "2026-03-01T13:30:00"),
        ("INTEGER", 1772337600, "2026-03-01T04:00:00"),
        ("INT UNSIGNED", "1772337600", "2026-03-01T04:00:00"),
    ],
)
async def test_a_time_is_read_as_an_instant(
    database: sqlite3.Connection, opens: Opens, declared: str, raw: object, instant: str
) -> None:
    table(database, created=declared)
    database.execute("INSERT INTO orders VALUES (1, 'A1', '1.00', 1, ?)", (raw,))
    order = (await (await opens()).read([KEY]))[KEY]
    assert isinstance(order, Order)
    assert order.created_at == datetime.fromisoformat(instant).replace(tzinfo=UTC)


@pytest.mark.parametrize("declared", ["DATETIME", "TEXT", "INTEGER"])
@pytest.mark.parametrize(
    "raw",
    [None, "", 0, "2026-03-01", "20260301", 20260301, "2026-13-01 00:00:00", "2026-03-01 25:00:00",
     "9999-12-31 23:59:59",
     "0001-01-01 00:00:00", "0000-00-00 00:00:00", 1772337600000, 10**18, "2026-03-01 12:00:00+99:99", "now", b"\xff",
     "２０２６-03-01 12:00:00", "2026-03-01 12:00:00\n"],
)  # fmt: skip
async def test_a_time_that_is_none_makes_the_order_unreadable(
    database: sqlite3.Connection, opens: Opens, declared: str, raw: object
) -> None:
    table(database, created=declared)
    database.execute("INSERT INTO orders VALUES (1, 'A1', '1.00', 1, ?)", (raw,))
    row = (await (await opens()).read([KEY]))[KEY]
    assert isinstance(row, UnreadableOrder)
    assert row.problem.startswith("created: ")


@pytest.mark.parametrize(
    ("declared", "raw", "value"),
    [
        ("INTEGER", 1, 1),
        ("INTEGER", 1, "1"),
        ("VARCHAR(10)", "1", 1),
        ("VARCHAR(10)", "waiting", "waiting"),
        ("BOOLEAN", 1, True),
        ("BOOLEAN", 1, "true"),
        ("BOOLEAN", 1, 1),
        ("BIT(1)", 1, 1),
        ("DECIMAL(2,0)", 1, "1"),
        ("", 1, 1),
        ("", "1", 1),
        ("等待", 1, 1),
    ],
)
async def test_a_status_is_compared_as_the_column_has_it(
    database: sqlite3.Connection, opens: Opens, declared: str, raw: object, value: int | str
) -> None:
    table(database, status=declared)
    database.execute("INSERT INTO orders VALUES (1, 'A1', '1.00', ?, ?)", (raw, TIME))
    paid = 0 if declared == "BOOLEAN" else 2
    shop = await opens(states=States(pending=(value,), paid=(paid,), settled_as=paid))
    page = await shop.candidates(await shop.before(datetime(2026, 1, 1, tzinfo=UTC)), 10)
    assert [found.row.state for found in page.found] == [OrderState.PENDING]


@pytest.mark.parametrize("raw", [None, 5, "01", "", b"\xff"])
async def test_a_status_that_nobody_mapped_is_unknown(database: sqlite3.Connection, opens: Opens, raw: object) -> None:
    table(database, status="BLOB")
    database.execute("INSERT INTO orders VALUES (1, 'A1', '1.00', ?, ?)", (raw, TIME))
    row = (await (await opens()).read([KEY]))[KEY]
    assert row.state is OrderState.UNKNOWN
    assert row.status.isprintable()


@pytest.mark.parametrize("raw", ["A" * 65, "A 1", "订单", "A\n1", b"\xff"])
async def test_a_number_that_cannot_be_asked_is_shown_safely(
    database: sqlite3.Connection, opens: Opens, raw: object
) -> None:
    table(database)
    database.execute("INSERT INTO orders VALUES (1, ?, '1.00', 1, ?)", (raw, TIME))
    row = (await (await opens()).read([KEY]))[KEY]
    assert isinstance(row, UnreadableOrder)
    assert row.problem.startswith("sn: ")
    assert (row.problem + row.order_no).isprintable()


@pytest.mark.parametrize("raw", [None, ""])
async def test_an_order_without_a_number_is_unreadable_and_is_not_asked_about(
    database: sqlite3.Connection, opens: Opens, raw: object
) -> None:
    table(database)
    database.execute("INSERT INTO orders VALUES (1, ?, '1.00', 1, ?)", (raw, TIME))
    shop = await opens()
    (found,) = (await shop.candidates(await shop.before(datetime(2026, 1, 1, tzinfo=UTC)), 10)).found
    assert isinstance(found.row, UnreadableOrder)
    assert found.row.problem == "sn: NULL or empty where a number is due"
    assert found.row.order_no == "1"
    assert found.attempts == ()
    assert await shop.holders([""]) == {}


async def test_one_row_of_broken_text_does_not_hide_the_others(database: sqlite3.Connection, opens: Opens) -> None:
    table(database)
    database.execute("INSERT INTO orders VALUES (1, CAST(x'ff41' AS TEXT), '1.00', 1, ?)", (TIME,))
    database.execute("INSERT INTO orders VALUES (2, 'A2', '1.00', 1, ?)", (TIME,))
    shop = await opens()
    page = await shop.candidates(await shop.before(datetime(2026, 1, 1, tzinfo=UTC)), 10)
    assert [type(found.row) for found in page.found] == [UnreadableOrder, Order]


@pytest.mark.parametrize(("status", "kind"), [(1, UnreadableOrder), (-1, UnreadableOrder), (2, Order)])
async def test_an_unreadable_paid_time_matters_only_where_the_order_may_be_moved(
    database: sqlite3.Connection, opens: Opens, status: int, kind: type
) -> None:
    table(database)
    database.execute("ALTER TABLE orders ADD COLUMN pay_time TEXT")
    database.execute("INSERT INTO orders VALUES (1, 'A1', '1.00', ?, ?, 'yesterday')", (status, TIME))
    assert isinstance((await (await opens(paid_at="pay_time")).read([KEY]))[KEY], kind)
