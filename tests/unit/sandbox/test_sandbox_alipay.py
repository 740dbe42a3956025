from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import urlencode

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from reconciler.sandbox.accounts import Accounts
from reconciler.sandbox.alipay import Alipay
from reconciler.sandbox.book import Book
from reconciler.sandbox.keys import Keys
from reconciler.sandbox.trade import GatewayKind, Trade, Trouble, Twist
from reconciler.sandbox.wire import Reply

VALUE = '{"alipay_trade_query_response":'


@pytest.fixture
def alipay(keys: Keys, book: Book) -> Alipay:
    return Alipay(keys, Accounts(), book)


@pytest.fixture
def paid(now: datetime) -> Trade:
    return Trade(GatewayKind.ALIPAY, "A10001", 9900, opened_at=now, paid_at=now)


def sent(key: RSAPrivateKey, number: str = "A10001", **changes: str) -> tuple[str, bytes]:
    given = {
        "app_id": Accounts().app_id,
        "method": "alipay.trade.query",
        "format": "JSON",
        "charset": "utf-8",
        "sign_type": "RSA2",
        "timestamp": "2026-11-23 12:05:06",
        "version": "1.0",
        "biz_content": json.dumps({"out_trade_no": number}),
    } | changes
    text = "&".join(f"{name}={given[name]}" for name in sorted(given) if given[name])
    signature = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    body = urlencode({"biz_content": given.pop("biz_content")})
    return urlencode(given | {"sign": base64.b64encode(signature).decode()}), body.encode()


def value_of(reply: Reply) -> dict[str, object]:
    """Give what stands under the one root there is."""
    (value,) = (member for member in json.loads(reply.body).values() if isinstance(member, dict))
    return dict(value)


def signed_bytes(reply: Reply) -> bytes:
    text = reply.body.decode()
    start = text.index('"alipay_trade_query_response":') + len('"alipay_trade_query_response":')
    _, end = json.JSONDecoder().raw_decode(text, start)
    return text[start:end].encode()


def verify(keys: Keys, reply: Reply) -> None:
    signature = base64.b64decode(json.loads(reply.body)["sign"])
    keys.alipay.public_key().verify(signature, signed_bytes(reply), padding.PKCS1v15(), hashes.SHA256())


def test_a_paid_trade_is_told_as_alipay_tells_it(
    alipay: Alipay, book: Book, keys: Keys, paid: Trade, now: datetime
) -> None:
    book.put(paid)
    reply = alipay.answer(*sent(keys.app), now)
    verify(keys, reply)
    value = value_of(reply)
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/html;charset=utf-8"
    assert value["code"] == "10000"
    assert value["trade_status"] == "TRADE_SUCCESS"
    assert value["total_amount"] == "99.00"
    assert value["send_pay_date"] == "2026-11-23 12:05:06"
    assert value["trade_no"] == paid.transaction_id
    assert "seller_id" not in value
    assert "gmt_payment" not in value


def test_slashes_are_escaped_and_the_signature_stands_first_in_some_answers_and_not_in_others(
    alipay: Alipay, book: Book, keys: Keys, paid: Trade, now: datetime
) -> None:
    replies = []
    for place in range(40):
        book.put(replace(paid, out_trade_no=f"A{place:05d}"))
        replies.append(alipay.answer(*sent(keys.app, f"A{place:05d}"), now))
        verify(keys, replies[-1])
    assert {rb"\/online" in reply.body for reply in replies} == {True, False}
    assert {reply.body.startswith(b'{"sign"') for reply in replies} == {True, False}


