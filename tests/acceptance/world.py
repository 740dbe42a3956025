"""A shop made by hand, gateways on loopback, and the real program beside them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from reconciler.ops.clock import SystemClock
from reconciler.sandbox.book import Book
from reconciler.sandbox.server import Serving, serve
from reconciler.sandbox.trade import GatewayKind, Trade
from tests.acceptance.cradle import LINE_BYTES_MAX, Child, Cradle, cradle
from tests.acceptance.hand import Hand, hand
from tests.acceptance.moving_clock import MovingClock
from tests.kept_keys import kept_keys

SHANGHAI = ZoneInfo("Asia/Shanghai")
PENDING, PAID, CLOSED = 0, 1, 9
ENDS_WITHIN_S = 90.0
MOVES = "SELECT order_no, was, became FROM moves ORDER BY id"


class TellingBook(Book):
    """A book of trades that tells a test of each ask, while it is being answered."""

    def __init__(self) -> None:
        super().__init__()
        self.on_ask: Callable[[str], None] = lambda _number: None
        self.asked_at: GatewayKind | None = None
        """Which gateway is being asked."""

    def ask(self, gateway: GatewayKind, out_trade_no: str) -> tuple[Trade | None, int]:
        """Tell, then answer."""
        self.asked_at = gateway
        self.on_ask(out_trade_no)
        return super().ask(gateway, out_trade_no)


@dataclass
class Process:
    """The program, and every line of its log as it comes."""

    process: Child | asyncio.subprocess.Process
    lines: list[dict[str, Any]] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    _came: asyncio.Event = field(default_factory=asyncio.Event)
    _reader: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Read standard error until it ends."""
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr
        async for line in self.process.stderr:
            text = line.decode()
            self.raw.append(text)
            with contextlib.suppress(ValueError):
                self.lines.append(json.loads(text))
            self._came.set()
        self._came.set()

    def events(self, name: str) -> list[dict[str, Any]]:
        """Give the lines of one event so far."""
        return [line for line in self.lines if line["event"] == name]

    async def until(self, name: str, count: int = 1, within_s: float = ENDS_WITHIN_S) -> list[dict[str, Any]]:
        """Wait for so many lines of an event."""
        async with asyncio.timeout(within_s):
            while len(self.events(name)) < count:
                if self._reader is not None and self._reader.done():
                    raise AssertionError(f"it ended without {count} {name}:\n{''.join(self.raw)}")
                self._came.clear()
                await self._came.wait()
        return self.events(name)

    async def ends(self, within_s: float = ENDS_WITHIN_S) -> int:
        """Wait for the end; give the exit code."""
        async with asyncio.timeout(within_s):
            code = await self.process.wait()
        if self._reader is not None:
            await self._reader
        return code

    async def stop(self) -> int:
        """SIGTERM, and wait."""
        self.process.send_signal(signal.SIGTERM)
        return await self.ends()


