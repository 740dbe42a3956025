"""The conformance suite over SQL. Another database is one more fixture that gives its URL."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from reconciler.ledger import SqlLedger, open_ledger
from reconciler.ledger.engine import open_engines
from reconciler.ports import CaseId
from reconciler.testing.ledger_conformance import LedgerConformance


class SqlBench:
    def __init__(self, url: str) -> None:
        self._url = url
        self._ledgers: list[SqlLedger] = []

    async def open(self) -> SqlLedger:
        self._ledgers.append(await open_ledger(self._url))
        return self._ledgers[-1]

    async def resolve(self, case: CaseId, *, final: bool) -> None:
        resolved = "open = NULL, ended_at = opened_at, ending = 'resolved', resolved_digest = facts_digest"
        await self._execute(f"UPDATE cases SET {resolved}, final = :final WHERE id = :id", final=final, id=case)  # noqa: S608 # constants

    async def raise_epoch(self) -> None:
        await self._execute("UPDATE marks SET value = value + 1 WHERE name = 'epoch'")

    async def close(self) -> None:
        for ledger in self._ledgers:
            await ledger.close()

    async def _execute(self, statement: str, **values: object) -> None:
        engines = open_engines(self._url, None, create=False)
        async with engines.write.begin() as connection:
            await connection.execute(text(statement), values)
        await engines.close()


class SqlConformance(LedgerConformance):
    @pytest.fixture
    async def url(self, tmp_path: Path) -> str:
        raise NotImplementedError

    @pytest.fixture
    async def bench(self, url: str) -> AsyncIterator[SqlBench]:
        bench = SqlBench(url)
        yield bench
        await bench.close()


class TestSqlite(SqlConformance):
    @pytest.fixture
    async def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'ledger.db'}"
