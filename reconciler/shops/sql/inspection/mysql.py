"""MySQL and MariaDB: grants, plans, zones."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import sqlalchemy
from sqlalchemy import text, types
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.type_api import TypeEngine

from reconciler.shops.sql.axis import SCAN_ROWS_MAX
from reconciler.shops.sql.columns import declared_as
from reconciler.shops.sql.inspection.examiner import Holding, Rights, Scan, ServerZone, Use

_NAME: Final = r"(?:`(?:[^`]|``)+`|\*)"
_GRANT: Final = re.compile(rf"GRANT (?P<rights>.+) ON (?:TABLE )?(?P<schema>{_NAME})\.(?P<table>{_NAME}) TO ")
_ROLE: Final = re.compile(r"GRANT (?:`[^`]+`|\S+)(?: TO |@\S+ TO )")
_RIGHT: Final = re.compile(r"([A-Z][A-Z ]*[A-Z])(?: ?\(([^)]*)\))?(?:, ?|$)")
_HARMLESS: Final = frozenset(
    {
        "USAGE",
        "SELECT",
        "SHOW VIEW",
        "SHOW DATABASES",
        "LOCK TABLES",
        "CREATE TEMPORARY TABLES",
        "EXECUTE",
        "PROCESS",
        "REPLICATION CLIENT",
        "BINLOG MONITOR",
        "REFERENCES",
    }
)
_ALL: Final = "ALL PRIVILEGES"
_BITS: Final[Sequence[tuple[type[TypeEngine[Any]], int]]] = (
    (mysql.TINYINT, 8),
    (types.SmallInteger, 16),
    (mysql.MEDIUMINT, 24),
    (types.BigInteger, 64),
    (types.Integer, 32),
)


@dataclass(frozen=True, slots=True)
class _Grant:
    schema: str
    table: str
    rights: Mapping[str, frozenset[str] | None]
    """Each right, with the columns it is for; None: for all."""

    def covers(self, use: Use) -> bool:
        """Whether the table is in its scope; the schema of a wider grant is a pattern."""
        if self.table not in {"*", use.name}:
            return False
        return self.schema == "*" or _matches(self.schema, use.schema or "", is_pattern=self.table == "*")

    def gives(self, right: str, column: str | None = None) -> bool:
        """Whether it gives a right, to the whole table or to one column."""
        if _ALL in self.rights:
            return True
        columns = self.rights.get(right, frozenset())
        return columns is None or (bool(columns) if column is None else column.lower() in columns)


class MysqlExaminer:
    """A server."""

    explain = "EXPLAIN FORMAT=JSON "
    begin_explaining: str | None = None
    now: str | None = "SELECT UTC_TIMESTAMP(6)"

    def make_read_only(self, engine: AsyncEngine) -> None:
        """Tell each session so; MySQL and MariaDB name the variable differently, this they both know."""

        def prepare(connection: Any, _record: ConnectionPoolEntry) -> None:  # noqa: ANN401 # SQLAlchemy's adapter has no public type
            cursor = connection.cursor()
            cursor.execute("SET SESSION TRANSACTION READ ONLY")
            cursor.close()

        sqlalchemy.event.listen(engine.sync_engine, "connect", prepare)

    def scans(self, plan: Sequence[Any], statement: str) -> Iterator[Scan]:
        """Find tables that are read whole, and for which no index would do."""
        for table in _tables(json.loads(plan[0][0])):
            name, way = str(table.get("table_name", "")), table.get("access_type")
            rows = _number(table.get("rows_examined_per_scan", table.get("rows")))
            if name.startswith("<") or way not in {"ALL", "index"} or table.get("possible_keys"):
                continue
            is_short = way == "index" and ("WHERE" not in statement or (rows or 0) <= SCAN_ROWS_MAX)
            if not is_short and not (way == "ALL" and "WHERE" not in statement and "ORDER BY" not in statement):
                yield Scan(name, rows)

    def holding(self, type_: TypeEngine[Any], *, is_nullable: bool) -> Holding:
        """Say it by the declared type."""
        bits = next((bits for kind, bits in _BITS if isinstance(type_, kind)), None)
        integers = None
        if bits is not None:
            is_unsigned = bool(getattr(type_, "unsigned", False))
            integers = (0, (1 << bits) - 1) if is_unsigned else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
        return Holding(is_nullable, declared_as(type_), integers, is_zoned=isinstance(type_, types.TIMESTAMP))

    async def rights(self, connection: AsyncConnection, tables: Sequence[Use], path: Path | None) -> Rights:
        """Read them from SHOW GRANTS: what a role brings is in there too on MariaDB, and asked for on MySQL."""
        del path
        who = str((await connection.execute(text("SELECT CURRENT_USER()"))).scalar())
        lines = [str(row[0]) for row in await connection.execute(text("SHOW GRANTS"))]
        roles = [line for line in lines if _GRANT.match(line) is None and _ROLE.match(line)]
        if roles and not any(" ON " in line for line in lines if line in roles):
            lines += await _of_roles(connection)
        grants = [grant for line in lines if (grant := _read(line)) is not None]
        target = tables[0]
        unwritable = [
            f"{target.name}.{column}"
            for column in target.written
            if not any(grant.covers(target) and grant.gives("UPDATE", column) for grant in grants)
        ]
        unreadable = [
            use.name for use in tables if not any(grant.covers(use) and grant.gives("SELECT") for grant in grants)
        ]
        return Rights(
            who=who,
            unreadable=tuple(unreadable),
            unwritable=tuple(unwritable),
            excess=tuple(dict.fromkeys(each for grant in grants for each in _excess(grant, target))),
            is_certain=not roles,
        )

    async def zone(self, connection: AsyncConnection) -> ServerZone | None:
        """Ask for the global one: what the shop's own sessions have unless they say otherwise."""
        statement = (
            "SELECT @@global.time_zone, @@system_time_zone,"
            " TIMESTAMPDIFF(MINUTE, UTC_TIMESTAMP(), CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', @@global.time_zone))"
        )
        name, system, minutes = (await connection.execute(text(statement))).one()
        if minutes is None:
            return None
        return ServerZone(str(system if name == "SYSTEM" else name), timedelta(minutes=int(minutes)))


