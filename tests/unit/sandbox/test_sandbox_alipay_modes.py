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
from reconciler.sandbox.condition import Condition, Trait
from reconciler.sandbox.keys import Keys
from reconciler.sandbox.trade import GatewayKind, State, Trade, Trouble, Twist
from reconciler.sandbox.wire import Reply

CLOSE, REFUND_QUERY = "alipay.trade.close", "alipay.trade.fastpay.refund.query"


@pytest.fixture
def alipay(keys: Keys, book: Book) -> Alipay:
    return Alipay(keys, Accounts(), book)


@pytest.fixture
def paid(now: datetime) -> Trade:
    return Trade(GatewayKind.ALIPAY, "A10001", 9900, opened_at=now, paid_at=now)


@pytest.fixture
def unpaid(paid: Trade) -> Trade:
    return replace(paid, paid_at=None)


def sent(keys: Keys, method: str = "alipay.trade.query", biz: object = None, **changes: str) -> tuple[str, bytes]:
    given = {
        "app_id": Accounts().app_id,
        "method": method,
        "charset": "utf-8",
        "sign_type": "RSA2",
        "timestamp": "2026-11-23 12:05:06",
        "version": "1.0",
        "biz_content": json.dumps(biz or {"out_trade_no": "A10001", "out_request_no": "A10001"}),
    } | changes
    text = "&".join(f"{name}={given[name]}" for name in sorted(given) if given[name])
    signature = keys.app.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    body = urlencode({"biz_content": given.pop("biz_content")})
    return urlencode(given | {"sign": base64.b64encode(signature).decode()}), body.encode()


def sns(keys: Keys) -> dict[str, str]:
    return {"app_cert_sn": keys.certificates.app_sn, "alipay_root_cert_sn": keys.certificates.root_sn}


def opened(reply: Reply) -> tuple[str, dict[str, str]]:
    ((root, value),) = ((name, member) for name, member in json.loads(reply.body).items() if isinstance(member, dict))
    return root, value


def verify(key: RSAPrivateKey, reply: Reply) -> None:
    text = reply.body.decode()
    start = text.index('_response":') + len('_response":')
    _, end = json.JSONDecoder().raw_decode(text, start)
    signature = base64.b64decode(json.loads(text)["sign"])
    key.public_key().verify(signature, text[start:end].encode(), padding.PKCS1v15(), hashes.SHA256())


def test_certificate_mode_signs_with_another_key_and_names_its_certificate(
    alipay: Alipay, book: Book, keys: Keys, paid: Trade, now: datetime
) -> None:
    book.put(paid)
    reply = alipay.answer(*sent(keys, **sns(keys)), now)
    verify(keys.certificates.alipay.key, reply)
    with pytest.raises(InvalidSignature):
        verify(keys.alipay, reply)
    assert json.loads(reply.body)["alipay_cert_sn"] == keys.certificates.alipay.sn
    in_key_mode = alipay.answer(*sent(keys), now)
    verify(keys.alipay, in_key_mode)
    assert "alipay_cert_sn" not in json.loads(in_key_mode.body)


@pytest.mark.parametrize(
    ("name", "value", "sub_code"),
    [
        ("app_cert_sn", "0" * 32, "isv.app-cert-not-exist"),
        ("alipay_root_cert_sn", "0" * 32, "isv.invalid-alipay-root-cert-sn"),
        ("app_cert_sn", "", "isv.missing-app-cert-sn"),
        ("alipay_root_cert_sn", "", "isv.missing-alipay-root-cert-sn"),
    ],
)
def test_a_wrong_or_missing_sn_is_refused_unsigned(
    *, alipay: Alipay, keys: Keys, now: datetime, name: str, value: str, sub_code: str
) -> None:
    reply = alipay.answer(*sent(keys, **(sns(keys) | {name: value})), now)
    _, told = opened(reply)
    assert (told["code"], told["sub_code"]) == ("40002" if value else "40001", sub_code)
    assert "sign" not in json.loads(reply.body)


def test_a_renewed_certificate_is_another_one_of_the_same_root_and_key_mode_does_not_notice(
    alipay: Alipay, book: Book, keys: Keys, paid: Trade, now: datetime
) -> None:
    book.put(replace(paid, trouble=Trouble.RENEWED_CERTIFICATE))
    reply = alipay.answer(*sent(keys, **sns(keys)), now)
    assert json.loads(reply.body)["alipay_cert_sn"] == keys.certificates.renewed.sn != keys.certificates.alipay.sn
    verify(keys.certificates.renewed.key, reply)
    verify(keys.alipay, alipay.answer(*sent(keys), now))


@pytest.mark.parametrize("in_body", [True, False])
def test_the_accounts_token_is_taken_and_another_is_not(
    *, alipay: Alipay, book: Book, keys: Keys, paid: Trade, now: datetime, in_body: bool
) -> None:
    book.put(paid)
    for token, code in ((keys.app_auth_token, "10000"), ("another", "20001")):
        query, body = sent(keys, app_auth_token=token)
        if in_body:
            part = f"app_auth_token={token}"
            query, body = query.replace(f"&{part}", ""), body + f"&{part}".encode()
        _, told = opened(alipay.answer(query, body, now))
        assert (told["code"], told.get("sub_code", "")) == (
            code,
            "" if code == "10000" else "aop.invalid-app-auth-token",
        )


def test_a_token_takes_part_in_the_signature(alipay: Alipay, keys: Keys, now: datetime) -> None:
    query, body = sent(keys)
    _, told = opened(alipay.answer(f"{query}&app_auth_token={keys.app_auth_token}", body, now))
    assert told["sub_code"] == "isv.invalid-signature"


