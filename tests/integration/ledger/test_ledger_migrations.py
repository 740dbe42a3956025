"""From an empty database, and from each older schema with data in it, to this program's; one process at a time."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, insert, select, text

from reconciler.ledger import SqlLedger, open_ledger, schema
from reconciler.ledger.engine import open_engines
from reconciler.ledger.tables import metadata
from reconciler.ledger.verify import verify
from reconciler.ports import Batch, Entry, LedgerUnavailable, NewWatch
from reconciler.testing.ledger_examples import CHANNEL, NOW, attempt, begin, evidence, intention, report
from tests.integration.databases import KINDS, SERVERS, Database

FIRST = Batch(entries=(Entry("noted", evidence=evidence()),))
OLDER = ("0001", "0002", "0003", "0004", "0005")
AT_ONCE = 4

every_kind = pytest.mark.parametrize("kind", KINDS)
on_servers = pytest.mark.parametrize("kind", SERVERS)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[SqlLedger]:
    ledger = await open_ledger(url)
    try:
        yield ledger
    finally:
        await ledger.close()


async def filled(ledger: SqlLedger) -> None:
    """Put something into every table."""
    await ledger.lead("first", NOW)
    await ledger.set_mark("find.quick", "[1]")
    await ledger.watch([NewWatch(attempt("1"), NOW), NewWatch(attempt("2"), NOW)], NOW)
    await begin(ledger, intention("1"))
    entries = (Entry("noted", body={"why": "退款 😀"}, evidence=evidence("订单")),)
    await ledger.record(Batch(entries=entries, cases=(report("2"),)), NOW)


async def copied(source: SqlLedger, base: Database, revision: str) -> None:
    """Make that schema, and put all that the source holds and it has columns for into it."""

    def make(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", "reconciler.ledger:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    def fill(connection: Connection, rows: dict[str, list[dict[str, object]]]) -> None:
        there = MetaData()
        there.reflect(connection, only=list(rows))
        connection.execute(there.tables["marks"].delete())
        for name, found in rows.items():
            table = there.tables[name]
            some = [{key: value for key, value in row.items() if key in table.c} for row in found]
            if some:
                connection.execute(insert(table), some)

    rows: dict[str, list[dict[str, object]]] = {}
    async with source._engines.read.connect() as connection:
        for table in metadata.sorted_tables:
            found = (await connection.execute(select(table))).mappings()
            rows[table.name] = [dict(row) for row in found]
    assert all(rows[name] for name in ("marks", "watches", "intentions", "cases", "entries", "evidence"))
    engines = open_engines(base.url, None, create=False)
    async with engines.write.begin() as connection:
        await connection.run_sync(make)
        await connection.run_sync(fill, rows)
    await engines.close()


@every_kind
@pytest.mark.parametrize("revision", OLDER)
async def test_a_ledger_of_an_older_version_is_brought_up_with_all_that_it_holds(
    base: Database, revision: str, tmp_path: Path
) -> None:
    async with opened(f"sqlite:///{tmp_path}/source.db") as source:
        await filled(source)
        await copied(source, base, revision)
        with pytest.raises(LedgerUnavailable, match=rf"schema is {revision}, this program's is {schema.SCHEMA}"):
            await open_ledger(base.url, create=False)
        async with opened(base.url) as ledger:
            assert await base.rows("SELECT version_num FROM alembic_version") == [(schema.SCHEMA,)]
            assert await ledger.mark("find.quick") == "[1]"
            # What an order of then was about, nobody has written down.
            assert await ledger.cases() == [replace(case, amount=None) for case in await source.cases()]
            for key in ("1", "2"):
                told = await source.story(f"A{key}")
                told = replace(told, cases=tuple(replace(case, amount=None) for case in told.cases))
                assert await ledger.story(f"A{key}") == told
            assert await ledger.head() == await source.head()
            assert (await verify(ledger, {})).is_sound
            await ledger.lead("second", NOW)
            await ledger.set_mark("long", "x" * 100_000)
            await ledger.record(FIRST, NOW)
            assert (await verify(ledger, {})).is_sound


@every_kind
async def test_the_migrations_make_the_tables_that_the_program_works_with(base: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with opened(base.url) as ledger, ledger._engines.read.connect() as connection:
        assert await connection.run_sync(differences) == []


@every_kind
async def test_of_processes_that_start_at_once_one_migrates_and_all_can_read(base: Database) -> None:
    async def started() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", _OPENS, base.url, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip

    processes = [await started() for _ in range(AT_ONCE)]
    for process in processes:  # each has imported all it needs, and waits for the word
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    said = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    assert [output for output, _ in said] == [b"(0, '" + b"0" * 64 + b"')\n"] * AT_ONCE
    assert await base.rows("SELECT version_num FROM alembic_version") == [(schema.SCHEMA,)]
    assert await base.rows("SELECT name, value FROM marks") == [("epoch", "0")]


_OPENS = """
import asyncio, sys
import alembic.command, aiosqlite, asyncmy, asyncpg
from reconciler.ledger import open_ledger

