"""What of an order's attempts is watched, and what is said of the rest."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from reconciler.domain.order import ChannelName, Order
from reconciler.ports import Found
from reconciler.shops.sql import AttemptsMapping, SqlShop

Opens = Callable[..., Awaitable[SqlShop]]
TIME = "2026-03-01 12:00:00"
ATTEMPTS = AttemptsMapping("tries", "id", "order_id", "no", created_at="at", channel="code", amount="amt")
TWO = {ChannelName("a"): ("3",), ChannelName("b"): ("4",)}
GOOD: tuple[object, ...] = ("N1", TIME, "3", "4.50")


@pytest.fixture(autouse=True)
def _tables(database: sqlite3.Connection) -> None:
    database.execute(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, sn TEXT, price DECIMAL, status INT, created DATETIME, pay TEXT)"
    )
    database.execute(
        "CREATE TABLE tries (id INTEGER PRIMARY KEY, order_id INT, no TEXT, at DATETIME, code TEXT, amt DECIMAL)"
    )
    database.execute("INSERT INTO orders VALUES (1, 'A1', '9.00', 1, ?, '3')", (TIME,))


async def found_of(shop: SqlShop) -> Found:
    """Find the order both ways, which must agree."""
    (looked_up,) = await shop.look_up("A1")
    (walked,) = (await shop.candidates(await shop.before(datetime(2026, 1, 1, tzinfo=UTC)), 10)).found
    assert looked_up == walked
    return walked


async def found_with(
    database: sqlite3.Connection,
    opens: Opens,
    *tries: tuple[object, ...],
    **shop: Any,  # noqa: ANN401 # of the mapping
) -> Found:
    for row in tries:
        database.execute("INSERT INTO tries (order_id, no, at, code, amt) VALUES (1, ?, ?, ?, ?)", row)
    return await found_of(await opens(out_trade_no=None, shop={"attempts": ATTEMPTS, "channels": TWO, **shop}))


@pytest.mark.parametrize("beside", [(), (GOOD,)], ids=["alone", "beside a good one"])
@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ((None, TIME, "3", None), "no: NULL or empty where a number is due"),
        (("", TIME, "3", None), "no: NULL or empty where a number is due"),
        (("N 2", TIME, "3", None), "no: 'N 2' is no number that a gateway can be asked about"),
        (("N2", TIME, "3", "abc"), "amt: 'abc' is not an amount in yuan"),
        (("N2", TIME, "3", ""), "amt: '' is not an amount in yuan"),
        (("N2", "soon", "3", None), "at: 'soon' is not a date-time (YYYY-MM-DD HH:MM:SS)"),
        (("N2", "", "3", None), "at: '' is not a date-time (YYYY-MM-DD HH:MM:SS)"),
    ],
)
async def test_an_attempt_that_cannot_be_read_is_said_and_not_asked(
    database: sqlite3.Connection,
    opens: Opens,
    bad: tuple[object, ...],
    says: str,
    beside: tuple[tuple[object, ...], ...],
) -> None:
    found = await found_with(database, opens, bad, *beside)
    assert found.unreadable == (says,)
    assert [attempt.out_trade_no for attempt in found.attempts] == ["N1"] * len(beside)
    assert isinstance(found.row, Order)
    assert found.unwatched == (says,)


async def test_an_amount_or_a_time_that_is_null_is_the_orders(database: sqlite3.Connection, opens: Opens) -> None:
    found = await found_with(database, opens, ("N1", None, "3", None))
    (attempt,) = found.attempts
    assert isinstance(found.row, Order)
    assert (attempt.created_at, attempt.amount) == (found.row.created_at, None)
    assert found.unwatched == ()


async def test_an_attempt_without_a_time_of_an_order_without_one_is_said(
    database: sqlite3.Connection, opens: Opens
) -> None:
    database.execute("UPDATE orders SET created = NULL")
    found = await found_with(database, opens, ("N1", None, "3", None), ("N2", TIME, "3", None))
    assert [attempt.out_trade_no for attempt in found.attempts] == ["N2"]
    assert len(found.unreadable) == 1
    assert found.unreadable[0].startswith("created: ")


async def test_what_is_wrong_with_very_many_attempts_is_bounded(database: sqlite3.Connection, opens: Opens) -> None:
    found = await found_with(database, opens, *((f"N {at}", TIME, "3", None) for at in range(100)))
    assert len(found.unreadable) == 33
    assert found.unreadable[-1] == "68 more that cannot be read"


async def test_attempts_of_ignored_channels_are_counted_and_nothing_more(
    database: sqlite3.Connection, opens: Opens
) -> None:
    tries = (GOOD, ("N2", TIME, "7", None), (None, TIME, "7", None), ("N4", TIME, "8", "abc"))
    found = await found_with(database, opens, *tries, ignore_channels=("7", "8"))
    assert [attempt.out_trade_no for attempt in found.attempts] == ["N1"]
    assert (found.ignored, found.unreadable, found.strangers) == (3, (), ())


async def test_each_stranger_is_named_once(database: sqlite3.Connection, opens: Opens) -> None:
    tries = [(f"N{at}", TIME, code, None) for at, code in enumerate(("9", "9", None, "", "9", "x"))]
    found = await found_with(database, opens, *tries)
    assert found.strangers == ("9", "NULL", "x")


async def test_the_orders_own_channel_counts_for_each_attempt_where_they_have_none(
    database: sqlite3.Connection, opens: Opens
) -> None:
    database.execute("UPDATE orders SET pay = '7'")
    for number in ("N1", "N2"):
        database.execute("INSERT INTO tries (order_id, no) VALUES (1, ?)", (number,))
    attempts = AttemptsMapping("tries", "id", "order_id", "no")
    shop = {"attempts": attempts, "channels": TWO, "ignore_channels": ("7",), "ask_all_channels": True}
    found = await found_of(await opens(out_trade_no=None, channel="pay", shop=shop))
    assert (found.ignored, found.attempts) == (2, ())


class TestAskingAllChannels:
    @staticmethod
    async def found(database: sqlite3.Connection, opens: Opens, value: str | None, **orders: object) -> Found:
        database.execute("UPDATE orders SET pay = ?", (value,))
        shop = {"channels": TWO, "ask_all_channels": True, "ignore_channels": ("7",)}
        return await found_of(await opens(channel="pay", shop=shop, **orders))

    async def test_an_ignored_channel_is_not_asked_all_the_same(
        self, database: sqlite3.Connection, opens: Opens
    ) -> None:
        found = await self.found(database, opens, "7")
        assert (found.attempts, found.ignored, found.strangers) == ((), 1, ())

    async def test_a_channel_that_nobody_configured_is_asked_about_everywhere_and_named(
        self, database: sqlite3.Connection, opens: Opens
    ) -> None:
        found = await self.found(database, opens, "9")
        assert [attempt.channel for attempt in found.attempts] == ["a", "b"]
        assert (found.strangers, found.ignored) == (("9",), 0)

    @pytest.mark.parametrize("value", [None, "", "4"])
    async def test_no_channel_or_a_known_one_is_no_stranger(
        self, database: sqlite3.Connection, opens: Opens, value: str | None
    ) -> None:
        found = await self.found(database, opens, value)
        assert [attempt.channel for attempt in found.attempts] == ["a", "b"]
        assert found.unwatched == ()

    async def test_a_row_that_cannot_be_read_tells_its_channel_too(
        self, database: sqlite3.Connection, opens: Opens
    ) -> None:
        database.execute("UPDATE orders SET created = 'soon'")
        assert (await self.found(database, opens, "7")).ignored == 1
        assert (await self.found(database, opens, "9")).strangers == ("9",)