@dataclass
class World:
    """One shop, both gateways, and as many daemons as a test wants."""

    directory: Path
    serving: Serving
    book: TellingBook
    cradle: Cradle
    running: list[Process] = field(default_factory=list)
    reach: Hand | None = None
    clock: MovingClock | None = None
    """What its daemons go by, where a test moves it."""

    @property
    def hand(self) -> Hand:
        """The test's own hand in the shop's database."""
        assert self.reach is not None
        return self.reach

    @property
    def url(self) -> str:
        """The shop's database, as the configuration has it."""
        return self.hand.url

    @property
    def shop(self) -> Path:
        """The shop's database, where it is a file."""
        return self.directory / "shop.db"

    def configuration(self, name: str = "a", extra: str = "", mode: str = "enforce") -> Path:
        """Write a configuration with a ledger and a control socket of its own; `extra` is more TOML."""
        path = self.directory / f"{name}.toml"
        keys = self.directory / "keys"
        path.write_text(f"""
mode = "{mode}"
[ledger]
url = "sqlite:///{self.directory}/{name}-ledger.db"
[control]
socket = "{self.directory}/{name}.sock"
[http]
listen = "off"
[log]
format = "json"
[shop]
url = "{self.url}"
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
pending = [0]
paid = [1, 2]
closed = [9]
settled_as = 1
closed_as = 9
[channels.alipay-main]
gateway = "alipay"
shop_values = ["alipay"]
endpoint = "{self.serving.alipay_endpoint}"
app_id = "2021000000000001"
rate = 1000
private_key = "file:{keys}/alipay-app-key.pem"
alipay_public_key = "file:{keys}/alipay-public-key.pem"
[channels.wechat-main]
gateway = "wechat"
shop_values = ["wechat"]
endpoint = "{self.serving.wechat_endpoint}"
mchid = "1900000001"
rate = 1000
appid = "wx0000000000000001"
serial_no = "3D0A1C5E7B9F2468ACE013579BDF02468ACE1357"
private_key = "file:{keys}/wechat-merchant-key.pem"
public_key_id = "PUB_KEY_ID_0119000000012026112300000000000001"
public_key = "file:{keys}/wechat-public-key.pem"
{extra}
""")
        return path

    def order(  # an order has as many facts
        self,
        order_no: str,
        fen: int = 9900,
        channel: str = "alipay",
        age: timedelta = timedelta(minutes=6),
        status: int = PENDING,
    ) -> None:
        """Place an order."""
        created = (datetime.now(UTC) - age).astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
        self.hand.execute(
            "INSERT INTO orders (order_no, amount, status, pay_channel, created_at, note)"
            " VALUES (:order_no, :amount, :status, :channel, :created, 'as it was')",
            order_no=order_no, amount=f"{fen // 100}.{fen % 100:02d}", status=status, channel=channel, created=created,
        )  # fmt: skip

    def pay(
        self, order_no: str, fen: int = 9900, channel: str = "alipay", ago: timedelta = timedelta(minutes=4)
    ) -> Trade:
        """Let the buyer have paid at the gateway; the callback is lost."""
        now = datetime.now(UTC)
        trade = Trade(GatewayKind(channel), order_no, fen, opened_at=now - ago, paid_at=now - ago)
        self.book.put(trade)
        return trade

    def callback(self, trade: Trade) -> bool:
        """Let the gateway's callback arrive at the shop, whose own code has its guard."""
        met = self.hand.execute(
            "UPDATE orders SET status = 1, transaction_id = :transaction, paid_at = '2026-11-23 12:00:00'"
            " WHERE order_no = :order_no AND status = 0",
            transaction=trade.transaction_id, order_no=trade.out_trade_no,
        )  # fmt: skip
        return met == 1

    def rows(self) -> dict[str, tuple[Any, ...]]:
        """Read the whole table: order_no to status, amount, transaction, note."""
        found = self.hand.rows("SELECT order_no, status, amount, transaction_id, note FROM orders")
        return {row[0]: row[1:] for row in found}

    def moves(self) -> list[tuple[str, int, int]]:
        """Read what the witness saw."""
        return [(no, was, became) for no, was, became in self.hand.rows(MOVES)]

    async def start(self, config: Path, *arguments: str) -> Process:
        """Start `reconciler run`."""
        return self._started(await self._born(config, "run", *arguments))

    async def start_anew(self, config: Path, **environment: str) -> Process:
        """Start `reconciler run` as a shell does: an interpreter of its own, which takes a second longer."""
        return self._started(
            await asyncio.create_subprocess_exec(
                sys.executable, "-m", "reconciler", "run", "--config", str(config),
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, limit=LINE_BYTES_MAX,
                env=os.environ | environment,
            )
        )  # fmt: skip

    async def _born(self, config: Path, *words: str) -> Child:
        return await self.cradle.start(*words, "--config", str(config), clock=self.clock.file if self.clock else None)

    def _started(self, process: Child | asyncio.subprocess.Process) -> Process:
        started = Process(process)
        started.begin()
        self.running.append(started)
        return started

    async def once(self, config: Path, *arguments: str) -> tuple[int, str, Process]:
        """Run one pass; give exit code, standard output, and the log."""
        process = await self.start(config, "--once", *arguments)
        assert process.process.stdout
        output = (await process.process.stdout.read()).decode()
        return await process.ends(), output, process

    async def command(self, config: Path, *words: str) -> tuple[int, str]:
        """Run another command; give exit code, and standard output and error together."""
        code, output, errors = await self.heard(config, *words)
        return code, output + errors

    async def heard(self, config: Path, *words: str) -> tuple[int, str, str]:
        """Run another command; give exit code, standard output, and standard error."""
        process = await self._born(config, *words)
        async with asyncio.timeout(ENDS_WITHIN_S):
            output, errors = await asyncio.gather(process.stdout.read(), process.stderr.read())
            return await process.wait(), output.decode(), errors.decode()

    async def json(self, config: Path, *words: str) -> Any:  # noqa: ANN401 # whatever the command documents
        """Run a command with --json; give what it printed."""
        code, output = await self.command(config, *words, "--json")
        assert code == 0, output
        return json.loads(output)


@contextlib.asynccontextmanager
async def world(directory: Path, kind: str = "sqlite", clock: MovingClock | None = None) -> AsyncIterator[World]:
    """Make a world with a shop on this kind of database; whatever still runs at the end is killed."""
    book = TellingBook()
    keys = await asyncio.to_thread(kept_keys, directory / "keys")
    async with hand(kind, directory) as reach, serve(keys, book, clock or SystemClock()) as serving, cradle() as born:
        made = World(directory, serving, book, born, reach=reach, clock=clock)
        try:
            yield made
        finally:
            for process in made.running:
                if process.process.returncode is None:
                    process.process.kill()
                    await process.ends()


def moved_once(moves: Sequence[tuple[str, int, int]]) -> bool:
    """Whether the witness saw no order twice."""
    return len({order_no for order_no, _, _ in moves}) == len(moves)


def is_an_end(line: Mapping[str, Any]) -> bool:
    """Whether a line says that its order is where it belongs."""
    if line["event"] == "settle.recovered":
        return str(line["outcome"]).startswith("settled: ")
    return line["event"] in {"order.settled", "order.callback_won"}


async def until(
    true: Callable[[], object], within_s: float = ENDS_WITHIN_S, told: Callable[[], str] = lambda: ""
) -> None:
    """Wait for what another process does; nothing tells us of it but looking. Where it does not, `told` says more."""
    try:
        async with asyncio.timeout(within_s):
            while not await asyncio.to_thread(true):  # noqa: ASYNC110 # another process wakes no event of ours
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not within {within_s:g} s; {told()}") from None
