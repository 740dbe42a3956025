"""Where lines go in the end: a stream, or journald. What cannot be written costs the line, not the daemon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TextIO

from reconciler.ops.journald import Journal, entry
from reconciler.ops.line import Record


class Sink(Protocol):
    """Takes records, and never raises for one that cannot be written."""

    @property
    def lost(self) -> int:
        """How many could not be written anywhere."""
        ...

    def write(self, record: Record) -> None:
        """Write one."""
        ...

    def close(self) -> None:
        """Let go of what is ours."""
        ...


class Lines:
    """A stream of lines: a terminal, a pipe, a file."""

    def __init__(self, stream: TextIO, render: Callable[[Record], str]) -> None:
        self._stream = stream
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._render = render
        self._lost = 0

    @property
    def lost(self) -> int:
        """Lines that a full disk or a closed pipe swallowed."""
        return self._lost

    def write(self, record: Record) -> None:
        """Write one line; what the stream's encoding has no sign for, as an escape."""
        text = self._render(record).encode(self._encoding, "backslashreplace").decode(self._encoding)
        try:
            self._stream.write(f"{text}\n")
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: the stream was closed
            self._lost += 1

    def close(self) -> None:
        """Leave the stream open: it is not ours."""


class Entries:
    """journald, and lines for what it does not take."""

    def __init__(self, journal: Journal, fallback: Lines) -> None:
        self._journal = journal
        self._fallback = fallback

    @property
    def lost(self) -> int:
        """Entries that neither journald nor the stream took."""
        return self._fallback.lost

    def write(self, record: Record) -> None:
        """Send one entry."""
        try:
            self._journal.send(entry(record))
        except OSError:
            self._fallback.write(record)

    def close(self) -> None:
        """Let go of journald's socket."""
        self._journal.close()
