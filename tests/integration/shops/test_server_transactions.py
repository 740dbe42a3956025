"""Whatever a server does to a settlement under way: it ends in one, or can be tried again, and is never silent."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from reconciler.databases import limits
from reconciler.domain.order import Order, OrderKey, OrderState
from reconciler.ports import LockLost, Moved, NotMoved, RowBusy, ShopUnavailable
from reconciler.shops.sql import SqlShop, open_shop
from tests.integration.cutting_proxy import Cut, CuttingProxy, cutting_proxy
from tests.integration.databases import SERVERS, Database
from tests.integration.shops.made import TRANSACTION, mapping_of, move_of, shop_over

MOMENT = {"mysql": "DATETIME", "postgresql": "TIMESTAMP"}
INSERT = "INSERT INTO orders VALUES ({}, 'A1', 99, 1, '2026-03-01 12:00:00', NULL)"
OWN_ID = {"mysql": "SELECT CONNECTION_ID()", "postgresql": "SELECT pg_backend_pid()"}
KILL = {"mysql": "KILL {}", "postgresql": "SELECT pg_terminate_backend({})"}
WAITS = {
    "mysql": "SELECT count(*) FROM information_schema.PROCESSLIST WHERE ID = {} AND INFO LIKE 'UPDATE%%`id` = {} %%'",
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE pid = {} AND wait_event_type = 'Lock' -- row {}",
}
COMMIT = {"mysql": b"COMMIT", "postgresql": b"COMMIT;"}
LOOKS_MAX = 20_000

pytestmark = pytest.mark.parametrize("kind", SERVERS)


@dataclass
class Bench:
    base: Database
    shop: SqlShop
    proxy: CuttingProxy
    writer: int = 0
    """The session that writes, as the server numbers it."""

    async def lead(self) -> None:
        assert await self.shop.take_lock()
        connection = self.shop._lock.writer()
        self.writer = int((await connection.execute(text(OWN_ID[self.base.kind]))).scalar_one())
        await connection.rollback()

    async def kill(self) -> None:
        await self.base.script(KILL[self.base.kind].format(self.writer))

    async def waits_for(self, row: int) -> None:
        """Wait until the writer waits for this row."""
        statement = WAITS[self.base.kind].format(self.writer, row)
        for _ in range(LOOKS_MAX):
            if (await self.base.connection.exec_driver_sql(statement)).scalar():
                return
        raise AssertionError("nobody waits")

    async def statuses(self) -> list[int]:
        return [status for (status,) in await self.base.rows("SELECT status FROM orders ORDER BY id")]


@pytest.fixture
async def bench(base: Database, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Bench]:
    """Three pending orders, and a shop that reaches its server over a wire that can be cut."""
    monkeypatch.setattr(limits, "BUSY_TIMEOUT_S", 2)
    await base.script(
        f"CREATE TABLE orders (id BIGINT PRIMARY KEY, sn VARCHAR(64), price DECIMAL(10,2), status INT,"
        f" created {MOMENT[kind]}, trade_no VARCHAR(64))",
        *(INSERT.format(at) for at in range(1, 104)),
    )
    url = make_url(base.url)
    async with cutting_proxy(url.host or "127.0.0.1", url.port or 0) as proxy:
        through = url.set(host="127.0.0.1", port=proxy.port).render_as_string()
        changes = {"url": through, "tls": "off"}
        async with shop_over(base, shop=changes, transaction_id="trade_no", shared_payment=True) as shop:
            yield Bench(base, shop, proxy)


async def test_a_row_that_another_session_locks_is_waited_for_and_then_left_for_later(bench: Bench) -> None:
    await bench.lead()
    move = await move_of(bench.shop, "1")
    async with bench.base.session() as other:
        await other.execute(text("UPDATE orders SET status = 1, sn = sn WHERE id = 1"))
        await other.execute(text("SELECT id FROM orders WHERE id = 1 FOR UPDATE"))
        with pytest.raises(RowBusy, match=r"did not take the update: .* keeps the row locked: "):
            await bench.shop.settle(move)
        await other.rollback()
    assert (await bench.statuses())[0] == 1
    assert await bench.shop.holds_lock()
    assert await bench.shop.settle(move) == Moved()


async def test_a_callback_that_is_under_way_is_waited_for_and_wins(bench: Bench) -> None:
    await bench.lead()
    move = await move_of(bench.shop, "1")
    async with bench.base.session() as callback:
        await callback.execute(text("UPDATE orders SET status = 2, trade_no = 'T-callback' WHERE id = 1"))
        settling = asyncio.create_task(bench.shop.settle(move))
        await bench.waits_for(1)
        await callback.commit()
    outcome = await settling
    assert isinstance(outcome, NotMoved)
    row = outcome.rows[OrderKey("1")]
    assert isinstance(row, Order)
    assert (row.state, row.transaction_id, outcome.why) == (OrderState.PAID, "T-callback", "")


async def test_a_deadlock_writes_nothing_and_can_be_tried_again(bench: Bench) -> None:
    await bench.lead()
    move = await move_of(bench.shop, "1", "2")
    async with bench.base.session() as other:
        # it has written more, so that the server gives us up; and it looks for it last, for those that go by time
        if bench.base.kind == "postgresql":
            await other.execute(text("SET LOCAL deadlock_timeout = '1min'"))
        await other.execute(text("UPDATE orders SET price = 98 WHERE id > 3"))
        await other.execute(text("SELECT id FROM orders WHERE id = 2 FOR UPDATE"))
        settling = asyncio.create_task(bench.shop.settle(move))
        await bench.waits_for(2)
        await other.execute(text("SELECT id FROM orders WHERE id = 1 FOR UPDATE"))
        with pytest.raises(RowBusy, match=r"ended the transaction: .*[Dd]eadlock"):
            await settling
        await other.rollback()
    assert (await bench.statuses())[:2] == [1, 1]
    assert await bench.shop.holds_lock()
    assert await bench.shop.settle(move) == Moved()
    assert (await bench.statuses())[:3] == [2, 2, 1]


async def test_a_lock_whose_connection_was_killed_settles_nothing_until_it_is_taken_again(bench: Bench) -> None:
    await bench.lead()
    move = await move_of(bench.shop, "1")
    await bench.kill()
    with pytest.raises(LockLost):
        await bench.shop.settle(move)
    with pytest.raises(LockLost):
        await bench.shop.settle(move)
    assert not await bench.shop.holds_lock()
    assert (await bench.statuses())[0] == 1
    assert await bench.shop.take_lock()
    assert await bench.shop.settle(move) == Moved()


async def test_a_connection_that_is_killed_while_it_writes_has_written_nothing(bench: Bench) -> None:
    await bench.lead()
    move = await move_of(bench.shop, "1", "2")
    async with bench.base.session() as other:
        await other.execute(text("SELECT id FROM orders WHERE id = 2 FOR UPDATE"))
        settling = asyncio.create_task(bench.shop.settle(move))
        await bench.waits_for(2)
        await bench.kill()
        with pytest.raises(ShopUnavailable) as raised:
            await settling
        assert not isinstance(raised.value, RowBusy)  # it is not the row's trouble
        await other.rollback()
    assert (await bench.statuses())[:2] == [1, 1]
    assert not await bench.shop.holds_lock()
    assert await bench.shop.take_lock()
    assert await bench.shop.settle(await move_of(bench.shop, "1", "2")) == Moved()


async def test_a_rival_takes_over_when_the_connection_is_killed_and_we_write_no_more(bench: Bench) -> None:
    await bench.lead()
    move = await move_of(bench.shop, "1")
    async with shop_over(bench.base, transaction_id="trade_no") as rival:
        assert not await rival.take_lock()
        await bench.kill()
        while not await rival.take_lock():  # the server is about to let go: the test's own limit ends this
            pass
        with pytest.raises(LockLost):
            await bench.shop.settle(move)
        assert not await bench.shop.take_lock()
        assert await rival.settle(await move_of(rival, "1")) == Moved()


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER], ids=["the server never heard of it", "the server did it"])
async def test_a_commit_that_is_cut_off_is_an_open_question_and_no_order_is_moved_twice(bench: Bench, cut: Cut) -> None:
    await bench.lead()
    move = await move_of(bench.shop, "1")
    bench.proxy.arm(COMMIT[bench.base.kind], cut)
    with pytest.raises(LockLost, match="committing broke off, and what became of it is unknown"):
        await bench.shop.settle(move)
    assert bench.proxy.has_cut.is_set()
    assert not await bench.shop.holds_lock()
    while not await bench.shop.take_lock():  # the server is about to let go: the test's own limit ends this
        pass
    moved = cut is Cut.AFTER
    assert (await bench.statuses())[0] == (2 if moved else 1)
    again = await bench.shop.settle(move)
    assert isinstance(again, NotMoved) is moved
    row = (await bench.shop.read([OrderKey("1")]))[OrderKey("1")]
    assert isinstance(row, Order)
    assert (row.state, row.transaction_id) == (OrderState.PAID, TRANSACTION)


async def test_an_update_that_is_cut_off_has_written_nothing(bench: Bench) -> None:
    await bench.lead()
    move = await move_of(bench.shop, "1")
    bench.proxy.arm(b"UPDATE", Cut.AFTER)
    with pytest.raises(ShopUnavailable, match="did not take the update") as raised:
        await bench.shop.settle(move)
    assert not isinstance(raised.value, RowBusy)
    assert not await bench.shop.holds_lock()
    while not await bench.shop.take_lock():  # as above
        pass
    assert (await bench.statuses())[0] == 1
    assert await bench.shop.settle(move) == Moved()


@pytest.mark.parametrize(
    ("word", "error"),
    [(dict.fromkeys(SERVERS, b"UPDATE"), ShopUnavailable), (COMMIT, LockLost)],
    ids=["at the update", "at the commit"],
)
async def test_a_line_that_goes_dead_ends_by_itself(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, word: dict[str, bytes], error: type[Exception]
) -> None:
    await bench.lead()
    move = await move_of(bench.shop, "1")
    monkeypatch.setattr(limits, "STATEMENT_TIMEOUT_S", 1)
    bench.proxy.arm(word[bench.base.kind], Cut.DEAD)
    with pytest.raises(error, match="no answer within 1 s"):
        await bench.shop.settle(move)
    assert not await bench.shop.holds_lock()
    assert (await bench.statuses())[0] == 1


async def test_a_lock_that_nobody_answers_for_is_lost(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.lead()
    monkeypatch.setattr(limits, "LOCK_TIMEOUT_S", 1)
    bench.proxy.arm({"mysql": b"IS_USED_LOCK", "postgresql": b"PG_LOCKS"}[bench.base.kind], Cut.DEAD)
    assert not await bench.shop.holds_lock()
    with pytest.raises(LockLost):
        await bench.shop.settle(await move_of(bench.shop, "1"))


async def test_an_alter_table_that_holds_the_table_is_not_waited_for_without_end(bench: Bench) -> None:
    await bench.lead()
    move = await move_of(bench.shop, "1")
    async with bench.base.session() as other:
        statement = {"mysql": "LOCK TABLES orders WRITE", "postgresql": "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE"}
        await other.exec_driver_sql(statement[bench.base.kind])
        with pytest.raises(ShopUnavailable):
            await bench.shop.settle(move)
        with pytest.raises(ShopUnavailable):
            await bench.shop.read([OrderKey("1")])
        if bench.base.kind == "mysql":
            await other.exec_driver_sql("UNLOCK TABLES")
        await other.rollback()
    assert await bench.shop.settle(move) == Moved()


async def test_both_ends_find_out_that_the_other_host_is_gone(bench: Bench) -> None:
    await bench.lead()
    connection = bench.shop._lock.writer()
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    ours = driver._transport.get_extra_info("socket")
    options = [
        ours.getsockopt(socket.IPPROTO_TCP, option)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
    ]
    assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert options == [10, 5, 3, 25_000]
    asked = {
        "mysql": "SELECT @@SESSION.wait_timeout",
        "postgresql": "SELECT concat_ws(' ', current_setting('tcp_keepalives_idle'),"
        " current_setting('tcp_keepalives_interval'), current_setting('tcp_keepalives_count'))",
    }
    theirs = (await connection.execute(text(asked[bench.base.kind]))).scalar_one()
    assert theirs == {"mysql": 60, "postgresql": "10 5 3"}[bench.base.kind]
    await connection.rollback()


async def test_a_server_that_is_silent_from_the_first_is_unavailable(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CONNECT_TIMEOUT_S", 1)
    monkeypatch.setattr(limits, "STATEMENT_TIMEOUT_S", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = make_url(bench.base.url).set(host="127.0.0.1", port=port).render_as_string()
        with pytest.raises(ShopUnavailable, match="no answer"):
            await open_shop(mapping_of(bench.base, shop={"url": url}))


REFUSES = {
    "mysql": (
        "CREATE TABLE buyers (who VARCHAR(64) PRIMARY KEY)",
        "INSERT INTO buyers VALUES ('Zhang San of Lane 5')",
        "CREATE TRIGGER told BEFORE UPDATE ON orders FOR EACH ROW INSERT INTO buyers VALUES ('Zhang San of Lane 5')",
    ),
    "postgresql": (
        "ALTER TABLE orders ADD COLUMN buyer TEXT DEFAULT 'Zhang San of Lane 5'",
        "ALTER TABLE orders ADD CONSTRAINT one_status CHECK (status = 1)",
    ),
}


async def test_why_a_server_refuses_is_said_without_the_row(bench: Bench) -> None:
    await bench.lead()
    move = await move_of(bench.shop, "1")
    await bench.base.script(*REFUSES[bench.base.kind])
    outcome = await bench.shop.settle(move)
    assert isinstance(outcome, NotMoved)
    assert "Zhang San" not in outcome.why
    assert ("Duplicate entry" if bench.base.kind == "mysql" else "one_status") in outcome.why
