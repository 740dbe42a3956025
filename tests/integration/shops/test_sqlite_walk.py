"""The walk: index ranges only, bounded statements, and nothing missed."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy

from reconciler.domain.order import ChannelName, Order, OrderKey
from reconciler.ports import Found, Glimpse, Position
from reconciler.shops.sql import AttemptsMapping, SqlShop

Opens = Callable[..., Awaitable[SqlShop]]
START = datetime(2026, 1, 1, tzinfo=UTC)
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)
TABLE = "CREATE TABLE orders (id {}, sn TEXT, price DECIMAL(10,2), status INT, created {}, pay TEXT)"
TRIES = "CREATE TABLE tries (id {}, order_id, no TEXT, at DATETIME, code TEXT, price DECIMAL(10,2), gone INT)"
ATTEMPTS = AttemptsMapping(
    table="tries", key="id", order="order_id", out_trade_no="no", created_at="at", channel="code", where="gone IS NULL"
)


def local(moment: datetime) -> str:
    return moment.astimezone(ZoneInfo("Asia/Shanghai")).strftime("%Y-%m-%d %H:%M:%S")


def put(database: sqlite3.Connection, key: object, created: datetime, status: int = 1, number: str = "") -> None:
    row = (key, number or f"A{key}", "9.00", status, local(created), "3")
    database.execute("INSERT INTO orders VALUES (?,?,?,?,?,?)", row)


async def walk(
    shop: SqlShop, position: Position | None, limit: int = 7, known: Collection[Glimpse] = ()
) -> list[Found]:
    met: list[Found] = []
    for _ in range(10_000):
        if position is None:
            return met
        page = await shop.candidates(position, limit, known)
        met += page.found
        position = page.next
    raise AssertionError("the walk does not end")


def numbers(found: list[Found]) -> list[str]:
    return [each.row.order_no for each in found]


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take no table for a small one."""
    monkeypatch.setattr("reconciler.shops.sql.beginning.SMALL_ROWS_MAX", -1)


class Statements:
    """Every SELECT that ran, with its values."""

    def __init__(self, shop: SqlShop) -> None:
        self.seen: list[tuple[str, tuple[object, ...]]] = []
        sqlalchemy.event.listen(shop._primary.sync_engine, "before_cursor_execute", self._note)

    def _note(self, _c: object, _u: object, statement: str, parameters: tuple[object, ...], *_: object) -> None:
        if statement.startswith("SELECT"):
            self.seen.append((statement, parameters))

    def plans(self, database: sqlite3.Connection) -> Iterator[tuple[str, list[str]]]:
        for statement, parameters in self.seen:
            lines = database.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            yield statement, [line[3] for line in lines]


@pytest.mark.parametrize(
    ("key", "span"),
    [
        ("INTEGER PRIMARY KEY", r"SEARCH orders USING INTEGER PRIMARY KEY \(rowid>\? AND rowid<\?\)"),
        ("BIGINT NOT NULL PRIMARY KEY", r"SEARCH orders USING INDEX \S+ \(id>\? AND id<\?\)"),
        ("TEXT PRIMARY KEY", r"SEARCH orders USING INDEX created_index \(created>\? AND created<\?\)"),
    ],
)
async def test_every_statement_of_the_walk_is_an_index_range(
    database: sqlite3.Connection, opens: Opens, key: str, span: str
) -> None:
    database.execute(TABLE.format(key, "DATETIME"))
    database.execute("CREATE INDEX created_index ON orders (created, id)")
    for at in range(100):
        put(database, at + 100, START + timedelta(hours=at))
    shop = await opens()
    position = await shop.before(START + timedelta(hours=60))
    statements = Statements(shop)
    assert len(await walk(shop, position)) >= 40
    pages = [plan for statement, plan in statements.plans(database) if " IN (" in statement]
    assert len(pages) >= 5
    assert all(len(plan) == 1 and re.fullmatch(span, plan[0]) for plan in pages)
    others = [line for statement, plan in statements.plans(database) if " IN (" not in statement for line in plan]
    assert not [line for line in others if line.startswith("SCAN orders")]
    await shop.newest()
    await shop.before(START + timedelta(hours=20))
    sorted_whole = [
        statement
        for statement, plan in statements.plans(database)
        if "FROM (SELECT" not in statement and any("B-TREE" in line for line in plan)
    ]
    assert sorted_whole == []


