from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

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
    VerifyingKey,
)
from reconciler.domain.money import Money
from reconciler.domain.order import ChannelName
from reconciler.gateways.alipay import AlipaySettings, verify_evidence
from reconciler.gateways.alipay.gateway import AlipayGateway
from reconciler.gateways.alipay.trade import BEIJING
from reconciler.gateways.asking import Reading
from reconciler.gateways.line import Way
from reconciler.pace import Pace
from reconciler.testing.memory import KeptInMind
from reconciler.transport import HttpResponse, Transport

ASKED = "alipay.trade.query out_trade_no=A1"
ENDPOINT = "https://openapi.alipay.com/gateway.do"

NOW = datetime(2026, 11, 22, 17, 30, 5, tzinfo=UTC)
OURS = rsa.generate_private_key(65537, 2048)
THEIRS = rsa.generate_private_key(65537, 2048)
TRADE: dict[str, object] = {
    "code": "10000",
    "msg": "Success",
    "out_trade_no": "A1",
    "trade_no": "2026112322001400001",
    "total_amount": "99.00",
    "trade_status": "TRADE_SUCCESS",
    "send_pay_date": "2026-11-23 01:29:00",
}


class StoppedClock:
    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> AlipayGateway:
    folder: Path = tmp_path_factory.mktemp("keys")
    (folder / "own").write_bytes(OURS.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    (folder / "theirs").write_bytes(
        base64.b64encode(THEIRS.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    )
    settings = AlipaySettings.model_validate(
        {
            "app_id": "2021000000000001",
            "private_key": f"file:{folder / 'own'}",
            "alipay_public_key": f"file:{folder / 'theirs'}",
        }
    )
    clock = StoppedClock()
    return AlipayGateway(
        ChannelName("main"), settings, Way(Transport(), Pace(clock, 1, 1), clock, timedelta(seconds=1), KeptInMind())
    )


def sign(raw: bytes, algorithm: HashAlgorithm | None = None, key: rsa.RSAPrivateKey = THEIRS) -> str:
    return base64.b64encode(key.sign(raw, padding.PKCS1v15(), algorithm or SHA256())).decode()


def enveloped(
    content: dict[str, object] | bytes, *, signed: bool = True, root: str = "alipay_trade_query_response"
) -> bytes:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    tail = b',"sign":' + json.dumps(sign(raw)).replace("/", "\\/").encode() if signed else b""
    return b'{"' + root.encode() + b'":' + raw + tail + b"}"


def read(gateway: AlipayGateway, body: bytes, status: int = 200, number: str = "A1") -> Reading:
    return gateway.query(number).read(HttpResponse(status, (), body), NOW)


def trade_of(answer: Answer) -> Trade:
    assert isinstance(answer, Paid), answer
    return answer.trade


def test_a_signed_success_is_paid_with_every_fact(gateway: AlipayGateway) -> None:
    reading = read(gateway, enveloped(TRADE))
    paid_at = datetime(2026, 11, 23, 1, 29, tzinfo=BEIJING)
    assert reading.answer == Paid(Trade("A1", "2026112322001400001", Money(9900), paid_at))
    assert reading.key is not None


@pytest.mark.parametrize(
    ("status", "date", "expected"),
    [
        ("TRADE_FINISHED", True, Paid),
        ("TRADE_CLOSED", True, Refunded),
        ("TRADE_CLOSED", False, Closed),
        ("WAIT_BUYER_PAY", False, Unpaid),
        ("trade_success", True, Unrecognised),
        (None, True, Unrecognised),
        (7, True, Unrecognised),
    ],
)
def test_each_status_has_its_answer(gateway: AlipayGateway, status: object, date: bool, expected: type[Answer]) -> None:
    content = TRADE | {"trade_status": status}
    if not date:
        del content["send_pay_date"]
    reading = read(gateway, enveloped(content))
    assert type(reading.answer) is expected
    assert reading.key is not None


def test_closed_with_an_unreadable_payment_date_is_still_a_sign_of_payment(gateway: AlipayGateway) -> None:
    answer = read(gateway, enveloped(TRADE | {"trade_status": "TRADE_CLOSED", "send_pay_date": "soon"})).answer
    assert isinstance(answer, Refunded)
    assert answer.trade.paid_at is None


@pytest.mark.parametrize(
    "amount", [99.0, 99, "99.001", "-1.00", "1e3", "9" * 40, "", None, "99,00", "٩٩.00", [], {}, "NaN"]
)
def test_an_amount_that_is_none_is_a_missing_fact(gateway: AlipayGateway, amount: object) -> None:
    assert trade_of(read(gateway, enveloped(TRADE | {"total_amount": amount})).answer).amount is None


@pytest.mark.parametrize("currency", ["cny", "", None, 7, "CNYY", "CNY\n"])
def test_a_currency_that_is_none_takes_the_amount_with_it(gateway: AlipayGateway, currency: object) -> None:
    assert trade_of(read(gateway, enveloped(TRADE | {"trans_currency": currency})).answer).amount is None


def test_a_foreign_currency_is_the_amounts_own(gateway: AlipayGateway) -> None:
    assert trade_of(read(gateway, enveloped(TRADE | {"trans_currency": "USD"})).answer).amount == Money(9900, "USD")


@pytest.mark.parametrize(
    "date",
    ["2026-11-23", "2026-13-01 00:00:00", "0001-01-01 00:00:00", "2026-11-23T01:29:00", "2026-11-23 01:29:00+08:00", 5],
)
def test_a_time_that_is_none_is_a_missing_fact(gateway: AlipayGateway, date: object) -> None:
    assert trade_of(read(gateway, enveloped(TRADE | {"send_pay_date": date})).answer).paid_at is None


@pytest.mark.parametrize("trade_no", [None, "", 7, "a b", "x" * 65, "a\x00b", "单"])
def test_a_transaction_that_is_no_identifier_is_a_missing_fact(gateway: AlipayGateway, trade_no: object) -> None:
    assert trade_of(read(gateway, enveloped(TRADE | {"trade_no": trade_no})).answer).transaction_id is None


def test_what_puts_money_received_in_doubt_is_flagged(gateway: AlipayGateway) -> None:
    content = TRADE | {"credit_pay_mode": "x", "additional_status": "SELLER_NOT_RECEIVED", "new_field": [{"a": 1}]}
    assert trade_of(read(gateway, enveloped(content)).answer).flags == ("additional_status", "credit_pay_mode")


RAW = json.dumps(TRADE).encode()
ROOT = b'"alipay_trade_query_response":'


@pytest.mark.parametrize(
    "body",
    [
        enveloped(TRADE, signed=False),
        enveloped(TRADE, signed=False, root="error_response"),
        b"{" + ROOT + RAW + b',"sign":""}',
        b"{" + ROOT + RAW + b',"sign":null}',
        b"{" + ROOT + RAW + b',"sign":"%%%"}',
        b"{" + ROOT + RAW + b',"sign":"\xe7\xad\xbe"}',
        b"{" + ROOT + RAW + b',"sign":"' + b"A" * 100_000 + b'"}',
        b"{" + ROOT + RAW + b',"sign":"' + sign(RAW, SHA1()).encode() + b'"}',  # noqa: S303 # what must not pass
        b"{" + ROOT + RAW + b',"sign":"' + sign(RAW, key=OURS).encode() + b'"}',
        b"{" + ROOT + RAW.replace(b"99.00", b"98.00") + b',"sign":"' + sign(RAW).encode() + b'"}',
        b"{" + ROOT + RAW + b"," + ROOT + RAW + b',"sign":"' + sign(RAW).encode() + b'"}',
        b"{" + ROOT + RAW + b',"sign":"x","sign":"' + sign(RAW).encode() + b'"}',
        b"{" + ROOT + RAW + b',"s\\u0069gn":"x","sign":"' + sign(RAW).encode() + b'"}',
        b"{" + ROOT + RAW + b',"error_response":{},"sign":"' + sign(RAW).encode() + b'"}',
        enveloped(TRADE) + b"{}",
        enveloped(RAW[:-1] + b',"total_amount":"1.00"}'),
        enveloped(RAW[:-1] + b',"fund_bill_list":[{"a":1,"a":2}]}'),
        enveloped(RAW[:-1] + b',"x":NaN}'),
        enveloped(RAW[:-1] + b',"x":' + b"9" * 5000 + b"}"),
        enveloped(RAW[:-1] + b',"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
        enveloped(RAW[:-1] + b',"x":"\xff"}'),
        enveloped(b'"encrypted"'),
        enveloped(TRADE | {"out_trade_no": "A2"}),
        enveloped(TRADE | {"out_trade_no": "a1"}),
        enveloped(TRADE | {"out_trade_no": None}),
        enveloped(TRADE | {"out_trade_no": ["A1"]}),
        enveloped(TRADE, root="alipay_trade_close_response"),
        enveloped({"code": "99999"}, signed=False),
        enveloped({}, signed=False),
        b"{",
        b"{}",
    ],
    ids=range(31),
)
def test_what_proves_nothing_is_untrusted(gateway: AlipayGateway, body: bytes) -> None:
    reading = read(gateway, body)
    assert isinstance(reading.answer, Untrusted), reading.answer
    assert reading.key is None


def test_members_in_another_order_and_white_space_are_all_the_same(gateway: AlipayGateway) -> None:
    raw = json.dumps(TRADE, indent=2).replace("/", "\\/").encode()
    body = b' \n{ "sign" : "' + sign(raw).encode() + b'" , "x":[{}], ' + ROOT + b"\t" + raw + b" }\n"
    assert isinstance(read(gateway, body).answer, Paid)


def test_a_certificate_that_is_not_ours_is_named(gateway: AlipayGateway) -> None:
    body = b"{" + ROOT + RAW + b',"alipay_cert_sn":"ab12","sign":"' + sign(RAW, key=OURS).encode() + b'"}'
    answer = read(gateway, body).answer
    assert isinstance(answer, Untrusted)
    assert answer.unknown_serial == "ab12"


@pytest.mark.parametrize(
    ("code", "sub_code", "expected"),
    [
        ("20000", "isp.unknow-error", Unavailable),
        ("20001", "aop.invalid-auth-token", Misconfigured),
        ("40001", "isv.missing-app-id", Misconfigured),
        ("40001", "isv.invalid-parameter", Rejected),
        ("40002", "isv.invalid-signature", Misconfigured),
        ("40002", "isv.invalid-timestamp", Misconfigured),
        ("40002", "isv.suspected-attack", Rejected),
        ("40002", None, Rejected),
        ("40003", "isv.missing-signature-config", Misconfigured),
        ("40004", "ACQ.TRADE_NOT_EXIST", NotCreated),
        ("40004", "TRADE_NOT_EXIST", NotCreated),
        ("40004", "AQC.TRADE_NOT_EXIST", NotCreated),
        ("40004", "ACQ.SYSTEM_ERROR", Unavailable),
        ("40004", "ACQ.INVALID_PARAMETER", Rejected),
        ("40004", "ACQ.ENTERPRISE_PAY_BIZ_ERROR", Rejected),
        ("40005", "isv.app-call-limited", Throttled),
        ("40006", "isv.insufficient-isv-permissions", Misconfigured),
    ],
)
@pytest.mark.parametrize("root", ["alipay_trade_query_response", "error_response"])
@pytest.mark.parametrize("signed", [True, False])
def test_each_refusal_has_its_answer(  # a table's columns
    gateway: AlipayGateway, code: str, sub_code: str | None, expected: type[Answer], root: str, signed: bool
) -> None:
    content: dict[str, object] = {"code": code, "msg": "no", "sub_code": sub_code, "out_trade_no": "A1"}
    reading = read(gateway, enveloped(content, signed=signed, root=root))
    assert type(reading.answer) is expected
    assert (reading.key is not None) == signed


def test_a_refusal_with_a_wrong_signature_is_untrusted(gateway: AlipayGateway) -> None:
    body = enveloped({"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST"}).replace(b"TRADE_NOT", b"trade_not")
    assert isinstance(read(gateway, body).answer, Untrusted)


def test_a_signed_not_created_that_names_no_number_is_not_verified(gateway: AlipayGateway) -> None:
    reading = read(gateway, enveloped({"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST"}))
    assert reading.answer == NotCreated()
    assert reading.key is None


def test_an_unknown_code_is_unrecognised_where_it_is_signed(gateway: AlipayGateway) -> None:
    assert read(gateway, enveloped({"code": "10003"})).answer == Unrecognised("code 10003")


@pytest.mark.parametrize(
    ("status", "expected"), [(500, Unavailable), (302, Unavailable), (403, Unavailable), (429, Throttled)]
)
def test_another_status_than_200_says_nothing_about_the_trade(
    gateway: AlipayGateway, status: int, expected: type[Answer]
) -> None:
    reading = read(gateway, enveloped(TRADE), status)
    assert type(reading.answer) is expected
    assert reading.key is None


def test_retry_after_is_heeded_within_bounds(gateway: AlipayGateway) -> None:
    def after(value: str) -> Answer:
        return gateway.query("A1").read(HttpResponse(429, (("retry-after", value),), b""), NOW).answer

    assert after("7") == Throttled(timedelta(seconds=7))
    assert after("999999999") == Throttled(timedelta(minutes=5))
    assert [after(value) for value in ("0", "-1", "soon", "٣", "9" * 20)] == [Throttled()] * 5


@pytest.mark.parametrize("body", [b"", b"<html></html>", b"\x00", b"null", b"\xff\xfe{"])
def test_what_is_no_object_is_unavailable(gateway: AlipayGateway, body: bytes) -> None:
    assert isinstance(read(gateway, body).answer, Unavailable)


@given(body=st.binary(max_size=300), status=st.sampled_from([200, 429, 500]))
def test_no_bytes_raise(gateway: AlipayGateway, body: bytes, status: int) -> None:
    for each in (body, b"{" + body, enveloped(body), enveloped(b"{" + body + b"}")):
        assert not isinstance(read(gateway, each, status).answer, Paid | Refunded | Closed | Unpaid)


@given(
    st.dictionaries(
        st.sampled_from([*TRADE, "trans_currency", "sub_code", "sub_msg", "credit_pay_mode"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text(), max_size=2),
    )
)
def test_no_signed_content_raises(gateway: AlipayGateway, content: dict[str, object]) -> None:
    read(gateway, enveloped(content))
    read(gateway, enveloped(TRADE | content))
    read(gateway, enveloped(content, signed=False))


def test_a_strangers_words_are_fit_for_a_log_line(gateway: AlipayGateway) -> None:
    content: dict[str, object] = {"code": "40002", "sub_code": "isv.x\n\x1b[2J", "sub_msg": "\u202e\ud800" + "x" * 9999}
    answer = read(gateway, enveloped(content, signed=False)).answer
    assert isinstance(answer, Rejected)
    assert answer.reason.isprintable()
    assert len(answer.reason) < 300


def test_the_request_signs_url_and_body_together_in_beijing_time(gateway: AlipayGateway) -> None:
    request = gateway.query("A+1&x=2").write(NOW, ENDPOINT)
    url = urlsplit(request.url)
    public = dict(parse_qsl(url.query, strict_parsing=True))
    order = dict(parse_qsl(request.body.decode(), strict_parsing=True))
    assert order == {"biz_content": '{"out_trade_no":"A+1&x=2"}'}
    assert (public["timestamp"], public["charset"], public["method"]) == (
        "2026-11-23 01:30:05",
        "utf-8",
        "alipay.trade.query",
    )
    signature = base64.b64decode(public.pop("sign"))
    text = "&".join(f"{name}={value}" for name, value in sorted((public | order).items()))
    OURS.public_key().verify(signature, text.encode(), padding.PKCS1v15(), SHA256())


def test_evidence_verifies_as_long_as_nobody_touches_it(gateway: AlipayGateway) -> None:
    body = enveloped(TRADE)
    key = read(gateway, body).key
    assert key is not None
    evidence = Evidence("alipay", ASKED, 200, (), body, key.fingerprint, NOW)
    assert verify_evidence(evidence, key) is None
    changed = Evidence("alipay", ASKED, 200, (), body.replace(b"99.00", b"98.00"), key.fingerprint, NOW)
    assert verify_evidence(changed, key) == "the signature does not verify"
    unsigned = Evidence("alipay", ASKED, 200, (), enveloped(TRADE, signed=False), key.fingerprint, NOW)
    assert verify_evidence(unsigned, key) == "the answer carries no signature"
    assert verify_evidence(Evidence("alipay", ASKED, 200, (), b"<", key.fingerprint, NOW), key) is not None
    assert verify_evidence(Evidence("wechat", ASKED, 200, (), body, key.fingerprint, NOW), key) is not None
    own = OURS.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert verify_evidence(evidence, VerifyingKey(key.fingerprint, own)) is not None
    assert verify_evidence(evidence, VerifyingKey(key.fingerprint, "nonsense")) is not None
