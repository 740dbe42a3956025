"""A shop whose orders are awkward, on each kind of database, and one daemon that looks after all of them."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from reconciler.ops.clock import SystemClock
from reconciler.ops.control_client import call
from reconciler.sandbox.server import serve
from reconciler.sandbox.trade import GatewayKind, Trade
from tests.acceptance.cradle import cradle
from tests.acceptance.world import SHANGHAI, Process, TellingBook, World, until
from tests.integration.databases import Database, database
from tests.kept_keys import kept_keys

PENDING, PAID, REFUNDED, STRANGE, CLOSED = 0, 1, 5, 7, 9
"""What the status column holds; nobody mapped 7."""
AGE = timedelta(minutes=6)
LATE_FROM = timedelta(hours=1)
"""The first of the later ages."""

TABLES = (
    """CREATE TABLE orders (
      id {id}, order_no VARCHAR(64) NOT NULL, pay_no VARCHAR(64), amount DECIMAL(10,2), status INTEGER NOT NULL,
      pay_channel VARCHAR(20), transaction_id VARCHAR(64), created_at {time} NOT NULL, paid_at {time}
    )""",
    """CREATE TABLE attempts (
      id {id}, order_id INTEGER NOT NULL, no VARCHAR(64) NOT NULL, channel VARCHAR(20), created_at {time} NOT NULL
    )""",
    "CREATE TABLE moves (id {id}, order_no VARCHAR(64), was INTEGER, became INTEGER)",
    "CREATE INDEX order_nos ON orders (order_no)",
    "CREATE INDEX pay_nos ON orders (pay_no)",
    "CREATE INDEX order_times ON orders (created_at)",
    "CREATE INDEX attempt_nos ON attempts (no)",
    "CREATE INDEX attempt_orders ON attempts (order_id)",
)
TYPES = {
    "sqlite": {"id": "INTEGER PRIMARY KEY", "time": "DATETIME"},
    "mysql": {"id": "INTEGER PRIMARY KEY AUTO_INCREMENT", "time": "DATETIME"},
    "postgresql": {"id": "INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "time": "TIMESTAMP"},
}
WITNESS = {
    "sqlite": """
CREATE TRIGGER every_move AFTER UPDATE OF status ON orders WHEN old.status <> new.status BEGIN
  INSERT INTO moves (order_no, was, became) VALUES (old.order_no, old.status, new.status);
END""",
    "mysql": """
CREATE TRIGGER every_move AFTER UPDATE ON orders FOR EACH ROW
  INSERT INTO moves (order_no, was, became)
  SELECT old.order_no, old.status, new.status FROM (SELECT 1 AS one) AS once WHERE old.status <> new.status""",
    "postgresql": """
CREATE FUNCTION witness() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO moves (order_no, was, became) VALUES (old.order_no, old.status, new.status);
  RETURN NULL;