async def read():
    ledger = await open_ledger(sys.argv[1])
    print(await ledger.head())
    await ledger.close()

print("ready", flush=True)
sys.stdin.readline()
asyncio.run(read())
"""


@on_servers
async def test_who_comes_second_waits_for_his_turn_and_no_longer_than_a_limit(
    base: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "TURN_TIMEOUT_S", 1)
    engines = open_engines(base.url, None, create=False)
    async with engines.write.connect() as first:
        await schema._take_turn(first, engines)
        with pytest.raises(LedgerUnavailable, match="waited 1 s for another process that migrates it"):
            await open_ledger(base.url)
        assert await base.rows(
            f"SELECT count(*) FROM information_schema.tables WHERE table_name = 'marks' AND table_schema = {_HERE[base.kind]}"  # noqa: E501, S608 # constants
        ) == [(0,)]
        monkeypatch.setattr(schema, "TURN_TIMEOUT_S", 60)
        waiting = asyncio.create_task(open_ledger(base.url))
        await asyncio.wait({waiting}, timeout=0.05)
        assert not waiting.done()
        await first.invalidate()
        await (await waiting).close()
    await engines.close()
    async with opened(base.url) as ledger:
        assert await ledger.mark("epoch") == "0"


_HERE = {"mysql": "DATABASE()", "postgresql": "current_schema()"}


@every_kind
@pytest.mark.parametrize("create", [True, False])
async def test_a_newer_schema_is_refused_and_left_as_it_is(base: Database, create: bool) -> None:
    async with opened(base.url):
        await base.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(LedgerUnavailable, match=r"9999, written by a newer version"):
        await open_ledger(base.url, create=create)
    assert await base.rows("SELECT version_num FROM alembic_version") == [("9999",)]


@every_kind
async def test_a_database_with_such_tables_and_no_schema_of_ours_is_left_alone(base: Database) -> None:
    await base.script("CREATE TABLE marks (pupil VARCHAR(20))")
    with pytest.raises(LedgerUnavailable, match="has a table marks and no schema of ours"):
        await open_ledger(base.url)
    assert await base.rows("SELECT * FROM marks") == []


@on_servers
async def test_a_migration_may_take_its_time_and_later_statements_may_not(base: Database) -> None:
    asked = {"mysql": "SELECT @@SESSION.max_statement_time", "postgresql": "SHOW statement_timeout"}[base.kind]
    usual = {"mysql": 30, "postgresql": "30s"}[base.kind]
    engines = open_engines(base.url, None, create=False)
    async with engines.write.connect() as connection:
        await schema._take_turn(connection, engines)
        assert (await connection.execute(text(asked))).scalar() in {0, "0"}
    await engines.close()
    async with opened(base.url) as ledger:
        for engine in (ledger._engines.write, ledger._engines.read):
            async with engine.connect() as connection:
                assert (await connection.execute(text(asked))).scalar() == usual


@every_kind
async def test_texts_that_differ_by_case_accent_or_a_trailing_blank_are_different(base: Database) -> None:
    async with opened(base.url) as ledger:
        await ledger.lead("first", NOW)
        keys = ("a", "A", "á", "a ", "a  ", "😀")
        assert await ledger.watch([NewWatch(attempt(key), NOW) for key in keys], NOW) == len(keys)
        assert len((await ledger.story("Aa")).watches) == 1
        assert len(await ledger.lease(CHANNEL, NOW, NOW, 10)) == len(keys)
        await ledger.set_mark("m ", "1")
        assert await ledger.mark("m") is None
