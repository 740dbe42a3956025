"""Having WeChat Pay close a trade, and what each response means."""

from __future__ import annotations

import base64
import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256

from reconciler.domain.answer import Throttled, Unavailable, Untrusted
from reconciler.domain.closing import CloseReply, NoSuchTrade, NotClosed, TradeClosed
from reconciler.transport import HttpResponse, TransportFailure
from tests.unit.gateways.wechat_bench import (
    FIRST,
    KEY_ID,
    MERCHANT,
    NOW,
    PUBLIC,
    SECOND,
    STRANGER,
    Bench,
    bench,
    refusal,
    settings,
    signed,
)


@pytest.fixture
def made(tmp_path: Path) -> Bench:
    made = bench(settings(tmp_path, public_key=True, apiv3_key=False))
    made.office.closing = lambda _, now: signed(b"", PUBLIC, KEY_ID, at=now, status=204)
    return made


async def closed(made: Bench, response: HttpResponse | TransportFailure) -> CloseReply:
    made.office.closing = lambda _request, _now: response
    return await made.gateway.close_trade("A1")


async def test_a_signed_204_is_a_closed_trade(made: Bench) -> None:
    assert await made.gateway.close_trade("A1") == TradeClosed()
    assert made.pace.heard == [None]


async def test_the_request_is_signed_with_its_body(made: Bench) -> None:
    await made.gateway.close_trade("A|1")
    (request,) = made.wire.sent
    path = "/v3/pay/transactions/out-trade-no/A%7C1/close"
    assert (request.method, request.url) == ("POST", f"https://api.mch.weixin.qq.com{path}")
    assert json.loads(request.body) == {"mchid": "1900000001"}
    headers = dict(request.headers)
    assert headers["Content-Type"] == "application/json"
    assert headers["Wechatpay-Serial"] == KEY_ID
    said = dict(re.findall(r'(\w+)="([^"]*)"', headers["Authorization"]))
    text = f"POST\n{path}\n{said['timestamp']}\n{said['nonce_str']}\n".encode() + request.body + b"\n"
    MERCHANT.public_key().verify(base64.b64decode(said["signature"]), text, padding.PKCS1v15(), SHA256())


def under_our_key(status: int, body: bytes = b"") -> HttpResponse:
    return signed(body, PUBLIC, KEY_ID, status=status)


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (under_our_key(204), TradeClosed),
        (under_our_key(200), TradeClosed),
        (HttpResponse(204, (), b""), NotClosed),
        (HttpResponse(200, (), b"{}"), NotClosed),
        (signed(b"", STRANGER, KEY_ID, status=204), NotClosed),
        (signed(b"", SECOND.key, SECOND.serial, status=204), NotClosed),
        (signed(b"", PUBLIC, KEY_ID, status=204, at=NOW - timedelta(seconds=301)), NotClosed),
        (HttpResponse(204, under_our_key(204, b"x").headers, b""), NotClosed),
        (under_our_key(201), NotClosed),
        (under_our_key(404), NotClosed),
        (refusal(404, "ORDER_NOT_EXIST"), NoSuchTrade),
        (refusal(404, "ORDERNOTEXIST"), NoSuchTrade),
        (refusal(404), NotClosed),
        (refusal(400, "ORDERPAID"), NotClosed),
        (refusal(400, "ORDER_CLOSED"), NotClosed),
        (refusal(400), NotClosed),
        (refusal(401, "SIGN_ERROR"), NotClosed),
        (refusal(403, "NO_AUTH"), NotClosed),
        (refusal(405), NotClosed),
        (refusal(302), NotClosed),
        (refusal(429, "FREQUENCY_LIMITED"), Throttled),
        (refusal(202), Unavailable),
        (refusal(500, "SYSTEM_ERROR"), Unavailable),
        (refusal(504), Unavailable),
        (TransportFailure("cannot connect", lasts=True), Unavailable),
    ],
    ids=range(25),
)
async def test_each_response_has_its_reply(
    made: Bench, response: HttpResponse | TransportFailure, expected: type[CloseReply]
) -> None:
    reply = await closed(made, response)
    assert type(reply) is expected
    assert len(made.wire.sent) == 1
    if isinstance(reply, Unavailable | Throttled):
        assert made.pace.heard == [reply]
    elif isinstance(response, HttpResponse) and response.status in {200, 204} and isinstance(reply, NotClosed):
        assert [type(answer) for answer in made.pace.heard] == [Untrusted]  # who knows whose word that was
    else:
        assert made.pace.heard == [None]


async def test_a_refusal_says_why(made: Bench) -> None:
    reply = await closed(made, refusal(400, "ORDERPAID"))
    assert isinstance(reply, NotClosed)
    assert "ORDERPAID" in reply.reason
    reply = await closed(made, signed(b"", SECOND.key, SECOND.serial, status=204))
    assert isinstance(reply, NotClosed)
    assert "HTTP 204" in reply.reason
    assert "set apiv3_key" in reply.reason


async def test_a_deliberately_false_signature_is_answered_by_closing_again(made: Bench) -> None:
    answers = [True, False]
    made.office.closing = lambda _, now: signed(b"", PUBLIC, KEY_ID, at=now, status=204, false=answers.pop(0))
    assert await made.gateway.close_trade("A1") == TradeClosed()
    assert len(made.wire.sent) == 2


@pytest.mark.parametrize("number", ["", "A B", ".", ".."])
async def test_a_number_that_cannot_be_asked_is_not_closed_either(made: Bench, number: str) -> None:
    assert isinstance(await made.gateway.close_trade(number), NotClosed)
    assert made.wire.sent == []


async def test_certificates_are_fetched_for_closing_too(tmp_path: Path) -> None:
    made = bench(settings(tmp_path, public_key=False, apiv3_key=True))
    assert await made.gateway.close_trade("A1") == TradeClosed()
    assert made.wire.fetches == 1


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (refusal(404, "RESOURCE_NOT_EXISTS"), NotClosed),
        (refusal(429), Throttled),
        (refusal(500, "SYSTEM_ERROR"), Unavailable),
    ],
    ids=range(3),
)
async def test_without_a_certificate_nothing_is_closed(
    tmp_path: Path, response: HttpResponse, expected: type[CloseReply]
) -> None:
    made = bench(settings(tmp_path, public_key=False, apiv3_key=True))
    made.office.certificates = lambda _request, _now: response
    assert type(await made.gateway.close_trade("A1")) is expected
    assert made.wire.questions == 0


async def test_a_new_certificate_seen_while_closing_is_there_for_the_next_ask(tmp_path: Path) -> None:
    made = bench(settings(tmp_path, public_key=False, apiv3_key=True))
    await made.gateway.ask(["A1"])
    await made.clock.advance(60)
    made.office.platforms.append(SECOND)
    assert isinstance(await made.gateway.close_trade("A1"), NotClosed)
    made.office.trade = lambda _, now: signed(b"{}", FIRST.key, FIRST.serial, at=now)
    await made.gateway.ask(["A1"])
    assert made.wire.fetches == 2
    assert await made.gateway.close_trade("A1") == TradeClosed()
