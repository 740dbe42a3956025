from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from reconciler.sandbox.accounts import Accounts
from reconciler.sandbox.book import Book
from reconciler.sandbox.keys import Keys
from reconciler.sandbox.trade import GatewayKind, Trade, Trouble, Twist
from reconciler.sandbox.wechat import Wechat
from reconciler.sandbox.wire import Reply, Request

ACCOUNTS = Accounts()
TARGET = f"/v3/pay/transactions/out-trade-no/A10001?mchid={ACCOUNTS.mchid}"


@pytest.fixture
def wechat(keys: Keys, book: Book) -> Wechat:
    return Wechat(keys, ACCOUNTS, book)


@pytest.fixture
def paid(now: datetime) -> Trade:
    return Trade(GatewayKind.WECHAT, "A10001", 9900, opened_at=now, paid_at=now)


def headers(key: RSAPrivateKey, now: datetime, target: str = TARGET, **changes: str) -> dict[str, str]:
    given = {
        "mchid": ACCOUNTS.mchid,
        "nonce_str": "593BEC0C930BF1AFEB40B4A08C8FB242",
        "timestamp": str(int(now.timestamp())),
        "serial_no": ACCOUNTS.serial_no,
    } | changes
    text = f"GET\n{target}\n{given['timestamp']}\n{given['nonce_str']}\n\n"
    signature = base64.b64encode(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()
    pairs = ",".join(f'{name}="{value}"' for name, value in (given | {"signature": signature}).items())
    return {
        "Accept": "application/json",
        "User-Agent": "test",
        "Authorization": f"WECHATPAY2-SHA256-RSA2048 {pairs}",
        "Wechatpay-Serial": ACCOUNTS.public_key_id,
    }


def verify(key: RSAPublicKey, reply: Reply) -> None:
    sent = reply.headers
    text = f"{sent['Wechatpay-Timestamp']}\n{sent['Wechatpay-Nonce']}\n".encode() + reply.body + b"\n"
    signature = base64.b64decode(sent["Wechatpay-Signature"])
    key.verify(signature, text, padding.PKCS1v15(), hashes.SHA256())


def refusal(reply: Reply) -> tuple[int, str]:
    assert not [name for name in reply.headers if name.startswith("Wechatpay")]
    return reply.status, json.loads(reply.body)["code"]


def test_a_paid_trade_is_told_as_wechat_tells_it(
    wechat: Wechat, book: Book, keys: Keys, paid: Trade, now: datetime
) -> None:
    book.put(paid)
    reply = wechat.answer(Request("GET", TARGET, headers(keys.merchant, now)), now)
    verify(keys.wechat.public_key(), reply)
    assert reply.headers["Wechatpay-Serial"] == ACCOUNTS.public_key_id
    value = json.loads(reply.body)
    assert value["trade_state"] == "SUCCESS"
    assert value["amount"]["total"] == 9900
    assert value["success_time"] == "2026-11-23T12:05:06+08:00"
    assert value["transaction_id"] == paid.transaction_id
    assert (value["mchid"], value["appid"]) == (ACCOUNTS.mchid, ACCOUNTS.appid)


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"paid_at": None}, "NOTPAY"),
        ({"refunded_at": True}, "REFUND"),
        ({"paid_at": None, "closed_at": True}, "CLOSED"),
        ({"twist": Twist.UNKNOWN_STATE}, "HELD"),
    ],
)
def test_a_trade_is_told_by_its_state_at_wechat(
    *, wechat: Wechat, book: Book, keys: Keys, paid: Trade, now: datetime, change: Mapping[str, object], state: str
) -> None:
    book.put(replace(paid, **{name: now if value is True else value for name, value in change.items()}))  # type: ignore[arg-type] # the cases above fit
    reply = wechat.answer(Request("GET", TARGET, headers(keys.merchant, now)), now)
    verify(keys.wechat.public_key(), reply)
    value = json.loads(reply.body)
    assert value["trade_state"] == state
    assert ("amount" in value) == ("transaction_id" in value) == (state in {"REFUND", "HELD"})


