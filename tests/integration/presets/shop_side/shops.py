"""The endpoints of docs/how-to/shop-side under `php -S`, in stand-ins for their shops, on MariaDB."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from sqlalchemy import make_url

from reconciler.domain.money import Money
from reconciler.shops.webhook.signing import Confirmation, SigningKey, body_of, headers_of, message_id, signing_key
from tests.integration.databases import Database, database
from tests.integration.presets.shops import SCHEMAS

HERE: Final = Path(__file__).parent
ENDPOINTS: Final = Path(__file__).parents[4] / "docs" / "how-to" / "shop-side"
SECRET: Final = b"whsec_" + base64.b64encode(bytes(range(32)))
KEY: Final = signing_key(SECRET)
WITHIN_S: Final = 90.0
WORKERS: Final = 6
ZONE: Final = "Asia/Shanghai"
MAILS: Final = (
    "CREATE TABLE mails (id INT AUTO_INCREMENT PRIMARY KEY, order_no VARCHAR(150), content TEXT) ENGINE=InnoDB"
)
_STATES: Final[Mapping[str, str]] = {
    "dujiaoka": "SELECT status, trade_no, info FROM orders WHERE order_sn = :number",
    "acg-faka": "SELECT status, delivery_status, secret FROM acg_order WHERE trade_no = :number",
}
_CARDS: Final[Mapping[str, str]] = {
    "dujiaoka": "SELECT carmi FROM carmis WHERE status = 2",
    "acg-faka": "SELECT secret FROM acg_card WHERE status = 1",
}
_ADD_CARD: Final[Mapping[str, str]] = {
    "dujiaoka": "INSERT INTO carmis (goods_id, carmi) VALUES (1, :card)",
    "acg-faka": "INSERT INTO acg_card (commodity_id, secret) VALUES (1, :card)",
}
_ORDER: Final[Mapping[str, str]] = {
    "dujiaoka": "INSERT INTO orders (order_sn, goods_id, title, type, actual_price, email, pay_id, buy_ip, created_at)"
    " VALUES (:number, 1, '卡', 1, 99.00, 'a@shop.example', 1, '127.0.0.1', NOW() - INTERVAL :age SECOND)",
    "acg-faka": "INSERT INTO acg_order (trade_no, owner, amount, commodity_id, card_num, pay_id, create_time,"
    " create_ip, create_device) VALUES (:number, 1, 99.00, 1, 1, 1, NOW() - INTERVAL :age SECOND, '127.0.0.1', 0)",
}


@dataclass
class Answered:
    """What came back."""

    status: int
    body: Any


@dataclass
class Site:
    """One shop's web server, its database, and what a test does to both."""

    preset: str
    tables: Database
    directory: Path
    http: aiohttp.ClientSession
    unlocked: bool = False
    secret: str = SECRET.decode()
    _port: int = 0
    _server: subprocess.Popen[bytes] | None = None
    _log: Path = field(default_factory=Path)

    @property
    def url(self) -> str:
        """The endpoint, as the configuration has it."""
        return f"http://127.0.0.1:{self._port}{self.path}"

    @property
    def path(self) -> str:
        """Where the endpoint is."""
        return {"dujiaoka": "/reconciler/payment-confirmed", "acg-faka": "/user/api/reconciler/confirmed"}[self.preset]

    async def start(self) -> None:
        """Start the web server, on the same port as before; give when it listens."""
        if self._port:
            await _until(self._is_silent, "the killed workers let go of the port")
        else:
            with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
                self._port = free.getsockname()[1]
        url = make_url(self.tables.url)
        config = self.directory / "config"
        await asyncio.to_thread(config.mkdir, exist_ok=True)
        await asyncio.to_thread((config / "reconciler.php").write_text, f"<?php return ['secret' => '{self.secret}'];")
        self._log = self.directory / "php.log"
        environment = {
            "PATH": os.environ["PATH"],
            "PHP_CLI_SERVER_WORKERS": str(WORKERS),
            "SHOP_DSN": f"mysql:host={url.host};port={url.port or 3306};dbname={url.database};charset=utf8mb4",
            "SHOP_ENDPOINT": str(ENDPOINTS / f"{self.preset}.php"),
            "SHOP_GATE": str(url.database),
            "SHOP_SECRET": self.secret,
            "SHOP_UNLOCKED": "1" if self.unlocked else "",
            "SHOP_BASE": str(self.directory),
        }
        where, shop = f"127.0.0.1:{self._port}", str(HERE / f"{self.preset}.php")
        with self._log.open("ab") as log:
            self._server = subprocess.Popen(  # noqa: ASYNC220, S603 # a child of its own session, to be killed whole
                [_php(), "-d", f"date.timezone={ZONE}", "-S", where, shop],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        await _until(self._listens, "the web server listens")

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            return False
        writer.close()
        return True

    async def _is_silent(self) -> bool:
        return not await self._listens()

    def kill(self) -> None:
        """Kill it as a power cut would, each worker of it."""
        if self._server is not None:
            os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
            self._server = None

    def said(self) -> str:
        """Give what it logged."""
        return self._log.read_text(errors="replace")

    async def order(self, number: str, card: str | None = None, age: timedelta = timedelta(0)) -> None:
        """Place an order for one card over CNY 99.00; and put a card on the shelf."""
        await self.tables.execute(_ORDER[self.preset], number=number, age=int(age.total_seconds()))
        if card is not None:
            await self.tables.execute(_ADD_CARD[self.preset], card=card)

    async def state(self, number: str) -> tuple[Any, ...]:
        """Give the order's state, as the shop has it."""
        (row,) = await self.tables.rows(_STATES[self.preset], number=number)
        return row

    async def sold(self) -> list[str]:
        """Give the cards that are sold."""
        return sorted(row[0] for row in await self.tables.rows(_CARDS[self.preset]))

    async def mails(self, number: str) -> list[str]:
        """Give the mails about an order that left the house."""
        return [row[0] for row in await self.tables.rows("SELECT content FROM mails WHERE order_no = :n", n=number)]

    async def stored(self) -> list[str]:
        """Give the ids that the shop keeps."""
        return sorted(row[0] for row in await self.tables.rows("SELECT id FROM reconciler_webhook"))

    async def post(
        self,
        number: str,
        fen: int = 9900,
        *,
        transaction: str = "2" * 28,
        key: SigningKey = KEY,
        off: timedelta = timedelta(0),
        currency: str = "CNY",
    ) -> Answered:
        """Send what Reconciler would."""
        now = datetime.now(UTC)
        confirmation = Confirmation(number, number, number, "alipay-main", transaction, Money(fen, currency), now)
        body = body_of(confirmation)
        return await self.send(headers_of(key, message_id("shop", number), now + off, body), body)

    async def send(self, headers: Mapping[str, str], body: bytes) -> Answered:
        """Send headers and body as they are."""
        return await self._request("POST", self.path, data=body, headers=headers)

    async def callback(self, number: str, yuan: str = "99.00", trade: str = "2" * 28) -> Answered:
        """Let the gateway's own callback arrive."""
        return await self._request("GET", "/callback", params={"no": number, "amount": yuan, "trade": trade})

    async def _request(self, method: str, path: str, **more: Any) -> Answered:  # noqa: ANN401 # as aiohttp takes them
        timeout = aiohttp.ClientTimeout(total=WITHIN_S)
        url = f"http://127.0.0.1:{self._port}{path}"
        async with self.http.request(method, url, timeout=timeout, **more) as response:
            return Answered(response.status, await response.json(content_type=None))

    @contextlib.asynccontextmanager
    async def gate(self, name: str) -> AsyncIterator[None]:
        """Hold all requests at a gate, like "callback:read", until left."""
        database = make_url(self.tables.url).database
        lock = f"{database}:{name}"
        await self.tables.rows("SELECT GET_LOCK(:lock, 0)", lock=lock)
        try:
            yield
        finally:
            await self.tables.rows("SELECT RELEASE_LOCK(:lock)", lock=lock)

    async def waits_at_a_gate(self) -> None:
        """Wait until a request waits at a gate."""
        await _until(lambda: self._some("%waits at a gate%"), "a request waits at a gate")

    async def waits_for_a_row(self) -> None:
        """Wait until a request waits for a row that another has locked."""
        await _until(lambda: self._some("%FOR UPDATE%"), "a request waits for a row")

    async def _some(self, like: str) -> bool:
        database = make_url(self.tables.url).database
        query = (
            "SELECT 1 FROM information_schema.processlist"
            " WHERE db = :db AND info LIKE :like AND id <> CONNECTION_ID() AND command IN ('Query', 'Execute')"
        )
        return bool(await self.tables.rows(query, db=database, like=like))


@contextlib.asynccontextmanager
async def site(
    preset: str, directory: Path, *, unlocked: bool = False, secret: str | None = None
) -> AsyncIterator[Site]:
    """Make a shop with our endpoint in it; killed at the end."""
    async with database("mysql", directory) as tables, aiohttp.ClientSession() as http:
        texts = [SCHEMAS / f"{preset}.sql", ENDPOINTS / "webhook.sql"]
        script = ";\n".join([await asyncio.to_thread(path.read_text) for path in texts] + [MAILS])
        await tables.script("SET time_zone = '+08:00'", *(each for each in script.split(";\n") if each.strip()))
        if preset == "dujiaoka":
            await tables.execute("INSERT INTO goods (gd_name, in_stock) VALUES ('卡', 9)")
        else:
            await tables.execute("INSERT INTO acg_commodity (name) VALUES ('卡')")
            await tables.execute("INSERT INTO acg_user (recharge) VALUES (0)")
        made = Site(preset, tables, directory, http, unlocked, SECRET.decode() if secret is None else secret)
        await made.start()
        try:
            yield made
        finally:
            made.kill()


async def _until(true: Any, what: str) -> None:  # noqa: ANN401 # a function that gives an awaitable truth
    """Wait for what another process does; nothing tells us of it but looking."""
    try:
        async with asyncio.timeout(WITHIN_S):
            while not await true():  # noqa: ASYNC110 # another process wakes no event of ours
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {WITHIN_S} s: {what}") from None


def _php() -> str:
    """Give the interpreter; skip the test (or fail, in CI) where it, or its driver, is missing."""
    php = shutil.which("php")
    if php is not None:
        drivers = [php, "-r", "echo implode(' ', PDO::getAvailableDrivers());"]
        said = subprocess.run(drivers, capture_output=True, check=False)  # noqa: S603 # what `which` found
        if b"mysql" in said.stdout.split():
            return php
    why = "PHP with its MySQL driver is missing: apt install php-cli php-mysql"
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)