def _matches(pattern: str, name: str, *, is_pattern: bool) -> bool:
    if not is_pattern:
        return pattern.lower() == name.lower()
    parts = re.split(r"(\\.|[%_])", pattern)
    wild = {"%": ".*", "_": "."}
    expression = "".join(
        wild.get(part) or re.escape(part[1:] if len(part) > 1 and part[0] == "\\" else part) for part in parts
    )
    return re.fullmatch(expression, name, re.IGNORECASE) is not None


def _read(line: str) -> _Grant | None:
    match = _GRANT.match(line)
    if match is None:
        return None
    given = match["rights"].replace("`", "")
    rights: dict[str, frozenset[str] | None] = {}
    for name, columns in _RIGHT.findall(given):
        rights[name] = frozenset(each.strip().lower() for each in columns.split(",")) if columns else None
    if line.endswith("WITH GRANT OPTION"):
        rights["GRANT OPTION"] = None
    return _Grant(_bare(match["schema"]), _bare(match["table"]), rights)


def _bare(name: str) -> str:
    return name if name == "*" else name[1:-1].replace("``", "`")


def _excess(grant: _Grant, target: Use) -> Iterator[str]:
    where = f"{grant.schema}.{grant.table}"
    is_target = grant.table == target.name and grant.covers(target)
    for right in grant.rights:
        if right not in _HARMLESS and not (right == "UPDATE" and is_target):
            yield f"{right} on {where}"


async def _of_roles(connection: AsyncConnection) -> list[str]:
    try:
        role = (await connection.execute(text("SELECT CURRENT_ROLE()"))).scalar()
        if role in {None, "NONE", ""}:
            return []
        rows = await connection.execute(text(f"SHOW GRANTS FOR CURRENT_USER() USING {role}"))
        return [str(row[0]) for row in rows]
    except DBAPIError:
        return []  # MariaDB, or a server that knows no roles


def _tables(node: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, Mapping):
        if "access_type" in node and "table_name" in node:
            yield node
        for value in node.values():
            yield from _tables(value)
    elif isinstance(node, list):
        for value in node:
            yield from _tables(value)


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) else None
