"""Two writers, and wires that are cut: the chain on a server has one writer, and each write is in it or is not."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from sqlalchemy import make_url, text

from reconciler.databases import limits
from reconciler.ledger import SqlLedger, open_ledger
from reconciler.ledger.verify import verify
from reconciler.ports import Batch, Entry, LedgerUnavailable, NewWatch, Outcome, Overtaken
from reconciler.testing.ledger_examples import CHANNEL, LATER, NOW, attempt, begin, evidence, intention, report
from tests.integration.cutting_proxy import Cut, CuttingProxy, cutting_proxy
from tests.integration.databases import SERVERS, Database

FIRST = Batch(entries=(Entry("noted", evidence=evidence()),))
COMMIT = {"mysql": b"COMMIT", "postgresql": b"COMMIT;"}
LOCKED = "SELECT value FROM marks WHERE name = 'epoch' FOR UPDATE"
OTHERS = {
    "mysql": "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND ID <> CONNECTION_ID()",
    "postgresql": "SELECT pid FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
}
KILL = {"mysql": "KILL {}", "postgresql": "SELECT pg_terminate_backend({})"}
WAITING = {
    "mysql": "SELECT count(*) FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND INFO LIKE '%%FOR UPDATE'",
    "postgresql": "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'",
}
LOOKS_MAX = 20_000


@pytest.fixture(autouse=True)
def _what_was_cut_is_buried_here() -> Iterator[None]:
    """Let go of sockets that a driver lost with its connection, before another test is blamed for them."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


Write = Callable[[SqlLedger], Awaitable[object]]
WRITES: dict[str, Write] = {
    "record": lambda ledger: ledger.record(Batch(entries=(Entry("stray"),), cases=(report(),)), NOW),
    "watch": lambda ledger: ledger.watch([NewWatch(attempt("9"), NOW)], NOW),
    "lease": lambda ledger: ledger.lease(CHANNEL, NOW, LATER, 1),
    "begin": lambda ledger: ledger.begin(intention("9", transaction_id="T9"), NOW),
    "set_mark": lambda ledger: ledger.set_mark("stray", "1"),
}

pytestmark = pytest.mark.parametrize("kind", SERVERS)


@dataclass
class Bench:
    base: Database
    proxy: CuttingProxy
    ledger: SqlLedger
    """Reaches its server over a wire that can be cut, and leads."""

    async def kinds(self) -> list[str]:
        return [kind for (kind,) in await self.base.rows("SELECT kind FROM entries ORDER BY id")]

    async def is_sound(self) -> bool:
        return (await verify(self.ledger, {})).is_sound

    async def somebody_waits(self) -> None:
        for _ in range(LOOKS_MAX):
            if (await self.base.connection.exec_driver_sql(WAITING[self.base.kind])).scalar():
                return
        raise AssertionError("nobody waits")

    async def kill_all(self) -> None:
        for (session,) in await self.base.rows(OTHERS[self.base.kind]):
            await self.base.script(KILL[self.base.kind].format(session))


