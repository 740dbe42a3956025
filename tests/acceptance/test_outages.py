"""Outages, told in figures: one line when each starts, one when it ends, and the other channel goes on as ever."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from reconciler.sandbox.trade import Trouble
from tests.acceptance.world import PAID, Process, World, moved_once

pytestmark = pytest.mark.acceptance

FAST = '[find]\nevery = "100ms"\n[ask]\ntimeout = "1s"\n'
ORDERS = 8
CHUNK_BYTES = 65536


@dataclass
class Door:
    """A way to a gateway. Shut, it takes every connection and never says a word; open, it passes all of it on."""

    port: int
    taken: int = 0
    """Connections taken so far."""
    passed: int = 0
    """Bytes of the gateway's answers passed on so far."""
    open: asyncio.Event = field(default_factory=asyncio.Event)
    own_port: int = 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        self.taken += 1
        with contextlib.suppress(OSError):
            await self.open.wait()
            theirs, ours = await asyncio.open_connection("127.0.0.1", self.port)
            await asyncio.gather(self._pass(reader, ours, answers=False), self._pass(theirs, writer, answers=True))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                self.passed += len(chunk) if answers else 0
                writer.write(chunk)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def door(port: int) -> AsyncIterator[Door]:
    """Stand before a port, shut at first."""
    made = Door(port)
    async with await asyncio.start_server(made.take, "127.0.0.1", 0) as server:
        made.own_port = server.sockets[0].getsockname()[1]
        try:
            yield made
        finally:
            made.open.set()


def fill(world: World) -> None:
    """Let so many orders at either gateway be paid, and their callbacks be lost."""
    for channel in ("alipay", "wechat"):
        for number in range(ORDERS):
            world.order(f"{channel}{number:02d}", channel=channel)
            world.pay(f"{channel}{number:02d}", channel=channel)


def settled(daemon: Process) -> set[str]:
    """Give the channels of all orders settled so far."""
    return {line["channel"] for line in daemon.events("order.settled")}


async def test_a_gateway_that_hangs_holds_up_its_own_orders_alone_and_is_two_lines(world: World) -> None:
    fill(world)
    async with door(world.serving.port) as shut:
        config = world.configuration(extra=FAST)
        there = world.serving.alipay_endpoint
        here = there.replace(str(world.serving.port), str(shut.own_port))
        config.write_text(config.read_text().replace(there, here))
        daemon = await world.start(config)
        await daemon.until("order.settled", ORDERS)
        (gone,) = await daemon.until("channel.unavailable")
        assert settled(daemon) == {"wechat-main"}
        assert shut.taken > 0
        assert shut.passed == 0, "it has not answered a single ask"
        assert (gone["channel"], gone["orders_waiting"]) == ("alipay-main", ORDERS)

        shut.open.set()
        await daemon.until("order.settled", 2 * ORDERS)
        (back,) = await daemon.until("channel.available")
        assert (back["channel"], back["orders_held_up"]) == ("alipay-main", ORDERS)
        assert back["longest"] == back["after"]
        assert await daemon.stop() == 0
    assert len(daemon.events("channel.unavailable")) == 1
    assert len(daemon.events("channel.available")) == 1
    assert moved_once(world.moves())
    assert {row[0] for row in world.rows().values()} == {PAID}


async def test_a_wrong_key_holds_up_its_own_orders_alone_and_is_two_lines(world: World) -> None:
    fill(world)
    config = world.configuration(extra=FAST)
    sound = config.read_text()
    wrong = world.directory / "wrong-key.pem"
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    wrong.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    wrong.chmod(0o600)
    right = world.directory / "keys" / "alipay-app-key.pem"
    assert str(right) in sound
    config.write_text(sound.replace(str(right), str(wrong)))
    daemon = await world.start(config)
    await daemon.until("order.settled", ORDERS)
    (paused,) = await daemon.until("channel.paused")
    assert settled(daemon) == {"wechat-main"}
    assert (paused["channel"], paused["orders_waiting"]) == ("alipay-main", ORDERS)

    config.write_text(sound)
    daemon.process.send_signal(signal.SIGHUP)
    await daemon.until("order.settled", 2 * ORDERS)
    (resumed,) = await daemon.until("channel.resumed")
    assert (resumed["channel"], resumed["orders_held_up"]) == ("alipay-main", ORDERS)
    assert resumed["longest"] == resumed["after"]
    assert await daemon.stop() == 0
    assert len(daemon.events("channel.paused")) == 1
    assert len(daemon.events("channel.resumed")) == 1
    assert moved_once(world.moves())


async def test_a_gateway_that_throttles_is_one_line_when_it_starts_and_every_order_is_settled(world: World) -> None:
    """Its other line comes when none was throttled for two minutes: shown in virtual time, in tests/unit/flow."""
    fill(world)
    for trade in list(world.book.trades()):
        if trade.out_trade_no.startswith("alipay"):
            world.book.put(replace(trade, trouble=Trouble.THROTTLED, trouble_asks=1))
    daemon = await world.start(world.configuration(extra=FAST))
    await daemon.until("order.settled", 2 * ORDERS)
    assert await daemon.stop() == 0
    (throttled,) = daemon.events("channel.throttled")
    assert (throttled["channel"], throttled["orders_waiting"]) == ("alipay-main", ORDERS)
    assert not daemon.events("channel.unavailable")
    assert moved_once(world.moves())