def test_another_merchants_trade_names_the_other_merchant(
    wechat: Wechat, book: Book, keys: Keys, paid: Trade, now: datetime
) -> None:
    book.put(replace(paid, twist=Twist.OTHER_MERCHANT))
    value = json.loads(wechat.answer(Request("GET", TARGET, headers(keys.merchant, now)), now).body)
    assert value["mchid"] != ACCOUNTS.mchid
    assert value["appid"] != ACCOUNTS.appid


def test_an_unknown_number_is_an_unsigned_404(wechat: Wechat, keys: Keys, now: datetime) -> None:
    assert refusal(wechat.answer(Request("GET", TARGET, headers(keys.merchant, now)), now)) == (404, "ORDER_NOT_EXIST")


def test_a_request_that_takes_no_json_is_a_400(wechat: Wechat, keys: Keys, now: datetime) -> None:
    given = headers(keys.merchant, now) | {"Accept": "text/html"}
    assert refusal(wechat.answer(Request("GET", TARGET, given), now)) == (400, "PARAM_ERROR")


@pytest.mark.parametrize("name", ["Accept", "User-Agent"])
def test_a_request_without_accept_or_user_agent_is_a_400(wechat: Wechat, keys: Keys, now: datetime, name: str) -> None:
    assert refusal(wechat.answer(Request("GET", TARGET, headers(keys.merchant, now) | {name: ""}), now)) == (
        400,
        "PARAM_ERROR",
    )


@pytest.mark.parametrize(
    "changes",
    [{"mchid": "1900000002"}, {"serial_no": "AA"}, {"nonce_str": ""}, {"timestamp": "soon"}, {"more": "x"}],
)
def test_an_authorization_of_somebody_else_is_a_401(
    wechat: Wechat, keys: Keys, now: datetime, changes: dict[str, str]
) -> None:
    assert refusal(wechat.answer(Request("GET", TARGET, headers(keys.merchant, now, **changes)), now)) == (
        401,
        "SIGN_ERROR",
    )


@pytest.mark.parametrize(
    "authorization", ["", "Bearer x", "WECHATPAY2-SHA256-RSA2048 mchid", "WECHATPAY2-SHA256-RSA2048 "]
)
def test_an_authorization_that_is_none_is_a_401(wechat: Wechat, keys: Keys, now: datetime, authorization: str) -> None:
    given = headers(keys.merchant, now) | {"Authorization": authorization}
    assert refusal(wechat.answer(Request("GET", TARGET, given), now)) == (401, "SIGN_ERROR")


def test_a_request_signed_by_another_key_is_a_401(wechat: Wechat, keys: Keys, now: datetime) -> None:
    assert refusal(wechat.answer(Request("GET", TARGET, headers(keys.app, now)), now)) == (401, "SIGN_ERROR")


def test_the_signature_covers_the_target_as_sent(
    wechat: Wechat, book: Book, keys: Keys, paid: Trade, now: datetime
) -> None:
    book.put(replace(paid, out_trade_no="A*100|1"))
    literal, encoded = (
        f"/v3/pay/transactions/out-trade-no/{number}?mchid={ACCOUNTS.mchid}" for number in ("A*100|1", "A*100%7C1")
    )
    assert wechat.answer(Request("GET", encoded, headers(keys.merchant, now, encoded)), now).status == 200
    assert wechat.answer(Request("GET", literal, headers(keys.merchant, now, literal)), now).status == 200
    assert refusal(wechat.answer(Request("GET", encoded, headers(keys.merchant, now, literal)), now)) == (
        401,
        "SIGN_ERROR",
    )


