"""Whatever keys, numbers, columns and tables are called: told apart to the letter."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from reconciler.databases.mysql import session
from reconciler.domain.order import ChannelName, OrderKey
from reconciler.ports import Moved, NotMoved
from reconciler.shops.sql import AttemptsMapping
from tests.integration.databases import KINDS, Database
from tests.integration.shops.made import (
    MOMENT,
    NOON,
    TRANSACTION,
    local,
    move_of,
    orders_of,
    problems_of,
    put,
    shop_over,
    table,
    walked,
)

pytestmark = pytest.mark.parametrize("kind", KINDS)


NUMBERS = {
    "text, text": ("VARCHAR(32)", "VARCHAR(32)", "VARCHAR(32)"),
    "integer key, text beside the attempt": ("BIGINT", "VARCHAR(32)", "VARCHAR(32)"),
    "text key, integer beside the attempt": ("VARCHAR(32)", "BIGINT", "VARCHAR(32)"),
    "integer number": ("BIGINT", "BIGINT", "BIGINT"),
    "exact numbers": ("BIGINT", "DECIMAL(20,0)", "DECIMAL(30,0)"),
    "padded": ("VARCHAR(32)", "CHAR(32)", "CHAR(32)"),
}


@pytest.mark.parametrize(("key", "order", "number"), NUMBERS.values(), ids=NUMBERS)
async def test_numbers_compare_right_whatever_keeps_them(base: Database, key: str, order: str, number: str) -> None:
    moment, nullable = MOMENT[base.kind], "VARCHAR(64)"
    await table(base, id=f"{key} PRIMARY KEY", sn=nullable)
    await base.script(
        f"CREATE TABLE tries (id BIGINT PRIMARY KEY, order_id {order}, no {number}, code VARCHAR(8), made {moment})"
    )

    def fit(type_: str, text: str) -> object:
        if type_ == "BIGINT":
            return int(text)
        return Decimal(text) if "DECIMAL" in type_ and base.kind != "sqlite" else text

    for at, name in ((1, "11"), (2, "12")):
        await put(base, id=fit(key, name), sn=f"S{at}")
    for at, (owner, no) in enumerate((("11", "5001"), ("11", "5002"), ("12", "5003")), 1):
        await base.execute(
            "INSERT INTO tries VALUES (:id, :owner, :no, '3', :made)",
            id=at, owner=fit(order, owner), no=fit(number, no), made=local(base),
        )  # fmt: skip
    is_exact = "CHAR" not in number
    if not is_exact:  # what an implicit cast would take for 5001
        await base.script(
            "INSERT INTO tries SELECT 9, order_id, '5001x', '3', made FROM tries WHERE id = 3",
            "INSERT INTO tries SELECT 10, order_id, '05001', '3', made FROM tries WHERE id = 1",
        )
    attempts = AttemptsMapping("tries", "id", "order_id", "no", created_at="made", channel="code")
    async with shop_over(base, attempts=attempts, out_trade_no=None) as shop:
        met = {found.row.key: [attempt.out_trade_no for attempt in found.attempts] for found in await walked(shop)}
        assert met == {
            "11": ["5001", "5002", *([] if is_exact else ["05001"])],
            "12": ["5003", *([] if is_exact else ["5001x"])],
        }
        held = await shop.holders(["5001", "5003", "1abc", "05003", "5003.0", "5003 "])
        assert {number: [row.key for row in rows] for number, rows in held.items()} == {"5001": ["11"], "5003": ["12"]}
        assert [found.row.key for found in await shop.look_up("5003")] == ["12"]
        assert await shop.look_up("5003abc") == ()
        assert list(await shop.read([OrderKey("11"), OrderKey("11abc"), OrderKey("011")])) == ["11"]
        assert await shop.take_lock()
        assert await shop.settle(await move_of(shop, "11")) == Moved()
        assert await base.rows("SELECT sn, status FROM orders ORDER BY sn") == [("S1", 2), ("S2", 1)]


async def test_letters_and_blanks_at_the_end_make_another_number(base: Database) -> None:
    await table(base, sn="VARCHAR(64)")
    for key, number in ((1, "A1"), (2, "a1"), (3, "A1 "), (4, "Á1")):
        await put(base, id=key, sn=number)
    async with shop_over(base) as shop:
        held = await shop.holders(["A1", "a1"])
        assert {number: [row.key for row in rows] for number, rows in held.items()} == {"A1": ["1"], "a1": ["2"]}
        assert [found.row.key for found in await shop.look_up("a1")] == ["2"]
        assert [found.row.key for found in await shop.look_up("A1")] == ["1"]


async def test_a_column_that_compares_loosely_by_its_own_type_changes_nothing(base: Database) -> None:
    types = {"sqlite": "TEXT COLLATE NOCASE", "mysql": "VARCHAR(64) CHARACTER SET latin1", "postgresql": "CITEXT"}
    if base.kind == "postgresql":
        try:
            await base.script("CREATE EXTENSION citext")
        except Exception as error:  # noqa: BLE001 # a package of its own on some systems
            pytest.skip(f"the server has no citext: {error}")
    await table(base, sn=types[base.kind])
    for key, number in ((1, "A1"), (2, "a1")):
        await put(base, id=key, sn=number)
    async with shop_over(base) as shop:
        held = await shop.holders(["A1"])
        assert [row.key for row in held["A1"]] == ["1"]
        assert await shop.look_up("á1") == ()
        assert await shop.take_lock()
        move = await move_of(shop, "1")
        await base.execute("UPDATE orders SET sn = 'a1' WHERE id = 1")
        assert isinstance(await shop.settle(move), NotMoved)


async def test_a_quote_or_a_backslash_in_a_number_is_only_a_character(base: Database) -> None:
    await table(base)
    numbers = ["O'1", 'O"1', "O\\1", "O\\';--", "O%1", "O:1", "O%s", "O`1"]
    for key, number in enumerate(numbers, 1):
        await put(base, id=key, sn=number)
    async with shop_over(base) as shop:
        for key, number in enumerate(numbers, 1):
            assert [found.row.key for found in await shop.look_up(number)] == [str(key)]
        assert await shop.take_lock()
        assert await shop.settle(await move_of(shop, "4")) == Moved()


async def test_a_session_takes_backslashes_for_what_the_driver_does(base: Database) -> None:
    if base.kind != "mysql":
        pytest.skip("its driver sends values apart from the statement")
    await base.script("SET sql_mode = 'NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,ANSI_QUOTES'")
    await base.script(session(timedelta(hours=8)))
    ((modes, zone),) = await base.rows("SELECT @@sql_mode, @@time_zone")
    assert set(modes.split(",")) == {"ANSI_QUOTES", "STRICT_ALL_TABLES"}
    assert zone == "+08:00"


async def test_reserved_words_and_chinese_names_are_names(base: Database) -> None:
    quoted = base.quoted
    columns = f"{quoted('key')} BIGINT PRIMARY KEY, {quoted('订单号')} VARCHAR(64), {quoted('from')} DECIMAL(10,2)"
    columns += f", {quoted('Order')} VARCHAR(64), {quoted('select')} INT, {quoted('时间')} {MOMENT[base.kind]}"
    columns += f", {quoted('Group')} VARCHAR(64), {quoted('a b')} INT"
    if base.kind != "mysql":
        columns += f", {quoted('100%')} INT"
    await base.script(f"CREATE TABLE {quoted('order')} ({columns})")
    values = f"1, '订单1', 99, 'A1', 1, '{NOON.isoformat(' ')}', NULL, 0"
    await base.script(f"INSERT INTO {quoted('order')} VALUES ({values}{'' if base.kind == 'mysql' else ', 0'})")  # noqa: S608 # a test's own words
    names = {"table": "order", "key": "key", "order_no": "订单号", "out_trade_no": "Order", "amount": "from"}
    names |= {"status": "select", "created_at": "时间", "transaction_id": "Group"}
    more = {"a b": 5} if base.kind == "mysql" else {"a b": 5, "100%": 6}
    async with shop_over(base, **names, where=f"{quoted('订单号')} <> '无'", set=more) as shop:
        (found,) = await shop.look_up("订单1")
        assert found.row.order_no == "订单1"
        assert len(await walked(shop)) == 1
        assert await shop.take_lock()
        assert await shop.settle(await move_of(shop, "1")) == Moved()
        (order,) = await orders_of(shop, ["1"])
        assert order.transaction_id == TRANSACTION


async def test_a_column_or_a_table_that_is_not_there_is_named_with_the_nearest(base: Database) -> None:
    await table(base)
    problems = await problems_of(base, amount="prise", touch=("updated",))
    assert problems[0] == (
        "shop.orders.amount: no column `prise` in table orders; "
        "it has: id, sn, price, status, created; did you mean `price`?"
    )
    assert problems[1].startswith("shop.orders.touch: no column `updated` in table orders")
    (problem,) = await problems_of(base, table="oders")
    assert problem.endswith("did you mean `orders`?")


async def test_a_number_in_a_column_of_bytes_or_times_is_refused(base: Database) -> None:
    await table(base, sn=MOMENT[base.kind])
    if base.kind == "sqlite":
        pytest.skip("its columns hold anything")
    problems = await problems_of(base)
    assert [problem.partition(":")[0] for problem in problems] == ["shop.orders.order_no", "shop.orders.out_trade_no"]


async def test_channels_are_told_by_whatever_keeps_them(base: Database) -> None:
    channels = {ChannelName("alipay-main"): ("3", "zfbf2f"), ChannelName("wechat-main"): ("5", "wescan")}
    await table(base, pay="INT", code="VARCHAR(16)")
    await put(base, pay=3, code="wescan")
    for column, channel in (("pay", "alipay-main"), ("code", "wechat-main")):
        async with shop_over(base, channel=column, shop={"channels": channels}) as shop:
            (found,) = await walked(shop)
            assert [attempt.channel for attempt in found.attempts] == [channel]


@pytest.mark.parametrize("type_", ["BIGINT", "VARCHAR(64)", "UUID"])
async def test_a_key_may_be_of_any_exact_type(base: Database, type_: str) -> None:
    if type_ == "UUID" and base.kind != "postgresql":
        pytest.skip("kept as text there")
    key = {"BIGINT": "9007199254740993", "VARCHAR(64)": "键-1", "UUID": "6f0c2c3e-2b7e-4a6a-9c55-0d8f6b6b9a01"}[type_]
    await table(base, id=f"{type_} PRIMARY KEY")
    await put(base, id=int(key) if type_ == "BIGINT" else key)
    async with shop_over(base) as shop:
        assert [found.row.key for found in await walked(shop)] == [key]
        assert await shop.take_lock()
        assert await shop.settle(await move_of(shop, key)) == Moved()


async def test_a_table_of_another_schema_is_mapped_by_its_whole_name(base: Database, tmp_path: Path) -> None:
    if base.kind == "sqlite":
        pytest.skip("see test_sqlite_lock.py")
    await table(base)
    await put(base)
    schema = base.url.rpartition("/")[2] if base.kind == "mysql" else "public"
    async with shop_over(base) as shop, shop_over(base, table=f"{schema}.orders") as other:
        assert [found.row.key for found in await walked(other)] == ["1"]
        assert await shop.take_lock()
        assert not await other.take_lock()  # one table, one lock, however it is spelled
