"""What is asked of a kind of server."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from reconciler.databases.access import Access, Pool, Turn


class Server(Protocol):
    """One kind of server."""

    @property
    def driver(self) -> str:
        """The module that is imported."""
        ...

    @property
    def package(self) -> str:
        """What brings it."""
        ...

    @property
    def fencing(self) -> str:
        """The isolation in which, once a row's lock was waited for, all that is read is as it is then."""
        ...

    def connect(self, url: URL, access: Access, pool: Pool) -> AsyncEngine:
        """Build an engine; nothing is connected yet. Raises AccessError."""
        ...

    def errors(self) -> tuple[type[BaseException], ...]:
        """Name what the driver raises beside SQLAlchemy's own errors."""
        ...

    def in_words(self, error: BaseException, url: URL, table: str) -> str | None:
        """Say what an error of this server means; `table` is the configuration's. None where its own words do."""
        ...

    def is_rolled_back(self, error: DBAPIError) -> bool:
        """Whether the server says by it that a COMMIT did not happen."""
        ...

    def is_denied(self, error: DBAPIError) -> bool:
        """Whether our user lacks the right."""
        ...

    def is_read_only(self, error: DBAPIError) -> bool:
        """Whether nothing can be written, by whomever's row: a right is missing, it takes no writes, it is full."""
        ...

    def turn(self, name: str, wait_s: int) -> Turn:
        """Give the way to have what bears this name to oneself."""
        ...