@pytest.mark.parametrize(
    ("change", "status", "has_pay_date"),
    [
        ({"paid_at": None}, "WAIT_BUYER_PAY", False),
        ({"refunded_at": True}, "TRADE_CLOSED", True),
        ({"paid_at": None, "closed_at": True}, "TRADE_CLOSED", False),
        ({"twist": Twist.UNKNOWN_STATE}, "TRADE_HELD", True),
    ],
)
def test_a_trade_is_told_by_its_state(
    *, alipay: Alipay, book: Book, keys: Keys, paid: Trade, now: datetime, change: dict[str, object], status: str,
    has_pay_date: bool,
) -> None:  # fmt: skip
    book.put(replace(paid, **{name: now if value is True else value for name, value in change.items()}))  # type: ignore[arg-type] # the cases above fit
    reply = alipay.answer(*sent(keys.app), now)
    verify(keys, reply)
    value = value_of(reply)
    assert (value["trade_status"], "send_pay_date" in value) == (status, has_pay_date)


@pytest.mark.parametrize("twist", [None, Twist.OTHER_MERCHANT])
def test_an_unknown_trade_and_another_merchants_do_not_exist_and_that_is_signed(
    alipay: Alipay, book: Book, keys: Keys, paid: Trade, now: datetime, twist: Twist | None
) -> None:
    if twist:
        book.put(replace(paid, twist=twist))
    reply = alipay.answer(*sent(keys.app), now)
    verify(keys, reply)
    value = value_of(reply)
    assert (value["code"], value["sub_code"]) == ("40004", "ACQ.TRADE_NOT_EXIST")
    assert value["receipt_amount"] == "0.00"
    assert value["out_trade_no"] == "A10001"


@pytest.mark.parametrize(
    ("changes", "code", "sub_code"),
    [
        ({"app_id": "2021999999999999"}, "40002", "isv.invalid-app-id"),
        ({"timestamp": ""}, "40001", "isv.missing-timestamp"),
        ({"timestamp": "2026-11-23 04:05:06"}, "40002", "isv.invalid-timestamp"),  # forgot Beijing
        ({"timestamp": "1795000000"}, "40002", "isv.invalid-timestamp"),
        ({"charset": "gbk"}, "40002", "isv.invalid-charset"),
        ({"sign_type": "RSA"}, "40002", "isv.invalid-signature-type"),
        ({"method": "alipay.trade.refund"}, "40002", "isv.invalid-method"),
        ({"biz_content": "[]"}, "40002", "isv.illegal-json"),
        ({"biz_content": "{"}, "40002", "isv.illegal-json"),
        ({"biz_content": "[" * 100_000}, "40002", "isv.illegal-json"),
        ({"biz_content": "{}"}, "40004", "ACQ.INVALID_PARAMETER"),
        ({"biz_content": '{"out_trade_no": 10001}'}, "40004", "ACQ.INVALID_PARAMETER"),
    ],
)
def test_a_request_that_is_wrong_is_refused_unsigned(
    alipay: Alipay, keys: Keys, now: datetime, changes: dict[str, str], code: str, sub_code: str
) -> None:
    reply = alipay.answer(*sent(keys.app, **changes), now)
    value = value_of(reply)
    assert (value["code"], value["sub_code"]) == (code, sub_code)
    assert "sign" not in json.loads(reply.body)
    assert reply.status == 200


def test_a_request_signed_by_another_key_is_refused(alipay: Alipay, keys: Keys, now: datetime) -> None:
    assert value_of(alipay.answer(*sent(keys.merchant), now))["sub_code"] == "isv.invalid-signature"


def test_a_request_changed_after_signing_is_refused(alipay: Alipay, keys: Keys, now: datetime) -> None:
    query, body = sent(keys.app)
    reply = alipay.answer(query, body.replace(b"A10001", b"A10002"), now)
    assert value_of(reply)["sub_code"] == "isv.invalid-signature"


def test_a_charset_outside_the_url_is_refused(alipay: Alipay, keys: Keys, now: datetime) -> None:
    query, body = sent(keys.app)
    reply = alipay.answer(query.replace("charset=utf-8&", ""), body + b"&charset=utf-8", now)
    assert value_of(reply)["sub_code"] == "isv.invalid-charset"


