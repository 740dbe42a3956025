from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest

from reconciler.domain.answer import Paid, Untrusted
from reconciler.gateways.alipay.gateway import AlipayGateway
from reconciler.gateways.asking import Reading
from reconciler.transport import HttpResponse
from tests.unit.gateways.alipay_bench import (
    CLOSE,
    ENDPOINT,
    KEY_MODE,
    NOW,
    QUERY,
    REFUND_QUERY,
    enveloped,
    gateway_of,
    sign,
)

PAID: dict[str, object] = {
    "code": "10000",
    "out_trade_no": "A1",
    "trade_no": "2026112322001400001",
    "total_amount": "99.00",
    "trade_status": "TRADE_SUCCESS",
    "send_pay_date": "2026-11-23 01:29:00",
}
GOOD = enveloped(PAID)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> AlipayGateway:
    return gateway_of(tmp_path_factory.mktemp("keys"), KEY_MODE)


def read(gateway: AlipayGateway, body: bytes) -> Reading:
    return gateway.query("A1").read(HttpResponse(200, (), body), NOW)


def beside(root: str, value: bytes = b"{}", *, first: bool = False) -> bytes:
    member = b'"' + root.encode() + b'":' + value
    return b"{" + member + b"," + GOOD[1:] if first else GOOD[:-1] + b"," + member + b"}"


@pytest.mark.parametrize(
    "body",
    [
        beside("error_response"),
        beside("error_response", first=True),
        beside("error_response", b'"x"'),
        beside("error\\u005fresponse"),
        beside(CLOSE),
        beside(CLOSE, first=True),
        beside(REFUND_QUERY),
        beside("alipay_trade_pay_response"),
        beside(QUERY),
        enveloped(PAID, CLOSE),
        enveloped(PAID, REFUND_QUERY),
        enveloped(PAID, "alipay_trade_pay_response"),
        enveloped(PAID, QUERY.upper()),
        enveloped(PAID, f" {QUERY}"),
        enveloped(PAID, ""),
        enveloped(b'"aGVsbG8="'),
        enveloped(b'"{\\"code\\":\\"10000\\"}"'),
        enveloped(b"[]"),
        enveloped(b"null"),
        enveloped(b"10000"),
        GOOD.replace(b'"sign":"', b'"sign":["').replace(b'"}', b'"]}'),
        GOOD.replace(b'"sign":"', b'"sign":"!'),
        GOOD.replace(b'"sign":"', b'"sign":" '),
        GOOD.replace(b'"sign":"', b'"sign":"\\n'),
        GOOD.replace(b'"sign":"', b'"sign":"\\ud800'),
        GOOD.replace(b'"sign":', b'"sign":5,"sign2":'),
        GOOD.replace(b'"sign":', b'"Sign":'),
        GOOD.replace(b"A1", b"A1 "),
        GOOD.replace(b'"code"', b'"c\\u006fde"'),
        b"\xef\xbb\xbf" + GOOD + b"x",
        b"{" + b'"x":1,' * 70 + GOOD[1:],
    ],
    ids=range(31),
)
def test_an_envelope_that_is_not_as_alipay_writes_it_never_proves_anything(gateway: AlipayGateway, body: bytes) -> None:
    reading = read(gateway, body)
    assert reading.key is None
    assert reading.further is None
    assert isinstance(reading.answer, Untrusted) or not body.startswith(b"{"), reading.answer


def test_the_one_they_are_made_from_does(gateway: AlipayGateway) -> None:
    assert isinstance(read(gateway, GOOD).answer, Paid)
    assert isinstance(read(gateway, beside("response_of_another_kind")).answer, Paid)


def test_no_other_byte_of_a_paid_answer_makes_another_answer(gateway: AlipayGateway) -> None:
    told = read(gateway, GOOD).answer
    for at in range(len(GOOD)):
        for new in (b"", b"0", b"\\", b'"', b"}", bytes([GOOD[at] ^ 1])):
            reading = read(gateway, GOOD[:at] + new + GOOD[at + 1 :])
            assert reading.answer == told or reading.key is None, (at, new)


@pytest.fixture(params=["America/New_York", "Asia/Shanghai", "Pacific/Kiritimati"])
def elsewhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("now", [NOW, NOW.astimezone(UTC), NOW.astimezone()])
def test_times_are_beijings_wherever_the_machine_is(gateway: AlipayGateway, now: datetime) -> None:
    public = dict(parse_qsl(urlsplit(gateway.query("A1").write(now, ENDPOINT).url).query))
    assert public["timestamp"] == "2026-11-23 01:30:05"
    answer = read(gateway, GOOD).answer
    assert isinstance(answer, Paid)
    assert answer.trade.paid_at == NOW - timedelta(seconds=65)


def test_the_signature_covers_the_value_as_it_was_written(gateway: AlipayGateway) -> None:
    raw = b'{ "code":"10000","out_trade_no":"A1","trade_status":"TRADE_SUCCESS", "body":"{}\\/\\"}\xe4\xb8\xad" }'
    body = b'{"sign":"' + sign(raw).encode() + b'","' + QUERY.encode() + b'" : ' + raw + b" }"
    assert isinstance(read(gateway, body).answer, Paid)
    assert isinstance(read(gateway, body.replace(b"\\/", b"/", 1)).answer, Untrusted)
