"""PostgreSQL, as the shop's adapter sees it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any

from sqlalchemy import ColumnElement, cast, event, types
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import URL
from sqlalchemy.engine.reflection import Inspector
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.type_api import TypeEngine

from reconciler.databases import Access, Postgresql
from reconciler.databases.postgresql import state_of
from reconciler.shops.sql.columns import Column, Kind, bound, declared_as, kind_of, length_of, members_of
from reconciler.shops.sql.dialects.dialect import POOL, LockStatements
from reconciler.shops.sql.dialects.postgresql_times import READABLE, read_every_time

_REFUSING = ("22", "23", "44", "P0001")
"""Data, integrity, WITH CHECK OPTION, RAISE of a trigger: to SQLAlchemy a mere error, those of data and RAISE."""
_BUSY = frozenset({"55P03", "40001", "40P01"})
"""Lock wait, a serialization that failed, deadlock."""
_BITS_DEFAULT = 1


class PostgresqlColumn(Column):
    """Types are strict here: each value is bound as its column's type wants it."""

    __slots__ = ()

    @property
    def holds_names(self) -> bool:
        """Whether a text can be compared with it at all."""
        return self.kind in {Kind.INTEGER, Kind.NUMBER, Kind.TEXT, Kind.UUID}

    def readable(self) -> tuple[ColumnElement[bool], ...]:
        """Leave out infinity and the years that Python does not know: none of them is a place to go on from."""
        if self.kind is not Kind.MOMENT:
            return ()
        first, last = (time.replace(tzinfo=UTC if self.has_offset else None) for time in READABLE)
        return (self.sql >= bound(first), self.sql < bound(last))

    def text(self, raw: object) -> str | None:
        """Read a value as text; bits as a number, CHAR(n) without its padding."""
        if self.kind is Kind.BITS and raw is not None:
            return str(raw.to_int()) if hasattr(raw, "to_int") else super().text(raw)
        text = super().text(raw)
        return text.rstrip(" ") if text is not None and self.declared.startswith("CHAR(") else text

    def _boolean(self, text: str) -> bool | int:
        return bool(super()._boolean(text))

    def _bits(self, number: int) -> object:
        import asyncpg  # type: ignore[import-untyped] # it ships no types  # noqa: PLC0415 # an optional extra

        return asyncpg.BitString.from_int(number, self.integers[1].bit_length())

    def _exactly(self, raw: str) -> ColumnElement[bool] | None:
        return cast(self.sql, types.Text) == bound(raw) if self.declared == "CITEXT" else None


@dataclass(frozen=True, slots=True)
class PostgresqlDialect(Postgresql):
    """A server that a shop is kept on."""

    whoami: str | None = "SELECT quote_ident(current_user)"

    def open(self, url: URL, access: Access) -> AsyncEngine:
        """Build the engine."""
        engine = self.connect(url, access, POOL)

        def prepare(connection: Any, _record: ConnectionPoolEntry) -> None:  # noqa: ANN401 # SQLAlchemy's adapter has no public type
            connection.run_async(read_every_time)

        event.listen(engine.sync_engine, "connect", prepare)
        return engine

    def is_refusal(self, error: DBAPIError) -> bool:
        """Tell by the state."""
        return (state_of(error.orig) or "").startswith(_REFUSING)

    def is_busy(self, error: DBAPIError) -> bool:
        """Tell by the state."""
        return not error.connection_invalidated and state_of(error.orig) in _BUSY

    async def undo_commit(self, connection: AsyncConnection) -> bool:
        """Nobody knows what the server did."""
        del connection
        return False

    async def begin_reading(self, connection: AsyncConnection) -> None:
        """Ask for one snapshot."""
        await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    def lock(self, database: str, schema: str | None, table: str) -> LockStatements:
        """Name it by schema and table; the server keeps those of different databases apart."""
        digest = hashlib.sha256(f"reconciler:{database}:{schema or ''}:{table}".encode()).digest()
        return LockStatements(
            key={"key": int.from_bytes(digest[:8], "big", signed=True)},
            take="SELECT pg_try_advisory_lock(CAST(:key AS BIGINT))",
            holds="SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND pid = pg_backend_pid() AND objsubid = 1"
            " AND ((CAST(classid AS BIGINT) << 32) | CAST(objid AS BIGINT)) = CAST(:key AS BIGINT)",
        )

    def column(self, name: str, sql: ColumnElement[object], type_: TypeEngine[Any], zone: tzinfo) -> Column:
        """Describe a column; a domain's is that of what it is made of."""
        del zone
        declared = declared_as(type_)
        if isinstance(type_, postgresql.DOMAIN):
            return self.column(name, sql, type_.data_type, zone=None)  # type: ignore[arg-type] # unused here
        kind = kind_of(type_)
        return PostgresqlColumn(
            name,
            sql,
            kind,
            declared,
            length_of(type_) if kind is Kind.TEXT else None,
            members_of(type_),
            integers=_integers(type_),
            has_offset=isinstance(type_, postgresql.TIMESTAMP) and type_.timezone,
        )

    def is_transactional(self, inspector: Inspector, table: str, schema: str | None) -> bool:
        """Every table is."""
        del inspector, table, schema
        return True


def _integers(type_: TypeEngine[Any]) -> tuple[int, int]:
    """Say what a column can hold: the driver refuses to send anything else."""
    match type_:
        case postgresql.BIT():
            return 0, (1 << (type_.length or _BITS_DEFAULT)) - 1
        case types.SmallInteger():
            bits = 16
        case types.BigInteger():
            bits = 64
        case _:
            bits = 32
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
