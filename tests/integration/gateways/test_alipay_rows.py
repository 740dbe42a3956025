"""Alipay's column of the design's table of answers, row by row, in every mode, over a socket (gateways.md 1.5, 1.8)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.domain.answer import (
    Answer,
    Closed,
    Misconfigured,
    NotCreated,
    Paid,
    Refunded,
    Rejected,
    Throttled,
    Unavailable,
    Unpaid,
    Unrecognised,
    Untrusted,
)
from reconciler.domain.closing import CloseReply, NoSuchTrade, NotClosed, TradeClosed
from reconciler.testing.gateway_bench import Sent, SocketBench
from tests.integration.gateways.other_alipay import (
    CERTIFICATE,
    CERTIFIED_PROVIDER,
    CLOSE,
    MODES,
    QUERY,
    REFUND_QUERY,
    AlipaySide,
    Mode,
    Says,
    alipay_bench,
    refusal,
    trade_of,
)

N = "A1"
PAID = trade_of(N)
CLOSED = {"code": "10000", "out_trade_no": N, "trade_status": "TRADE_CLOSED", "total_amount": "99.00"}
REFUND = {
    "code": "10000",
    "out_trade_no": N,
    "out_request_no": N,
    "refund_status": "REFUND_SUCCESS",
    "total_amount": "99.00",
    "refund_amount": "99.00",
}


def in_state(state: str | None) -> Says:
    return Says(PAID | {"trade_status": state} if state else {k: v for k, v in PAID.items() if k != "trade_status"})


def signed(said: Says) -> Says:
    return replace(said, is_signed=True)


Row = tuple[dict[str, Says | Sent], type[Answer], bool]

STATES: dict[str, Row] = {
    "TRADE_SUCCESS": ({QUERY: Says(PAID)}, Paid, True),
    "TRADE_FINISHED": ({QUERY: in_state("TRADE_FINISHED")}, Paid, True),
    "TRADE_CLOSED with a payment date": ({QUERY: in_state("TRADE_CLOSED")}, Refunded, True),
    "TRADE_CLOSED": ({QUERY: Says(CLOSED)}, Closed, True),
    "TRADE_CLOSED, a refund is found": ({QUERY: Says(CLOSED), REFUND_QUERY: Says(REFUND)}, Refunded, True),
    "TRADE_CLOSED, an unsigned refund": (
        {QUERY: Says(CLOSED), REFUND_QUERY: Says(REFUND, is_signed=False)},
        Closed,
        True,
    ),
    "TRADE_CLOSED, another's refund": (
        {QUERY: Says(CLOSED), REFUND_QUERY: Says(REFUND | {"out_trade_no": "B2"})},
        Closed,
        True,
    ),
    "TRADE_CLOSED, refunds are not for us to see": (
        {QUERY: Says(CLOSED), REFUND_QUERY: refusal("40006", "isv.insufficient-isv-permissions")},
        Closed,
        True,
    ),
    "TRADE_CLOSED, refunds cannot be asked for now": (
        {QUERY: Says(CLOSED), REFUND_QUERY: refusal("20000", "isp.unknow-error")},
        Unavailable,
        False,
    ),
    "TRADE_CLOSED, refunds asked for too fast": (
        {QUERY: Says(CLOSED), REFUND_QUERY: refusal("40005", "isv.app-call-limited")},
        Throttled,
        False,
    ),
    "WAIT_BUYER_PAY": ({QUERY: in_state("WAIT_BUYER_PAY")}, Unpaid, True),
    "a state that we do not know": ({QUERY: in_state("TRADE_PENDING")}, Unrecognised, True),
    "no state": ({QUERY: in_state(None)}, Unrecognised, True),
}
REFUSALS: dict[str, Row] = {
    **{
        sub_code: ({QUERY: refusal("40004", sub_code)}, NotCreated, False)
        for sub_code in ("ACQ.TRADE_NOT_EXIST", "TRADE_NOT_EXIST", "AQC.TRADE_NOT_EXIST")
    },
    "signed, with our number": (
        {QUERY: signed(refusal("40004", "ACQ.TRADE_NOT_EXIST", out_trade_no=N))},
        NotCreated,
        True,
    ),
    "signed, with no number": ({QUERY: signed(refusal("40004", "ACQ.TRADE_NOT_EXIST"))}, NotCreated, False),
    "signed, with another's number": (
        {QUERY: signed(refusal("40004", "ACQ.TRADE_NOT_EXIST", out_trade_no="B2"))},
        Untrusted,
        False,
    ),
    **{
        f"{code} {sub_code}": ({QUERY: refusal(code, sub_code)}, answer, False)
        for code, sub_code, answer in (
            ("20000", "isp.unknow-error", Unavailable),
            ("20000", "aop.unknow-error", Unavailable),
            ("40004", "ACQ.SYSTEM_ERROR", Unavailable),
            ("40005", "isv.app-call-limited", Throttled),
            ("40005", "isv.method-call-limited", Throttled),
            ("20001", "aop.invalid-app-auth-token", Misconfigured),
            ("20001", "aop.app-auth-token-time-out", Misconfigured),
            ("40001", "isv.missing-signature", Misconfigured),
            ("40002", "isv.invalid-app-id", Misconfigured),
            ("40002", "isv.invalid-signature", Misconfigured),
            ("40002", "isv.invalid-timestamp", Misconfigured),
            ("40002", "isv.app-cert-expired", Misconfigured),
            ("40003", "isv.missing-signature-config", Misconfigured),
            ("40006", "isv.insufficient-isv-permissions", Misconfigured),
            ("40004", "ACQ.ACCESS_FORBIDDEN", Misconfigured),
            ("40004", "ACQ.INVALID_PARAMETER", Rejected),
            ("40002", "isv.invalid-parameter", Rejected),
            ("40001", "isv.suspected-attack", Rejected),
            ("10003", "", Untrusted),
            ("99999", "isv.unheard-of", Untrusted),
        )
    },
    "signed, a code that we do not know": ({QUERY: signed(refusal("10003", ""))}, Unrecognised, True),
    "an unsigned success": ({QUERY: Says(PAID, is_signed=False)}, Untrusted, False),
    "under error_response": (
        {QUERY: replace(refusal("20000", "isp.unknow-error"), root="error_response")},
        Unavailable,
        False,
    ),
    "a success under error_response": ({QUERY: Says(PAID, is_signed=False, root="error_response")}, Untrusted, False),
    "under another method's root": ({QUERY: Says(PAID, root="alipay_trade_close_response")}, Untrusted, False),
    "HTTP 429": ({QUERY: Sent(b"", 429)}, Throttled, False),
    "HTTP 500": ({QUERY: Sent(b"", 500)}, Unavailable, False),
    "HTTP 302": ({QUERY: Sent(b"", 302, {"Location": "http://127.0.0.1:9/"})}, Unavailable, False),
    "HTTP 200 in HTML": ({QUERY: Sent(b"<html></html>")}, Unavailable, False),
}
ROWS = STATES | REFUSALS

CLOSINGS: dict[str, tuple[Says | Sent, type[CloseReply]]] = {
    "done": (Says({"code": "10000", "out_trade_no": N, "trade_no": "T"}), TradeClosed),
    "done, of another number": (Says({"code": "10000", "out_trade_no": "B2"}), NotClosed),
    "done, under the query's root": (
        Says({"code": "10000", "out_trade_no": N}, root="alipay_trade_query_response"),
        NotClosed,
    ),
    "not there": (refusal("40004", "ACQ.TRADE_NOT_EXIST"), NoSuchTrade),
    "not there, without a prefix": (refusal("40004", "TRADE_NOT_EXIST"), NoSuchTrade),
    "paid, finished or closed": (refusal("40004", "ACQ.TRADE_STATUS_ERROR"), NotClosed),
    "so too": (refusal("40004", "ACQ.REASON_TRADE_STATUS_INVALID"), NotClosed),
    "not for us": (refusal("40006", "isv.insufficient-isv-permissions"), NotClosed),
    "too fast": (refusal("40005", "isv.app-call-limited"), Throttled),
    "HTTP 429": (Sent(b"", 429), Throttled),
    "trouble": (refusal("40004", "ACQ.SYSTEM_ERROR"), Unavailable),
    "unknown trouble": (refusal("20000", "isp.unknow-error"), Unavailable),
    "HTML": (Sent(b"<html></html>"), Unavailable),
}


@pytest.fixture(params=MODES, ids=lambda mode: mode.name)
async def both(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[SocketBench, AlipaySide]]:
    async with alipay_bench(request.param, tmp_path) as both:
        yield both


@pytest.mark.parametrize("row", ROWS)
async def test_each_row_of_the_table_is_answered(both: tuple[SocketBench, AlipaySide], row: str) -> None:
    bench, side = both
    said, answer, verified = ROWS[row]
    side.rows[N] = said
    (reply,) = await bench.gateway.ask([N])
    assert (type(reply.answer), reply.verified) == (answer, verified), reply.answer
    if reply.verified:
        assert bench.fault_of(reply) is None
    if isinstance(reply.answer, Refunded):
        assert reply.answer.in_full
        assert reply.answer.trade.out_trade_no == N


@pytest.mark.parametrize("row", CLOSINGS)
async def test_each_end_of_a_close_is_told(both: tuple[SocketBench, AlipaySide], row: str) -> None:
    bench, side = both
    said, reply = CLOSINGS[row]
    side.rows[N] = {CLOSE: said}
    assert type(await bench.gateway.close_trade(N)) is reply


async def test_evidence_of_a_refund_verifies_by_the_method_that_was_asked(both: tuple[SocketBench, AlipaySide]) -> None:
    bench, side = both
    side.rows[N] = {QUERY: Says(CLOSED), REFUND_QUERY: Says(REFUND)}
    (reply,) = await bench.gateway.ask([N])
    assert reply.evidence is not None
    assert REFUND_QUERY in reply.evidence.request
    assert bench.fault_of(reply) is None
    disguised = replace(reply.evidence, request=reply.evidence.request.replace(REFUND_QUERY, QUERY))
    assert bench.fault_of(replace(reply, evidence=disguised)) is not None


@pytest.mark.parametrize("mode", [CERTIFICATE, CERTIFIED_PROVIDER], ids=lambda mode: mode.name)
@pytest.mark.parametrize("sn", [None, "0" * 32])
async def test_by_certificate_what_names_none_or_another_is_not_trusted(
    tmp_path: Path, mode: Mode, sn: str | None
) -> None:
    async with alipay_bench(mode, tmp_path) as (bench, side):
        side.rows[N] = {QUERY: Says(PAID, certificate_sn=sn)}
        (reply,) = await bench.gateway.ask([N])
        assert isinstance(reply.answer, Untrusted)
        assert reply.answer.unknown_serial == sn
        assert not reply.verified
