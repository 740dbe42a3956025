"""How the program ends: the exit codes, documented in docs/reference/commands.md."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What the exit code says."""

    DONE = 0
    UNFINISHED = 1
    """Something could not be asked, applied, found, verified or written."""
    CONFIGURATION = 2
    """The configuration, the command line or the start-up is at fault."""
    FAULT = 70
    """A fault of the program (EX_SOFTWARE)."""
    LOCKED = 75
    """Another process holds the shop's lock (EX_TEMPFAIL)."""
    OVERTAKEN = 76
    """Another daemon has taken the ledger's pen."""
