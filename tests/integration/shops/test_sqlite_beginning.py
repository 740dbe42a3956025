"""Where the full walk begins: no row created since is left out, whatever its key is."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy

from reconciler.ports import Position
from reconciler.shops.sql import AttemptsMapping, SqlShop

Opens = Callable[..., Awaitable[SqlShop]]
START = datetime(2026, 1, 1, tzinfo=UTC)
TABLE = "CREATE TABLE orders (id {}, sn TEXT, price DECIMAL(10,2), status INT, created {})"
INDEX = "CREATE INDEX created_index ON orders (created)"


def local(moment: datetime) -> str:
    return moment.astimezone(ZoneInfo("Asia/Shanghai")).strftime("%Y-%m-%d %H:%M:%S")


def put(database: sqlite3.Connection, key: object, created: object) -> None:
    database.execute("INSERT INTO orders VALUES (?, ?, '9.00', 1, ?)", (key, f"A{key}", created))


async def met(shop: SqlShop, position: Position | None) -> list[str]:
    keys: list[str] = []
    for _ in range(1000):
        if position is None:
            return keys
        page = await shop.candidates(position, 100)
        keys += [found.row.key for found in page.found]
        position = page.next
    raise AssertionError("the walk does not end")


@pytest.fixture
def backwards(database: sqlite3.Connection) -> sqlite3.Connection:
    """Keys far apart that fall as time goes on, as a second server's may."""
    database.execute(TABLE.format("INTEGER PRIMARY KEY", "DATETIME"))
    for at in range(100):
        put(database, (200 - at) * 10**6, local(START + timedelta(days=at)))
    return database


@pytest.mark.parametrize("day", [0, 40, 99])
async def test_by_an_index_on_the_time_no_row_is_missed_whatever_its_key(
    backwards: sqlite3.Connection, opens: Opens, day: int
) -> None:
    backwards.execute(INDEX)
    shop = await opens()
    keys = await met(shop, await shop.before(START + timedelta(days=day)))
    assert {str((200 - at) * 10**6) for at in range(day, 100)} <= set(keys)


async def test_a_new_row_under_the_lowest_key_is_met_by_the_full_walk_and_not_by_the_quick_one(
    database: sqlite3.Connection, opens: Opens
) -> None:
    database.execute(TABLE.format("INTEGER PRIMARY KEY", "DATETIME"))
    for at in range(100):
        put(database, 10**9 + at * 10**6, local(START + timedelta(days=at)))
    database.execute(INDEX)
    shop = await opens()
    newest = await shop.newest()
    now = START + timedelta(days=99)
    put(database, 5, local(now))
    assert await met(shop, newest) == []
    assert "5" in await met(shop, await shop.before(now - timedelta(days=1)))
    old = await shop.before(now + timedelta(days=2))
    assert "5" not in await met(shop, old)


async def test_a_small_table_without_the_index_is_walked_whole(database: sqlite3.Connection, opens: Opens) -> None:
    database.execute(TABLE.format("INTEGER PRIMARY KEY", "DATETIME"))
    for at in range(100):
        put(database, 200_000 - at, local(START + timedelta(days=at)))
    shop = await opens()
    assert len(await met(shop, await shop.before(START + timedelta(days=98)))) == 100


