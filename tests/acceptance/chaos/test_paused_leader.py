"""A leader is stopped, the server ends its lock, another leads and settles; then the first one wakes up."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sqlite3
from typing import Any, Final

import pytest
from sqlalchemy import make_url, text

from reconciler.shops.sql.dialects.mysql import MysqlDialect
from tests.acceptance.chaos.daemons import Daemon, leading
from tests.acceptance.chaos.town import Fate, Town

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

ROUNDS: Final = 3
BURST: Final = 20
"""Orders that are there at once, so that the leader is stopped in the middle of something."""
STOPS_MAX: Final = 200
LOOKS: Final = 4
"""That show the same: then nothing more is written."""
HOLDERS: Final = {
    "mysql": "SELECT IS_USED_LOCK(:key)",
    "postgresql": "SELECT min(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
}
END: Final = {"mysql": "KILL {}", "postgresql": "SELECT pg_terminate_backend({})"}
WRITERS: Final = {
    "mysql": "SELECT count(*) FROM information_schema.innodb_trx t JOIN information_schema.processlist p"
    " ON p.id = t.trx_mysql_thread_id WHERE p.db = DATABASE() AND p.id <> CONNECTION_ID()"
    " AND t.trx_rows_locked + t.trx_rows_modified > 0",
    "postgresql": "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
    " WHERE a.datname = current_database() AND l.locktype = 'transactionid'",
}
"""Transactions on the ledger that keep others from writing."""
STOPPED_FOR_S: Final = 0.05
"""After so long a server has done what a process asked of it before it was stopped."""


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
@pytest.mark.parametrize("town", ["file", "server"], indirect=True, ids=["ledger-in-a-file", "ledger-on-the-server"])
async def test_a_leader_that_wakes_up_after_another_took_over_writes_nothing(town: Town, chance: random.Random) -> None:
    configs = [town.configure(name) for name in ("one", "two")]
    daemons = [await town.start(config) for config in configs]
    for _ in range(ROUNDS):
        leader = await leading(daemons)
        for _ in range(BURST):
            await town.order()
        await asyncio.sleep(chance.uniform(0, 0.3))  # the moment is what is drawn
        await stop_between_the_ledgers_transactions(town, leader)
        town.cut_short += 1
        await end_the_locks_session(town)
        (other,) = (daemon for daemon in daemons if daemon is not leader)
        await other.until("lead.taken", len(other.events("lead.taken")) + (not other.leads))
        await town.moved(await town.order(Fate.LOST))
        before = await at_rest(town)

        leader.send(signal.SIGCONT)
        await town.until(lambda it=leader: gave_up(it), "the one that woke up ends, or stands by")  # type: ignore[misc] # mypy infers no lambda with a default
        assert await at_rest(town) == before, leader.raw[-20:]
        assert other.leads
        if leader.events("lead.overtaken"):
            assert await leader.ends() == 76
            daemons[daemons.index(leader)] = await town.start(configs[daemons.index(leader)])
    await town.comes_to_rest(configs[0])


async def stop_between_the_ledgers_transactions(town: Town, leader: Daemon) -> None:
    """SIGSTOP; where it holds the ledger then nobody could take over, which is safe, but another story."""
    for _ in range(STOPS_MAX):
        leader.send(signal.SIGSTOP)
        await asyncio.sleep(STOPPED_FOR_S)
        if await is_free(town):
            return
        leader.send(signal.SIGCONT)
        await asyncio.sleep(town.chance.uniform(0, STOPPED_FOR_S))
    raise AssertionError("the ledger was never found free")


async def is_free(town: Town) -> bool:
    """Whether nobody is in the middle of a transaction on the ledger."""
    if town.ledger.startswith("sqlite"):
        path = make_url(town.ledger).database or ""
        with contextlib.closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as ledger:
            try:
                ledger.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
            ledger.execute("ROLLBACK")
            return True
    ((writers,),) = await town.written(WRITERS[town.shop.kind])
    return bool(writers == 0)


async def end_the_locks_session(town: Town) -> None:
    """Have the server end the session that holds the shop's lock."""
    key = MysqlDialect().lock(make_url(town.shop.url).database or "", None, "orders").key
    async with town.shop.session() as shop:
        values = key if town.shop.kind == "mysql" else {}
        session = (await shop.execute(text(HOLDERS[town.shop.kind]), values)).scalar_one()
        assert session, "nobody holds the lock"
        await shop.exec_driver_sql(END[town.shop.kind].format(int(session)))


async def written(town: Town) -> tuple[Any, ...]:
    """Give what was written so far: the ledger's entries, and the witness's."""
    entries = await town.written("SELECT count(*) FROM entries")
    return (*entries, len(await town.shop.moves()))


async def at_rest(town: Town) -> tuple[Any, ...]:
    """Wait until nothing more is written; give how much it is."""
    await asyncio.gather(*town.callbacks)
    await town.moved()
    last: list[object] = []

    async def same() -> bool:
        last.append(await written(town))
        return len(last) > LOOKS and len(set(map(str, last[-LOOKS:]))) == 1

    await town.until(same, "nothing more is written")
    return await written(town)


async def gave_up(daemon: Daemon) -> bool:
    """Whether it said that it leads no more."""
    return not daemon.leads
