"""PostgreSQL: privileges, plans."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import sqlalchemy
from sqlalchemy import text, types
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.type_api import TypeEngine

from reconciler.shops.sql.columns import declared_as
from reconciler.shops.sql.inspection.examiner import Holding, Rights, Scan, ServerZone, Use

OTHERS_SHOWN_MAX: Final = 5
_USER: Final = "SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user"
_OWNED: Final = (
    "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p', 'v') AND n.nspname = :schema AND c.relname = :name"
    " AND pg_has_role(c.relowner, 'USAGE')"
)
_OTHERS: Final = (
    "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
    " AND NOT (n.nspname = :schema AND c.relname = :name)"
    " AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') ORDER BY 1 LIMIT :many"
)
_MAY: Final = "SELECT has_table_privilege(CAST(:table AS REGCLASS), :right)"
_MAY_COLUMN: Final = "SELECT has_column_privilege(CAST(:table AS REGCLASS), :column, 'UPDATE')"
_MAY_READ: Final = (
    "SELECT has_table_privilege(CAST(:table AS REGCLASS), 'SELECT')"
    " OR has_any_column_privilege(CAST(:table AS REGCLASS), 'SELECT')"
)


class PostgresqlExaminer:
    """A server."""

    explain = "EXPLAIN (FORMAT JSON) "
    begin_explaining: str | None = "SET LOCAL enable_seqscan = off"
    now: str | None = "SELECT clock_timestamp()"

    def make_read_only(self, engine: AsyncEngine) -> None:
        """Let sessions begin so."""

        def prepare(_dialect: object, _record: object, _args: object, options: dict[str, Any]) -> None:
            settings = {**options.get("server_settings", {}), "default_transaction_read_only": "on"}
            options["server_settings"] = settings

        sqlalchemy.event.listen(engine.sync_engine, "do_connect", prepare)

    def scans(self, plan: Sequence[Any], statement: str) -> Iterator[Scan]:
        """Find tables that are read whole although the planner was told to avoid it."""
        content = plan[0][0]
        nodes = json.loads(content) if isinstance(content, str) else content
        yield from _scans(nodes[0]["Plan"], statement, has_limit=False)

    def holding(self, type_: TypeEngine[Any], *, is_nullable: bool) -> Holding:
        """Say it by the declared type."""
        bits = None
        if isinstance(type_, types.Integer):
            bits = 16 if isinstance(type_, types.SmallInteger) else 64 if isinstance(type_, types.BigInteger) else 32
        integers = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if bits else None
        return Holding(is_nullable, declared_as(type_), integers)

    async def rights(self, connection: AsyncConnection, tables: Sequence[Use], path: Path | None) -> Rights:
        """Ask for each privilege that matters; ownership is what lets a user drop and alter."""
        del path
        who, is_superuser = (await connection.execute(text(_USER))).one()
        target = tables[0]
        unreadable = [use.name for use in tables if not await _true(connection, _MAY_READ, table=_named(use))]
        unwritable = [
            f"{target.name}.{column}"
            for column in target.written
            if not await _true(connection, _MAY_COLUMN, table=_named(target), column=column)
        ]
        excess = ["everything (a superuser)"] if is_superuser else await _excess(connection, tables)
        return Rights(str(who), tuple(unreadable), tuple(unwritable), tuple(excess))

    async def zone(self, connection: AsyncConnection) -> ServerZone | None:
        """Give none: times with a zone are kept as instants, and written with one."""
        del connection
        return None


async def _excess(connection: AsyncConnection, tables: Sequence[Use]) -> list[str]:
    target = tables[0]
    found = [
        f"DROP and ALTER on {use.name} (its owner)"
        for use in tables
        if (await connection.execute(text(_OWNED), {"schema": use.schema, "name": use.name})).first() is not None
    ]
    found += [
        f"{right} on {target.name}"
        for right in ("INSERT", "DELETE", "TRUNCATE")
        if await _true(connection, _MAY, table=_named(target), right=right)
    ]
    values: dict[str, object] = {"schema": target.schema, "name": target.name, "many": OTHERS_SHOWN_MAX}
    others = [str(row[0]) for row in await connection.execute(text(_OTHERS), values)]
    if others:
        found.append(f"writing to {', '.join(others)}" + (", …" if len(others) == OTHERS_SHOWN_MAX else ""))
    return found


async def _true(connection: AsyncConnection, statement: str, **values: str) -> bool:
    return bool((await connection.execute(text(statement), values)).scalar())


def _named(use: Use) -> str:
    quoted = ['"' + part.replace('"', '""') + '"' for part in (use.schema, use.name) if part]
    return ".".join(quoted)


def _scans(node: Mapping[str, Any], statement: str, *, has_limit: bool) -> Iterator[Scan]:
    kind = str(node["Node Type"])
    has_limit |= kind == "Limit"
    is_counted = "WHERE" not in statement and (has_limit or "ORDER BY" not in statement)
    if kind == "Seq Scan" and not is_counted:
        yield Scan(str(node.get("Relation Name", "")), int(node.get("Plan Rows", 0)) or None)
    for child in node.get("Plans", ()):
        yield from _scans(child, statement, has_limit=has_limit)
