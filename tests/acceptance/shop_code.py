"""The shop's own code on loopback: verifies each message, and moves the order in the transaction that stores its id."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from standardwebhooks.webhooks import Webhook

from tests.acceptance.hand import Hand

SECRET = "whsec_" + base64.b64encode(b"a secret of the acceptance tests").decode()
STORE = {
    "sqlite": "INSERT OR IGNORE INTO webhook_ids VALUES (:message, :order_no)",
    "mysql": "INSERT IGNORE INTO webhook_ids VALUES (:message, :order_no)",
}


@dataclass(frozen=True)
class Way:
    """How it takes a message."""

    status: int = 200
    text: str = "{}"
    moves: bool = True
    delay_s: float = 0.0
    is_held: bool = False
    """Nothing is done about it until `let_go`."""


@dataclass
class ShopCode:
    """What it was told, and how it is to behave."""

    shop: Hand
    port: int = 0
    ways: dict[str, Way] = field(default_factory=dict)
    way: Way = field(default_factory=Way)
    """Of orders that have none of their own."""
    ids: dict[str, set[str]] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)
    delivered: Counter[str] = field(default_factory=Counter)
    """How often each order was moved: what would have emptied a warehouse."""
    in_flight: Counter[str] = field(default_factory=Counter)
    overlapped: set[str] = field(default_factory=set)
    meanwhile: Callable[[str], object] = lambda _order_no: None
    """Called with each order's number while its message is being handled."""
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    _runner: web.AppRunner | None = None

    def configuration(self, secret: Path, confirm_within: str = "10s", more: str = "") -> str:
        """Give the settings that lead here."""
        return f"""
[settle]
by = "webhook"
grace = "0s"
{more}
[settle.webhook]
url = "http://127.0.0.1:{self.port}/confirmed"
secret = "file:{secret}"
confirm_within = "{confirm_within}"
"""

    async def listen(self) -> None:
        """Open, on the same port as before."""
        application = web.Application()
        application.router.add_post("/confirmed", self._confirmed)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Be gone."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _confirmed(self, request: web.Request) -> web.Response:
        body = await request.read()
        Webhook(SECRET).verify(body, {name.lower(): value for name, value in request.headers.items()})
        data, message = json.loads(body)["data"], request.headers["webhook-id"]
        order_no = data["order_no"]
        self.told[order_no] += 1
        self.ids.setdefault(order_no, set()).add(message)
        self.in_flight[order_no] += 1
        if self.in_flight[order_no] > 1:
            self.overlapped.add(order_no)
        try:
            way = self.ways.get(order_no, self.way)
            if way.is_held:
                await self.let_go.wait()
            await asyncio.sleep(way.delay_s)
            await asyncio.to_thread(self.meanwhile, order_no)
            if way.moves and await asyncio.to_thread(self._move, order_no, message, data["transaction_id"]):
                self.delivered[order_no] += 1
            return web.Response(status=way.status, text=way.text)
        finally:
            self.in_flight[order_no] -= 1

    def _move(self, order_no: str, message: str, transaction: str) -> bool:
        """Store the id and move the order, waiting or expired: both or neither, under the lock of the callback."""
        return self.shop.all_or_none(
            STORE[self.shop.kind],
            "UPDATE orders SET status = 1, transaction_id = :transaction, paid_at = '2026-11-23 12:00:00'"
            " WHERE order_no = :order_no AND status IN (0, 9)",
            message=message, order_no=order_no, transaction=transaction,
        )  # fmt: skip


@contextlib.asynccontextmanager
async def shop_code(shop: Hand, secret: Path) -> AsyncIterator[ShopCode]:
    """Open the shop's own code beside its database."""
    secret.write_text(f"{SECRET}\n")
    secret.chmod(0o600)
    made = ShopCode(shop)
    await made.listen()
    try:
        yield made
    finally:
        await made.close()
