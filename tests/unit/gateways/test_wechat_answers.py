from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from reconciler.domain.answer import (
    Answer,
    Closed,
    Evidence,
    Misconfigured,
    NotCreated,
    Paid,
    Refunded,
    Rejected,
    Throttled,
    Trade,
    Unavailable,
    Unpaid,
    Unrecognised,
    Untrusted,
)
from reconciler.domain.money import Money
from reconciler.domain.order import ChannelName
from reconciler.gateways.asking import Reading
from reconciler.gateways.line import Way
from reconciler.gateways.wechat import WechatSettings, verify_evidence
from reconciler.gateways.wechat.gateway import WechatGateway
from reconciler.pace import Pace
from reconciler.testing.memory import KeptInMind
from reconciler.transport import Headers, HttpResponse, Transport

ENDPOINT = "https://api.mch.weixin.qq.com"

NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
OURS = rsa.generate_private_key(65537, 2048)
THEIRS = rsa.generate_private_key(65537, 2048)
KEY_ID = "PUB_KEY_ID_0119000000012026112300000000000001"
TRADE: dict[str, object] = {
    "appid": "wx1",
    "mchid": "1900000001",
    "out_trade_no": "A1",
    "transaction_id": "4200000001",
    "trade_state": "SUCCESS",
    "success_time": "2026-11-23T11:59:00+08:00",
    "amount": {"total": 9900, "payer_total": 9800, "currency": "CNY", "payer_currency": "CNY"},
    "payer": {"openid": "o1"},
}


class StoppedClock:
    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> WechatGateway:
    folder: Path = tmp_path_factory.mktemp("keys")
    (folder / "own").write_bytes(OURS.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "theirs").write_bytes(THEIRS.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    settings = WechatSettings.model_validate(
        {
            "mchid": "1900000001",
            "appid": "wx1",
            "serial_no": "AB12",
            "private_key": f"file:{folder / 'own'}",
            "public_key_id": KEY_ID,
            "public_key": f"file:{folder / 'theirs'}",
        }
    )
    clock = StoppedClock()
    return WechatGateway(
        ChannelName("main"), settings, Way(Transport(), Pace(clock, 1, 1), clock, timedelta(seconds=1), KeptInMind())
    )


def signed(
    content: object, *, at: datetime = NOW, algorithm: HashAlgorithm | None = None, **changes: str
) -> HttpResponse:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    timestamp = str(int(at.timestamp()))
    signature = THEIRS.sign(f"{timestamp}\nn\n".encode() + body + b"\n", padding.PKCS1v15(), algorithm or SHA256())
    headers = {
        "wechatpay-serial": KEY_ID,
        "wechatpay-timestamp": timestamp,
        "wechatpay-nonce": "n",
        "wechatpay-signature": base64.b64encode(signature).decode(),
    }
    headers |= {f"wechatpay-{name}": value for name, value in changes.items()}
    return HttpResponse(200, tuple((name, value) for name, value in headers.items() if value), body)


def read(gateway: WechatGateway, response: HttpResponse) -> Reading:
    return gateway.query("A1").read(response, NOW)


def refused(gateway: WechatGateway, status: int, body: object, headers: Headers = ()) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    reading = read(gateway, HttpResponse(status, headers, raw))
    assert reading.key is None
    return reading.answer


def trade_of(answer: Answer) -> Trade:
    assert isinstance(answer, Paid), answer
    return answer.trade


def test_a_signed_success_is_paid_with_every_fact(gateway: WechatGateway) -> None:
    reading = read(gateway, signed(TRADE))
    paid_at = datetime(2026, 11, 23, 3, 59, tzinfo=UTC)
    merchant = (("appid", "wx1"), ("mchid", "1900000001"))
    assert reading.answer == Paid(Trade("A1", "4200000001", Money(9900), paid_at, merchant))
    assert gateway.merchant == merchant
    assert reading.key is not None


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("REFUND", Refunded),
        ("NOTPAY", Unpaid),
        ("USERPAYING", Unpaid),
        ("CLOSED", Closed),
        ("REVOKED", Closed),
        ("PAYERROR", Closed),
        ("success", Unrecognised),
        ("ACCEPT", Unrecognised),
        (None, Unrecognised),
        (1, Unrecognised),
    ],
)
def test_each_state_has_its_answer(gateway: WechatGateway, state: object, expected: type[Answer]) -> None:
    reading = read(gateway, signed(TRADE | {"trade_state": state}))
    assert type(reading.answer) is expected
    assert reading.key is not None


