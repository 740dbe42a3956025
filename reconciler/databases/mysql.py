"""MySQL and MariaDB."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta, timezone
from typing import Any

import sqlalchemy
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from reconciler.databases import limits
from reconciler.databases.access import Access, AccessError, Pool, Turn
from reconciler.databases.network import NoTlsError, causes, keep_alive, place, tls_context, unreachable
from reconciler.databases.zone import ZONE
from reconciler.domain.personal import LEFT_OUT

PORT = 3306
_DENIED = frozenset({1044, 1142, 1143, 1227})
_READ_ONLY = frozenset({1021, 1036, 1114, 1290, 1356, 1370, 1449, 1792, 1836})
"""Disk or table full, a table or a server that takes no writes, and rights that a view or a trigger needs."""
_ROLLED_BACK = frozenset({1180, 1213, 1402, 3101})
"""Error during COMMIT, deadlock (a cluster's certification), XA rollback, a plugin's."""
_OFFSET_MAX = timedelta(hours=12, minutes=59)
"""MySQL before 8.0.19 knows no zone further from UTC; those beyond are read in UTC."""
_QUOTED = re.compile(r"(Duplicate entry |value:? )'.*' for ", re.DOTALL)
_WORDS = {
    1040: "has no connection to spare: {said}",
    1044: "lets its user not into the database {database}",
    1045: "does not let {user} in: wrong user or password",
    1049: "has no database {database}",
    1142: "does not let {user} do that: {said}",
    1143: "does not let {user} do that: {said}",
    1205: "keeps the row locked: {said}",
    1213: "ended the transaction: {said}",
    1290: "takes no writes: {said}",
    1370: "does not let {user} do that: {said}",
    1836: "takes no writes: {said}",
    1698: "does not let {user} in: wrong user or password",
}


@dataclass(frozen=True, slots=True)
class Mysql:
    """A server of either kind."""

    driver: str = "asyncmy"
    package: str = "payment-reconciler[mysql]"
    fencing: str = "REPEATABLE READ"  # the snapshot begins with the first plain read; less and old binlogs refuse

    def connect(self, url: URL, access: Access, pool: Pool) -> AsyncEngine:
        """Build the engine."""
        context = tls_context(access, host=url.host, socket_path=_socket(url))
        offset = access.now.astimezone(access.zone).utcoffset() or timedelta(0)
        if abs(offset) > _OFFSET_MAX and access.shows is not None:
            raise AccessError(
                f"{access.table}.session_time_zone: {access.zone} is further from UTC than a session can be"
            )
        offset = offset if abs(offset) <= _OFFSET_MAX else timedelta(0)
        arguments: dict[str, Any] = {
            "charset": "utf8mb4",
            "connect_timeout": limits.CONNECT_TIMEOUT_S,
            "init_command": session(offset, pool.idle_max_s),
        }
        if access.password is not None:
            arguments["password"] = access.password  # as bytes: the driver would encode text as Latin-1
        if context is not None:
            arguments["ssl"] = context
        engine = create_async_engine(
            url.set(drivername=f"mysql+{self.driver}"),
            pool_size=pool.size,
            max_overflow=pool.overflow,
            pool_timeout=pool.timeout_s,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args=arguments,
            execution_options={ZONE: access.shows or timezone(offset)},
            **({"isolation_level": pool.isolation} if pool.isolation else {}),
        )

        def prepare(connection: Any, _record: ConnectionPoolEntry) -> None:  # noqa: ANN401 # SQLAlchemy's adapter has no public type
            transport = connection.driver_connection._transport  # noqa: SLF001 # the driver offers no other way to it
            if context is not None and transport.get_extra_info("ssl_object") is None:
                raise NoTlsError("a server without TLS")
            keep_alive(transport)

        sqlalchemy.event.listen(engine.sync_engine, "connect", prepare)
        return engine

    def errors(self) -> tuple[type[BaseException], ...]:
        """Name the driver's own."""
        import asyncmy.errors  # noqa: PLC0415 # an optional extra

        return (asyncmy.errors.MySQLError,)

    def in_words(self, error: BaseException, url: URL, table: str) -> str | None:
        """Say what the number means, where it has one."""
        path = _socket(url)
        where = place(url, PORT, path)
        for cause in causes(error):
            code, said = code_of(cause), said_by(cause)
            if code in _WORDS:
                words = _WORDS[code].format(said=said, user=url.username or "nobody", database=url.database)
                return f"{where} {words}"
        return unreachable(error, where, url.host, table) or next(
            (said_by(cause) for cause in causes(error) if code_of(cause) and len(cause.args) > 1), None
        )

    def is_rolled_back(self, error: DBAPIError) -> bool:
        """Tell by the number."""
        return not error.connection_invalidated and code_of(error.orig) in _ROLLED_BACK

    def is_denied(self, error: DBAPIError) -> bool:
        """Tell by the number."""
        return code_of(error.orig) in _DENIED

    def is_read_only(self, error: DBAPIError) -> bool:
        """Tell by the number."""
        return not error.connection_invalidated and code_of(error.orig) in _DENIED | _READ_ONLY

    def turn(self, name: str, wait_s: int) -> Turn:
        """Lock a name of the server's: it lives as long as the session, and knows nothing of databases."""
        patience = (
            f"SET SESSION innodb_lock_wait_timeout = {wait_s}, lock_wait_timeout = {wait_s}, wait_timeout = DEFAULT"
            " /*M!100101 , max_statement_time = 0 */ /*!50708 , max_execution_time = 0 */"
        )
        key = f"reconciler:{hashlib.sha256(name.encode()).hexdigest()[:32]}"
        return Turn({"key": key}, prepare=(patience,), take=f"SELECT GET_LOCK(:key, {wait_s})")


def session(offset: timedelta, idle_max_s: int | None = None) -> str:
    """Pin the session: the shop's time, one snapshot, nothing cut off in silence, no wait without an end."""
    minutes = int(offset.total_seconds() // 60)
    sign, minutes = "-" if minutes < 0 else "+", abs(minutes)
    # the driver writes values into the statement: backslashes must be what it takes them for
    modes = "REPLACE(REPLACE(@@SESSION.sql_mode, 'NO_BACKSLASH_ESCAPES', ''), 'PAD_CHAR_TO_FULL_LENGTH', '')"
    return (
        f"SET SESSION time_zone = '{sign}{minutes // 60:02d}:{minutes % 60:02d}',"
        f" sql_mode = CONCAT({modes}, ',STRICT_ALL_TABLES'),"
        f" innodb_lock_wait_timeout = {limits.BUSY_TIMEOUT_S}, lock_wait_timeout = {limits.BUSY_TIMEOUT_S}"
        f" /*M!100101 , max_statement_time = {limits.STATEMENT_TIMEOUT_S} */"
        f" /*!50708 , max_execution_time = {limits.STATEMENT_TIMEOUT_S * 1000} */"
        f"{f', wait_timeout = {idle_max_s}' if idle_max_s else ''}"
    )


def code_of(error: BaseException | None) -> int | None:
    """Give the server's number of an error of the driver's; None where it is none of its."""
    code = error.args[0] if error is not None and error.args else None
    return code if isinstance(code, int) and not isinstance(error, OSError) else None


def said_by(error: BaseException) -> str:
    """Give the server's words without what they quote of a row (1062: "Duplicate entry '…' for key"; 1366)."""
    return _QUOTED.sub(rf"\1'{LEFT_OUT}' for ", str(error.args[1]) if len(error.args) > 1 else "")


def _socket(url: URL) -> str | None:
    path = url.query.get("unix_socket")
    return path if isinstance(path, str) else None
