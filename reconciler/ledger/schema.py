"""Bring a ledger's tables up to this program, or refuse."""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

from reconciler.ledger.engine import Engines, translated
from reconciler.ports import LedgerUnavailable

SCHEMA = "0001"
"""The revision that this program works with: the last of migrations/versions."""
VERSION_TABLE = "alembic_version"


async def bring_up(engines: Engines, *, migrate: bool) -> None:
    """Apply what is missing in one transaction. Raises LedgerUnavailable where the schema is newer than the program.

    Without `migrate` (commands that only read) an older schema is refused too, and nothing is written.
    """
    with translated(engines.where):
        async with engines.read.connect() as connection:
            found = await connection.run_sync(revision_of)
        if found == SCHEMA:
            return
        if not migrate:
            raise LedgerUnavailable(_refusal(engines.where, found))
        async with engines.write.begin() as connection:
            await connection.run_sync(_upgrade, engines.where)


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
    command.upgrade(config, "head")


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