def test_a_refund_is_in_full_or_in_part_unknown(gateway: WechatGateway) -> None:
    answer = read(gateway, signed(TRADE | {"trade_state": "REFUND"})).answer
    assert isinstance(answer, Refunded)
    assert answer.in_full is None


@pytest.mark.parametrize(
    "amount",
    [
        None,
        9900,
        {},
        {"total": "9900", "currency": "CNY"},
        {"total": 9900.0, "currency": "CNY"},
        {"total": True, "currency": "CNY"},
        {"total": -1, "currency": "CNY"},
        {"total": 10**16, "currency": "CNY"},
    ],
    ids=str,
)
def test_an_amount_that_is_none_is_a_missing_fact(gateway: WechatGateway, amount: object) -> None:
    assert trade_of(read(gateway, signed(TRADE | {"amount": amount})).answer).amount is None


@pytest.mark.parametrize(
    "amount", [{"total": 9900}, {"total": 9900, "currency": "cny"}, {"total": 9900, "currency": None}]
)
def test_an_amount_without_a_currency_is_in_none(gateway: WechatGateway, amount: object) -> None:
    """So that the case is about the currency, and shows the amount."""
    trade = trade_of(read(gateway, signed(TRADE | {"amount": amount})).answer)
    assert trade.amount == Money(9900, "XXX")


@pytest.mark.parametrize(
    "time",
    [
        None,
        5,
        "2026-11-23T11:59:00",
        "2026-11-23 11:59:00+08:00",
        "0001-01-01T00:00:00+08:00",
        "2026-02-30T00:00:00Z",
        "2026-11-23T11:59:00+99:00",
    ],
)
def test_a_time_that_is_none_is_a_missing_fact(gateway: WechatGateway, time: object) -> None:
    assert trade_of(read(gateway, signed(TRADE | {"success_time": time})).answer).paid_at is None


def test_a_missing_or_odd_merchant_is_left_out(gateway: WechatGateway) -> None:
    trade = trade_of(read(gateway, signed(TRADE | {"appid": None, "mchid": "19\u202e"})).answer)
    assert trade.merchant == ()


@pytest.mark.parametrize(
    ("said", "shown"), [("1900000008", "1900000008"), ("19\u202e", "unreadable"), (8, "unreadable")]
)
def test_a_sub_merchant_that_is_named_is_never_left_out(gateway: WechatGateway, said: object, shown: str) -> None:
    """Somebody else was paid: the facts of a channel that has no sub_mchid must not agree."""
    trade = trade_of(read(gateway, signed(TRADE | {"sub_mchid": said})).answer)
    assert ("sub_mchid", shown) in trade.merchant
    assert trade.merchant != gateway.merchant


LATE = timedelta(minutes=5, seconds=2)