@pytest.fixture
async def bench(base: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(limits, "BUSY_TIMEOUT_S", 2)
    url = make_url(base.url)
    async with cutting_proxy(url.host or "127.0.0.1", url.port or 0) as proxy:
        through = url.set(host="127.0.0.1", port=proxy.port).render_as_string()
        async with opened(through) as ledger:
            await ledger.lead("first", NOW)
            await ledger.watch([NewWatch(attempt("1"), NOW)], NOW)
            yield Bench(base, proxy, ledger)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[SqlLedger]:
    ledger = await open_ledger(url)
    try:
        yield ledger
    finally:
        await ledger.close()


@pytest.mark.parametrize("write", WRITES)
async def test_whoever_was_overtaken_is_told_and_writes_nothing(bench: Bench, write: str) -> None:
    async with opened(bench.base.url) as second:
        assert await second.lead("second", NOW) == 2
        for _ in range(2):
            with pytest.raises(Overtaken, match="epoch is 2, ours is 1"):
                await WRITES[write](bench.ledger)
        assert await bench.kinds() == ["led", "led"]
        assert await bench.base.rows("SELECT count(*) FROM watches WHERE leased_until IS NULL") == [(1,)]
        for table in ("cases", "intentions"):
            assert await bench.base.rows(f"SELECT count(*) FROM {table}") == [(0,)]  # noqa: S608 # two names
        assert await second.mark("stray") is None
        await WRITES[write](second)
        assert (await verify(second, {})).is_sound


async def test_whoever_takes_the_lead_waits_for_the_page_that_is_being_written(bench: Bench) -> None:
    async with opened(bench.base.url) as second:
        async with bench.ledger._pen.writing() as page:
            page.append(Entry("last"), NOW)
            taking = asyncio.create_task(second.lead("second", NOW))
            await bench.somebody_waits()
        assert await taking == 2
        assert await bench.kinds() == ["led", "last", "led"]
        with pytest.raises(Overtaken):
            await bench.ledger.record(FIRST, NOW)
        await second.record(FIRST, NOW)
        assert (await verify(second, {})).is_sound


async def test_a_page_waits_for_who_takes_the_lead_and_is_not_written(bench: Bench) -> None:
    async with bench.base.session() as second:
        await second.execute(text(LOCKED))
        writing = asyncio.create_task(bench.ledger.record(FIRST, NOW))
        await bench.somebody_waits()
        await second.execute(text("UPDATE marks SET value = '2' WHERE name = 'epoch'"))
        await second.commit()
    with pytest.raises(Overtaken, match="epoch is 2, ours is 1"):
        await writing
    assert await bench.kinds() == ["led"]


async def test_many_writes_of_two_that_both_want_to_lead_make_one_chain(bench: Bench) -> None:
    async with opened(bench.base.url) as second:

        async def write(ledger: SqlLedger) -> int:
            for number in range(200):
                try:
                    await ledger.record(FIRST, NOW)
                except Overtaken:
                    return number
            return 200

        writing = asyncio.create_task(write(bench.ledger))
        while len(await bench.kinds()) < 5:  # it is under way: the test's own limit ends this
            pass
        await second.lead("second", NOW)
        theirs, ours = await asyncio.gather(writing, write(second))
        assert ours == 200
        assert await bench.kinds() == ["led", *["noted"] * theirs, "led", *["noted"] * 200]
        assert (await verify(second, {})).is_sound


async def test_a_lock_that_somebody_keeps_is_waited_for_only_so_long(bench: Bench) -> None:
    async with bench.base.session() as other:
        await other.execute(text(LOCKED))
        with pytest.raises(LedgerUnavailable, match="keeps the row locked"):
            await bench.ledger.record(FIRST, NOW)
        await other.rollback()
    await bench.ledger.record(FIRST, NOW)
    assert await bench.is_sound()


async def test_a_deadlock_with_a_stranger_writes_nothing_and_can_be_tried_again(bench: Bench) -> None:
    """A person at the database's own prompt: no two of ours can, since all begin with the same row."""
    (watch,) = await bench.ledger.lease(CHANNEL, NOW, LATER, 1)

    async def wake() -> None:
        await bench.ledger.wake([watch.attempt.order_key], NOW)

    async with bench.base.session() as other:
        rows = ", ".join(f"('m{number}', 'x')" for number in range(50))
        await other.execute(text(f"INSERT INTO marks VALUES {rows}"))  # noqa: S608 # the server gives up who wrote less
        await other.execute(text("SELECT id FROM watches FOR UPDATE"))
        waking = asyncio.create_task(wake())
        await waits_for_a_watch(bench)
        try:
            await other.execute(text("UPDATE marks SET value = '1' WHERE name = 'epoch'"))
        finally:
            with pytest.raises(LedgerUnavailable, match=r"ended the transaction: .*[Dd]eadlock"):
                await waking
            await other.rollback()
    await wake()
    await bench.ledger.record(FIRST, NOW)
    assert await bench.is_sound()


async def waits_for_a_watch(bench: Bench) -> None:
    statement = {
        "mysql": "SELECT count(*) FROM information_schema.PROCESSLIST"
        " WHERE DB = DATABASE() AND INFO LIKE 'UPDATE watches%%'",
        "postgresql": WAITING["postgresql"],
    }[bench.base.kind]
    for _ in range(LOOKS_MAX):
        if (await bench.base.connection.exec_driver_sql(statement)).scalar():
            return
    raise AssertionError("nobody waits")


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER], ids=["the server never heard of it", "the server did it"])
async def test_what_became_of_a_commit_that_was_cut_off_is_read_from_the_chain(bench: Bench, cut: Cut) -> None:
    bench.proxy.arm(COMMIT[bench.base.kind], cut)
    if cut is Cut.AFTER:
        await bench.ledger.record(FIRST, NOW)
    else:
        with pytest.raises(LedgerUnavailable):
            await bench.ledger.record(FIRST, NOW)
    assert bench.proxy.has_cut.is_set()
    assert await bench.kinds() == ["led", *["noted"] * (cut is Cut.AFTER)]
    await bench.ledger.record(FIRST, NOW)
    assert await bench.is_sound()
    assert await bench.kinds() == ["led", *["noted"] * (1 + (cut is Cut.AFTER))]


