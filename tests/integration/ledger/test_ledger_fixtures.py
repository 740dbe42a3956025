"""Ledgers that earlier versions wrote, brought up to this one with all they hold; also by starts that are cut short.

`fixtures/` keeps one for each schema, as that schema's own program wrote it (`fixtures/make.py`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, event, insert
from sqlalchemy.exc import PendingRollbackError

from reconciler.domain.case import CaseKind
from reconciler.domain.order import OrderKey
from reconciler.ledger import SqlLedger, open_ledger, schema
from reconciler.ledger import engine as engine_of
from reconciler.ledger.engine import Engines, open_engines
from reconciler.ledger.tables import metadata
from reconciler.ledger.verify import verify
from reconciler.ports import Batch, Entry, LedgerUnavailable, Outcome
from reconciler.testing.ledger_examples import CHANNEL, LATER, NOW, evidence
from tests.integration.databases import KINDS, SERVERS, Database
from tests.integration.ledger.signed import VERIFIERS

FIXTURES = Path(__file__).parent / "fixtures"
HEADS = {
    "0001": (11, "5773e5f063a95b1ac764b28e6605a5dcf15d7cbf26399cc9a25e28b18257d557"),
    "0005": (11, "77aa2c2d62d2880b3cfdffd2df493a7db4c1ca23335a919638780f696923cf57"),
    "0006": (11, "b9d2ad279b4d2390b00a15e6dd21b4f54dafaee70c62fec5862047505636cfdf"),
}
"""Each fixture's last entry: a fixture is never made anew."""
LEASE_ENDS = NOW + timedelta(minutes=3)

every_kind = pytest.mark.parametrize("kind", KINDS)
every_fixture = pytest.mark.parametrize("revision", HEADS)


def config(connection: Connection) -> Config:
    made = Config()
    made.set_main_option("script_location", "reconciler.ledger:migrations")
    made.attributes["connection"] = connection
    return made


def fixture(revision: str, path: Path) -> Path:
    """Make the file that a program of that schema left."""
    with closing(sqlite3.connect(path)) as file:
        file.executescript((FIXTURES / f"ledger-{revision}.sql").read_text())
    return path


async def laid_down(base: Database, revision: str, directory: Path) -> None:
    """Put a fixture into a database; on a server its rows, into the tables of that schema."""
    if base.kind == "sqlite":
        fixture(revision, Path(base.url.removeprefix("sqlite:///")))
        return

    def fill(connection: Connection) -> None:
        command.upgrade(config(connection), revision)
        there = MetaData()
        there.reflect(connection)
        connection.execute(there.tables["marks"].delete())
        with closing(sqlite3.connect(fixture(revision, directory / f"{revision}.db"))) as file:
            file.row_factory = sqlite3.Row
            for table in metadata.sorted_tables:
                rows = [dict(row) for row in file.execute(f"SELECT * FROM {table.name}")]  # noqa: S608 # our own names
                for row in rows:
                    row |= {name: bool(row[name]) for name in ("was_paid", "final") if name in row}
                connection.execute(insert(there.tables[table.name]), rows)

    engines = open_engines(base.url, None, create=False)
    async with engines.write.begin() as connection:
        await connection.run_sync(fill)
    await engines.close()


@asynccontextmanager
async def opened(url: str, *, create: bool = True) -> AsyncIterator[SqlLedger]:
    ledger = await open_ledger(url, create=create)
    try:
        yield ledger
    finally:
        await ledger.close()


async def is_all_there(ledger: SqlLedger, revision: str) -> None:
    """Look for what `fixtures/make.py` put there, and go on with it."""
    found = await verify(ledger, VERIFIERS, [HEADS[revision]])
    assert (found.problems, found.head, found.evidence, found.signatures) == ((), HEADS[revision], 8, 7)
    assert await ledger.mark("epoch") == "1"
    assert await ledger.mark("find.quick") == '["1", "2026-11-23T08:00:00+00:00"]'
    cases = await ledger.cases()
    assert [(case.kind, case.order_no) for case in cases] == [
        (CaseKind.AMOUNT_MISMATCH, "A3"),
        (CaseKind.LATE_PAYMENT, "A6"),
    ]
    assert await ledger.untold() == 2, "nobody was told of them yet, by whatever version they were opened"
    story = await ledger.story("A1")
    assert [watch.why for watch in story.watches] == ["订单：moved"]
    assert [ask.answer for ask in story.watches[0].asks] == ["Paid"]

    assert await ledger.lead("next", LEASE_ENDS) == 2
    assert await ledger.free_leases() == 1
    leased = await ledger.lease(CHANNEL, LEASE_ENDS, LEASE_ENDS + timedelta(minutes=2), 10)
    assert {watch.attempt.order_no for watch in leased} == {"A4", "A5"}
    (begun,) = await ledger.open_intentions()
    assert begun.order_keys == ("4",)
    await ledger.conclude(begun.id, Outcome.CALLBACK_WON, "the shop says so", Batch(), LEASE_ENDS)
    assert await ledger.open_intentions() == []
    assert (await ledger.settled(NOW)).orders == 2
    await ledger.set_mark("long", "x" * 100_000)
    await ledger.record(Batch(entries=(Entry("noted", OrderKey("1"), evidence=evidence()),)), LEASE_ENDS)
    found = await verify(ledger, VERIFIERS, [HEADS[revision]])
    assert (found.problems, found.entries) == ((), HEADS[revision][0] + 3)