@pytest.mark.parametrize(
    "response",
    [
        HttpResponse(200, (), json.dumps(TRADE).encode()),
        signed(TRADE, signature=""),
        signed(TRADE, nonce=""),
        signed(TRADE, timestamp=""),
        signed(TRADE, serial=""),
        signed(TRADE, serial="5F1C72E2A8931B72A2E13AF8DEE92471EB397115"),
        signed(TRADE, signature="WECHATPAY/SIGNTEST/QUJD"),
        signed(TRADE, signature="%%%"),
        signed(TRADE, signature="é"),
        signed(TRADE, nonce="m"),
        signed(TRADE, timestamp="abc"),
        signed(TRADE, timestamp="9" * 400),
        signed(TRADE, algorithm=SHA1()),  # noqa: S303 # what must not pass
        signed(TRADE, at=NOW - LATE),
        signed(TRADE, at=NOW + LATE),
        signed(TRADE | {"out_trade_no": "A2"}),
        signed({name: value for name, value in TRADE.items() if name != "out_trade_no"}),
        signed(b'{"out_trade_no":"A1","out_trade_no":"A1","trade_state":"SUCCESS"}'),
        signed(b'{"out_trade_no":"A1","trade_state":"SUCCESS","amount":{"total":1,"total":2}}'),
        signed(b"[]"),
        signed(b""),
        signed(b"<html>"),
        signed(b"[" * 100_000),
        signed(b'{"out_trade_no":"A1","x":' + b"9" * 5000 + b"}"),
        signed(b'{"out_trade_no":"A1","x":"\xff"}'),
        HttpResponse(204, signed(b"").headers, b""),
        HttpResponse(206, signed(TRADE).headers, signed(TRADE).body),
    ],
    ids=range(27),
)
def test_what_proves_nothing_is_untrusted(gateway: WechatGateway, response: HttpResponse) -> None:
    reading = read(gateway, response)
    assert isinstance(reading.answer, Untrusted), reading.answer
    assert reading.key is None
    assert reading.answer.reason.isprintable()


def test_a_deliberately_false_signature_is_called_what_it_is(gateway: WechatGateway) -> None:
    answer = read(gateway, signed(TRADE, signature="WECHATPAY/SIGNTEST/QUJD")).answer
    assert isinstance(answer, Untrusted)
    assert "SIGNTEST" in answer.reason


def test_a_header_given_twice_is_untrusted(gateway: WechatGateway) -> None:
    response = signed(TRADE)
    for name, value in response.headers:
        twice = HttpResponse(200, (*response.headers, (name, value)), response.body)
        assert isinstance(read(gateway, twice).answer, Untrusted)


def test_a_key_that_is_not_ours_is_named(gateway: WechatGateway) -> None:
    answer = read(gateway, signed(TRADE, serial="PUB_KEY_ID_2")).answer
    assert isinstance(answer, Untrusted)
    assert answer.unknown_serial == "PUB_KEY_ID_2"


def test_the_serial_is_compared_as_text_whatever_its_case(gateway: WechatGateway) -> None:
    assert isinstance(read(gateway, signed(TRADE, serial=KEY_ID.lower())).answer, Paid)


@pytest.mark.parametrize("off", [timedelta(minutes=-5), timedelta(minutes=5)])
def test_five_minutes_off_is_fresh_enough(gateway: WechatGateway, off: timedelta) -> None:
    assert isinstance(read(gateway, signed(TRADE, at=NOW + off)).answer, Paid)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (202, "ACCEPTED", Unavailable),
        (301, None, Unavailable),
        (400, "PARAM_ERROR", Rejected),
        (400, "INVALID_REQUEST", Rejected),
        (400, "SOMETHING_NEW", Rejected),
        (400, "MCH_NOT_EXISTS", Misconfigured),
        (400, "APPID_MCHID_NOT_MATCH", Misconfigured),
        (400, None, Unavailable),
        (401, "SIGN_ERROR", Misconfigured),
        (401, None, Misconfigured),
        (403, "NO_AUTH", Misconfigured),
        (404, "ORDER_NOT_EXIST", NotCreated),
        (404, "ORDERNOTEXIST", NotCreated),
        (404, "RESOURCE_NOT_EXISTS", Misconfigured),
        (404, None, Misconfigured),
        (405, None, Misconfigured),
        (408, None, Unavailable),
        (429, "FREQUENCY_LIMITED", Throttled),
        (429, None, Throttled),
        (500, "SYSTEM_ERROR", Unavailable),
        (503, None, Unavailable),
    ],
)
def test_each_refusal_has_its_answer(
    gateway: WechatGateway, status: int, code: str | None, expected: type[Answer]
) -> None:
    body: object = {"code": code, "message": "…"} if code else b"<html>"
    assert type(refused(gateway, status, body)) is expected