async def test_a_commit_whose_end_nobody_can_tell_is_told_apart_by_the_next_write(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wire is cut and stays down: the ledger cannot even be asked."""

    async def away(*_: object) -> bool:
        raise LedgerUnavailable("away")

    for cut in (Cut.AFTER, Cut.BEFORE):
        before = await bench.kinds()
        with monkeypatch.context() as patch:
            patch.setattr(type(bench.ledger._pen), "_went_through", away)
            bench.proxy.arm(COMMIT[bench.base.kind], cut)
            with pytest.raises(LedgerUnavailable, match="away"):
                await bench.ledger.record(FIRST, NOW)
        await bench.ledger.record(FIRST, NOW)
        assert await bench.kinds() == [*before, *["noted"] * (2 if cut is Cut.AFTER else 1)]
        assert await bench.is_sound()


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER], ids=["the server never heard of it", "the server did it"])
async def test_a_settlement_whose_beginning_or_end_was_cut_off_is_written_once(bench: Bench, cut: Cut) -> None:
    async def insistent(write: Callable[[], Awaitable[object]]) -> None:
        bench.proxy.arm(COMMIT[bench.base.kind], cut)
        try:
            await write()
        except LedgerUnavailable:
            assert cut is Cut.BEFORE
            await write()

    await insistent(lambda: bench.ledger.begin(intention("1"), NOW))
    known = await begin(bench.ledger, intention("1"))
    await insistent(lambda: bench.ledger.conclude(known, Outcome.REFUSED, "the shop said no", Batch(), NOW))
    assert await bench.base.rows("SELECT id, outcome FROM intentions") == [(known, "refused")]
    assert await bench.kinds() == ["led", "settle_begun", "settle_begun", "settle_refused"]
    assert await bench.is_sound()


async def test_a_lead_whose_commit_was_cut_off_is_taken_again(bench: Bench) -> None:
    url = make_url(bench.base.url).set(host="127.0.0.1", port=bench.proxy.port).render_as_string()
    async with opened(url) as second:
        assert await second.lead("second", NOW) == 2
        bench.proxy.arm(COMMIT[bench.base.kind], Cut.AFTER)
        with pytest.raises(LedgerUnavailable):
            await second.lead("second", NOW)
        assert await second.lead("second", NOW) == 4
        await second.record(FIRST, NOW)
        with pytest.raises(Overtaken):
            await bench.ledger.record(FIRST, NOW)
        assert (await verify(second, {})).is_sound


@pytest.mark.parametrize(
    "words", [{"mysql": b"FOR UPDATE", "postgresql": b"BEGIN"}, dict.fromkeys(SERVERS, b"INSERT"), COMMIT]
)
async def test_a_line_that_goes_dead_ends_by_itself(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, words: dict[str, bytes]
) -> None:
    monkeypatch.setattr(limits, "STATEMENT_TIMEOUT_S", 1)
    bench.proxy.arm(words[bench.base.kind], Cut.DEAD)
    with pytest.raises(LedgerUnavailable):
        await bench.ledger.record(FIRST, NOW)
    assert bench.proxy.has_cut.is_set()
    assert await bench.kinds() == ["led"]
    await bench.kill_all()  # the server would find out by itself within a minute
    monkeypatch.setattr(limits, "STATEMENT_TIMEOUT_S", 30)
    await bench.ledger.record(FIRST, NOW)
    assert await bench.is_sound()


async def test_reading_over_a_dead_line_ends_by_itself(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STATEMENT_TIMEOUT_S", 1)
    bench.proxy.arm(b"SELECT", Cut.DEAD)
    with pytest.raises(LedgerUnavailable, match="no answer within 1 s"):
        await bench.ledger.counts(NOW)
    await bench.ledger.counts(NOW)


async def test_sessions_that_the_server_ended_are_opened_again_and_the_fence_still_holds(bench: Bench) -> None:
    await bench.kill_all()
    await bench.ledger.record(FIRST, NOW)
    async with opened(bench.base.url) as second:
        await second.lead("second", NOW)
        await bench.kill_all()
        with pytest.raises(Overtaken):
            await bench.ledger.record(FIRST, NOW)
        assert await bench.kinds() == ["led", "noted", "led"]


async def test_a_session_that_ends_in_the_middle_of_a_page_leaves_nothing_of_it(bench: Bench) -> None:
    async def killed() -> None:
        async with bench.ledger._pen.writing() as page:
            page.append(Entry("half"), NOW)
            await bench.kill_all()

    with pytest.raises(LedgerUnavailable):
        await killed()
    await bench.ledger.record(FIRST, NOW)
    assert await bench.kinds() == ["led", "noted"]
    assert await bench.is_sound()


async def test_what_a_host_that_has_gone_had_locked_comes_free_by_itself(bench: Bench) -> None:
    asked = {"mysql": "SELECT @@SESSION.wait_timeout", "postgresql": "SHOW idle_in_transaction_session_timeout"}
    async with bench.ledger._engines.write.connect() as connection:
        said = (await connection.execute(text(asked[bench.base.kind]))).scalar()
    assert said == {"mysql": 60, "postgresql": "1min"}[bench.base.kind]
