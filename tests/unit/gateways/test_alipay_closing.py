from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.domain.answer import Throttled, Unavailable
from reconciler.domain.closing import CloseReply, NoSuchTrade, NotClosed, TradeClosed
from reconciler.gateways.alipay.gateway import AlipayGateway
from reconciler.gateways.asking import CloseReading
from reconciler.transport import HttpResponse
from tests.unit.gateways.alipay_bench import (
    ALIPAY,
    APP,
    CLOSE,
    ENDPOINT,
    KEY_MODE,
    NOW,
    QUERY,
    STRANGER,
    Script,
    enveloped,
    gateway_of,
    sign,
)

CLOSED: dict[str, object] = {"code": "10000", "msg": "Success", "out_trade_no": "A1", "trade_no": "2026112322001400001"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> AlipayGateway:
    return gateway_of(tmp_path_factory.mktemp("keys"), KEY_MODE)


def read(gateway: AlipayGateway, body: bytes, status: int = 200) -> CloseReading:
    return gateway.closing("A1").read(HttpResponse(status, (), body), NOW)


def refused(code: str, sub_code: str | None = None, **more: object) -> dict[str, object]:
    return {"code": code, "msg": "no", "sub_code": sub_code, **more}


def test_the_request_asks_to_close_the_one_number(gateway: AlipayGateway) -> None:
    call = gateway.closing("A1")
    request = call.write(NOW, ENDPOINT)
    public = dict(parse_qsl(urlsplit(request.url).query, strict_parsing=True))
    order = dict(parse_qsl(request.body.decode(), strict_parsing=True))
    assert public["method"] == "alipay.trade.close"
    assert json.loads(order["biz_content"]) == {"out_trade_no": "A1"}
    signature = public.pop("sign")
    text = "&".join(f"{name}={value}" for name, value in sorted((public | order).items()))
    assert signature == sign(text.encode(), APP)
    assert call.said == "alipay.trade.close out_trade_no=A1"


def test_a_signed_success_about_our_number_is_closed(gateway: AlipayGateway) -> None:
    assert read(gateway, enveloped(CLOSED, CLOSE)) == CloseReading(TradeClosed())


@pytest.mark.parametrize(
    "sub_code",
    ["ACQ.TRADE_NOT_EXIST", "TRADE_NOT_EXIST", "AQC.TRADE_NOT_EXIST", "acq.trade_not_exist", " ACQ.TRADE_NOT_EXIST "],
)
@pytest.mark.parametrize("signed", [True, False])
def test_a_trade_that_does_not_exist_is_told_apart(gateway: AlipayGateway, sub_code: str, signed: bool) -> None:
    body = enveloped(refused("40004", sub_code, out_trade_no="A1"), CLOSE, key=ALIPAY if signed else None)
    assert read(gateway, body).reply == NoSuchTrade()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (refused("40005", "isv.app-call-limited"), Throttled),
        (refused("20000", "isp.unknow-error"), Unavailable),
        (refused("40004", "ACQ.SYSTEM_ERROR"), Unavailable),
        (refused("40004", "SYSTEM_ERROR"), Unavailable),
    ],
)
@pytest.mark.parametrize("root", [CLOSE, "error_response"])
def test_what_passes_is_told_to_the_pace(
    gateway: AlipayGateway, content: dict[str, object], expected: type[CloseReply], root: str
) -> None:
    reading = read(gateway, enveloped(content, root, key=None))
    assert type(reading.reply) is expected
    assert reading.answer == reading.reply


@pytest.mark.parametrize("status", [500, 502, 503, 504, 302, 403])
def test_an_http_error_is_unavailable_and_not_tried_again_at_once(gateway: AlipayGateway, status: int) -> None:
    reading = read(gateway, enveloped(CLOSED, CLOSE), status)
    assert reading == CloseReading(Unavailable(f"HTTP {status}"), again=False)


def test_a_429_is_throttled_and_a_page_unavailable(gateway: AlipayGateway) -> None:
    assert read(gateway, b"", 429).reply == Throttled()
    assert isinstance(read(gateway, b"<html></html>").reply, Unavailable)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (enveloped(refused("40004", "ACQ.TRADE_STATUS_ERROR"), CLOSE), "TRADE_STATUS_ERROR"),
        (enveloped(refused("40004", "ACQ.REASON_TRADE_STATUS_INVALID"), CLOSE), "STATUS_INVALID"),
        (enveloped(refused("40004", "ACQ.REASON_ILLEGAL_STATUS"), CLOSE), "ILLEGAL_STATUS"),
        (enveloped(refused("40004", "ACQ.INVALID_PARAMETER"), CLOSE), "INVALID_PARAMETER"),
        (enveloped(refused("40006", "isv.insufficient-isv-permissions"), CLOSE, key=None), "permissions"),
        (enveloped(refused("40002", "isv.invalid-signature"), CLOSE, key=None), "invalid-signature"),
        (enveloped(refused("20001", "aop.invalid-app-auth-token"), "error_response", key=None), "auth-token"),
        (enveloped(CLOSED, CLOSE, key=None), "without signature"),
        (enveloped(CLOSED, CLOSE, key=STRANGER), "does not verify"),
        (enveloped(refused("40004", "ACQ.TRADE_NOT_EXIST"), CLOSE, key=STRANGER), "does not verify"),
        (enveloped(CLOSED | {"out_trade_no": "A2"}, CLOSE), "another out_trade_no"),
        (enveloped(refused("40004", "ACQ.TRADE_NOT_EXIST", out_trade_no="A2"), CLOSE), "another out_trade_no"),
        (enveloped(CLOSED | {"out_trade_no": None}, CLOSE), "no out_trade_no"),
        (enveloped(CLOSED, QUERY), "malformed"),
        (enveloped(CLOSED, "alipay_trade_cancel_response"), "malformed"),
        (enveloped(b'"encrypted"', CLOSE), "malformed"),
        (enveloped({"code": "10003"}, CLOSE), "code 10003"),
        (enveloped({"code": "10003"}, CLOSE, key=None), "code 10003"),
        (enveloped({}, CLOSE), "no code"),
        (b"{", "malformed"),
    ],
    ids=range(20),
)
def test_anything_else_is_not_closed_and_says_why(gateway: AlipayGateway, body: bytes, word: str) -> None:
    reading = read(gateway, body)
    assert isinstance(reading.reply, NotClosed), reading.reply
    assert word in reading.reply.reason
    unproven = ("without signature", "does not verify", "another out_trade_no", "no out_trade_no", "malformed")
    is_unproven = word in unproven or "unsigned" in reading.reply.reason
    assert reading.is_unproven is (word in unproven)
    assert is_unproven or reading.answer is None


@given(body=st.binary(max_size=200), status=st.sampled_from([200, 429, 502]))
def test_no_bytes_raise_or_close(gateway: AlipayGateway, body: bytes, status: int) -> None:
    for each in (body, b"{" + body, enveloped(body, CLOSE), enveloped(b"{" + body + b"}", CLOSE)):
        assert not isinstance(read(gateway, each, status).reply, TradeClosed)


async def test_closing_goes_over_the_line(tmp_path: Path) -> None:
    transport = Script([enveloped(CLOSED, CLOSE), None])
    gateway = gateway_of(tmp_path, KEY_MODE, transport)
    assert await gateway.close_trade("A1") == TradeClosed()
    assert await gateway.close_trade("A1") == Unavailable("refused")
    assert isinstance(await gateway.close_trade("A 1"), NotClosed)
    assert len(transport.sent) == 2
