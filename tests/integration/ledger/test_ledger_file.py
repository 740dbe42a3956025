"""The ledger as a SQLite file: how it is opened, refused and fenced, and what its queries cost."""

import asyncio
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Select, text
from sqlalchemy.exc import DBAPIError

from reconciler.ledger import SqlLedger, open_ledger
from reconciler.ledger import watches as watches_of
from reconciler.ledger.tables import metadata
from reconciler.ledger.verify import verify
from reconciler.ports import Batch, Entry, LedgerUnavailable, NewWatch, Overtaken
from reconciler.testing.ledger_examples import CHANNEL, LATER, NOW, attempt, evidence, report

FIRST = Batch(entries=(Entry("noted", evidence=evidence()),))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "made" / "a ledger?#%41.db"


@pytest.fixture
async def ledger(path: Path) -> AsyncIterator[SqlLedger]:
    ledger = await open_ledger(f"sqlite:///{_quoted(path)}")
    await ledger.lead("test", NOW)
    yield ledger
    await ledger.close()


async def test_a_new_ledger_is_its_owners_alone(ledger: SqlLedger, path: Path) -> None:
    await ledger.record(FIRST, NOW)
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_directory_without_a_parent_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="No such file"):
        await open_ledger(f"sqlite:///{tmp_path}/a/b/ledger.db")


async def test_a_reader_makes_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="no such file"):
        await open_ledger(f"sqlite:///{tmp_path}/ledger.db", create=False)
    assert list(tmp_path.iterdir()) == []


async def test_a_reader_fills_no_empty_file(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").touch()
    with pytest.raises(LedgerUnavailable, match="is empty"):
        await open_ledger(f"sqlite:///{tmp_path}/ledger.db", create=False)


async def test_a_reader_reads_while_the_leader_leads(ledger: SqlLedger, path: Path) -> None:
    await ledger.record(FIRST, NOW)
    reader = await open_ledger(f"sqlite:///{_quoted(path)}", create=False)
    assert await reader.head() == await ledger.head()
    await reader.close()
    await ledger.record(FIRST, NOW)


@pytest.mark.parametrize("create", [True, False])
async def test_a_newer_schema_is_refused(ledger: SqlLedger, path: Path, create: bool) -> None:
    with sqlite3.connect(path) as file:
        file.execute("UPDATE alembic_version SET version_num = '9999'")
    file.close()
    with pytest.raises(LedgerUnavailable, match=r"9999.*newer version"):
        await open_ledger(f"sqlite:///{_quoted(path)}", create=create)


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "sqlite:////x.db?mode=memory", "oracle://h/d", "nonsense"]
)
async def test_a_url_of_no_ledger_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"ledger|file"):
        await open_ledger(url)


async def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("not a database, but long enough to be taken for one" * 100)
    with pytest.raises(LedgerUnavailable, match="not a database"):
        await open_ledger(f"sqlite:///{tmp_path}/ledger.db")


async def test_a_server_that_is_away_is_unavailable_and_its_password_unsaid() -> None:
    with pytest.raises(LedgerUnavailable) as caught:
        await open_ledger("postgresql://me@127.0.0.1:1/ledger", b"hunter2")
    assert "hunter2" not in str(caught.value)


async def test_the_migrations_make_the_tables(ledger: SqlLedger) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with ledger._engines.read.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_sqlite_is_set_to_lose_nothing(ledger: SqlLedger) -> None:
    for engine in (ledger._engines.read, ledger._engines.write):
        async with engine.connect() as connection:
            values = [
                (await connection.execute(text(f"PRAGMA {name}"))).scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            ]
        assert values == ["wal", 2, 1, 5000]


