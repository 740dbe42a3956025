"""A preset's shop on MariaDB, gateways on loopback, and the real program beside them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from reconciler.ops.clock import SystemClock
from reconciler.sandbox.server import serve
from reconciler.sandbox.trade import GatewayKind, Trade
from tests.acceptance.cradle import cradle
from tests.acceptance.world import SHANGHAI, TellingBook, World
from tests.integration.databases import Database, database
from tests.integration.presets.snapshot import Cell, Snapshot, snapshot
from tests.kept_keys import kept_keys

SCHEMAS = Path(__file__).parent / "schemas"
AGE = timedelta(minutes=6)
PAID_AGO = timedelta(minutes=4)


@dataclass
class Shop(World):
    """The shop of one preset. Orders are placed as the shop's own code would: with its columns, in its time."""

    database: Database | None = None
    preset: str = ""

    @property
    def tables(self) -> Database:
        """The shop's database."""
        assert self.database is not None
        return self.database

    def configured(self, more: str = "", alipay: str = "", wechat: str = "", mode: str = "enforce") -> Path:
        """Write a configuration: the preset, `more` TOML, and a channel for each gateway whose lines are given."""
        keys = self.directory / "keys"
        channels = {
            "alipay-main": f"""
gateway = "alipay"
endpoint = "{self.serving.alipay_endpoint}"
app_id = "2021000000000001"
private_key = "file:{keys}/alipay-app-key.pem"
alipay_public_key = "file:{keys}/alipay-public-key.pem"
rate = 1000
{alipay}
""",
            "wechat-main": f"""
gateway = "wechat"
endpoint = "{self.serving.wechat_endpoint}"
mchid = "1900000001"
appid = "wx0000000000000001"
serial_no = "3D0A1C5E7B9F2468ACE013579BDF02468ACE1357"
private_key = "file:{keys}/wechat-merchant-key.pem"
public_key_id = "PUB_KEY_ID_0119000000012026112300000000000001"
public_key = "file:{keys}/wechat-public-key.pem"
rate = 1000
{wechat}
""",
        }
        wanted = [name for name, lines in (("alipay-main", alipay), ("wechat-main", wechat)) if lines]
        path = self.directory / "shop.toml"
        path.write_text(f"""
mode = "{mode}"
[ledger]
url = "sqlite:///{self.directory}/ledger.db"
[control]
socket = "{self.directory}/control.sock"
[http]
listen = "off"
[log]
format = "json"
[shop]
url = "{self.tables.url}"
preset = "{self.preset}"
{more}
{"".join(f"[channels.{name}]{channels[name]}" for name in wanted)}
""")
        return path

    async def insert(self, table: str, **values: object) -> int:
        """Insert a row; give its id."""
        names = ", ".join(f"`{name}`" for name in values)
        marks = ", ".join(f":{name}" for name in values)
        await self.tables.execute(f"INSERT INTO `{table}` ({names}) VALUES ({marks})", **values)  # noqa: S608 # names of this test
        ((key,),) = await self.tables.rows("SELECT LAST_INSERT_ID()")
        return int(key)

    def paid(  # a trade has as many facts
        self, number: str, fen: int, gateway: str = "alipay", ago: timedelta = PAID_AGO, refunded: bool = False
    ) -> Trade:
        """Let the buyer have paid at the gateway (and have had it back); the callback is lost."""
        now = datetime.now(UTC)
        trade = Trade(GatewayKind(gateway), number, fen, opened_at=now - ago, paid_at=now - ago,
                      refunded_at=now - ago / 2 if refunded else None)  # fmt: skip
        self.book.put(trade)
        return trade

    def unpaid(self, number: str, fen: int, gateway: str = "alipay") -> None:
        """Let the buyer have opened the payment page and no more."""
        self.book.put(Trade(GatewayKind(gateway), number, fen, opened_at=datetime.now(UTC) - PAID_AGO))

    def asked(self, number: str) -> asyncio.Event:
        """Give what is set as soon as a gateway is asked about a number."""
        event = asyncio.Event()
        self.book.on_ask = lambda about: event.set() if about == number else None
        return event

    async def snapshot(self) -> Snapshot:
        """Read the shop's whole database."""
        return await snapshot(self.tables)

    async def cases(self, config: Path) -> set[tuple[str, str]]:
        """Give the open cases: order_no and kind."""
        found: list[dict[str, Any]] = await self.json(config, "cases", "list")
        return {(case["order_no"], case["kind"]) for case in found}

    async def row(self, table: str, key: int) -> dict[str, Any]:
        """Read one row, by the names of its columns."""
        names = [row[0] for row in await self.tables.rows(f"SHOW COLUMNS FROM `{table}`")]
        ((*values,),) = await self.tables.rows(f"SELECT * FROM `{table}` WHERE id = :key", key=key)  # noqa: S608 # of this test
        return dict(zip(names, values, strict=True))


def local(age: timedelta = AGE) -> datetime:
    """Give a time of the past as the shop's clock showed it, without an offset."""
    return (datetime.now(UTC) - age).astimezone(SHANGHAI).replace(tzinfo=None, microsecond=0)


def cells(table: str, keys: list[int], columns: str) -> set[Cell]:
    """Name these columns of these rows."""
    return {(table, str(key), column) for key in keys for column in columns.split()}


@contextlib.asynccontextmanager
async def shop(preset: str, directory: Path) -> AsyncIterator[Shop]:
    """Make the shop of a preset; whatever still runs at the end is killed."""
    book = TellingBook()
    keys = await asyncio.to_thread(kept_keys, directory / "keys")
    async with database("mysql", directory) as tables, serve(keys, book, SystemClock()) as serving, cradle() as born:
        await tables.script("SET time_zone = '+08:00'")  # as a shop in China has it
        schema = await asyncio.to_thread((SCHEMAS / f"{preset}.sql").read_text)
        await tables.script(*(each for each in schema.split(";\n") if each.strip()))
        made = Shop(directory, serving, book, born, database=tables, preset=preset)
        try:
            yield made
        finally:
            for process in made.running:
                if process.process.returncode is None:
                    process.process.kill()
                    await process.ends()
