"""A user who may not write: said with the statement that mends it, and believed as soon as it is mended."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine, event, make_url

from reconciler.ports import LockLost, Moved, ShopReadOnly, ShopUnavailable
from reconciler.shops.sql import SqlShop
from tests.integration.databases import SERVERS, Database
from tests.integration.shops.made import move_of, orders_of, put, shop_over, table

SERVER = pytest.mark.parametrize("kind", SERVERS)


@dataclass
class Bench:
    """A shop that is reached by a user who may only read."""

    base: Database
    shop: SqlShop
    user: str
    """As a GRANT names it."""

    async def run(self, *statements: str) -> None:
        """Run statements as whoever owns the shop."""
        for statement in statements:
            await _run(self.base, statement)

    async def statuses(self) -> list[int]:
        return [status for (status,) in await self.base.rows("SELECT status FROM orders ORDER BY id")]


@pytest.fixture
async def bench(base: Database, kind: str) -> AsyncIterator[Bench]:
    name, password = f"r_{secrets.token_hex(6)}", secrets.token_hex(12)
    user = f"'{name}'@'%'" if kind == "mysql" else name
    await table(base, trade_no="VARCHAR(64)", note="INT")
    await put(base)
    if kind == "mysql":
        await _run(base, f"CREATE USER {user} IDENTIFIED BY '{password}'")
    else:
        await _run(base, f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
    try:
        await _run(base, f"GRANT SELECT ON orders TO {user}")
        url = make_url(base.url).set(username=name).render_as_string()
        changes = {"url": url, "password": password.encode()}
        async with shop_over(base, shop=changes, transaction_id="trade_no", set={"note": 7}) as shop:
            yield Bench(base, shop, user)
    finally:
        if kind == "postgresql":
            await _run(base, f"DROP OWNED BY {name}")
        await _run(base, f"DROP USER {user}")


async def _run(base: Database, statement: str) -> None:
    """Run one statement; to MySQL's driver a percent sign stands for a value."""
    await base.script(statement.replace("%", "%%") if base.kind == "mysql" else statement)


def remedy_in(said: str) -> str:
    """Give the statement, as a person would copy it."""
    return said.partition("; run there: ")[2]


@SERVER
async def test_a_right_that_is_missing_is_said_with_the_statement_that_gives_it(bench: Bench) -> None:
    assert await bench.shop.take_lock()
    said = await bench.shop.obstacle()
    assert "does not let r_" in said
    assert remedy_in(said).startswith("GRANT SELECT, UPDATE (status, trade_no, note) ON ")
    await bench.run(remedy_in(said))
    assert await bench.shop.obstacle() == ""
    assert await bench.shop.holds_lock(), "a right of the table counts for sessions that were there before"
    assert await bench.shop.settle(await move_of(bench.shop, "1")) == Moved()
    assert await bench.statuses() == [2]


@SERVER
async def test_a_settlement_that_is_denied_says_the_same_and_leaves_lock_and_row_alone(bench: Bench) -> None:
    assert await bench.shop.take_lock()
    with pytest.raises(ShopReadOnly) as denied:
        await bench.shop.settle(await move_of(bench.shop, "1"))
    assert str(denied.value) == await bench.shop.obstacle()
    with pytest.raises(ShopReadOnly):
        await bench.shop.close_order((await orders_of(bench.shop, ["1"]))[0])
    assert await bench.statuses() == [1]
    assert await bench.shop.holds_lock()
    await bench.run(remedy_in(str(denied.value)))
    assert await bench.shop.settle(await move_of(bench.shop, "1")) == Moved()


@SERVER
async def test_the_right_to_one_column_is_not_the_right_to_settle(bench: Bench) -> None:
    await bench.run(f"GRANT UPDATE (status) ON orders TO {bench.user}")
    assert await bench.shop.take_lock()
    assert "GRANT SELECT, UPDATE (status, trade_no, note) ON " in await bench.shop.obstacle()


