"""Bring a ledger's tables up to this program, or refuse."""

from __future__ import annotations

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.ledger.engine import Engines, translated
from reconciler.ledger.tables import marks
from reconciler.ports import LedgerUnavailable

SCHEMA = "0006"
"""The revision that this program works with: the last of migrations/versions."""
VERSION_TABLE = "alembic_version"
TURN_TIMEOUT_S = 60
"""For another process that migrates the same ledger."""
_WAITED = "waited {} s for another process that migrates it"


async def bring_up(engines: Engines, *, migrate: bool) -> None:
    """Apply what is missing in one transaction (MySQL and MariaDB: a crash leaves a part, and the next start goes on).

    Raises LedgerUnavailable where the schema is newer than the program. Without `migrate` (commands that only read)
    an older one is refused too, and nothing is written.
    """
    with translated(engines):
        async with engines.deadline(), engines.read.connect() as connection:
            found = await connection.run_sync(revision_of)
        if found == SCHEMA:
            return
        if not migrate:
            raise LedgerUnavailable(_refusal(engines.where, found))
        async with engines.write.connect() as connection:
            try:
                await _take_turn(connection, engines)
                await connection.run_sync(_upgrade, engines.where)
                await connection.commit()
            finally:
                await connection.invalidate()  # its turn ends, and nobody inherits a session that may take its time


async def _take_turn(connection: AsyncConnection, engines: Engines) -> None:
    """Let one process migrate at a time: servers change tables outside of transactions. SQLite's has begun so."""
    if engines.server is None:
        return
    turn = engines.server.turn(f"ledger:{engines.write.url.database}", TURN_TIMEOUT_S)
    for statement in turn.prepare:
        await connection.execute(text(statement))
    try:
        has_turn = (await connection.execute(text(turn.take), turn.key)).scalar()
    except DBAPIError as error:
        raise LedgerUnavailable(f"{engines.unavailable(error)}; {_WAITED.format(TURN_TIMEOUT_S)}") from error
    if not has_turn:
        raise LedgerUnavailable(f"ledger {engines.where}: {_WAITED.format(TURN_TIMEOUT_S)}")


def revision_of(connection: Connection) -> str | None:
    """Read which schema a database holds; None for an empty one."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 # a constant
    return found


def _upgrade(connection: Connection, where: str) -> None:
    from alembic import command  # noqa: PLC0415 # a quarter of a second that only a migration needs
    from alembic.config import Config  # noqa: PLC0415 # the same
    from alembic.script import ScriptDirectory  # noqa: PLC0415 # the same

    config = Config()
    config.set_main_option("script_location", "reconciler.ledger:migrations")
    config.attributes["connection"] = connection
    # Read again inside the writing transaction: another process may have been faster.
    found = revision_of(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise LedgerUnavailable(_refusal(where, found))
    if found is None and _is_somebody_elses(connection):
        raise LedgerUnavailable(
            f"ledger {where}: has a table {marks.name} and no schema of ours: it is somebody else's. "
            "Make a database that is the ledger's alone, and start once more"
        )
    if found is None:  # as Alembic makes it, but without a name for its key, which MySQL warns about
        Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True)).create(
            connection, checkfirst=True
        )
    command.upgrade(config, "head")


def _is_somebody_elses(connection: Connection) -> bool:
    """Whether there are such tables, and none that a first start made which was cut short (see migrations/once.py)."""
    found = inspect(connection)
    if not found.has_table(marks.name):
        return False
    ours = {column.name for column in marks.columns}
    return not found.has_table(VERSION_TABLE) or {column["name"] for column in found.get_columns(marks.name)} != ours


def _refusal(where: str, found: str | None) -> str:
    if found is None:
        return f"ledger {where}: is empty; the daemon fills it when it first starts"
    if found < SCHEMA:
        return (
            f"ledger {where}: its schema is {found}, this program's is {SCHEMA}; start the daemon once to bring it up"
        )
    return (
        f"ledger {where}: its schema is {found}, written by a newer version; this program knows {SCHEMA}. "
        "Install that version again, or restore the backup from before it"
    )
