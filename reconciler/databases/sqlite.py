"""SQLite: a connection that lets go of its file when it is closed."""

from __future__ import annotations

import sqlite3
import weakref
from typing import Any


class ClosingConnection(sqlite3.Connection):
    """Closes its cursors before itself.

    A statement that is cut short (a task is cancelled between execute and fetch) leaves a cursor behind. SQLite closes
    a connection that still has one only in name: its transaction, and the lock on the file, live on until the cursor
    goes, which hangs in a cycle of references and waits for the garbage collector; minutes, in a daemon that is idle.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 # whatever sqlite3 takes
        super().__init__(*arguments, **named)
        self._cursors: weakref.WeakSet[sqlite3.Cursor] = weakref.WeakSet()

    def cursor(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 # as sqlite3 has it
        """Give a cursor, and remember it. The shortcut `execute` makes others: SQLAlchemy does not take it."""
        cursor = super().cursor(*arguments, **named)
        self._cursors.add(cursor)
        return cursor

    def close(self) -> None:
        """Close every cursor that is left, then the connection."""
        for cursor in tuple(self._cursors):
            cursor.close()
        super().close()
