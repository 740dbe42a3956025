"""What a hostile reading of the adapters found, each as it would have gone wrong."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from reconciler.domain.answer import Paid, Unavailable, Untrusted, VerifyingKey
from reconciler.domain.closing import NotClosed
from reconciler.domain.order import ChannelName
from reconciler.gateways.asking import CloseReading
from reconciler.gateways.line import Way
from reconciler.gateways.strict_json import TOKENS_MAX, Malformed, cut, parse_object
from reconciler.gateways.wechat.gateway import WechatGateway
from reconciler.ledger.verify import _fingerprint
from reconciler.pace import Pace
from reconciler.settings.channel import _endpoint
from reconciler.testing.clock import AutoClock
from reconciler.testing.memory import KeptInMind
from reconciler.transport import HttpRequest, Transport, TransportFailure, _reason_of
from tests.unit.gateways import wechat_bench as wechat


async def test_a_deliberately_false_signature_does_not_eat_the_breakers_probe(tmp_path: Path) -> None:
    clock = AutoClock(wechat.NOW)
    office = wechat.Office(clock)
    pace = Pace(clock, 1000, 4)
    made = wechat.settings(tmp_path, public_key=True, apiv3_key=False, backup_endpoint="off")
    way = Way(wechat.Wire(office), pace, clock, timedelta(seconds=5), KeptInMind())
    gateway = WechatGateway(ChannelName("main"), made, way)
    office.trade = wechat.always(wechat.refusal(500))
    for _ in range(5):
        await gateway.ask(["A1"])
    assert pace.is_open
    await clock.sleep(6)
    false = [wechat.signed(wechat.TRADE, wechat.PUBLIC, wechat.KEY_ID, at=clock.now(), false=True)]
    office.trade = lambda _, now: (
        false.pop() if false else wechat.signed(wechat.TRADE, wechat.PUBLIC, wechat.KEY_ID, at=now)
    )
    (reply,) = await gateway.ask(["A1"])
    assert isinstance(reply.answer, Paid)
    assert not pace.is_open


@pytest.mark.parametrize("number", ["2026/0001", "A?b", "A#b", "A%2e", "A\\b", "..", "."])
async def test_what_is_no_name_in_a_path_is_not_sent(tmp_path: Path, number: str) -> None:
    office = wechat.Office(AutoClock(wechat.NOW))
    made = wechat.bench(wechat.settings(tmp_path, public_key=True, apiv3_key=False), office=office)
    assert made.gateway.refusal(number)
    assert made.gateway.refusal("A|1*2@3-4_5") is None


def test_a_megabyte_of_brackets_is_refused_before_it_is_parsed() -> None:
    body = b'{"a":[' + b"[]," * 330_000 + b"[]]}"
    for read in (cut, parse_object):
        with pytest.raises(Malformed, match=f"more than {TOKENS_MAX} brackets"):
            read(body)


def test_what_aiohttp_says_of_a_broken_answer_holds_no_url() -> None:
    url = URL("https://openapi.alipay.com/gateway.do?app_id=1&app_auth_token=SECRET")
    headers = CIMultiDictProxy(CIMultiDict[str]())
    error = aiohttp.ClientResponseError(
        aiohttp.RequestInfo(url, "POST", headers, url), (), status=400, message="Bad status line"
    )
    assert _reason_of(error) == "not an HTTP answer: Bad status line"


async def test_a_host_that_no_name_server_knows_how_to_look_up_is_a_failure_of_the_transport() -> None:
    transport = Transport()
    for host in ("a" * 70 + ".example", "a..example"):
        with pytest.raises(TransportFailure):
            await transport.send(HttpRequest("GET", f"https://{host}/", ()), timedelta(seconds=5))
    await transport.close()


@pytest.mark.parametrize(
    "host", ["api..mch.weixin.qq.com", "a" * 64 + ".example", "-a.example", ".example", "a-.example", "[::1"]
)
def test_an_endpoint_whose_host_cannot_be_looked_up_is_refused_in_the_configuration(host: str) -> None:
    with pytest.raises(ValueError, match=r"URL|host"):
        _endpoint(f"https://{host}/")
    assert _endpoint("https://api_1.mch-2.weixin.qq.com.") == "https://api_1.mch-2.weixin.qq.com."
    assert _endpoint("http://[::1]:9000") == "http://[::1]:9000"


def test_a_close_that_nobody_proves_says_nothing_of_the_gateways_health() -> None:
    assert isinstance(CloseReading(NotClosed("forged"), is_unproven=True).answer, Untrusted)
    assert CloseReading(NotClosed("paid")).answer is None
    assert CloseReading(Unavailable("502")).answer == Unavailable("502")


def test_a_kept_key_of_an_unknown_kind_is_another_key_and_no_traceback() -> None:
    pem = "-----BEGIN PUBLIC KEY-----\nMAwwBQYDKgMEAwMAAQI=\n-----END PUBLIC KEY-----\n"
    assert _fingerprint(VerifyingKey("x", pem)) is None
