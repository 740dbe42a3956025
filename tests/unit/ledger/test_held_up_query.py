"""Counting what a trouble holds up reads the due end of an index, and never more than so many rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import sqlite

from reconciler.ledger import open_ledger
from reconciler.ledger import watches as watches_of
from reconciler.ledger.engine import open_engines
from reconciler.ports import NewWatch
from reconciler.testing.ledger_examples import CHANNEL, NOW, attempt


async def test_it_is_a_range_of_the_index_by_channel_and_due_time(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    await (await open_ledger(url)).close()
    query = watches_of.held_up_query(CHANNEL, NOW)
    bound = query.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    engines = open_engines(url, None, create=False)
    async with engines.read.connect() as connection:
        plan = [row[3] for row in await connection.execute(text(f"EXPLAIN QUERY PLAN {bound}"))]
    await engines.close()
    assert any("INDEX watches_due (channel=? AND due_at<?)" in step for step in plan), plan


async def test_it_counts_no_further_than_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches_of, "HELD_UP_MAX", 3)
    ledger = await open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    await ledger.lead("test", NOW)
    await ledger.watch([NewWatch(attempt(str(place)), NOW) for place in range(5)], NOW)
    assert (await ledger.held_up(CHANNEL, NOW)).orders == 3
    await ledger.close()