@pytest.mark.parametrize("kind", ["mysql"])
async def test_a_right_that_counts_for_new_sessions_only_ends_the_one_that_holds_the_lock(bench: Bench) -> None:
    """MariaDB and MySQL: a right to the whole database is not heard of by whoever is in it already."""
    assert await bench.shop.take_lock()
    assert await bench.shop.obstacle()
    await bench.run(f"GRANT UPDATE ON {make_url(bench.base.url).database}.* TO {bench.user}")
    with pytest.raises(LockLost, match="counts for new connections only"):
        await bench.shop.obstacle()
    assert not await bench.shop.holds_lock()
    assert await bench.shop.take_lock()
    assert await bench.shop.obstacle() == ""
    assert await bench.shop.settle(await move_of(bench.shop, "1")) == Moved()


@pytest.mark.parametrize("kind", ["mysql"])
async def test_a_trigger_that_is_not_allowed_is_no_trouble_of_one_order(bench: Bench) -> None:
    """It shows by writing alone, and no GRANT of ours would mend it."""
    await bench.run(
        f"GRANT UPDATE ON orders TO {bench.user}",
        "CREATE FUNCTION secret() RETURNS INT DETERMINISTIC RETURN 1",
        f"CREATE DEFINER = {bench.user} TRIGGER guard BEFORE UPDATE ON orders FOR EACH ROW SET NEW.note = secret()",  # noqa: S608 # the test's own user
    )
    assert await bench.shop.take_lock()
    assert await bench.shop.obstacle() == ""
    with pytest.raises(ShopReadOnly) as denied:
        await bench.shop.settle(await move_of(bench.shop, "1"))
    assert "run there" not in str(denied.value)
    assert await bench.statuses() == [1]


@pytest.mark.parametrize("kind", ["postgresql"])
async def test_a_server_that_takes_no_writes_is_no_trouble_of_one_order(bench: Bench) -> None:
    base = bench.base
    await bench.run(f"ALTER DATABASE {make_url(base.url).database} SET default_transaction_read_only = on")
    try:
        async with shop_over(base) as shop:
            assert await shop.take_lock()
            with pytest.raises(ShopReadOnly, match=r"takes no writes: .*read-only") as refused:
                await shop.settle(await move_of(shop, "1"))
            assert "run there" not in str(refused.value)
            assert await shop.holds_lock()
    finally:
        await bench.run(f"ALTER DATABASE {make_url(base.url).database} RESET default_transaction_read_only")


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_a_file_that_may_not_be_written_is_said_and_believed_once_it_may(base: Database) -> None:
    """A connection that was opened to read stays so, whatever becomes of the file: here SQLite's own switch does it."""
    await table(base)
    await put(base)

    def read_only(connection: Any, _record: object) -> None:  # noqa: ANN401 # SQLAlchemy's adapter has no public type
        cursor = connection.cursor()
        cursor.execute("PRAGMA query_only = ON")
        cursor.close()

    event.listen(Engine, "connect", read_only)
    try:
        async with shop_over(base) as shop:
            assert await shop.take_lock()
            assert "read-only" in await shop.obstacle()
            with pytest.raises(ShopReadOnly, match="read-only"):
                await shop.settle(await move_of(shop, "1"))
            assert await shop.holds_lock()
            event.remove(Engine, "connect", read_only)
            with pytest.raises(LockLost):
                await shop.obstacle()
            assert await shop.take_lock()
            assert await shop.settle(await move_of(shop, "1")) == Moved()
    finally:
        if event.contains(Engine, "connect", read_only):
            event.remove(Engine, "connect", read_only)


@pytest.mark.parametrize("kind", ["sqlite", *SERVERS])
async def test_who_may_write_is_told_nothing_and_nothing_is_written(base: Database) -> None:
    await table(base)
    await put(base)
    async with shop_over(base, where="sn LIKE '%1' AND created > '2000-01-01 10:00'") as shop:
        with pytest.raises(LockLost):
            await shop.obstacle()
        assert await shop.take_lock()
        assert await shop.obstacle() == ""
        assert await shop.settle(await move_of(shop, "1")) == Moved()


@SERVER
async def test_a_table_that_is_gone_is_another_trouble(bench: Bench) -> None:
    await bench.run(f"GRANT UPDATE ON orders TO {bench.user}")
    move = await move_of(bench.shop, "1")
    assert await bench.shop.take_lock()
    await bench.run("ALTER TABLE orders RENAME TO old_orders")
    with pytest.raises(ShopUnavailable) as raised:
        await bench.shop.settle(move)
    assert bench.base.kind == "mysql" or not isinstance(raised.value, ShopReadOnly)
