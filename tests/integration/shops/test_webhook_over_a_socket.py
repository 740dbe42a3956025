"""What goes over the wire to the shop's own code, what comes back, and what is said of it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from reconciler.domain.money import Money
from reconciler.domain.order import ChannelName, Order, OrderKey, OrderState
from reconciler.ops.clock import SystemClock
from reconciler.ports import Accepted, Declined, Move, Told, Undelivered
from reconciler.shops.webhook import receiver as module
from reconciler.shops.webhook.answer import WORDS_LENGTH_MAX, words_of
from reconciler.shops.webhook.receiver import ANSWER_BYTES_MAX, WebhookReceiver
from reconciler.shops.webhook.signing import message_id, signing_key
from reconciler.transport import Transport

SECRET = b"whsec_" + base64.b64encode(bytes(range(32)))
SHOP = "shop orders"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TRANSACTION = "2026112322001400002159500680"
ORDER = Order(OrderKey("7"), "A20261123000007", OrderState.PENDING, "0", Money(9900), NOW)
MOVE = Move("i", (ORDER,), ChannelName("alipay-main"), "P20261123000007", TRANSACTION, Money(9900), NOW)
OURS = (ORDER.key, ORDER.order_no, MOVE.out_trade_no, MOVE.transaction_id, MOVE.channel)


@dataclass
class Endpoint:
    """The shop's own code, as far as a socket shows it."""

    url: str = ""
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
    seen: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Remember the message, and answer as told."""
        self.seen.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        return await self.answer(request) if self.answer else web.json_response({"result": "completed"})


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    made = Endpoint()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", made.take)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/confirmed?shop=1"
    yield made
    await runner.cleanup()


@contextlib.asynccontextmanager
async def telling(url: str) -> AsyncIterator[WebhookReceiver]:
    sender = Transport(body_bytes_max=ANSWER_BYTES_MAX)
    receiver = WebhookReceiver(sender, url, signing_key(SECRET), SHOP, SystemClock())
    try:
        yield receiver
    finally:
        await receiver.close()


async def told(url: str) -> Told:
    async with telling(url) as receiver:
        return await receiver.tell(MOVE)


async def answered(endpoint: Endpoint, status: int, text: str = "", content_type: str = "text/plain") -> Told:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, content_type=content_type)

    endpoint.answer = answer
    return await told(endpoint.url)


async def test_the_other_implementation_verifies_what_arrives(endpoint: Endpoint) -> None:
    assert await told(endpoint.url) == Accepted()
    ((headers, body),) = endpoint.seen
    message = Webhook(SECRET.decode()).verify(body, headers)
    assert message["type"] == "payment.confirmed"
    assert message["data"]["order_no"] == ORDER.order_no
    assert message["data"]["transaction_id"] == TRANSACTION
    assert headers["webhook-id"] == message_id(SHOP, "7")
    assert headers["content-type"] == "application/json"
    assert SECRET.decode() not in json.dumps(headers) + body.decode()


async def test_every_try_has_the_same_id_and_a_signature_of_its_own(endpoint: Endpoint) -> None:
    await told(endpoint.url)
    await told(endpoint.url)
    assert len({headers["webhook-id"] for headers, _ in endpoint.seen}) == 1
    for headers, body in endpoint.seen:
        Webhook(SECRET.decode()).verify(body, headers)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_a_yes_is_a_yes(endpoint: Endpoint, status: int) -> None:
    assert await answered(endpoint, status) == Accepted()


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
async def test_not_now_is_not_now(endpoint: Endpoint, status: int) -> None:
    assert await answered(endpoint, status, "a page") == Undelivered(f"it answers {status}")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 422])
async def test_a_refusal_comes_with_its_words(endpoint: Endpoint, status: int) -> None:
    text = json.dumps({"error": "paid CNY 99.00, due CNY 98.00"})
    assert await answered(endpoint, status, text) == Declined(status, "paid CNY 99.00, due CNY 98.00")


async def test_a_redirect_is_a_refusal_and_is_not_followed(endpoint: Endpoint) -> None:
    async def away(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": endpoint.url})

    endpoint.answer = away
    result = await told(endpoint.url)
    assert isinstance(result, Declined)
    assert (result.status, len(endpoint.seen)) == (307, 1)


async def test_an_answer_without_end_is_cut_off(endpoint: Endpoint) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=400)
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(64):
                await response.write(b"x" * ANSWER_BYTES_MAX)
        return response

    endpoint.answer = endless
    assert await told(endpoint.url) == Undelivered(f"the answer is larger than {ANSWER_BYTES_MAX} bytes")


async def test_one_deadline_holds_for_all_of_it(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    async def drips(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x")
        assert request.transport is not None
        while not request.transport.is_closing():  # noqa: ASYNC110 # for as long as the other side listens
            await asyncio.sleep(0.01)
        return response

    endpoint.answer = drips
    monkeypatch.setattr(module, "DEADLINE", timedelta(seconds=0.2))
    assert await told(endpoint.url) == Undelivered("no whole answer within 0.2s")


async def test_nobody_there_is_not_now() -> None:
    result = await told("http://127.0.0.1:9/confirmed")
    assert isinstance(result, Undelivered)
    assert "cannot connect to 127.0.0.1:9" in result.why


async def test_plain_http_goes_to_loopback_only() -> None:
    result = await told("http://shop.invalid/confirmed")
    assert isinstance(result, Undelivered)
    assert "only https, or http to loopback" in result.why


# ---------------------------------------------------------------------------------------------------- what may be shown


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", ""),
        (b"  no \n such\torder ", "no such order"),
        (b'{"error": "no such order"}', "no such order"),
        (b'{"code": 1, "msg": "\xe8\xae\xa2\xe5\x8d\x95\xe4\xb8\x8d\xe5\xad\x98\xe5\x9c\xa8"}', "订单不存在"),
        (b'{"code": 1}', ""),
        (b"[1]", ""),
        (b"<html><style>p {}</style><script>var a=1</script><body><h1>403 Forbidden</h1>", "403 Forbidden"),
        (b"\x1b[31mred\x00\xff", "[31mred \N{REPLACEMENT CHARACTER}"),
        ("x y " * 200, None),
    ],
)
def test_an_answer_becomes_one_printable_line(body: bytes | str, words: str | None) -> None:
    said = words_of(body if isinstance(body, bytes) else body.encode(), OURS)
    assert said.isprintable()
    assert len(said) <= WORDS_LENGTH_MAX
    assert words is None or said == words


@pytest.mark.parametrize(
    "personal",
    [
        "zhang.san@example.cn",
        "13812345678",
        "138 1234 5678",
        "+86 138-1234-5678",
        "11010519491231002X",
        "6222021234567890123",
        "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o",
        "192.168.10.20",
        SECRET.decode(),
    ],
)
def test_what_may_be_somebodys_is_left_out(personal: str) -> None:
    said = words_of(f"buyer {personal} is not known".encode(), OURS)
    assert personal not in said
    assert said.startswith("buyer […]")
    assert said.endswith("is not known")
    for digits in ("1381234", "6222021", "1101051949"):
        assert digits not in said


def test_what_we_sent_ourselves_may_be_said_again() -> None:
    text = f"order {ORDER.order_no} has transaction {TRANSACTION}, not 4200000000366235032420261123"
    assert words_of(text.encode(), OURS) == f"order {ORDER.order_no} has transaction {TRANSACTION}, not […]"