async def test_the_least_key_comes_from_an_index_range(backwards: sqlite3.Connection, opens: Opens) -> None:
    backwards.execute(INDEX)
    for at in range(3000):
        put(backwards, 10**10 + at, local(START + timedelta(minutes=at)))
    backwards.execute("ANALYZE")
    shop = await opens()
    seen: list[tuple[str, tuple[object, ...]]] = []
    sqlalchemy.event.listen(
        shop._primary.sync_engine, "before_cursor_execute", lambda *args: seen.append((args[2], args[3]))
    )
    for day in (0, 1, 50, 99):
        await shop.before(START + timedelta(days=day))
    leasts = [(statement, values) for statement, values in seen if "min(" in statement]
    assert len(leasts) == 8
    for statement, values in leasts:
        plan = [line[3] for line in backwards.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
        assert plan == ["SEARCH orders USING COVERING INDEX created_index (created>? AND created<?)"]


@pytest.mark.parametrize(
    "created",
    [
        local,
        lambda moment: local(moment).replace(" ", "T"),
        lambda moment: moment.astimezone(ZoneInfo("Pacific/Kiritimati")).isoformat(" "),
        lambda moment: moment.astimezone(ZoneInfo("Etc/GMT+12")).isoformat("T"),
        lambda moment: int(moment.timestamp()),
    ],
    ids=["local", "T", "far east", "far west", "unix"],
)
@pytest.mark.parametrize("key", ["INTEGER PRIMARY KEY", "TEXT PRIMARY KEY"])
async def test_however_the_time_is_kept_no_row_is_missed(
    database: sqlite3.Connection, opens: Opens, key: str, created: Callable[[datetime], object]
) -> None:
    database.execute(TABLE.format(key, "DATETIME"))
    database.execute(INDEX)
    for at in range(100):
        put(database, (200 - at) * 10**6, created(START + timedelta(hours=at)))
    shop = await opens()
    for hours in (0, 30, 99):
        keys = await met(shop, await shop.before(START + timedelta(hours=hours)))
        assert {str((200 - at) * 10**6) for at in range(hours, 100)} <= set(keys)


async def test_a_row_whose_time_is_no_time_does_not_hold_the_walk_back(
    database: sqlite3.Connection, opens: Opens
) -> None:
    database.execute(TABLE.format("INTEGER PRIMARY KEY", "TEXT"))
    database.execute(INDEX)
    for at in range(100):
        put(database, (at + 1) * 10**6, "never" if at == 3 else local(START + timedelta(days=at)))
    shop = await opens()
    keys = await met(shop, await shop.before(START + timedelta(days=90)))
    assert len(keys) <= 13


async def test_rows_without_a_time_at_the_end_are_walked(database: sqlite3.Connection, opens: Opens) -> None:
    database.execute(TABLE.format("INTEGER PRIMARY KEY", "DATETIME"))
    database.execute(INDEX)
    for at in range(100):
        put(database, (at + 1) * 10**6, None if at > 95 else local(START + timedelta(days=at)))
    shop = await opens()
    assert {"97000000", "100000000"} <= set(await met(shop, await shop.before(START + timedelta(days=200))))


@pytest.mark.parametrize("index", ["(created) WHERE status = 1", "(status, created)"])
async def test_an_index_that_does_not_begin_with_the_time_or_leaves_rows_out_does_not_count(
    backwards: sqlite3.Connection, opens: Opens, index: str
) -> None:
    backwards.execute(f"CREATE INDEX other ON orders {index}")
    shop = await opens()
    seen: list[str] = []
    sqlalchemy.event.listen(shop._primary.sync_engine, "before_cursor_execute", lambda *args: seen.append(args[2]))
    await shop.before(START)
    assert not [statement for statement in seen if "min(" in statement]


async def test_attempts_under_falling_keys_are_met_too(database: sqlite3.Connection, opens: Opens) -> None:
    database.execute(TABLE.format("INTEGER PRIMARY KEY", "DATETIME"))
    database.execute("CREATE TABLE tries (id INTEGER PRIMARY KEY, order_id INT, no TEXT, at DATETIME)")
    database.execute("CREATE INDEX at_index ON tries (at)")
    put(database, 1, local(START - timedelta(days=100)))
    put(database, 10**7, local(START + timedelta(days=100)))
    for at in range(100):
        row = ((200 - at) * 10**6, 1 if at == 99 else 7, f"N{at}", local(START + timedelta(days=at)))
        database.execute("INSERT INTO tries VALUES (?,?,?,?)", row)
    attempts = AttemptsMapping("tries", "id", "order_id", "no", created_at="at")
    database.execute(INDEX)
    shop = await opens(out_trade_no=None, shop={"attempts": attempts})
    assert await met(shop, await shop.before(START + timedelta(days=99))) == ["10000000", "1"]


async def test_a_few_rows_far_apart_are_a_small_table(database: sqlite3.Connection, opens: Opens) -> None:
    """It is rows that make a table large, not the distance between its keys."""
    database.execute(TABLE.format("INTEGER PRIMARY KEY", "DATETIME"))
    for key, at in ((1, START), (5, START - timedelta(days=60)), (2**40, START)):
        put(database, key, local(at))
    shop = await opens()
    assert "1" in await met(shop, await shop.before(START - timedelta(days=7)))
