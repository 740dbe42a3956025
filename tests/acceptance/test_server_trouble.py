"""What a database server does to a settlement under way: each ends in one move of the order, and is said.

Rows that others lock, deadlocks, connections that are killed, or cut in the middle of a COMMIT: one real daemon lives
through them one after another, and the witness in the shop's database sees each order moved once.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.sandbox.trade import GatewayKind
from tests.acceptance.awkward import COLUMNS, ON_THE_ROW, PAID, PENDING, AwkwardShop, awkward_shop
from tests.acceptance.world import Process, is_an_end, until
from tests.integration.cutting_proxy import Cut, CuttingProxy, cutting_proxy
from tests.integration.databases import SERVERS

pytestmark = [pytest.mark.acceptance, pytest.mark.parametrize("kind", SERVERS)]

FAST = '[find]\nevery = "100ms"\n[settle]\ngrace = "0s"\n'
HOLD = "SELECT id FROM orders WHERE order_no = :no FOR UPDATE"
CALLBACK = "UPDATE orders SET status = 1, transaction_id = :transaction WHERE order_no = :no"
WEIGH = "INSERT INTO moves (order_no) VALUES (:no)"
KILL = {"mysql": "KILL {}", "postgresql": "SELECT pg_terminate_backend({})"}
COMMIT = {"mysql": b"\x03COMMIT", "postgresql": b"COMMIT;"}
"""As the drivers say it to the server, and nothing else that they say."""
WAITS = {
    "mysql": "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE 'UPDATE %'",
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
}
"""The session that waits for a row that it is to write: it holds the shop's lock, too."""
LOOKS_MAX = 20_000
WEIGHT = 200
"""Rows that a rival writes, so that the server gives up the other where two wait for each other."""


@dataclass
class Bench:
    """A shop behind a wire that can be cut, and the daemon beside it."""

    shop: AwkwardShop
    proxy: CuttingProxy
    daemon: Process

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """Stop the daemon for a moment, so that what is done meanwhile is there as a whole when it looks."""
        self.daemon.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.daemon.process.send_signal(signal.SIGCONT)

    @asynccontextmanager
    async def held(self, order_no: str, *with_it: str) -> AsyncIterator[AsyncConnection]:
        """Let somebody order and pay, and another session hold the last row; give that session once we wait for it."""
        async with self.shop.tables.session() as other:
            with self.asleep():
                await self.buy(order_no, *with_it)
                await other.execute(text(HOLD), {"no": (order_no, *with_it)[-1]})
            await self.waiting()
            yield other
            await other.rollback()

    async def buy(self, order_no: str, *with_it: str) -> None:
        """Let somebody order and pay, by one number for all of it."""
        orders = (order_no, *with_it)
        self.shop.trade(order_no, "paid", 9900 * len(orders))
        for each in orders:
            await self.shop.place(each, number=order_no, attempts=())

    async def waiting(self) -> int:
        """Give the session in which the daemon waits for a row, as soon as it does."""
        for _ in range(LOOKS_MAX):
            if found := await self.shop.tables.rows(WAITS[self.shop.tables.kind]):
                return int(found[0][0])
        raise AssertionError("nobody waits for a row")

    async def kill(self, session: int) -> None:
        """Have the server end a session."""
        await self.shop.tables.script(KILL[self.shop.tables.kind].format(session))

    def log(self) -> str:
        """Give what the daemon has said."""
        return "\n".join(map(str, self.daemon.lines))

    def has_said(self, words: str) -> bool:
        """Whether a line says so."""
        return any(words in str(line) for line in self.daemon.lines)

    async def said(self, words: str) -> None:
        """Wait for a line that says so."""
        await until(lambda: self.has_said(words), told=self.log)

    async def ended(self, *order_nos: str) -> None:
        """Wait until it is said of these orders that they are where they belong, by whoever's hand."""
        await until(
            lambda: set(order_nos) <= {line["order_no"] for line in self.daemon.lines if is_an_end(line)}, told=self.log
        )

    async def moved_once(self, *order_nos: str) -> None:
        """Stop, and see that these orders were moved, each once, that nothing is left open, and the ledger sound."""
        assert await self.daemon.stop() == 0
        assert sorted(await self.shop.witnessed()) == sorted((no, PENDING, PAID) for no in order_nos)
        assert await self.shop.cases() == set()
        assert not self.daemon.events("turn.failed")
        assert (await self.shop.json(self.shop.config, "status"))["open_intentions"] == 0
        assert (await self.shop.command(self.shop.config, "ledger", "verify"))[1].splitlines()[-1] == "sound"


