"""Settling in SQLite: what is written, when it is not, and what is known afterwards."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.domain.money import Money
from reconciler.domain.order import ChannelName, Order, OrderKey, OrderState
from reconciler.ports import LockLost, Move, Moved, NotMoved, RowBusy
from reconciler.shops.sql import SqlShop, States

Opens = Callable[..., Awaitable[SqlShop]]
TRANSACTION = "2026030122001400000000000001"
PAID_AT = datetime(2026, 3, 1, 4, 1, 2, 999999, tzinfo=UTC)
ONE, TWO = OrderKey("1"), OrderKey("2")


@pytest.fixture
def orders(database: sqlite3.Connection) -> sqlite3.Connection:
    database.execute(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, sn TEXT, price DECIMAL(10,2), status INT, created DATETIME,"
        " trade_no VARCHAR(32), pay_time DATETIME, pay_unix INTEGER, updated DATETIME,"
        " flag BOOLEAN, memo TEXT, gone DATETIME)"
    )
    for at in (1, 2):
        database.execute(
            "INSERT INTO orders (id, sn, price, status, created, memo)"
            " VALUES (?, ?, 0.07, 1, '2026-03-01 12:00:00', 'keep')",
            (at, f"A{at}"),
        )
    return database


async def move_of(shop: SqlShop, *keys: OrderKey, transaction_id: str = TRANSACTION) -> Move:
    rows = await shop.read(keys)
    found = tuple(row for row in rows.values() if isinstance(row, Order))
    amount = Money(sum(order.amount.fen for order in found))
    return Move("i1", found, ChannelName("alipay-main"), "A1", transaction_id, amount, PAID_AT)


def rows(database: sqlite3.Connection, columns: str = "*") -> list[tuple[object, ...]]:
    return database.execute(f"SELECT {columns} FROM orders ORDER BY id").fetchall()  # noqa: S608 # a test's own words


async def test_everything_mapped_is_written_as_the_columns_have_it(orders: sqlite3.Connection, opens: Opens) -> None:
    shop = await opens(
        transaction_id="trade_no",
        paid_at="pay_time",
        touch=("updated",),
        set={"flag": True, "memo": "{out_trade_no}/", "pay_unix": 7},
    )
    assert await shop.take_lock()
    assert await shop.settle(await move_of(shop, ONE)) == Moved()
    written = rows(orders, "status, trade_no, pay_time, updated, flag, memo, pay_unix")
    assert written[0] == (2, TRANSACTION, "2026-03-01 12:01:02", "2026-03-01 16:00:00", 1, "{out_trade_no}/", 7)
    assert written[1] == (1, None, None, None, None, "keep", None)


async def test_a_constant_may_be_the_payments_own_number(orders: sqlite3.Connection, opens: Opens) -> None:
    shop = await opens(set={"memo": "{out_trade_no}", "trade_no": "{transaction_id}"}, paid_at="pay_unix")
    assert await shop.take_lock()
    assert await shop.settle(await move_of(shop, ONE)) == Moved()
    assert rows(orders, "memo, trade_no, pay_unix")[0] == ("A1", TRANSACTION, int(PAID_AT.timestamp()))


async def test_the_guard_compares_what_was_read_and_not_what_it_meant(orders: sqlite3.Connection, opens: Opens) -> None:
    """0.07 has no exact fraction in binary; text and number of one worth are not one value."""
    orders.execute("UPDATE orders SET price = '0.07' WHERE id = 2")
    shop = await opens()
    assert await shop.take_lock()
    assert await shop.settle(await move_of(shop, ONE)) == Moved()
    assert await shop.settle(await move_of(shop, TWO)) == Moved()


async def test_rows_outside_the_predicate_are_neither_read_nor_moved(orders: sqlite3.Connection, opens: Opens) -> None:
    shop = await opens(where="gone IS NULL -- soft delete at 12:00:00, 100%")
    assert await shop.take_lock()
    move = await move_of(shop, ONE)
    orders.execute("UPDATE orders SET gone = '2026-03-01' WHERE id = 1")
    before = rows(orders)
    assert await shop.settle(move) == NotMoved({})
    assert rows(orders) == before


async def test_the_callback_that_comes_first_wins(orders: sqlite3.Connection, opens: Opens) -> None:
    shop = await opens(transaction_id="trade_no")
    assert await shop.take_lock()
    move = await move_of(shop, ONE)
    orders.execute("UPDATE orders SET status = 2, trade_no = 'T-callback' WHERE id = 1")
    outcome = await shop.settle(move)
    assert isinstance(outcome, NotMoved)
    row = outcome.rows[ONE]
    assert isinstance(row, Order)
    assert (row.state, row.transaction_id) == (OrderState.PAID, "T-callback")
    assert rows(orders, "trade_no") == [("T-callback",), (None,)]


async def test_a_transaction_number_longer_than_its_column_is_not_cut_off(
    orders: sqlite3.Connection, opens: Opens
) -> None:
    shop = await opens(transaction_id="trade_no")
    assert await shop.take_lock()
    outcome = await shop.settle(await move_of(shop, ONE, transaction_id="9" * 33))
    assert isinstance(outcome, NotMoved)
    assert outcome.why == "trade_no: 33 characters are due, and the column takes 32"
    assert outcome.rows[ONE].state is OrderState.PENDING
    assert rows(orders, "status, trade_no")[0] == (1, None)


async def test_what_the_shops_own_rules_refuse_is_not_moved(orders: sqlite3.Connection, opens: Opens) -> None:
    orders.execute("CREATE TRIGGER no BEFORE UPDATE ON orders WHEN NEW.id = 2 BEGIN SELECT RAISE(ABORT, 'no'); END")
    shop = await opens(shared_payment=True)
    assert await shop.take_lock()
    before = rows(orders)
    outcome = await shop.settle(await move_of(shop, ONE, TWO))
    assert isinstance(outcome, NotMoved)
    assert outcome.why == "no"
    assert rows(orders) == before
    assert await shop.holds_lock()


async def test_what_a_constraint_says_is_passed_on_in_one_short_line(orders: sqlite3.Connection, opens: Opens) -> None:
    orders.execute("CREATE UNIQUE INDEX one_each ON orders (trade_no)")
    orders.execute("UPDATE orders SET trade_no = ? WHERE id = 2", (TRANSACTION,))
    shop = await opens(transaction_id="trade_no")
    assert await shop.take_lock()
    outcome = await shop.settle(await move_of(shop, ONE))
    assert isinstance(outcome, NotMoved)
    assert outcome.why == "UNIQUE constraint failed: orders.trade_no"
    orders.execute("DROP INDEX one_each")
    message = "no\n" * 1000
    orders.execute(f"CREATE TRIGGER no BEFORE UPDATE ON orders BEGIN SELECT RAISE(ABORT, '{message}'); END")
    order = (await shop.read([ONE]))[ONE]
    assert isinstance(order, Order)
    outcome = await shop.close_order(order)
    assert isinstance(outcome, NotMoved)
    assert outcome.why.isprintable()
    assert 2 < len(outcome.why) <= 300


async def test_a_group_needs_a_mapping_that_shares_payments(orders: sqlite3.Connection, opens: Opens) -> None:
    shop = await opens()
    assert await shop.take_lock()
    with pytest.raises(ValueError, match="2 orders in one move"):
        await shop.settle(await move_of(shop, ONE, TWO))


async def test_an_order_that_was_not_read_here_is_not_settled(orders: sqlite3.Connection, opens: Opens) -> None:
    shop = await opens()
    assert await shop.take_lock()
    order = Order(ONE, "A1", OrderState.PENDING, "1", Money(7), PAID_AT)
    with pytest.raises(ValueError, match="not read from this shop"):
        await shop.settle(Move("i1", (order,), ChannelName("a"), "A1", TRANSACTION, Money(7), PAID_AT))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.databases.limits.BUSY_TIMEOUT_S", 0.05)


@pytest.mark.usefixtures("impatient")
async def test_a_database_that_somebody_else_writes_is_busy_and_nothing_is_written(
    orders: sqlite3.Connection, opens: Opens
) -> None:
    shop = await opens()
    assert await shop.take_lock()
    move = await move_of(shop, ONE)
    orders.execute("BEGIN IMMEDIATE")
    with pytest.raises(RowBusy, match="locked"):
        await shop.settle(move)
    orders.execute("ROLLBACK")
    assert rows(orders, "status") == [(1,), (1,)]
    assert await shop.settle(move) == Moved()


@pytest.mark.usefixtures("impatient")
async def test_a_reader_in_the_way_of_the_commit_means_nothing_was_written(
    orders: sqlite3.Connection, opens: Opens
) -> None:
    """In a rollback journal COMMIT waits for readers, and fails as a whole."""
    shop = await opens()
    assert await shop.take_lock()
    move = await move_of(shop, ONE)
    orders.execute("BEGIN")
    rows(orders)
    with pytest.raises(RowBusy, match="locked"):
        await shop.settle(move)
    orders.execute("ROLLBACK")
    assert rows(orders, "status") == [(1,), (1,)]
    assert await shop.settle(move) == Moved()


async def test_a_commit_whose_outcome_is_unknown_loses_the_lock(
    orders: sqlite3.Connection, opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await opens()
    assert await shop.take_lock()
    move = await move_of(shop, ONE)

    commit = AsyncConnection.commit

    async def broken(connection: AsyncConnection) -> None:
        await commit(connection)
        raise OperationalError("COMMIT", None, OSError("disk I/O error"))

    with monkeypatch.context() as patch:
        patch.setattr(AsyncConnection, "commit", broken)
        with pytest.raises(LockLost, match="unknown"):
            await shop.settle(move)
    assert not await shop.holds_lock()
    with pytest.raises(LockLost):
        await shop.settle(move)
    assert rows(orders, "status") == [(2,), (1,)]


async def test_a_lock_that_went_away_settles_nothing(orders: sqlite3.Connection, opens: Opens, path: Path) -> None:
    shop = await opens()
    assert await shop.take_lock()
    move = await move_of(shop, ONE)
    (path.parent / ".shop.db.orders.reconciler-lock").unlink()
    with pytest.raises(LockLost):
        await shop.settle(move)
    assert rows(orders, "status") == [(1,), (1,)]
    assert not orders.in_transaction
    orders.execute("UPDATE orders SET memo = 'free' WHERE id = 1")


async def test_a_cancelled_settle_ends_whole_before_it_is_cancelled(
    orders: sqlite3.Connection, opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await opens()
    assert await shop.take_lock()
    move = await move_of(shop, ONE)
    begun = asyncio.Event()
    begin = AsyncConnection.execute

    async def announced(connection: AsyncConnection, *args: object, **kwargs: object) -> object:
        begun.set()
        await asyncio.sleep(0)
        return await begin(connection, *args, **kwargs)  # type: ignore[call-overload] # passed on

    monkeypatch.setattr(AsyncConnection, "execute", announced)
    task = asyncio.ensure_future(shop.settle(move))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert rows(orders, "status") == [(2,), (1,)]
    orders.execute("UPDATE orders SET memo = 'free' WHERE id = 1")


async def test_closing_needs_a_state_to_close_to(orders: sqlite3.Connection, opens: Opens) -> None:
    shop = await opens(states=States(pending=(1,), paid=(2,), settled_as=2))
    assert await shop.take_lock()
    order = (await shop.read([ONE]))[ONE]
    assert isinstance(order, Order)
    with pytest.raises(ValueError, match="closed_as"):
        await shop.close_order(order)


async def test_names_may_be_reserved_words_chinese_or_full_of_quotes(
    database: sqlite3.Connection, opens: Opens
) -> None:
    database.execute(
        'CREATE TABLE "order" ("select" INTEGER PRIMARY KEY, "订单号" TEXT, "金 额" DECIMAL(10,2), "group" INT,'
        ' "时间:x" DATETIME, "a""b%s?" TEXT)'
    )
    database.execute("""INSERT INTO "order" VALUES (1, 'A1', '9.00', 1, '2026-03-01 12:00:00', '')""")
    shop = await opens(
        table="order",
        key="select",
        order_no="订单号",
        out_trade_no="订单号",
        amount="金 额",
        status="group",
        created_at="时间:x",
        transaction_id='a"b%s?',
        where="\"订单号\" LIKE 'A%' AND '%s :x' <> '?'",
    )
    assert await shop.take_lock()
    page = await shop.candidates(await shop.before(datetime(2026, 1, 1, tzinfo=UTC)), 10)
    assert len(page.found) == 1
    assert len((await shop.holders(["A1"]))["A1"]) == 1
    assert await shop.settle(await move_of(shop, ONE)) == Moved()
    assert database.execute('SELECT "group", "a""b%s?" FROM "order"').fetchall() == [(2, TRANSACTION)]


async def test_a_view_is_read_and_its_table_written(orders: sqlite3.Connection, opens: Opens) -> None:
    orders.execute("CREATE TABLE pays (order_id INTEGER, code TEXT)")
    orders.execute("INSERT INTO pays VALUES (1, '3'), (2, '9')")
    orders.execute(
        "CREATE VIEW joined AS SELECT orders.*, pays.code FROM orders JOIN pays ON pays.order_id = orders.id"
    )
    shop = await opens(read_from="joined", channel="code", transaction_id="trade_no")
    assert await shop.take_lock()
    page = await shop.candidates(await shop.before(datetime(2026, 1, 1, tzinfo=UTC)), 10)
    assert [len(found.attempts) for found in page.found] == [1, 0]
    assert await shop.settle(await move_of(shop, ONE)) == Moved()
    assert rows(orders, "status, trade_no") == [(2, TRANSACTION), (1, None)]
