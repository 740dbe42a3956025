"""WeChat Pay's column of the design's table of answers, by row and mode, over a socket (gateways.md 2.5, 2.6)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
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
from reconciler.testing.gateway_bench import Sent, SocketBench
from tests.integration.gateways.other_keys import Whose
from tests.integration.gateways.other_wechat import (
    MODES,
    NOT_YET_MIGRATED,
    PARTNER,
    PARTNER_WITH_APPID,
    PUBLIC_KEY,
    SUB_MCHID,
    Mode,
    Says,
    WechatSide,
    refusal,
    wechat_bench,
)

N = "A1"
NOBODYS = "7000000000000000000000000000000000000001"

STATES: dict[str | None, type[Answer]] = {
    "SUCCESS": Paid,
    "REFUND": Refunded,
    "NOTPAY": Unpaid,
    "USERPAYING": Unpaid,
    "CLOSED": Closed,
    "REVOKED": Closed,
    "PAYERROR": Closed,
    "ACCEPT": Unrecognised,
    "": Unrecognised,
    None: Unrecognised,
}
REFUSALS: dict[str, tuple[Sent, type[Answer]]] = {
    "404 ORDER_NOT_EXIST": (refusal(404, "ORDER_NOT_EXIST"), NotCreated),
    "404 ORDERNOTEXIST": (refusal(404, "ORDERNOTEXIST"), NotCreated),
    "404 without a code": (Sent(b"", 404), Misconfigured),
    "405": (Sent(b"", 405), Misconfigured),
    "401 SIGN_ERROR": (refusal(401, "SIGN_ERROR"), Misconfigured),
    "403 NO_AUTH": (refusal(403, "NO_AUTH"), Misconfigured),
    "403 RULE_LIMIT": (refusal(403, "RULE_LIMIT"), Misconfigured),
    "400 PARAM_ERROR": (refusal(400, "PARAM_ERROR"), Rejected),
    "400 PARAM_ERROR about the number": (refusal(400, "PARAM_ERROR", "/path/out_trade_no"), Rejected),
    "400 PARAM_ERROR about the merchant": (refusal(400, "PARAM_ERROR", "/query/mchid"), Misconfigured),
    "400 INVALID_REQUEST": (refusal(400, "INVALID_REQUEST"), Rejected),
    "400 APPID_MCHID_NOT_MATCH": (refusal(400, "APPID_MCHID_NOT_MATCH"), Misconfigured),
    "400 MCH_NOT_EXISTS": (refusal(400, "MCH_NOT_EXISTS"), Misconfigured),
    "400 without a code": (Sent(b"<html></html>", 400), Unavailable),
    "429 FREQUENCY_LIMITED": (refusal(429, "FREQUENCY_LIMITED"), Throttled),
    "429 RATELIMIT_EXCEEDED": (refusal(429, "RATELIMIT_EXCEEDED"), Throttled),
    "202": (Sent(b"", 202), Unavailable),
    "204": (Sent(b"", 204), Untrusted),
    "302": (Sent(b"", 302, {"Location": "http://127.0.0.1:9/"}), Unavailable),
    "500 SYSTEM_ERROR": (refusal(500, "SYSTEM_ERROR"), Unavailable),
    "502 in HTML": (Sent(b"<html></html>", 502), Unavailable),
    "503": (refusal(503, "SERVICE_UNAVAILABLE"), Unavailable),
}
PAID_BUT: dict[str, Callable[[dict[str, object]], Says]] = {
    "signed by a stranger": lambda trade: Says(trade, by=Whose.STRANGERS),
    "unsigned": lambda trade: Says(trade, is_signed=False),
    "signed six minutes ago": lambda trade: Says(trade, late_s=-360),
    "signed in six minutes": lambda trade: Says(trade, late_s=360),
    "a signature to see whether we verify": lambda trade: Says(
        trade, headers={"Wechatpay-Signature": "WECHATPAY/SIGNTEST/QUJD"}
    ),
    "no serial": lambda trade: Says(trade, headers={"Wechatpay-Serial": None}),
    "no nonce": lambda trade: Says(trade, headers={"Wechatpay-Nonce": None}),
    "a time that is none": lambda trade: Says(trade, headers={"Wechatpay-Timestamp": "1e9"}),
    "a certificate of nobody's": lambda trade: Says(trade, headers={"Wechatpay-Serial": NOBODYS}),
    "another number": lambda trade: Says(trade | {"out_trade_no": "B2"}),
    "no number": lambda trade: Says({name: value for name, value in trade.items() if name != "out_trade_no"}),
}


@pytest.fixture(params=MODES, ids=lambda mode: mode.name)
async def both(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[SocketBench, WechatSide]]:
    async with wechat_bench(request.param, tmp_path) as both:
        yield both


@pytest.mark.parametrize("state", STATES)
async def test_each_state_is_answered(both: tuple[SocketBench, WechatSide], state: str | None) -> None:
    bench, side = both
    trade = side.trade_of(N) | {"trade_state": state}
    side.rows[N] = Says(trade)
    (reply,) = await bench.gateway.ask([N])
    assert (type(reply.answer), reply.verified) == (STATES[state], True), reply.answer
    assert bench.fault_of(reply) is None
    if isinstance(reply.answer, Refunded):
        assert reply.answer.in_full is None


@pytest.mark.parametrize("row", REFUSALS)
async def test_each_refusal_is_answered(both: tuple[SocketBench, WechatSide], row: str) -> None:
    bench, side = both
    side.rows[N], answer = REFUSALS[row]
    (reply,) = await bench.gateway.ask([N])
    assert (type(reply.answer), reply.verified) == (answer, False), reply.answer


@pytest.mark.parametrize("row", PAID_BUT)
async def test_what_says_paid_and_proves_nothing_is_not_trusted(both: tuple[SocketBench, WechatSide], row: str) -> None:
    bench, side = both
    side.rows[N] = PAID_BUT[row](side.trade_of(N))
    (reply,) = await bench.gateway.ask([N])
    assert (type(reply.answer), reply.verified) == (Untrusted, False), reply.answer
    assert isinstance(reply.answer, Untrusted)
    assert reply.answer.unknown_serial == (NOBODYS if row == "a certificate of nobody's" else None)


async def test_how_long_to_wait_is_heeded(both: tuple[SocketBench, WechatSide]) -> None:
    bench, side = both
    side.rows[N] = refusal(429, "FREQUENCY_LIMITED", **{"Retry-After": "7"})
    (reply,) = await bench.gateway.ask([N])
    assert reply.answer == Throttled(timedelta(seconds=7))


async def test_with_a_public_key_alone_a_platform_certificate_is_unknown_and_the_remedy_is_said(tmp_path: Path) -> None:
    async with wechat_bench(PUBLIC_KEY, tmp_path) as (bench, side):
        side.rows[N] = Says(side.trade_of(N), by=Whose.CERTIFIED)
        (reply,) = await bench.gateway.ask([N])
        assert isinstance(reply.answer, Untrusted)
        assert reply.answer.unknown_serial
        assert "apiv3_key" in reply.answer.reason


async def test_while_migrating_either_key_is_good(tmp_path: Path) -> None:
    async with wechat_bench(NOT_YET_MIGRATED, tmp_path) as (bench, side):
        for whose in (Whose.CERTIFIED, Whose.THEIRS, Whose.CERTIFIED):
            side.rows[N] = Says(side.trade_of(N), by=whose)
            (reply,) = await bench.gateway.ask([N])
            assert isinstance(reply.answer, Paid)
        assert side.fetches == 1


@pytest.mark.parametrize("mode", [PARTNER, PARTNER_WITH_APPID], ids=lambda mode: mode.name)
async def test_another_merchant_of_the_provider_is_another_merchant(tmp_path: Path, mode: Mode) -> None:
    async with wechat_bench(mode, tmp_path) as (bench, side):
        assert dict(bench.gateway.merchant)["sub_mchid"] == SUB_MCHID
        side.rows[N] = Says(side.trade_of(N) | {"sub_mchid": "1999999999"})
        (reply,) = await bench.gateway.ask([N])
        assert isinstance(reply.answer, Paid)
        assert reply.answer.trade.merchant != bench.gateway.merchant