def test_a_parameter_given_twice_is_refused(alipay: Alipay, keys: Keys, now: datetime) -> None:
    query, body = sent(keys.app)
    reply = alipay.answer(query, body + b"&version=1.0", now)
    assert value_of(reply)["sub_code"] == "isv.suspected-attack"


@pytest.mark.parametrize("body", [b"\xff", b"biz_content=%FF"])
def test_bytes_that_are_no_utf8_are_refused(alipay: Alipay, keys: Keys, now: datetime, body: bytes) -> None:
    assert value_of(alipay.answer(sent(keys.app)[0] + "&app_id", body, now))["sub_code"] == "isv.invalid-encoding"


def test_alipays_own_number_wins_over_the_shops(
    alipay: Alipay, book: Book, keys: Keys, paid: Trade, now: datetime
) -> None:
    book.put(paid)
    content = json.dumps({"trade_no": paid.transaction_id, "out_trade_no": "nonsense"})
    assert value_of(alipay.answer(*sent(keys.app, biz_content=content), now))["out_trade_no"] == "A10001"


def test_a_bad_signature_does_not_verify_and_is_right_after_its_spell(
    alipay: Alipay, book: Book, keys: Keys, paid: Trade, now: datetime
) -> None:
    book.put(replace(paid, trouble=Trouble.BAD_SIGNATURE, trouble_asks=2))
    for _ in range(2):
        with pytest.raises(InvalidSignature):
            verify(keys, alipay.answer(*sent(keys.app), now))
    verify(keys, alipay.answer(*sent(keys.app), now))


def test_an_unsigned_success_has_no_signature(
    alipay: Alipay, book: Book, keys: Keys, paid: Trade, now: datetime
) -> None:
    book.put(replace(paid, trouble=Trouble.UNSIGNED))
    reply = alipay.answer(*sent(keys.app), now)
    assert list(json.loads(reply.body)) == ["alipay_trade_query_response"]
    assert value_of(reply)["trade_status"] == "TRADE_SUCCESS"


def test_a_throttled_trade_says_40005_n_times_and_then_answers(
    alipay: Alipay, book: Book, keys: Keys, paid: Trade, now: datetime
) -> None:
    book.put(replace(paid, trouble=Trouble.THROTTLED, trouble_asks=2))
    codes = [value_of(alipay.answer(*sent(keys.app), now))["code"] for _ in range(3)]
    assert codes == ["40005", "40005", "10000"]


def test_a_server_error_shows_its_three_faces(
    alipay: Alipay, book: Book, keys: Keys, paid: Trade, now: datetime
) -> None:
    book.put(replace(paid, trouble=Trouble.SERVER_ERROR))
    first, second, third = (alipay.answer(*sent(keys.app), now) for _ in range(3))
    assert value_of(first)["sub_code"] == "isp.unknow-error"
    assert (second.status, second.body[:6]) == (502, b"<html>")
    assert value_of(third)["sub_code"] == "ACQ.SYSTEM_ERROR"


def test_a_slow_trade_is_answered_late(alipay: Alipay, book: Book, keys: Keys, paid: Trade, now: datetime) -> None:
    book.put(replace(paid, trouble=Trouble.SLOW, slow_seconds=1.5, trouble_asks=1))
    assert [alipay.answer(*sent(keys.app), now).delay_seconds for _ in range(2)] == [1.5, 0.0]


def test_a_later_payment_shows_only_once_it_is_made(
    alipay: Alipay, book: Book, keys: Keys, paid: Trade, now: datetime
) -> None:
    book.put(replace(paid, paid_at=now + timedelta(seconds=10)))
    statuses = [
        value_of(alipay.answer(*sent(keys.app), now + timedelta(seconds=seconds)))["trade_status"]
        for seconds in (9, 10)
    ]
    assert statuses == ["WAIT_BUYER_PAY", "TRADE_SUCCESS"]
