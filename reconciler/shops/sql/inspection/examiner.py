"""What is asked of one kind of database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.type_api import TypeEngine


@dataclass(frozen=True, slots=True)
class Use:
    """A table, and what is done with it."""

    name: str
    schema: str | None
    """The one that it is really in, where the database has some."""
    written: tuple[str, ...] = ()
    """The columns that settling sets."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What the user of a connection may do."""

    who: str
    unreadable: tuple[str, ...] = ()
    """Tables that it cannot read."""
    unwritable: tuple[str, ...] = ()
    """Columns that settling sets, and that it cannot: `orders.status`."""
    excess: tuple[str, ...] = ()
    """What it may do and need not, as the database says it: `DROP on shop.*`."""
    is_certain: bool = True
    """False where roles may add to it that were not looked into."""


@dataclass(frozen=True, slots=True)
class Scan:
    """A table that a statement reads row by row."""

    table: str
    rows: int | None
    """As far as the planner knows."""


@dataclass(frozen=True, slots=True)
class ServerZone:
    """The zone of sessions that set none of their own."""

    name: str
    offset: timedelta


@dataclass(frozen=True, slots=True)
class Holding:
    """What a column takes."""

    is_nullable: bool
    declared: str
    integers: tuple[int, int] | None = None
    """The least and the greatest, of an integer type whose size is known."""
    is_zoned: bool = False
    """It keeps an instant, which sessions write in their own zone: MySQL's TIMESTAMP."""


class Examiner(Protocol):
    """One kind of database."""

    explain: str
    """What is put before a statement to learn its plan."""
    begin_explaining: str | None
    """What a session is told before, so that a small table's plan shows which index a large one's would use."""
    now: str | None
    """The statement that gives the server's clock, in UTC or with an offset; None where that is our own."""

    def make_read_only(self, engine: AsyncEngine) -> None:
        """Let every session of the engine refuse to write."""
        ...

    def scans(self, plan: Sequence[Any], statement: str) -> Iterator[Scan]:
        """Find in a plan what no index serves."""
        ...

    def holding(self, type_: TypeEngine[Any], *, is_nullable: bool) -> Holding:
        """Say what a column takes."""
        ...

    async def rights(self, connection: AsyncConnection, tables: Sequence[Use], path: Path | None) -> Rights:
        """Ask what the user may do. The first table is the one that is written."""
        ...

    async def zone(self, connection: AsyncConnection) -> ServerZone | None:
        """Ask for the server's own zone; None where it does not matter, or cannot be known."""
        ...


def naive_or_aware(value: object) -> datetime | None:
    """Take a moment from a driver."""
    return value if isinstance(value, datetime) else None