@every_kind
@every_fixture
async def test_a_ledger_of_an_earlier_version_is_brought_up_and_goes_on(
    base: Database, revision: str, tmp_path: Path
) -> None:
    await laid_down(base, revision, tmp_path)
    if revision != schema.SCHEMA:
        with pytest.raises(LedgerUnavailable, match=f"schema is {revision}, this program's is {schema.SCHEMA}"):
            await open_ledger(base.url, create=False)
    async with opened(base.url) as ledger:
        await is_all_there(ledger, revision)
        async with ledger._engines.read.connect() as connection:
            assert await connection.run_sync(_differences) == []


def _differences(connection: Connection) -> list[Any]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


def test_every_schema_that_was_released_has_its_fixture_and_so_has_this_one() -> None:
    assert {path.name for path in FIXTURES.glob("*.sql")} == {f"ledger-{revision}.sql" for revision in HEADS}
    assert schema.SCHEMA in HEADS, "make one: fixtures/make.py"


@every_fixture
async def test_the_migrations_still_make_the_schema_that_was_released(revision: str, tmp_path: Path) -> None:
    """A revision is frozen: a ledger made today and then left at it is like one of that time."""
    (tmp_path / "now.db").touch()
    engines = open_engines(f"sqlite:///{tmp_path}/now.db", None, create=False)
    async with engines.write.begin() as connection:
        await connection.run_sync(lambda sync: command.upgrade(config(sync), revision))
    await engines.close()
    assert _made(tmp_path / "now.db") == _made(fixture(revision, tmp_path / "then.db"))


def _made(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path)) as file:
        rows = file.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name <> 'alembic_version'")
        return dict(rows.fetchall())


# ---- a start that is cut short


class Crash(BaseException):
    """The process dies here."""


@contextmanager
def dying(after: set[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Let whoever opens a ledger die behind the first statement that changes something and is not in `after`."""
    died: list[str] = []
    make = engine_of.open_engines

    def mortal(*args: Any, **kwargs: Any) -> Engines:  # noqa: ANN401 # as `open_engines`
        engines = make(*args, **kwargs)

        def look(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            words = statement.split()
            if words[0].upper() in {"CREATE", "ALTER", "INSERT", "UPDATE", "DROP", "DELETE"} and statement not in after:
                died.append(statement)
                raise Crash

        event.listen(engines.write.sync_engine, "after_cursor_execute", look)
        return engines

    with monkeypatch.context() as patch:
        patch.setattr("reconciler.ledger.store.open_engines", mortal)
        yield died


@pytest.mark.parametrize(("kind", "revision"), [("mysql", None), ("sqlite", None), *((kind, "0001") for kind in KINDS)])
async def test_a_start_that_dies_behind_each_statement_gets_there_in_the_end(
    base: Database, revision: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if revision is not None:
        await laid_down(base, revision, tmp_path)
    behind: set[str] = set()
    while True:
        with dying(behind, monkeypatch) as died:
            try:
                await (await open_ledger(base.url)).close()
            except (
                Crash,
                PendingRollbackError,
            ):  # Alembic would tidy up behind it on SQLite, and a dead process cannot
                assert len(died) == 1
                behind |= set(died)
                continue
        break
    assert len(behind) > (20 if revision is None else 5)
    async with opened(base.url) as ledger:
        async with ledger._engines.read.connect() as connection:
            assert await connection.run_sync(_differences) == []
        assert await base.rows("SELECT version_num FROM alembic_version") == [(schema.SCHEMA,)]
        if revision is not None:
            await is_all_there(ledger, revision)
            return
        assert await base.rows("SELECT name, value FROM marks") == [("epoch", "0")]
        await ledger.lead("first", NOW)
        await ledger.record(Batch(entries=(Entry("noted", evidence=evidence()),)), LATER)
        assert (await verify(ledger, {})).is_sound


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_table_of_somebody_elses_is_left_alone_whatever_stands_beside_it(base: Database) -> None:
    await base.script("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
    await base.script("CREATE TABLE marks (pupil VARCHAR(20), mark INTEGER)")
    with pytest.raises(LedgerUnavailable, match="has a table marks and no schema of ours"):
        await open_ledger(base.url)
    here = {"mysql": "DATABASE()", "postgresql": "current_schema()"}[base.kind]
    tables = await base.rows(f"SELECT table_name FROM information_schema.tables WHERE table_schema = {here}")  # noqa: S608 # two constants
    assert sorted(name for (name,) in tables) == ["alembic_version", "marks"]


def test_the_known_revisions_are_one_line() -> None:
    made = Config()
    made.set_main_option("script_location", "reconciler.ledger:migrations")
    assert ScriptDirectory.from_config(made).get_heads() == [schema.SCHEMA]