@pytest.mark.parametrize(
    "query",
    [
        watches_of.is_due(CHANNEL, NOW),
        watches_of.due(CHANNEL, NOW, 10, newest=True),
        watches_of.due(CHANNEL, NOW, 10, newest=False),
        watches_of.next_due(CHANNEL),
    ],
)
async def test_what_is_due_comes_out_of_an_index_alone(ledger: SqlLedger, query: Select[object]) -> None:
    async with ledger._engines.read.connect() as connection:
        bound = query.compile(connection.sync_engine, compile_kwargs={"literal_binds": True})
        plan = [row[3] for row in await connection.execute(text(f"EXPLAIN QUERY PLAN {bound}"))]
    searches = [step for step in plan if "watches" in step]
    assert len(searches) == 1, plan
    assert searches[0].startswith("SEARCH watches USING COVERING INDEX watches_due (channel=?"), plan


async def test_of_two_leaders_the_first_leaves_nothing_in_the_file(ledger: SqlLedger, path: Path) -> None:
    second = await open_ledger(f"sqlite:///{_quoted(path)}")
    await second.lead("second", NOW)
    with pytest.raises(Overtaken, match="epoch is 2, ours is 1"):
        await ledger.record(Batch(entries=(Entry("stray"),), cases=(report(),)), NOW)
    with pytest.raises(Overtaken):
        await ledger.watch([NewWatch(attempt(), NOW)], NOW)
    assert _read(path, "SELECT kind FROM entries ORDER BY id") == [("led",), ("led",)]
    assert _read(path, "SELECT (SELECT count(*) FROM cases) + (SELECT count(*) FROM watches)") == [(0,)]
    await second.close()


async def test_a_writer_keeps_others_out_from_its_first_statement(ledger: SqlLedger, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None, timeout=0)
    async with ledger._pen.writing():
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
    other.close()


async def test_an_entry_from_elsewhere_breaks_the_pen(ledger: SqlLedger, path: Path) -> None:
    await ledger.record(FIRST, NOW)
    with sqlite3.connect(path) as file:
        file.execute("DELETE FROM entries WHERE id = 2")
    file.close()
    with pytest.raises(Overtaken, match=r"ends with entry 1 .* left it at entry 2"):
        await ledger.record(FIRST, NOW)


async def test_a_full_disk_is_unavailable_until_there_is_room(ledger: SqlLedger) -> None:
    await ledger.record(FIRST, NOW)
    head = await ledger.head()
    await _pages_max(ledger, 1)
    large = Batch(entries=(Entry("large", body={"a": "x" * 200_000}),), cases=(report(),))
    for _ in range(2):
        with pytest.raises(LedgerUnavailable, match="full"):
            await ledger.record(large, NOW)
    assert await ledger.head() == head
    assert await ledger.cases() == []
    await _pages_max(ledger, 1_000_000)
    await ledger.record(large, NOW)
    assert (await verify(ledger, {})).is_sound


async def test_a_locked_ledger_is_unavailable_until_it_is_free(ledger: SqlLedger, path: Path) -> None:
    async with ledger._engines.write.connect() as connection:
        await connection.execute(text("PRAGMA busy_timeout=1"))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerUnavailable, match="locked"):
        await ledger.record(FIRST, NOW)
    other.execute("ROLLBACK")
    other.close()
    await ledger.record(FIRST, NOW)


