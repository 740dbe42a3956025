"""The reconciler as a benchmark runs it: the shipped assembly over a shop in SQLite, with the daemon's own turns."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reconciler import __version__
from reconciler.domain.order import ChannelName, OrderKey
from reconciler.events import Event
from reconciler.flow.ask import Asker
from reconciler.flow.find import Finder
from reconciler.gateways import SETTINGS
from reconciler.ops.clock import SystemClock
from reconciler.ops.garbage import set_apart_what_stays
from reconciler.ops.measured import MeasuredGateway
from reconciler.ops.metrics import Metrics
from reconciler.ports import Gateway
from reconciler.sandbox.accounts import Accounts
from reconciler.sandbox.beijing import beijing_text
from reconciler.sandbox.keys import ALIPAY_PUBLIC_KEY, APP_KEY, MERCHANT_KEY, WECHAT_PUBLIC_KEY
from reconciler.sandbox.shop import Shop
from reconciler.settings.load import parse
from reconciler.wiring import Assembly, assemble

CHANNELS = ("wechat", "alipay")
WECHAT = ChannelName("wechat")
ACCOUNTS = Accounts()


class Silence:
    """Implements `Events`: a benchmark has nothing to say but its table."""

    def emit(self, event: Event) -> None:
        """Drop it."""


def numbers_of(channel: str, count: int) -> list[str]:
    """Name a channel's orders."""
    return [f"{channel[0].upper()}2026112300{place:06d}" for place in range(count)]


def fill_shop(path: Path, per_channel: int) -> None:
    """Make a shop with so many orders a channel that wait, between their last ages: none is due soon."""
    Shop(path).open()
    created = beijing_text(datetime.now(UTC) - timedelta(hours=30))
    rows = ((number, channel) for channel in CHANNELS for number in numbers_of(channel, per_channel))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO orders (order_no, amount, status, pay_channel, created_at, updated_at)"
            f" VALUES (?, 99.00, 0, ?, '{created}', '{created}')",
            rows,
        )


def configuration(
    shop_url: str, ledger_url: str, keys: Path, gateway_url: str, at_once: int = 64, rate: int = 10_000
) -> str:
    """Write the configuration, with rates that are no limit, if nothing else is said."""
    return f"""
mode = "enforce"
[ledger]
url = "{ledger_url}"
[shop]
url = "{shop_url}"
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
touch = ["updated_at"]
[shop.orders.states]
pending = [0]
paid = [1, 2]
closed = [9]
refunded = [3]
settled_as = 1
[channels.wechat]
gateway = "wechat"
shop_values = ["wechat"]
endpoint = "{gateway_url}"
mchid = "{ACCOUNTS.mchid}"
appid = "{ACCOUNTS.appid}"
serial_no = "{ACCOUNTS.serial_no}"
private_key = "file:{keys / MERCHANT_KEY}"
public_key_id = "{ACCOUNTS.public_key_id}"
public_key = "file:{keys / WECHAT_PUBLIC_KEY}"
rate = {rate}
concurrency = {at_once}
[channels.alipay]
gateway = "alipay"
shop_values = ["alipay"]
endpoint = "{gateway_url}/gateway.do"
app_id = "{ACCOUNTS.app_id}"
private_key = "file:{keys / APP_KEY}"
alipay_public_key = "file:{keys / ALIPAY_PUBLIC_KEY}"
rate = {rate}
concurrency = {at_once}
[http]
listen = "off"
"""


@asynccontextmanager
async def leading(text: str) -> AsyncIterator[Assembly]:
    """Assemble, and take the lead."""
    metrics = Metrics(version=__version__, mode="enforce", channels=[ChannelName(name) for name in CHANNELS])

    def measured(gateway: Gateway) -> Gateway:
        return MeasuredGateway(gateway, metrics)

    assembly = await assemble(parse(text, SETTINGS), SystemClock(), Silence(), measure=measured)
    try:
        assert await assembly.rounds.take_charge()  # noqa: S101 # nobody else has the lock
        set_apart_what_stays()  # as the daemon does
        yield assembly
    finally:
        await assembly.close()


class FullAsk:
    """The daemon's own turns over one channel: read the shop, sign, query, verify, decide, record."""

    def __init__(self, assembly: Assembly, channel: str, keys: Sequence[OrderKey]) -> None:
        self._assembly = assembly
        (self._channel,) = (each for each in assembly.rounds.channels if each.name == channel)
        self._keys = keys

    async def make_due(self) -> None:
        """Make every watch of the channel due now; no part of what is measured."""
        for some in _pages(self._keys):
            await self._assembly.ledger.wake(some, self._assembly.rounds.context.clock.now())

    async def check(self, numbers: Sequence[str], at_once: int) -> None:
        """Ask about everything that is due: so many as `numbers`."""
        del at_once  # the configuration's
        asker = Asker(self._assembly.rounds.context, self._channel)
        asked = 0
        while handled := await asker.turn():
            asked += handled
        assert asked == len(numbers), f"asked {asked} of {len(numbers)}"  # noqa: S101 # the benchmark's own check

    async def close(self) -> None:
        """Do nothing: the assembly is closed by who made it."""


def _pages(keys: Sequence[OrderKey]) -> Iterator[Sequence[OrderKey]]:
    for start in range(0, len(keys), 500):
        yield keys[start : start + 500]


async def find(assembly: Assembly) -> None:
    """Walk the shop once: its orders become watches."""
    rounds = assembly.rounds
    await Finder(rounds.context, rounds.find).walk()
