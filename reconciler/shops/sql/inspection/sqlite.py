"""SQLite: modes of the file and its directory, plans."""

from __future__ import annotations

import getpass
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.type_api import TypeEngine

from reconciler.shops.sql.columns import declared_as
from reconciler.shops.sql.inspection.examiner import Holding, Rights, Scan, ServerZone, Use

_SCAN: Final = re.compile(r"SCAN (?:TABLE )?(?P<table>\S+)(?P<way>.*)")
_SORTS: Final = "USE TEMP B-TREE FOR ORDER BY"


class SqliteExaminer:
    """A file."""

    explain = "EXPLAIN QUERY PLAN "
    begin_explaining: str | None = None
    now: str | None = None

    def make_read_only(self, engine: AsyncEngine) -> None:
        """Let each connection refuse to write."""

        def prepare(connection: Any, _record: ConnectionPoolEntry) -> None:  # noqa: ANN401 # SQLAlchemy's adapter has no public type
            cursor = connection.cursor()
            cursor.execute("PRAGMA query_only = ON")
            cursor.close()

        sqlalchemy.event.listen(engine.sync_engine, "connect", prepare)

    def scans(self, plan: Sequence[Any], statement: str) -> Iterator[Scan]:
        """Find tables that are read whole: to filter, or to be sorted. In the order of the key is no such reading."""
        details = [str(row[3]) for row in plan]
        for match in filter(None, map(_SCAN.match, details)):
            is_ordered = "WHERE" not in statement and not any(_SORTS in detail for detail in details)
            if "USING" not in match["way"] and not is_ordered and not match["table"].startswith(("(", "anon_")):
                yield Scan(match["table"].strip('"'), None)

    def holding(self, type_: TypeEngine[Any], *, is_nullable: bool) -> Holding:
        """Say that it takes whatever it is given."""
        return Holding(is_nullable, declared_as(type_))

    async def rights(self, connection: AsyncConnection, tables: Sequence[Use], path: Path | None) -> Rights:
        """Look at the modes: who may write the file may do anything with it."""
        del connection
        return _rights(path, tables[0])

    async def zone(self, connection: AsyncConnection) -> ServerZone | None:
        """Give none: the file knows no zones."""
        del connection
        return None


def _rights(path: Path | None, target: Use) -> Rights:
    who = _user()
    if path is None:
        return Rights(who)
    closed = not all(os.access(each, os.W_OK) for each in (path, path.parent))  # the lock and the log lie beside it
    unwritable = tuple(f"{target.name}.{column}" for column in target.written) if closed else ()
    is_open = bool(path.stat().st_mode & stat.S_IWOTH)
    return Rights(who, (), unwritable, (f"writing for anybody to {path}",) if is_open else ())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
