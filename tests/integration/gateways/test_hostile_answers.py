"""Hostile answers, over a socket: none leads to a settle or a close, and none costs us time or memory.

`Paid`, `Refunded` and `Closed` come of bytes that verify, or not at all. What verifies and lies in a fact is compared,
and becomes a case.
"""

from __future__ import annotations

import asyncio
import ssl
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from reconciler.domain.answer import Closed, NotCreated, Paid, Refunded, Reply
from reconciler.domain.confirm import Subject
from reconciler.domain.decide import decide
from reconciler.domain.decision import CloseOrder, Done, Settle, Stop
from reconciler.domain.history import History
from reconciler.domain.money import Money
from reconciler.domain.order import Attempt, ChannelName, Order, OrderKey, OrderState
from reconciler.domain.policy import Policy
from reconciler.gateways import KINDS, SETTINGS
from reconciler.gateways.line import TRIES_MAX, Way
from reconciler.ops.clock import SystemClock
from reconciler.ports import Gateway
from reconciler.testing.memory import KeptInMind
from reconciler.testing.pace import FreePace
from reconciler.transport import Transport
from tests.integration.gateways.hostile.attacks import ALL, Attack
from tests.integration.gateways.hostile.forgers import (
    ALIPAY,
    APPID,
    MCHID,
    NUMBER,
    PUBLIC_KEY_ID,
    WECHAT,
    Answer,
    Forger,
    key_of,
)

CHANNEL = ChannelName("main")
TLS = ssl.create_default_context()
TIMEOUT = timedelta(seconds=1)
PATIENCE_S = 20.0
"""Far more than one deadline: reached only where something has no bound at all."""
SENT_MAX = 24_000_000
"""Bytes that the other side could get rid of before we hung up: our limit, and what sockets buffer, for each try."""
MEMORY_MAX = 24_000_000
"""Bytes that one answer may cost us at its peak: a body of at most a megabyte, parsed and signed text included."""


class Enemy:
    """Answers every query with the same attack."""

    def __init__(self, answer: Callable[[], Answer]) -> None:
        self._answer = answer()
        self._serving: set[asyncio.Task[None]] = set()
        self.asked = 0
        self.sent = 0
        self.heads: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            self.asked += 1
            await self._send(writer, self._answer)
            if self._answer.keep_open:
                await reader.read()
        writer.close()

    async def leave(self) -> None:
        """Break off whatever is still under way."""
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving)

    async def _send(self, writer: asyncio.StreamWriter, answer: Answer) -> None:
        writer.write(answer.wire())
        await writer.drain()
        for _ in range(answer.repeat if answer.part else 0):
            writer.write(answer.part)
            await writer.drain()
            self.sent += len(answer.part)
            if answer.every_s:
                await asyncio.sleep(answer.every_s)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("keys")
    own = key_of("merchant").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    theirs = key_of("gateway").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "own").write_bytes(own)
    (folder / "theirs").write_bytes(theirs)
    return folder


def tables(keys: Path) -> dict[str, dict[str, object]]:
    own, theirs = f"file:{keys / 'own'}", f"file:{keys / 'theirs'}"
    return {
        "alipay": {"app_id": "2021000000000001", "private_key": own, "alipay_public_key": theirs},
        "wechat": {
            "mchid": MCHID,
            "appid": APPID,
            "serial_no": "5F1C72E2A8931B72A2E13AF8DEE92471EB397115",
            "private_key": own,
            "public_key_id": PUBLIC_KEY_ID,
            "public_key": theirs,
        },
    }


@asynccontextmanager
async def facing(enemy: Enemy, forger: Forger, keys: Path) -> AsyncIterator[Gateway]:
    server = await asyncio.start_server(enemy.serve, "127.0.0.1", 0)
    transport = Transport(tls=TLS)
    try:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        endpoint = url + ("/gateway.do" if forger is ALIPAY else "")
        settings = SETTINGS[forger.kind].model_validate(tables(keys)[forger.kind] | {"endpoint": endpoint})
        assert list(settings.problems()) == []
        way = Way(transport, FreePace(), SystemClock(), TIMEOUT, KeptInMind())
        yield KINDS[forger.kind].open(CHANNEL, settings, way)
    finally:
        await transport.close()
        server.close()
        await enemy.leave()