@pytest.mark.parametrize(("seconds", "status"), [(300, 404), (301, 401), (-301, 401)])
def test_a_clock_more_than_five_minutes_off_is_a_401(
    wechat: Wechat, keys: Keys, now: datetime, seconds: int, status: int
) -> None:
    signed_at = now - timedelta(seconds=seconds)
    assert wechat.answer(Request("GET", TARGET, headers(keys.merchant, signed_at)), now).status == status


@pytest.mark.parametrize(
    "target",
    [
        "/v3/pay/transactions/out-trade-no/A10001",
        "/v3/pay/transactions/out-trade-no/A10001?mchid=1900000002",
        "/v3/pay/transactions/out-trade-no/A1?mchid=1900000001",
        "/v3/pay/transactions/out-trade-no/A10001%20?mchid=1900000001",
        "/v3/pay/transactions/out-trade-no/A10001?mchid=%FF",
        "/v3/pay/transactions/out-trade-no/A10001?mchid=1900000001&mchid=1900000001",
    ],
)
def test_a_number_or_merchant_that_cannot_be_is_a_400(wechat: Wechat, keys: Keys, now: datetime, target: str) -> None:
    assert refusal(wechat.answer(Request("GET", target, headers(keys.merchant, now, target)), now)) == (
        400,
        "PARAM_ERROR",
    )


def test_a_bad_signature_shows_its_three_faces(
    wechat: Wechat, book: Book, keys: Keys, paid: Trade, now: datetime
) -> None:
    book.put(replace(paid, trouble=Trouble.BAD_SIGNATURE, trouble_asks=3))
    probe, strange, stale, right = (
        wechat.answer(Request("GET", TARGET, headers(keys.merchant, now)), now) for _ in range(4)
    )
    assert probe.headers["Wechatpay-Signature"].startswith("WECHATPAY/SIGNTEST/")
    with pytest.raises(InvalidSignature):
        verify(keys.wechat.public_key(), strange)
    verify(keys.wechat.public_key(), stale)
    assert int(stale.headers["Wechatpay-Timestamp"]) < now.timestamp() - 300
    verify(keys.wechat.public_key(), right)
    assert right.headers["Wechatpay-Timestamp"] == str(int(now.timestamp()))


def test_an_unsigned_success_has_no_signature_headers(
    wechat: Wechat, book: Book, keys: Keys, paid: Trade, now: datetime
) -> None:
    book.put(replace(paid, trouble=Trouble.UNSIGNED))
    reply = wechat.answer(Request("GET", TARGET, headers(keys.merchant, now)), now)
    assert reply.status == 200
    assert not [name for name in reply.headers if name.startswith("Wechatpay")]


def test_a_throttled_number_is_429_n_times_and_then_answered(
    wechat: Wechat, book: Book, keys: Keys, paid: Trade, now: datetime
) -> None:
    book.put(replace(paid, trouble=Trouble.THROTTLED, trouble_asks=2))
    replies = [wechat.answer(Request("GET", TARGET, headers(keys.merchant, now)), now) for _ in range(3)]
    assert [reply.status for reply in replies] == [429, 429, 200]
    assert {refusal(reply)[1] for reply in replies[:2]} == {"FREQUENCY_LIMITED", "RATELIMIT_EXCEEDED"}


def test_a_server_error_is_json_and_then_html(
    wechat: Wechat, book: Book, keys: Keys, paid: Trade, now: datetime
) -> None:
    book.put(replace(paid, trouble=Trouble.SERVER_ERROR))
    first, second = (wechat.answer(Request("GET", TARGET, headers(keys.merchant, now)), now) for _ in range(2))
    assert refusal(first) == (500, "SYSTEM_ERROR")
    assert (second.status, second.body[:6]) == (502, b"<html>")


def test_a_slow_number_is_answered_late(wechat: Wechat, book: Book, keys: Keys, paid: Trade, now: datetime) -> None:
    book.put(replace(paid, trouble=Trouble.SLOW, slow_seconds=1.5))
    assert wechat.answer(Request("GET", TARGET, headers(keys.merchant, now)), now).delay_seconds == 1.5
