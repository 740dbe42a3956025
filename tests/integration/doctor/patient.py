"""A healthy set-up, for a fault to be planted in: a shop's database, gateways on loopback, a configuration."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import make_url

from reconciler.doctor import Remark, Verdict, visit
from reconciler.ops.clock import SystemClock
from reconciler.sandbox.book import Book
from reconciler.sandbox.keys import Keys
from reconciler.sandbox.server import Serving, serve
from reconciler.sandbox.trade import GatewayKind, Trade
from tests.integration.databases import Database, database

SHANGHAI = ZoneInfo("Asia/Shanghai")
FREE = 10**12
COLUMNS = {
    "sqlite": {"id": "INTEGER PRIMARY KEY", "moment": "DATETIME"},
    "mysql": {"id": "BIGINT AUTO_INCREMENT PRIMARY KEY", "moment": "DATETIME"},
    "postgresql": {"id": "BIGSERIAL PRIMARY KEY", "moment": "TIMESTAMP"},
}
WRITTEN = "status, transaction_id, paid_at"


@dataclass
class Patient:
    """One set-up, that can be changed before the visit."""

    base: Database
    directory: Path
    serving: Serving
    book: Book
    columns: dict[str, str]
    user: str = ""
    text: str = ""
    free: int = FREE

    @property
    def config(self) -> Path:
        """The configuration's file."""
        return self.directory / "reconciler.toml"

    @property
    def keys(self) -> Path:
        """Where its credentials are."""
        return self.directory / "keys"

    def edit(self, old: str, new: str) -> None:
        """Change the configuration."""
        assert old in self.text, old
        self.text = self.text.replace(old, new)

    async def make(self) -> None:
        """Make the table, and let our user at it."""
        columns = ", ".join(f"{name} {type_}" for name, type_ in self.columns.items())
        await self.base.script(f"CREATE TABLE orders ({columns})")

    async def grant(self) -> None:
        """Make the user, with what it needs and no more."""
        if self.base.kind == "sqlite":
            return
        self.user = f"rec_{secrets.token_hex(6)}"
        if self.base.kind == "mysql":
            await self.base.script(
                f"CREATE USER {self.user}@`%%`", f"GRANT SELECT, UPDATE ({WRITTEN}) ON orders TO {self.user}@`%%`"
            )
        else:
            await self.base.script(
                f"CREATE USER {self.user}", f"GRANT SELECT, UPDATE ({WRITTEN}) ON orders TO {self.user}"
            )

    async def revoke(self) -> None:
        """Unmake the user."""
        if self.base.kind == "mysql":
            await self.base.script(f"DROP USER {self.user}@`%%`")
        elif self.base.kind == "postgresql":
            await self.base.script(f"DROP OWNED BY {self.user}", f"DROP USER {self.user}")

    async def order(self, number: str, status: int = 1, age: timedelta = timedelta(minutes=6), **more: object) -> None:
        """Place an order of 99 yuan."""
        values: dict[str, object] = {"order_no": number, "status": status, "pay_channel": "alipay", "amount": "99.00"}
        values |= {"created_at": self.local(datetime.now(UTC) - age)} | more
        names = ", ".join(values)
        places = ", ".join(f":{name}" if name != "amount" else "CAST(:amount AS DECIMAL(12,2))" for name in values)
        await self.base.execute(f"INSERT INTO orders ({names}) VALUES ({places})", **values)  # noqa: S608 # a test's own words

    async def paid(self, number: str, channel: str = "alipay", fen: int = 9900, **more: object) -> Trade:
        """Place an order that was paid, here and at the gateway."""
        paid_at = datetime.now(UTC) - timedelta(minutes=5)
        trade = Trade(GatewayKind(channel), number, fen, opened_at=paid_at, paid_at=paid_at)
        self.book.put(trade)
        recorded: dict[str, object] = {"transaction_id": trade.transaction_id, "paid_at": self.local(paid_at)}
        await self.order(number, 2, timedelta(minutes=6), pay_channel=channel, **(recorded | more))
        return trade

    def local(self, moment: datetime) -> object:
        """Give a time as the shop's clock shows it."""
        naive = moment.astimezone(SHANGHAI).replace(tzinfo=None, microsecond=0)
        return naive.isoformat(" ") if self.base.kind == "sqlite" else naive

    async def visited(self) -> list[Remark]:
        """Have the doctor in."""
        self.config.write_text(self.text)
        return [remark async for remark in visit(self.config, SystemClock(), lambda _path: self.free)]

    def url(self) -> str:
        """Give the shop's URL as our user has it."""
        if self.base.kind == "sqlite":
            return self.base.url
        return make_url(self.base.url).set(username=self.user, password=None).render_as_string()

    def configured(self) -> str:
        """Give the configuration of the healthy set-up."""
        return f"""
mode = "enforce"
[ledger]
url = "sqlite:///{self.directory}/ledger/ledger.db"
[control]
socket = "{self.directory}/control.sock"
[shop]
url = "{self.url()}"
[shop.orders]
table = "orders"
key = "id"
order_no = "order_no"
out_trade_no = "order_no"
amount = "amount"
status = "status"
created_at = "created_at"
channel = "pay_channel"
transaction_id = "transaction_id"
paid_at = "paid_at"
[shop.orders.states]
pending = [1]
paid = [2, 3]
closed = [-1]
settled_as = 2
[channels.alipay-main]
gateway = "alipay"
shop_values = ["alipay"]
endpoint = "{self.serving.alipay_endpoint}"
app_id = "2021000000000001"
private_key = "file:{self.keys}/alipay-app-key.pem"
alipay_public_key = "file:{self.keys}/alipay-public-key.pem"
[channels.wechat-main]
gateway = "wechat"
shop_values = ["wechat"]
endpoint = "{self.serving.wechat_endpoint}"
mchid = "1900000001"
appid = "wx0000000000000001"
serial_no = "3D0A1C5E7B9F2468ACE013579BDF02468ACE1357"
private_key = "file:{self.keys}/wechat-merchant-key.pem"
public_key_id = "PUB_KEY_ID_0119000000012026112300000000000001"
public_key = "file:{self.keys}/wechat-public-key.pem"
[alerts]
targets = ["file:{self.keys}/robot"]
"""