@pytest.mark.parametrize("committed", [True, False])
async def test_a_commit_that_fails_is_looked_up(
    ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    before = await ledger.head()
    with monkeypatch.context() as patch:
        _fail_commits(patch, sqlite3.OperationalError("disk I/O error"), committed=committed)
        if committed:
            await ledger.record(FIRST, NOW)
        else:
            with pytest.raises(LedgerUnavailable, match="disk I/O error"):
                await ledger.record(FIRST, NOW)
    assert (await ledger.head())[0] == before[0] + committed
    await ledger.record(FIRST, NOW)
    assert (await verify(ledger, {})).is_sound


@pytest.mark.parametrize("committed", [True, False])
async def test_a_write_cut_short_at_its_commit_does_not_break_the_pen(
    ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    with monkeypatch.context() as patch:
        _fail_commits(patch, asyncio.CancelledError(), committed=committed)
        with pytest.raises(asyncio.CancelledError):
            await ledger.record(FIRST, NOW)
    await ledger.record(FIRST, NOW)
    verification = await verify(ledger, {})
    assert verification.is_sound
    assert verification.entries == 2 + committed


async def test_writes_at_once_take_turns(ledger: SqlLedger) -> None:
    await ledger.watch([NewWatch(attempt(str(place)), NOW) for place in range(50)], NOW)
    await asyncio.gather(
        *(ledger.record(FIRST, NOW) for _ in range(20)), *(ledger.lease(CHANNEL, NOW, LATER, 2) for _ in range(20))
    )
    assert (await ledger.head())[0] == 21
    assert (await verify(ledger, {})).is_sound
    assert (await ledger.counts(NOW)).due == 10


async def test_a_process_killed_while_it_writes_leaves_a_chain_that_verifies(path: Path) -> None:
    writer = subprocess.Popen(  # noqa: ASYNC220, S603 # our own text; it is killed after its first lines
        [sys.executable, "-c", _WRITER, f"sqlite:///{_quoted(path)}"], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    said = [int(await asyncio.to_thread(writer.stdout.readline)) for _ in range(20)]
    writer.kill()
    said += [int(line) for line in (await asyncio.to_thread(writer.communicate))[0].split()]
    ledger = await open_ledger(f"sqlite:///{_quoted(path)}")
    verification = await verify(ledger, {})
    assert verification.is_sound
    assert verification.entries >= max(said)
    assert verification.entries % 2 == 1  # `led`, then two entries a batch: none is half there
    await ledger.lead("next", NOW + timedelta(hours=1))
    await ledger.record(FIRST, NOW)
    await ledger.close()


_WRITER = """
import asyncio, sys
from reconciler.ledger import open_ledger
from reconciler.ports import Batch, Entry
from reconciler.testing.ledger_examples import NOW, evidence

async def write():
    ledger = await open_ledger(sys.argv[1])
    await ledger.lead("writer", NOW)
    for place in range(100_000):
        entry = Entry("noted", evidence=evidence(str(place)))
        await ledger.record(Batch(entries=(entry, entry)), NOW)
        print((await ledger.head())[0], flush=True)

asyncio.run(write())
"""


def _quoted(path: Path) -> str:
    return str(path).replace("%", "%25").replace("?", "%3F")


def _read(path: Path, query: str) -> list[object]:
    file = sqlite3.connect(path)
    rows = file.execute(query).fetchall()
    file.close()
    return rows


async def _pages_max(ledger: SqlLedger, pages: int) -> None:
    """Let the writer's connection grow its file so far and no further: SQLITE_FULL, as on a full disk."""
    async with ledger._engines.write.connect() as connection:
        await connection.execute(text(f"PRAGMA max_page_count={pages}"))


def _fail_commits(patch: pytest.MonkeyPatch, failure: BaseException, *, committed: bool) -> None:
    from sqlalchemy.ext.asyncio import AsyncConnection  # noqa: PLC0415 # only what is patched here

    commit = AsyncConnection.commit

    async def failing(self: AsyncConnection) -> None:
        if committed:
            await commit(self)
        raise DBAPIError("COMMIT", None, failure) if isinstance(failure, Exception) else failure

    patch.setattr(AsyncConnection, "commit", failing)


async def test_a_new_file_that_another_process_has_in_its_hands_is_waited_for(tmp_path: Path) -> None:
    """Turning a file to WAL waits for nobody by itself: of daemons that start at once all but one would give up."""
    path = tmp_path / "ledger.db"
    path.touch(0o600)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE begun (n INT)")
    other.execute("BEGIN IMMEDIATE")
    opening = asyncio.create_task(open_ledger(f"sqlite:///{path}"))
    await asyncio.sleep(0.2)
    assert not opening.done()
    other.execute("ROLLBACK")
    other.execute("DROP TABLE begun")
    other.close()
    await (await opening).close()