async def test_one_statement_passes_over_a_bounded_stretch(
    database: sqlite3.Connection, opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.shops.sql.axis.SCAN_ROWS_MAX", 10)
    database.execute(TABLE.format("INTEGER PRIMARY KEY", "DATETIME"))
    for at in range(100):
        put(database, (at + 1) * 10**15, START, status=1 if at in {3, 4, 55} else 2)
    shop = await opens()
    position = await shop.before(START - timedelta(days=1))
    page = await shop.candidates(position, 5)
    assert len(page.found) == 2
    assert page.next is not None
    assert len(numbers(await walk(shop, position, 5))) == 3
    assert len(numbers(await walk(shop, position, 1))) == 3


@pytest.mark.parametrize("key", ["INTEGER PRIMARY KEY", "TEXT PRIMARY KEY"])
async def test_where_a_stretch_ends_is_looked_for_once_however_many_pages_it_has(
    database: sqlite3.Connection, opens: Opens, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setattr("reconciler.shops.sql.axis.SCAN_ROWS_MAX", 40)
    database.execute(TABLE.format(key, "DATETIME"))
    for at in range(100):
        put(database, (at + 1) * 10**15, START + timedelta(hours=at))
    shop = await opens()
    position = await shop.before(LONG_AGO)
    statements = Statements(shop)
    found = numbers(await walk(shop, position, 5))
    assert found == [f"A{(at + 1) * 10**15}" for at in range(100)]
    assert len([each for each, _ in statements.seen if "FROM (SELECT" in each]) <= 4  # 40, 40, 20, and the end


async def test_keys_that_lie_close_need_no_count_of_rows(database: sqlite3.Connection, opens: Opens) -> None:
    database.execute(TABLE.format("INTEGER PRIMARY KEY", "DATETIME"))
    put(database, 1, START)
    shop = await opens()
    position = await shop.newest()
    for at in range(300):
        put(database, at * 50 + 2, START + timedelta(hours=at))
    statements = Statements(shop)
    assert len(await walk(shop, position, 50)) == 300
    assert not [each for each, _ in statements.seen if "FROM (SELECT" in each]


async def test_rows_that_come_while_a_stretch_is_walked_are_met(database: sqlite3.Connection, opens: Opens) -> None:
    database.execute(TABLE.format("INTEGER PRIMARY KEY", "DATETIME"))
    for at in range(10):
        put(database, at + 1, START + timedelta(hours=at))
    shop = await opens()
    page = await shop.candidates(await shop.before(LONG_AGO), 5)
    put(database, 500, START)
    assert numbers(await walk(shop, page.next, 5))[-1] == "A500"


@pytest.mark.usefixtures("searches")
@pytest.mark.parametrize("created", ["DATETIME", "INTEGER"])
async def test_before_takes_few_looks_at_a_sparse_table(
    database: sqlite3.Connection, opens: Opens, created: str
) -> None:
    """Keys like a snowflake's: far apart, and near the end of 63 bits."""
    database.execute(TABLE.format("INTEGER PRIMARY KEY", created))
    for at in range(500):
        moment = START + timedelta(hours=at)
        value = int(moment.timestamp()) if created == "INTEGER" else local(moment)
        row = (at * 3**33 + at % 7 + 2**62, f"A{at}", "9.00", 1, value, "3")
        database.execute("INSERT INTO orders VALUES (?,?,?,?,?,?)", row)
    shop = await opens()
    statements = Statements(shop)
    position = await shop.before(START + timedelta(hours=400))
    assert len([each for each, _ in statements.seen if each.startswith("SELECT")]) < 80
    assert numbers(await walk(shop, position)) == [f"A{at}" for at in range(400, 500)]


@pytest.mark.usefixtures("searches")
async def test_before_goes_further_back_than_rows_without_a_time(database: sqlite3.Connection, opens: Opens) -> None:
    database.execute(TABLE.format("INTEGER PRIMARY KEY", "DATETIME"))
    for at in range(100):
        put(database, at + 1, START + timedelta(hours=at))
    database.execute("UPDATE orders SET created = NULL WHERE id BETWEEN 20 AND 99")
    shop = await opens()
    for hours in (5, 15, 30, 60, 99):
        met = numbers(await walk(shop, await shop.before(START + timedelta(hours=hours))))
        assert "A100" in met
        assert {f"A{at}" for at in range(hours + 1, 101)} <= set(met)


@pytest.mark.usefixtures("searches")
async def test_a_late_commit_within_the_margin_is_not_missed(database: sqlite3.Connection, opens: Opens) -> None:
    database.execute(TABLE.format("INTEGER PRIMARY KEY", "DATETIME"))
    for at in range(100):
        swapped = at + 5 if at % 10 < 5 else at - 5
        put(database, at + 1, START + timedelta(minutes=swapped))
    shop = await opens()
    for minutes in range(0, 100, 19):
        met = numbers(await walk(shop, await shop.before(START + timedelta(minutes=minutes))))
        late = {f"A{at + 1}" for at in range(100) if (at + 5 if at % 10 < 5 else at - 5) >= minutes}
        assert late <= set(met)


@pytest.mark.usefixtures("searches")
@pytest.mark.parametrize("key", ["INTEGER PRIMARY KEY", "TEXT PRIMARY KEY"])
async def test_before_misses_nothing_where_the_clocks_go_back(
    database: sqlite3.Connection, opens: Opens, key: str
) -> None:
    new_york = ZoneInfo("America/New_York")
    database.execute(TABLE.format(key, "DATETIME"))
    start = datetime(2026, 11, 1, 3, tzinfo=UTC)  # clocks go back at 06:00 UTC
    for at in range(60):
        moment = start + timedelta(minutes=6 * at)
        row = (at + 1, f"A{at}", "9.00", 1, moment.astimezone(new_york).strftime("%Y-%m-%d %H:%M:%S"), "3")
        database.execute("INSERT INTO orders VALUES (?,?,?,?,?,?)", row)
    shop = await opens(shop={"time_zone": new_york})
    for since in range(0, 60, 4):
        met = numbers(await walk(shop, await shop.before(start + timedelta(minutes=6 * since)), 1000))
        assert {f"A{at}" for at in range(since, 60)} <= set(met)


async def test_a_position_that_cannot_be_read_is_the_beginning(database: sqlite3.Connection, opens: Opens) -> None:
    database.execute(TABLE.format("INTEGER PRIMARY KEY", "DATETIME"))
    put(database, 1, START)
    shop = await opens()
    for broken in ("", "nonsense", "{}", "[1,2,3]", '[[{"moment":"x"}],null,0]', "[[],null,0]"):
        assert numbers(await walk(shop, Position(broken))) == ["A1"]


class TestAttempts:
    @pytest.fixture(params=["INTEGER PRIMARY KEY", "TEXT PRIMARY KEY"])
    def tables(self, database: sqlite3.Connection, request: pytest.FixtureRequest) -> sqlite3.Connection:
        database.execute(TABLE.format("INTEGER PRIMARY KEY", "DATETIME"))
        database.execute(TRIES.format(request.param))
        for at in range(1, 6):
            put(database, at, START + timedelta(days=at))
        return database

    @staticmethod
    def put(database: sqlite3.Connection, key: int, order: int, **facts: object) -> None:
        values = {
            "no": f"N{key}",
            "at": local(START + timedelta(days=order, minutes=1)),
            "code": "3",
            "price": None,
        } | facts
        row = (f"{key:04d}", order, values["no"], values["at"], values["code"], values["price"], facts.get("gone"))
        database.execute("INSERT INTO tries VALUES (?,?,?,?,?,?,?)", row)

    @staticmethod
    async def opened(opens: Opens, **changes: object) -> SqlShop:
        return await opens(**{"out_trade_no": None, "shop": {"attempts": ATTEMPTS}, **changes})

    async def test_each_row_of_the_table_is_an_attempt(self, tables: sqlite3.Connection, opens: Opens) -> None:
        self.put(tables, 1, 1)
        self.put(tables, 2, 1, code="9")
        self.put(tables, 3, 1, at="whenever", no="N3")
        self.put(tables, 4, 2, no="bad number")
        self.put(tables, 5, 2)
        self.put(tables, 6, 3, no="bad number")
        self.put(tables, 7, 4, gone=1)
        shop = await self.opened(opens)
        found = {int(each.row.key): each for each in await walk(shop, await shop.before(LONG_AGO))}
        attempts = {key: [attempt.out_trade_no for attempt in each.attempts] for key, each in found.items()}
        assert attempts == {1: ["N1"], 2: ["N5"], 3: [], 4: [], 5: []}
        assert found[1].strangers == ("9",)
        assert found[1].attempts[0].created_at == START + timedelta(days=1, minutes=1)
        assert all(isinstance(each.row, Order) for each in found.values())
        said = ("no: 'bad number' is no number that a gateway can be asked about",)
        unreadable = {key: each.unreadable for key, each in found.items() if each.unreadable}
        assert unreadable == {1: ("at: 'whenever' is not a date-time (YYYY-MM-DD HH:MM:SS)",), 2: said, 3: said}

    async def test_a_new_attempt_of_an_old_order_is_met(self, tables: sqlite3.Connection, opens: Opens) -> None:
        for at in range(1, 6):
            self.put(tables, at, at)
        shop = await self.opened(opens)
        position = await shop.newest()
        assert await walk(shop, position) == []
        late = local(START + timedelta(days=20))
        self.put(tables, 6, 2, at=late)
        self.put(tables, 7, 2, at=late, no="N1b")
        for limit in (1, 7):
            met = await walk(shop, position, limit)
            assert set(numbers(met)) == {"A2"}
            assert [attempt.out_trade_no for attempt in met[0].attempts] == ["N2", "N6", "N1b"]
        assert set(numbers(await walk(shop, await shop.before(START + timedelta(days=19))))) >= {"A2"}

    async def test_a_new_attempt_of_an_order_that_is_known_is_met(
        self, tables: sqlite3.Connection, opens: Opens
    ) -> None:
        shop = await self.opened(opens)
        position = await shop.newest()
        put(tables, 6, START + timedelta(days=6))
        self.put(tables, 60, 6)
        known = {each.glimpse for each in await walk(shop, position) if each.glimpse}
        assert known
        self.put(tables, 61, 6)
        for limit in (1, 100):
            attempts = [attempt for each in await walk(shop, position, limit, known) for attempt in each.attempts]
            assert "N61" in {attempt.out_trade_no for attempt in attempts}

    async def test_who_cannot_walk_the_attempts_reads_their_orders_again(
        self, tables: sqlite3.Connection, opens: Opens
    ) -> None:
        self.put(tables, 1, 1)
        tables.execute("CREATE UNIQUE INDEX numbers ON tries (no)")
        shop = await self.opened(opens, shop={"attempts": replace(ATTEMPTS, key="no", created_at=None)})
        assert {each.glimpse for each in await walk(shop, await shop.before(LONG_AGO))} == {None}

    async def test_new_orders_and_new_attempts_are_met_in_one_walk(
        self, tables: sqlite3.Connection, opens: Opens
    ) -> None:
        shop = await self.opened(opens)
        position = await shop.newest()
        for key in (6, 7, 8):
            put(tables, key, START + timedelta(days=key))
            self.put(tables, key, key)
        self.put(tables, 9, 1)
        for limit in (1, 2, 100):
            assert set(numbers(await walk(shop, position, limit))) == {"A6", "A7", "A8", "A1"}

    async def test_holders_and_look_ups_go_through_the_table(self, tables: sqlite3.Connection, opens: Opens) -> None:
        self.put(tables, 1, 1)
        self.put(tables, 2, 2, no="N1")
        self.put(tables, 3, 3, gone=1)
        shop = await self.opened(opens)
        assert {row.key for row in (await shop.holders(["N1", "N3"]))["N1"]} == {"1", "2"}
        assert "N3" not in await shop.holders(["N3"])
        assert [each.row.key for each in await shop.look_up("N1")] == ["1", "2"]
        (found,) = await shop.look_up("A3")
        assert found.row.key == "3"

    async def test_an_attempt_may_have_an_amount_of_its_own(self, tables: sqlite3.Connection, opens: Opens) -> None:
        self.put(tables, 1, 1, price="4.50")
        self.put(tables, 2, 1, price="free")
        self.put(tables, 3, 1)
        mapping = AttemptsMapping("tries", "id", "order_id", "no", channel="code", amount="price")
        shop = await self.opened(opens, shop={"attempts": mapping})
        (found,) = await shop.look_up("A1")
        assert [attempt.amount and attempt.amount.fen for attempt in found.attempts] == [450, None]
        assert [attempt.out_trade_no for attempt in found.attempts] == ["N1", "N3"]
        assert found.unreadable == ("price: 'free' is not an amount in yuan",)


async def test_every_channel_is_asked_where_the_column_may_be_stale(database: sqlite3.Connection, opens: Opens) -> None:
    database.execute(TABLE.format("INTEGER PRIMARY KEY", "DATETIME"))
    put(database, 1, START)
    two = {ChannelName("a"): ("3",), ChannelName("b"): ("4",)}
    shop = await opens(channel="pay", shop={"channels": two, "ask_all_channels": True})
    (found,) = await walk(shop, await shop.before(START))
    assert [attempt.channel for attempt in found.attempts] == ["a", "b"]


async def test_a_number_on_very_many_rows_does_not_crowd_out_others(
    database: sqlite3.Connection, opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.shops.sql.lookups.HOLDERS_MAX", 10)
    database.execute(TABLE.format("INTEGER PRIMARY KEY", "DATETIME"))
    for at in range(30):
        put(database, at + 1, START, number="SAME")
    put(database, 99, START, number="B1")
    held = await (await opens()).holders(["SAME", "B1"])
    assert len(held["SAME"]) == 10
    assert [row.key for row in held["B1"]] == ["99"]


async def test_more_keys_than_one_statement_takes_are_all_read(database: sqlite3.Connection, opens: Opens) -> None:
    database.execute(TABLE.format("INTEGER PRIMARY KEY", "DATETIME"))
    for at in range(1200):
        put(database, at + 1, START)
    rows = await (await opens()).read([OrderKey(str(at)) for at in range(2000)])
    assert len(rows) == 1200