@pytest.fixture(name="bench")
async def bench_fixture(kind: str, tmp_path: Path) -> AsyncIterator[Bench]:
    async with awkward_shop(kind, tmp_path) as shop:
        url = make_url(shop.url)
        async with cutting_proxy(url.host or "127.0.0.1", url.port or 0) as proxy:
            shop.configure(orders=f"{COLUMNS}{ON_THE_ROW}shared_payment = true\n", attempts="", more=FAST)
            through = url.set(host="127.0.0.1", port=proxy.port).render_as_string()
            shop.config.write_text(shop.config.read_text().replace(shop.url, through))
            daemon = await shop.start(shop.config)
            await daemon.until("lead.taken")
            yield Bench(shop, proxy, daemon)


async def test_rows_that_others_lock_are_waited_for_and_then_come_again(bench: Bench) -> None:
    async with bench.held("short") as other:
        await other.rollback()
        await bench.ended("short")
    assert not bench.daemon.events("shop.unavailable"), "a short wait is no trouble"

    async with bench.held("callback") as callback:
        trade = bench.shop.book.get(GatewayKind.ALIPAY, "callback")
        assert trade is not None
        await callback.execute(text(CALLBACK), {"no": "callback", "transaction": trade.transaction_id})
        await callback.commit()
        (line,) = await bench.daemon.until("order.callback_won")
        assert line["order_no"] == "callback"

    async with bench.held("first", "second") as other:
        for each in range(WEIGHT):
            await other.execute(text(WEIGH), {"no": f"weight-{each}"})
        await other.execute(text(HOLD), {"no": "first"})  # which we hold, and wait for the second
        await bench.said("ended the transaction: ")
    await bench.ended("first", "second")

    async with bench.held("long"):
        await bench.said("keeps the row locked: ")
        await bench.buy("bystander")
        await bench.ended("bystander")  # one locked row holds up nobody else
    await bench.ended("long")
    await bench.moved_once("short", "callback", "first", "second", "long", "bystander")


async def test_connections_that_are_killed_or_cut_lose_no_order_and_move_none_twice(bench: Bench) -> None:
    async with bench.held("killed-while-it-writes"):
        while not bench.has_said("did not take the update"):  # it may have given up waiting a moment before
            lost = len(bench.daemon.events("lead.lost"))
            await bench.kill(await bench.waiting())
            await bench.daemon.until("lead.lost", lost + 1)
    lost = len(bench.daemon.events("lead.lost"))
    await bench.ended("killed-while-it-writes")

    async with bench.held("idle") as other:
        session = await bench.waiting()
        await other.rollback()
        await bench.ended("idle")
        await bench.kill(session)
    await bench.daemon.until("lead.lost", lost + 1)
    await bench.daemon.until("lead.taken", lost + 2)
    await bench.buy("after-the-kill")
    await bench.ended("after-the-kill")

    for times, (cut, order_no) in enumerate(
        ((Cut.BEFORE, "never-committed"), (Cut.AFTER, "committed")), start=lost + 2
    ):
        bench.proxy.arm(COMMIT[bench.shop.tables.kind], cut)
        await bench.buy(order_no)
        line = (await bench.daemon.until("lead.lost", times))[-1]
        assert "committing broke off, and what became of it is unknown" in line["why"]
        await bench.ended(order_no)
    settled = {line["order_no"] for line in bench.daemon.events("order.settled")}
    recovered = {line["order_no"]: line["outcome"] for line in bench.daemon.events("settle.recovered")}
    assert "never-committed" in settled
    assert recovered["committed"] == "settled: found moved at start"
    await bench.moved_once("killed-while-it-writes", "idle", "after-the-kill", "never-committed", "committed")
