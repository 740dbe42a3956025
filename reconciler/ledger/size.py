"""How much room the ledger takes, as far as that is known without reading it."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Select, column, func, literal, select, table
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.ledger.tables import metadata

_CATALOGUE = table(
    "tables",
    *(column(name) for name in ("table_schema", "table_name", "data_length", "index_length")),
    schema="information_schema",
)


@dataclass(frozen=True, slots=True)
class LedgerSize:
    """What is not known is None."""

    bytes: int | None
    """Tables and indexes; of a file, with its write-ahead log."""
    free_bytes: int | None
    """What its disk has left for us; None for a ledger on a server, whose disk we cannot see."""


def of_file(path: Path) -> LedgerSize:
    """Look at a ledger that is a file. Raises OSError where it is gone."""
    size = path.stat().st_size
    with suppress(FileNotFoundError):  # the log is there while somebody has the file open
        size += path.with_name(f"{path.name}-wal").stat().st_size
    disk = os.statvfs(path)
    return LedgerSize(size, disk.f_bavail * disk.f_frsize)


async def of_server(connection: AsyncConnection) -> LedgerSize:
    """Ask a server's catalogue, which reads no row of ours; MySQL's figure is an estimate, and may be a day old."""
    size = (await connection.execute(_query(connection.dialect.name))).scalar()
    return LedgerSize(None if size is None else int(size), None)


def _query(dialect: str) -> Select[Any]:
    if dialect == "postgresql":
        sizes = [func.pg_total_relation_size(func.to_regclass(literal(name))) for name in metadata.tables]
        return select(sum(sizes[1:], start=sizes[0]))
    of_ours = (_CATALOGUE.c.table_schema == func.database(), _CATALOGUE.c.table_name.in_(metadata.tables))
    return select(func.sum(_CATALOGUE.c.data_length + _CATALOGUE.c.index_length)).where(*of_ours)