def columns_of(kind: str) -> dict[str, str]:
    """Give the healthy table's columns."""
    own = COLUMNS[kind]
    return {
        "id": own["id"],
        "order_no": "VARCHAR(32) NOT NULL UNIQUE",
        "amount": "DECIMAL(10,2) NOT NULL",
        "status": "SMALLINT NOT NULL",
        "pay_channel": "VARCHAR(16)",
        "transaction_id": "VARCHAR(64)",
        "created_at": f"{own['moment']} NOT NULL",
        "paid_at": f"{own['moment']} NULL",
        "note": "VARCHAR(100)",
    }


@contextlib.asynccontextmanager
async def patient(
    kind: str, directory: Path, kept: Path, keys: Keys, columns: Mapping[str, str]
) -> AsyncIterator[Patient]:
    """Make a healthy set-up, but for what is said of its columns."""
    shutil.copytree(kept, directory / "keys")
    os.chmod(directory / "keys", 0o700)  # noqa: PTH101 # beside copytree
    (directory / "keys" / "robot").write_text("json://127.0.0.1:9/")  # nobody listens there
    (directory / "keys" / "robot").chmod(0o600)
    book = Book()
    async with database(kind, directory) as base, serve(keys, book, SystemClock()) as serving:
        made = Patient(base, directory, serving, book, {**columns_of(kind), **columns})
        await made.make()
        await made.grant()
        try:
            made.text = made.configured()
            yield made
        finally:
            await made.revoke()


async def orders(made: Patient) -> None:
    """Place orders of each state, of both channels."""
    await made.paid("A-paid-1")
    await made.paid("W-paid-1", "wechat")
    await made.order("A-waits-1", age=timedelta(minutes=1))
    await made.order("W-closed-1", -1, pay_channel="wechat")


def troubles(remarks: list[Remark]) -> list[Remark]:
    """Give what is not well."""
    return [remark for remark in remarks if remark.verdict is not Verdict.WELL]
