from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.domain.answer import (
    Answer,
    Closed,
    Evidence,
    Refunded,
    Reply,
    Throttled,
    Trade,
    Unavailable,
    Unrecognised,
)
from reconciler.domain.money import Money
from reconciler.gateways.alipay import verify_evidence
from reconciler.gateways.alipay.gateway import AlipayGateway
from reconciler.gateways.asking import Reading
from reconciler.transport import HttpResponse
from tests.unit.gateways.alipay_bench import (
    CLOSE,
    KEY_MODE,
    NOW,
    QUERY,
    REFUND_QUERY,
    STRANGER,
    Script,
    enveloped,
    gateway_of,
)

CLOSED: dict[str, object] = {
    "code": "10000",
    "msg": "Success",
    "out_trade_no": "A1",
    "trade_no": "2026112322001400001",
    "total_amount": "99.00",
    "trade_status": "TRADE_CLOSED",
}
REFUND: dict[str, object] = {
    "code": "10000",
    "msg": "Success",
    "out_trade_no": "A1",
    "out_request_no": "A1",
    "trade_no": "2026112322001400001",
    "refund_amount": "99.00",
    "total_amount": "99.00",
    "refund_status": "REFUND_SUCCESS",
}
NO_REFUND = {name: REFUND[name] for name in ("code", "msg")}
TRADE = Trade("A1", "2026112322001400001", Money(9900))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> AlipayGateway:
    return gateway_of(tmp_path_factory.mktemp("keys"), KEY_MODE)


def read(gateway: AlipayGateway, body: bytes, status: int = 200) -> Reading:
    return gateway.refund_query(TRADE).read(HttpResponse(status, (), body), NOW)


def refused(code: str, sub_code: str) -> dict[str, object]:
    return {"code": code, "msg": "no", "sub_code": sub_code}


async def ask(tmp_path: Path, *answers: HttpResponse | bytes | None) -> tuple[Reply, Script]:
    transport = Script(answers)
    (reply,) = await gateway_of(tmp_path, KEY_MODE, transport).ask(["A1"])
    return reply, transport


def methods(transport: Script) -> list[str]:
    return [dict(parse_qsl(urlsplit(request.url).query))["method"] for request in transport.sent]


@pytest.mark.parametrize("signed", [True, False])
def test_only_a_proven_close_without_a_payment_date_leads_to_the_refund_query(
    gateway: AlipayGateway, signed: bool
) -> None:
    def further(content: dict[str, object]) -> bool:
        body = enveloped(content) if signed else enveloped(content, key=None)
        return gateway.query("A1").read(HttpResponse(200, (), body), NOW).further is not None

    assert further(CLOSED) is signed
    assert not further(CLOSED | {"send_pay_date": "2026-11-23 01:29:00"})
    assert not further(CLOSED | {"send_pay_date": "soon"})
    for status in ("TRADE_SUCCESS", "TRADE_FINISHED", "WAIT_BUYER_PAY", "TRADE_HELD"):
        assert not further(CLOSED | {"trade_status": status})


async def test_a_refund_shows_that_a_closed_trade_was_paid(tmp_path: Path) -> None:
    reply, transport = await ask(tmp_path, enveloped(CLOSED), enveloped(REFUND, REFUND_QUERY))
    assert reply.answer == Refunded(TRADE, in_full=True)
    assert reply.verified
    assert methods(transport) == ["alipay.trade.query", "alipay.trade.fastpay.refund.query"]
    order = dict(parse_qsl(transport.sent[1].body.decode()))
    assert json.loads(order["biz_content"]) == {"out_trade_no": "A1", "out_request_no": "A1"}


async def test_the_evidence_of_a_refund_verifies_by_the_api_that_was_asked(tmp_path: Path) -> None:
    reply, _ = await ask(tmp_path, enveloped(CLOSED), enveloped(REFUND, REFUND_QUERY))
    assert reply.evidence is not None
    assert reply.key is not None
    assert reply.evidence.request.startswith("alipay.trade.fastpay.refund.query out_trade_no=A1")
    assert verify_evidence(reply.evidence, reply.key) is None


@pytest.mark.parametrize(
    ("method", "root"),
    [
        ("alipay.trade.query", QUERY),
        ("alipay.trade.close", CLOSE),
        ("alipay.trade.fastpay.refund.query", REFUND_QUERY),
    ],
)
def test_the_root_of_evidence_is_chosen_by_what_was_asked(gateway: AlipayGateway, method: str, root: str) -> None:
    key = read(gateway, enveloped(REFUND, REFUND_QUERY)).key
    assert key is not None
    for each in (QUERY, CLOSE, REFUND_QUERY, "error_response"):
        evidence = Evidence("alipay", f"{method} x=1", 200, (), enveloped(REFUND, each), key.fingerprint, NOW)
        assert (verify_evidence(evidence, key) is None) == (each in {root, "error_response"})


@pytest.mark.parametrize("request_text", ["", "alipay.trade.refund out_trade_no=A1", "GET /v3/pay"])
def test_evidence_of_what_we_never_ask_does_not_verify(gateway: AlipayGateway, request_text: str) -> None:
    key = read(gateway, enveloped(REFUND, REFUND_QUERY)).key
    assert key is not None
    evidence = Evidence("alipay", request_text, 200, (), enveloped(REFUND, QUERY), key.fingerprint, NOW)
    assert verify_evidence(evidence, key) == "this evidence is of nothing that we ask Alipay"


