"""Service-provider mode: paths, parameters, and whom a trade must have paid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from reconciler.domain.answer import Misconfigured, Paid, Trade
from reconciler.domain.closing import TradeClosed
from reconciler.gateways.wechat import WechatSettings
from tests.unit.gateways.wechat_bench import KEY_ID, PUBLIC, TRADE, Bench, bench, refusal, settings, signed

SUB = {"sub_mchid": "1900000109"}
BOTH = {**SUB, "sub_appid": "wx9"}
PARTNERS: dict[str, object] = {name: value for name, value in TRADE.items() if name not in {"mchid", "appid"}} | {
    "sp_mchid": "1900000001",
    "sp_appid": "wx1",
    "sub_mchid": "1900000109",
}


def partner(folder: Path, more: dict[str, str]) -> Bench:
    return bench(settings(folder, public_key=True, apiv3_key=False, **more))


async def paid(made: Bench, content: dict[str, Any]) -> Trade:
    made.office.trade = lambda _, now: signed(content, PUBLIC, KEY_ID, at=now)
    (reply,) = await made.gateway.ask(["A1"])
    assert isinstance(reply.answer, Paid), reply.answer
    return reply.answer.trade


async def test_query_and_close_name_both_merchants(tmp_path: Path) -> None:
    made = partner(tmp_path, SUB)
    await paid(made, PARTNERS)
    made.office.closing = lambda _, now: signed(b"", PUBLIC, KEY_ID, at=now, status=204)
    assert await made.gateway.close_trade("A1") == TradeClosed()
    query, close = made.wire.sent
    path = "/v3/pay/partner/transactions/out-trade-no/A1"
    assert urlsplit(query.url)[2:4] == (path, "sp_mchid=1900000001&sub_mchid=1900000109")
    assert urlsplit(close.url)[2:4] == (f"{path}/close", "")
    assert json.loads(close.body) == {"sp_mchid": "1900000001", "sub_mchid": "1900000109"}
    assert all('mchid="1900000001"' in dict(request.headers)["Authorization"] for request in (query, close))


@pytest.mark.parametrize(
    ("configured", "answered", "agree"),
    [
        (SUB, {}, True),
        (SUB, {"sub_appid": "wx9"}, True),
        (SUB, {"sub_appid": None}, True),
        (BOTH, {"sub_appid": "wx9"}, True),
        (BOTH, {}, False),
        (BOTH, {"sub_appid": "wx8"}, False),
        (SUB, {"sub_mchid": "1900000110"}, False),
        (SUB, {"sub_mchid": None}, False),
        (SUB, {"sub_mchid": 1900000109}, False),
        (SUB, {"sp_mchid": "1900000002"}, False),
        (SUB, {"sp_mchid": None}, False),
        (SUB, {"sp_appid": "wx2"}, False),
        ({}, {}, False),
    ],
    ids=range(13),
)
async def test_what_is_configured_must_be_in_the_answer_and_agree(
    tmp_path: Path, configured: dict[str, str], answered: dict[str, object], *, agree: bool
) -> None:
    made = partner(tmp_path, configured)
    trade = await paid(made, PARTNERS | answered)
    assert (trade.merchant == made.gateway.merchant) is agree


@pytest.mark.parametrize("name", ["sp_mchid", "sp_appid", "sub_mchid", "sub_appid"])
async def test_of_its_own_a_merchant_agrees_with_nothing_about_partners(tmp_path: Path, name: str) -> None:
    made = partner(tmp_path, {})
    assert (await paid(made, dict(TRADE))).merchant == made.gateway.merchant
    assert (await paid(made, {**TRADE, name: "1900000001"})).merchant != made.gateway.merchant


async def test_behind_a_provider_a_merchants_own_answer_does_not_agree(tmp_path: Path) -> None:
    made = partner(tmp_path, SUB)
    assert (await paid(made, dict(TRADE))).merchant == ()


async def test_a_parameter_error_about_the_sub_merchant_is_the_channels(tmp_path: Path) -> None:
    made = partner(tmp_path, SUB)
    error = {"code": "PARAM_ERROR", "detail": {"field": "sub_mchid"}}
    made.office.trade = lambda _request, _now: type(refusal(400))(400, (), json.dumps(error).encode())
    (reply,) = await made.gateway.ask(["A1"])
    assert isinstance(reply.answer, Misconfigured)


def accounts(folder: Path, *tables: dict[str, str]) -> set[tuple[object, ...]]:
    return {settings(folder, public_key=True, apiv3_key=False, **table).account() for table in tables}


def test_merchants_are_told_apart_by_every_number_of_theirs(tmp_path: Path) -> None:
    tables: list[dict[str, str]] = [{}, SUB, BOTH, {"sub_mchid": "1900000110"}, {"mchid": "2"}, {"appid": "wx2"}]
    assert len(accounts(tmp_path, *tables)) == len(tables)
    assert len(accounts(tmp_path, {}, {"serial_no": "CD"}, {"backup_endpoint": "off"})) == 1


def test_a_sub_appid_alone_is_a_problem(tmp_path: Path) -> None:
    made: WechatSettings = settings(tmp_path, public_key=True, apiv3_key=False, sub_appid="wx9")
    assert [name for name, _ in made.problems()] == ["sub_appid"]
    assert list(settings(tmp_path, public_key=True, apiv3_key=False, **BOTH).problems()) == []