async def ask(enemy: Enemy, forger: Forger, keys: Path, number: str = NUMBER) -> Reply:
    async with facing(enemy, forger, keys) as gateway, asyncio.timeout(PATIENCE_S):
        (reply,) = await gateway.ask([number])
        return reply


def decisions(reply: Reply, forger: Forger, state: OrderState) -> object:
    """Decide on it as the flow would, for an order of CNY 99.00 that is ten minutes old."""
    now = datetime.now(UTC)
    order = Order(OrderKey("1"), "O1", state, "1", Money(9900), now - timedelta(minutes=10))
    attempt = Attempt(order.key, order.order_no, CHANNEL, NUMBER, order.created_at)
    merchant = (("appid", APPID), ("mchid", MCHID)) if forger is WECHAT else ()
    policy = Policy(closes_orders=True, merchants={CHANNEL: merchant})
    return decide(Subject(attempt, order, (order,)), reply, History(), policy, now)


@pytest.mark.parametrize("attack", ALL, ids=lambda attack: attack.name)
async def test_a_hostile_answer_moves_nothing(attack: Attack, keys: Path) -> None:
    enemy = Enemy(attack.answer)
    tracemalloc.start()
    try:
        reply = await ask(enemy, attack.forger, keys)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    if isinstance(reply.answer, Paid | Refunded | Closed):
        assert reply.verified, reply.answer
        assert reply.answer.trade.out_trade_no == NUMBER
    for state in (OrderState.PENDING, OrderState.CLOSED):
        decision = decisions(reply, attack.forger, state)
        assert not isinstance(decision, Settle | CloseOrder | Done | Stop), (reply.answer, decision)
    assert 1 <= enemy.asked <= TRIES_MAX
    assert enemy.sent <= SENT_MAX
    assert peak <= MEMORY_MAX


@pytest.mark.parametrize("forger", [ALIPAY, WECHAT], ids=lambda forger: forger.kind)
async def test_the_honest_answer_is_believed(forger: Forger, keys: Path) -> None:
    """Else the attacks would fail for a reason of their own, and the table would prove nothing."""
    reply = await ask(Enemy(forger.honest), forger, keys)
    assert isinstance(reply.answer, Paid)
    assert reply.verified
    assert isinstance(decisions(reply, forger, OrderState.PENDING), Settle)


@pytest.mark.parametrize("forger", [ALIPAY, WECHAT], ids=lambda forger: forger.kind)
@pytest.mark.parametrize(
    "number", ["A1\r\nX-Injected: yes", "A1\nA2", "A1 HTTP/1.1", "\r\n\r\nGET / HTTP/1.1", "A1\x00", "A1\u2028", "Ａ１"]
)
async def test_a_number_cannot_write_headers(forger: Forger, number: str, keys: Path) -> None:
    enemy = Enemy(forger.honest)
    reply = await ask(enemy, forger, keys, number)
    assert enemy.asked == 0
    assert not isinstance(reply.answer, Paid | NotCreated)


async def test_nothing_is_kept_from_one_answer_to_the_next(keys: Path) -> None:
    enemy = Enemy(lambda: Answer(200, (("Set-Cookie", "session=stolen; Path=/"), ("Connection", "close")), b"{}"))
    async with facing(enemy, ALIPAY, keys) as gateway:
        await gateway.ask([NUMBER])
        await gateway.ask([NUMBER])
    assert len(enemy.heads) >= 2
    assert not any(b"cookie" in head.lower() for head in enemy.heads)


async def test_a_redirect_is_not_followed(keys: Path) -> None:
    elsewhere = Enemy(WECHAT.honest)
    server = await asyncio.start_server(elsewhere.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for status in (301, 302, 303, 307, 308):
        enemy = Enemy(partial(Answer, status, (("Location", f"http://127.0.0.1:{port}/"),)))
        reply = await ask(enemy, WECHAT, keys)
        assert not reply.verified
    server.close()
    assert elsewhere.asked == 0


def test_there_are_more_than_forty_named_attacks_on_each_gateway() -> None:
    for forger in (ALIPAY, WECHAT):
        names = [attack.name for attack in ALL if attack.forger is forger]
        assert len(names) == len(set(names)) >= 40
