"""The conformance suite over SQL: a file, and the real servers."""

from collections.abc import AsyncIterator

import pytest

from reconciler.ledger import SqlLedger, open_ledger
from reconciler.testing.ledger_conformance import LedgerConformance
from tests.integration.databases import KINDS, Database


class SqlBench:
    def __init__(self, base: Database) -> None:
        self._base = base
        self._ledgers: list[SqlLedger] = []

    async def open(self) -> SqlLedger:
        self._ledgers.append(await open_ledger(self._base.url))
        return self._ledgers[-1]

    async def raise_epoch(self) -> None:
        ((epoch,),) = await self._base.rows("SELECT value FROM marks WHERE name = 'epoch'")
        await self._base.execute("UPDATE marks SET value = :epoch WHERE name = 'epoch'", epoch=str(int(epoch) + 1))

    async def close(self) -> None:
        for ledger in self._ledgers:
            await ledger.close()


@pytest.mark.parametrize("kind", KINDS)
class TestSqlLedger(LedgerConformance):
    @pytest.fixture
    async def bench(self, base: Database) -> AsyncIterator[SqlBench]:
        bench = SqlBench(base)
        yield bench
        await bench.close()