def test_an_unpaid_trade_is_closed_once_and_can_no_longer_be_paid(
    alipay: Alipay, book: Book, keys: Keys, unpaid: Trade, now: datetime
) -> None:
    book.put(replace(unpaid, paid_at=now + timedelta(hours=1), trouble_asks=7))
    alipay.answer(*sent(keys), now)
    first, second = (alipay.answer(*sent(keys, CLOSE), now) for _ in range(2))
    verify(keys.alipay, first)
    assert opened(first) == (
        "alipay_trade_close_response",
        {"code": "10000", "msg": "Success", "out_trade_no": "A10001", "trade_no": unpaid.transaction_id},
    )
    assert opened(second)[1]["sub_code"] == "ACQ.TRADE_STATUS_ERROR"
    trade = book.get(GatewayKind.ALIPAY, "A10001")
    assert trade is not None
    assert trade.state_at(now + timedelta(hours=2)) is State.CLOSED
    assert (book.asks(trade), book.asks_total, book.closes_total) == (1, 1, 2)


@pytest.mark.parametrize("change", [{}, {"refunded_at": True}, {"paid_at": None, "closed_at": True}])
def test_what_is_not_unpaid_cannot_be_closed(
    *, alipay: Alipay, book: Book, keys: Keys, paid: Trade, now: datetime, change: dict[str, object]
) -> None:
    trade = replace(paid, **{name: now if value is True else value for name, value in change.items()})  # type: ignore[arg-type] # the cases above fit
    book.put(trade)
    reply = alipay.answer(*sent(keys, CLOSE), now)
    verify(keys.alipay, reply)
    assert opened(reply)[1]["sub_code"] == "ACQ.TRADE_STATUS_ERROR"
    assert book.get(GatewayKind.ALIPAY, "A10001") == trade


@pytest.mark.parametrize(("method", "sub_code"), [(CLOSE, "ACQ.TRADE_NOT_EXIST"), (REFUND_QUERY, "TRADE_NOT_EXIST")])
def test_a_trade_that_nobody_opened_does_not_exist_for_any_method(
    *, alipay: Alipay, book: Book, keys: Keys, unpaid: Trade, now: datetime, method: str, sub_code: str
) -> None:
    for trade in (None, replace(unpaid, opened_at=None), replace(unpaid, twist=Twist.OTHER_MERCHANT)):
        if trade:
            book.put(trade)
        reply = alipay.answer(*sent(keys, method), now)
        verify(keys.alipay, reply)
        assert opened(reply)[1]["sub_code"] == sub_code


def test_only_the_refund_query_tells_of_an_undated_refund(
    alipay: Alipay, book: Book, keys: Keys, paid: Trade, now: datetime
) -> None:
    book.put(replace(paid, refunded_at=now, twist=Twist.UNDATED))
    _, told = opened(alipay.answer(*sent(keys), now))
    assert told["trade_status"] == "TRADE_CLOSED"
    assert not {"send_pay_date", "fund_bill_list", "receipt_amount"} & set(told)
    reply = alipay.answer(*sent(keys, REFUND_QUERY), now)
    verify(keys.alipay, reply)
    root, refund = opened(reply)
    assert root == "alipay_trade_fastpay_refund_query_response"
    assert (refund["refund_status"], refund["refund_amount"]) == ("REFUND_SUCCESS", "99.00")
    assert refund["out_request_no"] == refund["out_trade_no"] == "A10001"


@pytest.mark.parametrize(
    ("is_refunded", "request_no"), [(False, "A10001"), (True, "A10001-1")], ids=["not refunded", "another request"]
)
def test_a_refund_query_about_no_refund_succeeds_and_says_nothing(
    *, alipay: Alipay, book: Book, keys: Keys, paid: Trade, now: datetime, is_refunded: bool, request_no: str
) -> None:
    book.put(replace(paid, refunded_at=now if is_refunded else None))
    biz = {"out_trade_no": "A10001", "out_request_no": request_no}
    assert opened(alipay.answer(*sent(keys, REFUND_QUERY, biz), now))[1] == {"code": "10000", "msg": "Success"}


def test_a_refund_query_without_its_request_number_is_refused(alipay: Alipay, keys: Keys, now: datetime) -> None:
    reply = alipay.answer(*sent(keys, REFUND_QUERY, {"out_trade_no": "A10001"}), now)
    assert opened(reply)[1]["sub_code"] == "ACQ.INVALID_PARAMETER"


def test_a_method_that_nobody_knows_is_an_error_response(alipay: Alipay, keys: Keys, now: datetime) -> None:
    root, told = opened(alipay.answer(*sent(keys, "alipay.trade.refund"), now))
    assert (root, told["sub_code"]) == ("error_response", "isv.invalid-method")


def test_a_close_meets_the_trouble_that_the_next_ask_would_and_uses_none_of_it_up(
    alipay: Alipay, book: Book, keys: Keys, unpaid: Trade, now: datetime
) -> None:
    book.put(replace(unpaid, trouble=Trouble.THROTTLED, trouble_asks=1))
    assert [opened(alipay.answer(*sent(keys, CLOSE), now))[1]["code"] for _ in range(2)] == ["40005", "40005"]
    alipay.answer(*sent(keys), now)
    assert opened(alipay.answer(*sent(keys, CLOSE), now))[1]["code"] == "10000"


@pytest.mark.parametrize("method", ["alipay.trade.query", CLOSE, REFUND_QUERY])
def test_a_gateway_that_throttles_throttles_every_method(
    *, alipay: Alipay, book: Book, keys: Keys, unpaid: Trade, now: datetime, method: str
) -> None:
    book.put(unpaid)
    reply = alipay.answer(*sent(keys, method), now, Condition(Trait.THROTTLE))
    assert opened(reply)[1]["code"] == "40005"
    assert book.get(GatewayKind.ALIPAY, "A10001") == unpaid
