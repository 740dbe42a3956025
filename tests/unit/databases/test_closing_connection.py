"""A SQLite connection that is closed with a statement in the middle of it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from reconciler.databases import Access
from reconciler.databases.sqlite import ClosingConnection
from reconciler.ledger.engine import open_engines
from reconciler.shops.sql.engine import open_engine


def test_closing_gives_the_file_back_though_a_cursor_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    cut_short = sqlite3.connect(path, isolation_level=None, factory=ClosingConnection)
    cut_short.execute("CREATE TABLE t (n INT)")
    cut_short.execute("INSERT INTO t VALUES (1), (2)")
    cut_short.execute("BEGIN IMMEDIATE")
    left = cut_short.cursor().execute("SELECT n FROM t")
    assert left.fetchone() == (1,)
    cut_short.close()
    other = sqlite3.connect(path, isolation_level=None, timeout=0)
    other.execute("BEGIN IMMEDIATE")
    other.close()
    with pytest.raises(sqlite3.ProgrammingError):
        left.fetchone()


async def test_ledger_and_shop_are_kept_on_such_connections(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.touch()
    engines = open_engines(f"sqlite:///{path}", None, create=True)
    shop = open_engine(Access(f"sqlite:///{path}", None, None, None, "shop.url", ZoneInfo("UTC")))
    for engine in (engines.write, engines.read, shop):
        async with engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            assert isinstance(driver._conn, ClosingConnection)
        await engine.dispose()
