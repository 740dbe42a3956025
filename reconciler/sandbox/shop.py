"""A small shop in SQLite: its table, and what its own code does to it.

Money is NUMERIC and times are Beijing local text without offset, as in the shops that exist (shops.md).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from pathlib import Path

from reconciler.sandbox.beijing import beijing_text
from reconciler.sandbox.wire import yuan

BUSY_SECONDS = 5.0
ROWS_MAX = 100_000

_TABLE = """
CREATE TABLE IF NOT EXISTS orders (
  id             INTEGER PRIMARY KEY,
  order_no       TEXT NOT NULL UNIQUE,
  amount         DECIMAL(10,2),
  status         INTEGER NOT NULL DEFAULT 0,
  pay_channel    TEXT NOT NULL,
  transaction_id TEXT,
  created_at     TEXT NOT NULL,
  paid_at        TEXT,
  updated_at     TEXT NOT NULL
)
"""


class Status(IntEnum):
    """The shop's own values."""

    WAITING = 0
    PAID = 1
    DELIVERED = 2
    REFUNDED = 3
    CLOSED = 9


@dataclass(frozen=True, slots=True)
class ShopRow:
    """What the shop's table says of an order."""

    order_no: str
    status: int
    transaction_id: str | None


class Shop:
    """The shop's own code. Every call is one short transaction on a connection of its own; call it from a thread."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> None:
        """Make the table, in a database in WAL mode."""
        with closing(self._connect()) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(_TABLE)
            connection.execute("CREATE INDEX IF NOT EXISTS orders_status_created_at ON orders (status, created_at)")

    def order(self, order_no: str, amount_fen: int | None, pay_channel: str, now: datetime) -> None:
        """Take an order; None is the NULL amount that nobody can explain. The same number again changes nothing."""
        with self._writing() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO orders (order_no, amount, status, pay_channel, created_at, updated_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (order_no, _amount(amount_fen), Status.WAITING, pay_channel, beijing_text(now), beijing_text(now)),
            )

    def callback(self, order_no: str, amount_fen: int, transaction_id: str, paid_at: datetime, now: datetime) -> bool:
        """Take the gateway's callback: mark the order paid if it waits and the amount is right. Whether it did."""
        with self._writing() as connection:
            cursor = connection.execute(
                "UPDATE orders SET status = ?, transaction_id = ?, paid_at = ?, updated_at = ?"
                " WHERE order_no = ? AND status = ? AND amount = ?",
                (
                    *(Status.PAID, transaction_id, beijing_text(paid_at), beijing_text(now)),
                    *(order_no, Status.WAITING, _amount(amount_fen)),
                ),
            )
            return cursor.rowcount == 1

    def expire(self, order_no: str, now: datetime) -> bool:
        """Close an order that was not paid in time. Whether it did."""
        with self._writing() as connection:
            cursor = connection.execute(
                "UPDATE orders SET status = ?, updated_at = ? WHERE order_no = ? AND status = ?",
                (Status.CLOSED, beijing_text(now), order_no, Status.WAITING),
            )
            return cursor.rowcount == 1

    def delete(self, order_no: str) -> None:
        """Clear an order away, as some shops do to unpaid ones."""
        with self._writing() as connection:
            connection.execute("DELETE FROM orders WHERE order_no = ?", (order_no,))

    def rows(self) -> Sequence[ShopRow]:
        """Read every order."""
        with closing(self._connect()) as connection:
            found = connection.execute(
                "SELECT order_no, status, transaction_id FROM orders ORDER BY id LIMIT ?", (ROWS_MAX,)
            )
            return [ShopRow(*row) for row in found]

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                yield connection

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)


def _amount(fen: int | None) -> str | None:
    return None if fen is None else yuan(fen)
