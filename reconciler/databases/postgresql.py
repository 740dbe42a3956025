"""PostgreSQL."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import sqlalchemy
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from reconciler.databases import limits
from reconciler.databases.access import Access, AccessError, Pool, Turn
from reconciler.databases.network import causes, keep_alive, place, tls_context, unreachable

PORT = 5432
_DENIED = "42501"
_READ_ONLY = frozenset({_DENIED, "25006", "53100"})
"""No right, a server (or a session) that takes no writes, a full disk."""
_ROLLED_BACK = frozenset({"40000", "40001", "40002", "40P01"})
"""Class 40 but for 40003, by which nobody knows what became of it."""
_WORDS = {
    "28P01": "does not let {user} in: wrong user or password",
    "28000": "does not let {user} in: {said}",
    "3D000": "has no database {database}",
    "42501": "does not let {user} do that: {said}",
    "53300": "has no connection to spare: {said}",
    "55P03": "keeps the row locked: {said}",
    "40P01": "ended the transaction: {said}",
    "25006": "takes no writes: {said}",
}


@dataclass(frozen=True, slots=True)
class Postgresql:
    """A server."""

    driver: str = "asyncpg"
    package: str = "payment-reconciler[postgres]"
    fencing: str = "READ COMMITTED"  # each statement sees what was committed before it

    def connect(self, url: URL, access: Access, pool: Pool) -> AsyncEngine:
        """Build the engine."""
        if access.password is not None:
            url = url.set(password=access.password.decode())
        path = _socket(url, access)
        context = tls_context(access, host=url.host, socket_path=path)
        engine = create_async_engine(
            url.set(drivername=f"postgresql+{self.driver}"),
            pool_size=pool.size,
            max_overflow=pool.overflow,
            pool_timeout=pool.timeout_s,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={
                "timeout": limits.CONNECT_TIMEOUT_S,
                # None would be whatever the environment says, and after that TLS without verifying
                "ssl": context or "disable",
                "server_settings": {
                    "application_name": "reconciler",
                    "timezone": access.zone.key,
                    "lock_timeout": f"{limits.BUSY_TIMEOUT_S}s",
                    "statement_timeout": f"{limits.STATEMENT_TIMEOUT_S}s",
                    "tcp_keepalives_idle": str(limits.KEEPALIVE_IDLE_S),
                    "tcp_keepalives_interval": str(limits.KEEPALIVE_INTERVAL_S),
                    "tcp_keepalives_count": str(limits.KEEPALIVE_PROBES),
                    **_idle(pool.idle_max_s),
                },
            },
            **({"isolation_level": pool.isolation} if pool.isolation else {}),
        )

        def prepare(connection: Any, _record: ConnectionPoolEntry) -> None:  # noqa: ANN401 # SQLAlchemy's adapter has no public type
            keep_alive(connection.driver_connection._transport)  # noqa: SLF001 # the driver offers no other way to it

        sqlalchemy.event.listen(engine.sync_engine, "connect", prepare)
        return engine

    def errors(self) -> tuple[type[BaseException], ...]:
        """Name the driver's own."""
        import asyncpg  # type: ignore[import-untyped] # it ships no types  # noqa: PLC0415 # an optional extra

        return (asyncpg.PostgresError, asyncpg.InterfaceError)

    def in_words(self, error: BaseException, url: URL, table: str) -> str | None:
        """Say what the state means, where it has one."""
        where = place(url, PORT, _path(url))
        for cause in causes(error):
            words = _WORDS.get(state_of(cause) or "")
            if words is not None:
                said = _said(cause)
                return f"{where} {words.format(said=said, user=url.username or 'nobody', database=url.database)}"
        return unreachable(error, where, url.host, table) or next(
            (_said(cause) for cause in causes(error) if state_of(cause)), None
        )

    def is_rolled_back(self, error: DBAPIError) -> bool:
        """Tell by the state: the server answered, and said no."""
        return not error.connection_invalidated and state_of(error.orig) in _ROLLED_BACK

    def is_denied(self, error: DBAPIError) -> bool:
        """Tell by the state."""
        return state_of(error.orig) == _DENIED

    def is_read_only(self, error: DBAPIError) -> bool:
        """Tell by the state."""
        return not error.connection_invalidated and state_of(error.orig) in _READ_ONLY

    def turn(self, name: str, wait_s: int) -> Turn:
        """Lock a number of the database's, until the transaction ends; what the session is told lasts no longer."""
        digest = hashlib.sha256(name.encode()).digest()
        return Turn(
            key={"key": int.from_bytes(digest[:8], "big", signed=True)},
            prepare=(
                f"SET LOCAL lock_timeout = '{wait_s}s'",
                "SET LOCAL statement_timeout = 0",
                "SET LOCAL idle_in_transaction_session_timeout = 0",
            ),
            take="SELECT pg_advisory_xact_lock(CAST(:key AS BIGINT)) IS NOT NULL",
        )


def _idle(idle_max_s: int | None) -> dict[str, str]:
    return {"idle_in_transaction_session_timeout": f"{idle_max_s}s"} if idle_max_s else {}


def state_of(error: BaseException | None) -> str | None:
    """Give the SQLSTATE of an error; None where it has none."""
    state = getattr(error, "sqlstate", None)
    return state if isinstance(state, str) else None


def _said(error: BaseException) -> str:
    """Give the server's words without the driver's class in front of them, and without their DETAIL.

    That one quotes the whole row (23514: "Failing row contains (…)") or what is in a key (23505): the buyer's own.
    """
    return str(error).rpartition(">: ")[2].partition("\nDETAIL:")[0]


def _path(url: URL) -> str | None:
    host = url.query.get("host")
    return host if isinstance(host, str) and host.startswith("/") else None


def _socket(url: URL, access: Access) -> str | None:
    """Give the directory of the socket. A host in the query would be reached without TLS: it is no place for one."""
    if "host" in url.query and _path(url) is None:
        raise AccessError(f"{access.setting}: write the host before the database, or host=/the/socket's/directory")
    return _path(url)