END $$;;
CREATE TRIGGER every_move AFTER UPDATE ON orders FOR EACH ROW WHEN (old.status <> new.status)
  EXECUTE FUNCTION witness()""",
}
"""It sees each move, whoever makes it."""

ORDERS = """
[shop.orders]
table = "orders"
key = "id"
order_no = "order_no"
amount = "amount"
status = "status"
created_at = "created_at"
"""
STATES = """
[shop.orders.states]
pending = [0]
paid = [1, 2]
closed = [9]
refunded = [5]
settled_as = 1
closed_as = 9
"""
ATTEMPTS = """
[shop.attempts]
table = "attempts"
key = "id"
order = "order_id"
out_trade_no = "no"
created_at = "created_at"
channel = "channel"
"""
COLUMNS = 'transaction_id = "transaction_id"\npaid_at = "paid_at"\n'
ON_THE_ROW = 'out_trade_no = "pay_no"\nchannel = "pay_channel"\n'


@dataclass(frozen=True)
class Watched:
    """What the ledger has of a watch."""

    decision: str
    why: str
    is_ended: bool
    age_asked_next: timedelta
    """How old the attempt will be when it is asked about again."""

    @property
    def then(self) -> str:
        """Say in a word what comes next: the decision, and of one to ask again, at which ages."""
        is_later = self.decision == "ask_again" and self.age_asked_next >= LATE_FROM
        return f"{self.decision} later" if is_later else self.decision


@dataclass
class AwkwardShop(World):
    """Orders are placed, changed and deleted as the shop's own code and its staff would."""

    database: Database | None = None
    config: Path = Path()
    daemon: Process | None = None
    numbers: set[str] = field(default_factory=set)

    @property
    def tables(self) -> Database:
        """The shop's database."""
        assert self.database is not None
        return self.database

    @property
    def url(self) -> str:
        """The shop's database, as the configuration has it."""
        return self.tables.url

    def configure(self, *, orders: str = COLUMNS, attempts: str = ATTEMPTS, more: str = "") -> None:
        """Write the configuration."""
        self.config = self.configuration()
        head, _, rest = self.config.read_text().partition("[shop]\n")
        channels = rest[rest.index("[channels.") :]
        shop = f'[shop]\nurl = "{self.url}"\n{ORDERS}{orders}{STATES}{attempts}'
        self.config.write_text(f"{head}{shop}{channels}\n[audit]\nrate = 0\n{more}")

    async def place(
        self,
        order_no: str,
        fen: int = 9900,
        *,
        status: int = PENDING,
        channel: str = "alipay",
        attempts: Sequence[tuple[str, str]] | None = None,
        age: timedelta = AGE,
        number: str = "",
        **columns: object,
    ) -> None:
        """Place an order, with the attempts (channel and number) of its own or one of the order's name."""
        created = local(age)
        number = number or order_no
        values = {
            "order_no": order_no, "pay_no": number, "amount": f"{fen // 100}.{fen % 100:02d}", "status": status,
            "pay_channel": channel, "created_at": created, **columns,
        }  # fmt: skip
        await self._insert("orders", values)
        ((key,),) = await self.tables.rows("SELECT MAX(id) FROM orders")
        for each, no in attempts if attempts is not None else ((channel, number),):
            await self._insert("attempts", {"order_id": key, "no": no, "channel": each, "created_at": created})
            self.numbers.add(no)

    async def change(self, order_no: str, **columns: object) -> None:
        """Change an order behind everybody's back."""
        values = ", ".join(f"{name} = :{name}" for name in columns)
        await self.tables.execute(f"UPDATE orders SET {values} WHERE order_no = :no", no=order_no, **columns)  # noqa: S608 # names of these tests

    async def delete(self, order_no: str) -> None:
        """Delete an order."""
        await self.tables.execute("DELETE FROM orders WHERE order_no = :no", no=order_no)

    async def statuses(self) -> dict[str, int]:
        """Read every order's status."""
        found = await self.tables.rows("SELECT order_no, status FROM orders")
        return {str(no): int(status) for no, status in found}

    async def witnessed(self) -> list[tuple[str, int, int]]:
        """Read what the witness saw."""
        return [
            (no, was, became) for no, was, became in await self.tables.rows("SELECT order_no, was, became FROM moves")
        ]

    def trade(self, number: str, state: str, fen: int = 9900, channel: str = "alipay", **facts: Any) -> Trade:  # noqa: ANN401 # a trade's
        """Let the gateway have a trade in this state."""
        now = datetime.now(UTC)
        opened = now - facts.pop("ago", timedelta(minutes=4))
        later = {"unpaid": {}, "paid": {"paid_at": opened}, "closed": {"closed_at": opened},
                 "refunded": {"paid_at": opened, "refunded_at": now - timedelta(seconds=30)}}[state]  # fmt: skip
        trade = Trade(GatewayKind(channel), number, fen, opened_at=opened, **later, **facts)
        self.book.put(trade)
        return trade

    async def lead(self) -> Process:
        """Start the daemon, and wait until every attempt has been asked about and what was decided is written."""
        self.daemon = await self.start(self.config)
        await until(self._is_decided)
        await until((self.directory / "a.sock").exists)  # it listens a moment after it leads
        return self.daemon

    def _is_decided(self) -> bool:
        path = self.directory / "a-ledger.db"
        if not path.exists():
            return False
        with contextlib.closing(sqlite3.connect(path)) as ledger, contextlib.suppress(sqlite3.OperationalError):
            decided = ledger.execute("SELECT DISTINCT out_trade_no FROM watches WHERE last_decision <> ''").fetchall()
            waiting = ledger.execute("SELECT count(*) FROM watches WHERE last_decision = ''").fetchone()[0]
            return self.numbers <= {number for (number,) in decided} and waiting == 0
        return False

    def watched(self) -> dict[str, Watched]:
        """Read what was decided last about each attempt, by number."""
        with contextlib.closing(sqlite3.connect(self.directory / "a-ledger.db")) as ledger:
            found = ledger.execute(
                "SELECT out_trade_no, last_decision, why, ended_at, next_ask_at - created_at FROM watches"
            ).fetchall()
        return {
            number: Watched(decision, why, ended is not None, timedelta(microseconds=age))
            for number, decision, why, ended, age in found
        }

    async def ask(self, number: str) -> list[dict[str, Any]]:
        """Have the daemon ask about an order now and act on it; give what it found."""
        found: list[dict[str, Any]] = (await self.control("ask", number=number, settle=True))["findings"]
        return found

    async def control(self, command: str, **arguments: object) -> dict[str, Any]:
        """Speak with the daemon as its commands do."""
        return await asyncio.to_thread(call, self.directory / "a.sock", command, arguments)

    async def cases(self) -> set[tuple[str, str]]:
        """Give the open cases: order_no and kind."""
        found: list[dict[str, Any]] = await self.json(self.config, "cases", "list")
        return {(case["order_no"], case["kind"]) for case in found}

    async def _insert(self, table: str, values: dict[str, object]) -> None:
        if self.tables.kind == "postgresql":
            values = {name: exact(name, value) for name, value in values.items()}
        names, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
        await self.tables.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", **values)  # noqa: S608 # names of these tests


def exact(name: str, value: object) -> object:
    """Give a column's value as a driver wants it that converts no text."""
    if name == "amount":
        return Decimal(str(value))
    return datetime.fromisoformat(str(value)) if name.endswith("_at") else value


def local(age: timedelta = AGE) -> str:
    """Give a time of the past as the shop's clock showed it, without an offset."""
    return (datetime.now(UTC) - age).astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")


@contextlib.asynccontextmanager
async def awkward_shop(kind: str, directory: Path) -> AsyncIterator[AwkwardShop]:
    """Make a shop on this kind of database; whatever still runs at the end is killed."""
    book = TellingBook()
    keys = await asyncio.to_thread(kept_keys, directory / "keys")
    async with database(kind, directory) as tables, serve(keys, book, SystemClock()) as serving, cradle() as born:
        await tables.script(*(each.format(**TYPES[kind]) for each in TABLES), *WITNESS[kind].split(";;"))
        made = AwkwardShop(directory, serving, book, born, database=tables)
        try:
            yield made
        finally:
            for process in made.running:
                if process.process.returncode is None:
                    process.process.kill()
                    await process.ends()
