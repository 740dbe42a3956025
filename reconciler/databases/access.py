"""How a database is reached, as the configuration has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo


class AccessError(ValueError):
    """What the configuration says cannot lead to a database; the text begins with the setting's name."""


@dataclass(frozen=True, slots=True)
class Access:
    """How a database is reached."""

    url: str
    password: bytes | None = field(repr=False)
    tls: str | None
    tls_ca: bytes | None
    setting: str
    """The configuration's name of the URL, for errors."""
    zone: ZoneInfo
    """The session's: a shop's own, for what its triggers and defaults write."""
    shows: ZoneInfo | None = None
    """The zone of the times that such sessions show, where whoever writes them keeps another zone than its sessions.
    None: the session's own."""
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    """Where a session knows offsets only, it keeps the one that the zone has now."""

    @property
    def table(self) -> str:
        """The configuration's table that the URL stands in."""
        return self.setting.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Pool:
    """How many connections there may be, and what their transactions see."""

    size: int
    overflow: int = 10
    timeout_s: float = 30.0
    """For a connection to come free."""
    isolation: str | None = None
    """None: as the server has it."""
    idle_max_s: int | None = None
    """The server ends a session that is silent for so long (PostgreSQL: in a transaction): what it had locked comes
    free, though nobody told the server that our host has gone."""


@dataclass(frozen=True, slots=True)
class Turn:
    """How a session gets something to itself: an advisory lock that it waits for, and keeps until it is closed."""

    key: Mapping[str, object]
    prepare: tuple[str, ...]
    """What the session is told before: it may take its time from now on."""
    take: str
    """Gives true once it is ours; fails, or gives false, where that takes too long."""
