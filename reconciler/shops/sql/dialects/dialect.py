"""What the adapter asks of a kind of database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Protocol

from sqlalchemy import ColumnElement
from sqlalchemy.engine import URL
from sqlalchemy.engine.reflection import Inspector
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.type_api import TypeEngine

from reconciler.databases import Access, Pool
from reconciler.shops.sql.columns import Column

POOL = Pool(size=4)
"""Of one engine."""


@dataclass(frozen=True, slots=True)
class LockStatements:
    """How a server's advisory lock is taken and asked for, by the session that holds it."""

    key: Mapping[str, object]
    take: str
    """Gives true once it is ours."""
    holds: str
    """Gives true while it is this very session's."""
    prepare: tuple[str, ...] = ()
    """What the session is told before."""


class Dialect(Protocol):
    """One kind of database."""

    @property
    def driver(self) -> str:
        """The module that is imported."""
        ...

    @property
    def package(self) -> str:
        """What brings it."""
        ...

    @property
    def whoami(self) -> str | None:
        """The statement that gives the session's user as a GRANT wants it written; None where there are no users."""
        ...

    def open(self, url: URL, access: Access) -> AsyncEngine:
        """Build the engine; nothing is connected yet. Raises AccessError, ShopUnavailable for a missing file."""
        ...

    def errors(self) -> tuple[type[BaseException], ...]:
        """Name what the driver raises beside SQLAlchemy's own errors."""
        ...

    def in_words(self, error: BaseException, url: URL, table: str) -> str | None:
        """Say what an error of this server means; `table` is the configuration's. None where its own words do."""
        ...

    def is_refusal(self, error: DBAPIError) -> bool:
        """Whether the shop's own rules (a constraint, a trigger, a column's type) refuse it, and would again."""
        ...

    def is_busy(self, error: DBAPIError) -> bool:
        """Whether another session was in the way (a lock, a deadlock), so that the same may work in a while."""
        ...

    def is_denied(self, error: DBAPIError) -> bool:
        """Whether our user lacks the right."""
        ...

    def is_read_only(self, error: DBAPIError) -> bool:
        """Whether nothing can be written, by whomever's row: a right is missing, it takes no writes, it is full."""
        ...

    def is_rolled_back(self, error: DBAPIError) -> bool:
        """Whether the server says by it that a COMMIT did not happen."""
        ...

    async def undo_commit(self, connection: AsyncConnection) -> bool:
        """After a COMMIT that failed: whether nothing of it stayed, and the connection lives."""
        ...

    async def begin_reading(self, connection: AsyncConnection) -> None:
        """Make what is read on this connection one snapshot."""
        ...

    def lock(self, database: str, schema: str | None, table: str) -> LockStatements:
        """Name the lock of a table, in one way however the configuration spells it."""
        ...

    def column(self, name: str, sql: ColumnElement[object], type_: TypeEngine[Any], zone: tzinfo) -> Column:
        """Describe a reflected column; `zone` is the session's."""
        ...

    def is_transactional(self, inspector: Inspector, table: str, schema: str | None) -> bool:
        """Whether what is written to this table can be rolled back."""
        ...