@pytest.mark.parametrize(
    "answer",
    [
        enveloped(REFUND | {"refund_status": None}, REFUND_QUERY),
        enveloped(REFUND | {"refund_status": "REFUND_PROCESSING"}, REFUND_QUERY),
        enveloped(REFUND | {"refund_status": "refund_success"}, REFUND_QUERY),
        enveloped(NO_REFUND, REFUND_QUERY),
        enveloped(REFUND | {"out_trade_no": "A2"}, REFUND_QUERY),
        enveloped(REFUND | {"out_trade_no": None}, REFUND_QUERY),
        enveloped(REFUND | {"out_request_no": "A1-part-1"}, REFUND_QUERY),
        enveloped(REFUND | {"out_request_no": None}, REFUND_QUERY),
        enveloped(REFUND, REFUND_QUERY, key=None),
        enveloped(REFUND, REFUND_QUERY, key=STRANGER),
        enveloped(REFUND, QUERY),
        enveloped(b'"encrypted"', REFUND_QUERY),
        enveloped(refused("40004", "TRADE_NOT_EXIST"), REFUND_QUERY),
        enveloped(refused("40004", "ACQ.TRADE_NOT_EXIST"), REFUND_QUERY, key=None),
        enveloped(refused("40006", "isv.insufficient-isv-permissions"), REFUND_QUERY, key=None),
        enveloped(refused("40002", "isv.invalid-method"), "error_response", key=None),
        enveloped(refused("20001", "aop.invalid-app-auth-token-no-api"), REFUND_QUERY, key=None),
        enveloped({"code": "10003"}, REFUND_QUERY),
        enveloped({}, REFUND_QUERY, key=None),
        b"{",
    ],
    ids=range(20),
)
async def test_what_shows_no_refund_leaves_the_first_answer_standing(tmp_path: Path, answer: bytes) -> None:
    reply, transport = await ask(tmp_path, enveloped(CLOSED), answer)
    assert reply.answer == Closed(TRADE)
    assert reply.verified
    assert reply.evidence is not None
    assert reply.evidence.request == "alipay.trade.query out_trade_no=A1"
    assert len(transport.sent) == 2


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, Unavailable),
        (HttpResponse(500, (), b""), Unavailable),
        (HttpResponse(429, (), b""), Throttled),
        (b"<html></html>", Unavailable),
        (enveloped(refused("20000", "isp.unknow-error"), REFUND_QUERY, key=None), Unavailable),
        (enveloped(refused("40004", "ACQ.SYSTEM_ERROR"), REFUND_QUERY), Unavailable),
        (enveloped(refused("40005", "isv.app-call-limited"), "error_response", key=None), Throttled),
    ],
    ids=range(7),
)
async def test_where_the_second_question_could_not_be_asked_neither_is_the_first_answered(
    tmp_path: Path, answer: HttpResponse | bytes | None, expected: type[Answer]
) -> None:
    reply, _ = await ask(tmp_path, enveloped(CLOSED), answer)
    assert type(reply.answer) is expected
    assert not reply.verified


@pytest.mark.parametrize(
    ("amounts", "in_full"),
    [
        ({}, True),
        ({"refund_amount": "99"}, True),
        ({"refund_amount": "98.00"}, None),
        ({"refund_amount": None}, None),
        ({"total_amount": None}, None),
        ({"refund_amount": 99.0, "total_amount": 99.0}, None),
        ({"refund_amount": None, "total_amount": None}, None),
    ],
)
def test_a_refund_is_in_full_where_its_amounts_say_so(
    gateway: AlipayGateway, amounts: dict[str, object], in_full: bool | None
) -> None:
    assert read(gateway, enveloped(REFUND | amounts, REFUND_QUERY)).answer == Refunded(TRADE, in_full)


def test_a_refund_that_does_not_repeat_its_number_is_this_trades(gateway: AlipayGateway) -> None:
    content = {name: value for name, value in REFUND.items() if name != "out_request_no"}
    assert isinstance(read(gateway, enveloped(content, REFUND_QUERY)).answer, Refunded)


@pytest.mark.parametrize(("status", "again"), [(502, True), (503, True), (504, True), (500, False), (429, False)])
def test_a_query_that_met_a_passing_trouble_is_tried_again_at_once(
    gateway: AlipayGateway, status: int, again: bool
) -> None:
    response = HttpResponse(status, (), b"<html></html>")
    assert gateway.query("A1").read(response, NOW).again is again
    assert gateway.refund_query(TRADE).read(response, NOW).again is again


@pytest.mark.parametrize(
    "body",
    [
        b"<html></html>",
        enveloped(refused("20000", "isp.unknow-error"), key=None),
        enveloped(CLOSED, key=STRANGER),
        enveloped(CLOSED),
        b"{",
    ],
    ids=range(5),
)
def test_nothing_else_is(gateway: AlipayGateway, body: bytes) -> None:
    assert not gateway.query("A1").read(HttpResponse(200, (), body), NOW).again


async def test_the_next_try_after_a_bad_gateway_may_bring_the_answer(tmp_path: Path) -> None:
    held = enveloped(CLOSED | {"trade_status": "TRADE_HELD"})
    reply, transport = await ask(tmp_path, HttpResponse(502, (), b"<html>"), held)
    assert reply.answer == Unrecognised("TRADE_HELD")
    assert len(transport.sent) == 2


@given(
    st.dictionaries(
        st.sampled_from([*REFUND, "trans_currency", "sub_code"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text(), max_size=2),
    )
)
def test_no_content_raises_or_shows_a_refund_unsigned(gateway: AlipayGateway, content: dict[str, object]) -> None:
    read(gateway, enveloped(REFUND | content, REFUND_QUERY))
    for key in (None, STRANGER):
        reading = read(gateway, enveloped(REFUND | content, REFUND_QUERY, key=key))
        assert not isinstance(reading.answer, Refunded)
        assert reading.key is None