@pytest.mark.parametrize("field", ["mchid", "/query/mchid", "Authorization"])
def test_a_parameter_error_about_the_merchant_is_the_channels(gateway: WechatGateway, field: str) -> None:
    body = {"code": "PARAM_ERROR", "detail": {"field": field}}
    assert isinstance(refused(gateway, 400, body), Misconfigured)


def test_a_signature_on_a_refusal_ties_it_to_no_number(gateway: WechatGateway) -> None:
    response = signed({"code": "ORDER_NOT_EXIST"})
    assert refused(gateway, 404, response.body, response.headers) == NotCreated()


def test_retry_after_is_heeded_within_bounds(gateway: WechatGateway) -> None:
    assert refused(gateway, 429, {}, (("retry-after", "30"),)) == Throttled(timedelta(seconds=30))
    assert refused(gateway, 429, {}, (("retry-after", "86400"),)) == Throttled(timedelta(minutes=5))
    assert refused(gateway, 429, {}, (("retry-after", "1"), ("retry-after", "2"))) == Throttled()


@given(st.sampled_from([200, 202, 400, 401, 404, 429, 500]), st.binary(max_size=200), st.booleans())
def test_no_bytes_raise(gateway: WechatGateway, status: int, body: bytes, is_signed: bool) -> None:
    headers = signed(body).headers if is_signed else ()
    for raw in (body, b'{"code":"PARAM_ERROR","detail":' + body + b"}"):
        answer = read(gateway, HttpResponse(status, headers, raw)).answer
        assert not isinstance(answer, Paid | Refunded | Closed | Unpaid)


@given(
    st.dictionaries(
        st.sampled_from(list(TRADE)),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text()
        | st.dictionaries(st.sampled_from(["total", "currency", "detail"]), st.integers() | st.text()),
    )
)
def test_no_signed_content_raises(gateway: WechatGateway, content: dict[str, object]) -> None:
    read(gateway, signed(TRADE | content))


def test_the_request_signs_its_path_and_names_both_keys(gateway: WechatGateway) -> None:
    request = gateway.query("A|1").write(NOW, ENDPOINT)
    path = "/v3/pay/transactions/out-trade-no/A%7C1?mchid=1900000001"
    assert request.url == f"https://api.mch.weixin.qq.com{path}"
    headers = dict(request.headers)
    assert headers["Wechatpay-Serial"] == KEY_ID
    said = dict(re.findall(r'(\w+)="([^"]*)"', headers["Authorization"]))
    assert (said["mchid"], said["serial_no"], said["timestamp"]) == ("1900000001", "AB12", str(int(NOW.timestamp())))
    text = f"GET\n{path}\n{said['timestamp']}\n{said['nonce_str']}\n\n"
    OURS.public_key().verify(base64.b64decode(said["signature"]), text.encode(), padding.PKCS1v15(), SHA256())


def test_no_nonce_is_used_twice(gateway: WechatGateway) -> None:
    assert gateway.query("A1").write(NOW, ENDPOINT) != gateway.query("A1").write(NOW, ENDPOINT)


def test_evidence_verifies_against_the_time_it_arrived(gateway: WechatGateway) -> None:
    response = signed(TRADE)
    reading = read(gateway, response)
    key = reading.key
    assert key is not None

    def evidence(body: bytes, received_at: datetime, headers: Headers = reading.signed_headers) -> Evidence:
        return Evidence("wechat", "q", 200, headers, body, key.fingerprint, received_at)

    assert verify_evidence(evidence(response.body, NOW), key) is None
    assert verify_evidence(evidence(response.body + b" ", NOW), key) == "the signature does not verify"
    assert verify_evidence(evidence(response.body, NOW + LATE), key) is not None
    assert verify_evidence(evidence(response.body, NOW, ()), key) is not None
