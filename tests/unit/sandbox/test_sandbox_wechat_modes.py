from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from reconciler.sandbox.accounts import OTHER_MCHID, Accounts
from reconciler.sandbox.book import Book
from reconciler.sandbox.condition import Condition, Trait
from reconciler.sandbox.keys import Keys
from reconciler.sandbox.platform import Platform
from reconciler.sandbox.trade import GatewayKind, State, Trade, Trouble, Twist
from reconciler.sandbox.wechat import Wechat
from reconciler.sandbox.wire import Reply, Request

ACCOUNTS = Accounts()
QUERY = f"/v3/pay/transactions/out-trade-no/A10001?mchid={ACCOUNTS.mchid}"
CLOSE = "/v3/pay/transactions/out-trade-no/A10001/close"
PARTNER = "/v3/pay/partner/transactions/out-trade-no/A10001"
PAIR = {"sp_mchid": ACCOUNTS.mchid, "sub_mchid": ACCOUNTS.sub_mchid}
CERTIFICATES = "/v3/certificates"


@pytest.fixture
def platform(keys: Keys) -> Platform:
    return Platform(keys.platform, keys.apiv3_key)


@pytest.fixture
def wechat(keys: Keys, book: Book, platform: Platform) -> Wechat:
    return Wechat(keys, ACCOUNTS, book, platform)


@pytest.fixture
def paid(now: datetime) -> Trade:
    return Trade(GatewayKind.WECHAT, "A10001", 9900, opened_at=now, paid_at=now)


@pytest.fixture
def unpaid(paid: Trade) -> Trade:
    return replace(paid, paid_at=None)


def request(keys: Keys, now: datetime, target: str, sent: object = None, **changes: str) -> Request:
    """Ask with GET; POST where something is sent."""
    method, body = ("GET", b"") if sent is None else ("POST", json.dumps(sent).encode())
    stamp, nonce = str(int(now.timestamp())), "593BEC0C930BF1AFEB40B4A08C8FB242"
    text = f"{method}\n{target}\n{stamp}\n{nonce}\n".encode() + body + b"\n"
    signature = base64.b64encode(keys.merchant.sign(text, padding.PKCS1v15(), hashes.SHA256())).decode()
    headers = {
        "Accept": "application/json",
        "User-Agent": "test",
        "Content-Type": "application/json; charset=utf-8",
        "Authorization": f'WECHATPAY2-SHA256-RSA2048 mchid="{ACCOUNTS.mchid}",nonce_str="{nonce}",'
        f'timestamp="{stamp}",serial_no="{ACCOUNTS.serial_no}",signature="{signature}"',
    }
    return Request(method, target, headers | changes, body)


def by_public_key(keys: Keys, now: datetime, target: str, sent: object = None) -> Request:
    asked = request(keys, now, target, sent)
    return replace(asked, headers={**asked.headers, "Wechatpay-Serial": ACCOUNTS.public_key_id})


def verify(key: RSAPrivateKey, reply: Reply) -> str:
    """Verify; give the serial it was signed under."""
    sent = reply.headers
    text = f"{sent['Wechatpay-Timestamp']}\n{sent['Wechatpay-Nonce']}\n".encode() + reply.body + b"\n"
    signature = base64.b64decode(sent["Wechatpay-Signature"])
    key.public_key().verify(signature, text, padding.PKCS1v15(), hashes.SHA256())
    return sent["Wechatpay-Serial"]


def refusal(reply: Reply) -> tuple[int, str]:
    assert not [name for name in reply.headers if name.startswith("Wechatpay")]
    return reply.status, json.loads(reply.body)["code"]


def test_who_asks_for_the_public_key_gets_it_and_who_does_not_gets_the_platform_certificate(
    wechat: Wechat, book: Book, keys: Keys, paid: Trade, now: datetime
) -> None:
    book.put(paid)
    assert verify(keys.wechat, wechat.answer(by_public_key(keys, now, QUERY), now)) == ACCOUNTS.public_key_id
    assert verify(keys.platform.key, wechat.answer(request(keys, now, QUERY), now)) == keys.platform.serial


def test_after_a_roll_over_the_new_certificate_signs_and_both_are_listed(
    wechat: Wechat, platform: Platform, book: Book, keys: Keys, paid: Trade, now: datetime
) -> None:
    book.put(paid)
    serial = platform.roll_over()
    assert verify(platform.newest.key, wechat.answer(request(keys, now, QUERY), now)) == serial
    reply = wechat.answer(request(keys, now, CERTIFICATES), now)
    assert verify(platform.newest.key, reply) == serial
    assert [entry["serial_no"] for entry in json.loads(reply.body)["data"]] == [keys.platform.serial, serial]


def test_the_list_of_certificates_is_signed_as_it_was_asked_for(wechat: Wechat, keys: Keys, now: datetime) -> None:
    reply = wechat.answer(by_public_key(keys, now, CERTIFICATES), now)
    assert verify(keys.wechat, reply) == ACCOUNTS.public_key_id


def test_an_account_without_platform_certificates_has_none_to_list_and_signs_by_public_key(
    book: Book, keys: Keys, paid: Trade, now: datetime
) -> None:
    wechat = Wechat(keys, replace(ACCOUNTS, has_platform_certificates=False), book)
    book.put(paid)
    assert refusal(wechat.answer(request(keys, now, CERTIFICATES), now)) == (404, "RESOURCE_NOT_EXISTS")
    assert verify(keys.wechat, wechat.answer(request(keys, now, QUERY), now)) == ACCOUNTS.public_key_id


def test_a_renewed_certificate_is_one_that_nobody_can_fetch(
    wechat: Wechat, platform: Platform, book: Book, keys: Keys, paid: Trade, now: datetime
) -> None:
    book.put(replace(paid, trouble=Trouble.RENEWED_CERTIFICATE))
    for asked in (request(keys, now, QUERY), by_public_key(keys, now, QUERY)):
        serial = verify(keys.stranger, wechat.answer(asked, now))
        assert serial not in {*platform.serials, ACCOUNTS.public_key_id}


def test_an_undated_refund_is_a_refund_at_wechat(
    wechat: Wechat, book: Book, keys: Keys, paid: Trade, now: datetime
) -> None:
    book.put(replace(paid, refunded_at=now, twist=Twist.UNDATED))
    told = json.loads(wechat.answer(request(keys, now, QUERY), now).body)
    assert told["trade_state"] == "REFUND"
    assert "success_time" in told


@pytest.mark.parametrize("order", [("sp_mchid", "sub_mchid"), ("sub_mchid", "sp_mchid")])
def test_a_service_provider_is_told_both_merchants(
    *, wechat: Wechat, book: Book, keys: Keys, paid: Trade, now: datetime, order: tuple[str, str]
) -> None:
    book.put(paid)
    target = PARTNER + "?" + "&".join(f"{name}={PAIR[name]}" for name in order)
    told = json.loads(wechat.answer(request(keys, now, target), now).body)
    assert (told["sp_mchid"], told["sub_mchid"]) == (ACCOUNTS.mchid, ACCOUNTS.sub_mchid)
    assert (told["sp_appid"], told["sub_appid"]) == (ACCOUNTS.appid, ACCOUNTS.sub_appid)
    assert set(told["payer"]) == {"sp_openid", "sub_openid"}
    assert not {"mchid", "appid"} & set(told)


def test_another_merchant_s_trade_names_him_to_the_service_provider(
    wechat: Wechat, book: Book, keys: Keys, paid: Trade, now: datetime
) -> None:
    book.put(replace(paid, twist=Twist.OTHER_MERCHANT))
    target = f"{PARTNER}?sp_mchid={PAIR['sp_mchid']}&sub_mchid={PAIR['sub_mchid']}"
    told = json.loads(wechat.answer(request(keys, now, target), now).body)
    assert (told["sp_mchid"], told["sub_mchid"]) == (ACCOUNTS.mchid, OTHER_MCHID)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        (f"sp_mchid={ACCOUNTS.mchid}&sub_mchid=1900000110", 403, "NO_AUTH"),
        (f"sp_mchid=1900000002&sub_mchid={ACCOUNTS.sub_mchid}", 400, "PARAM_ERROR"),
        (f"sp_mchid={ACCOUNTS.mchid}", 400, "PARAM_ERROR"),
        (f"mchid={ACCOUNTS.mchid}", 400, "PARAM_ERROR"),
    ],
)
def test_a_pair_that_is_none_is_refused(
    *, wechat: Wechat, keys: Keys, now: datetime, query: str, status: int, code: str
) -> None:
    assert refusal(wechat.answer(request(keys, now, f"{PARTNER}?{query}"), now)) == (status, code)


@pytest.mark.parametrize(
    ("target", "sent"), [(CLOSE, {"mchid": ACCOUNTS.mchid}), (f"{PARTNER}/close", PAIR)], ids=["direct", "partner"]
)
def test_an_unpaid_trade_is_closed_and_again_with_an_empty_signed_204(
    *, wechat: Wechat, book: Book, keys: Keys, unpaid: Trade, now: datetime, target: str, sent: dict[str, str]
) -> None:
    book.put(replace(unpaid, paid_at=now + timedelta(hours=1)))
    for _ in range(2):
        reply = wechat.answer(request(keys, now, target, sent), now)
        assert (reply.status, reply.body) == (204, b"")
        verify(keys.platform.key, reply)
    trade = book.get(GatewayKind.WECHAT, "A10001")
    assert trade is not None
    assert trade.state_at(now + timedelta(hours=2)) is State.CLOSED
    assert (book.asks_total, book.closes_total) == (0, 2)


@pytest.mark.parametrize("is_refunded", [True, False])
def test_a_paid_trade_is_not_closed(
    *, wechat: Wechat, book: Book, keys: Keys, paid: Trade, now: datetime, is_refunded: bool
) -> None:
    trade = replace(paid, refunded_at=now if is_refunded else None)
    book.put(trade)
    reply = wechat.answer(request(keys, now, CLOSE, {"mchid": ACCOUNTS.mchid}), now)
    assert refusal(reply) == (400, "ORDERPAID")
    assert reply.headers["Request-ID"].endswith("-268449538")
    assert book.get(GatewayKind.WECHAT, "A10001") == trade


def test_a_trade_that_nobody_opened_cannot_be_closed(wechat: Wechat, keys: Keys, now: datetime) -> None:
    reply = wechat.answer(request(keys, now, CLOSE, {"mchid": ACCOUNTS.mchid}), now)
    assert refusal(reply) == (404, "ORDER_NOT_EXIST")


def test_the_signature_covers_the_body(wechat: Wechat, book: Book, keys: Keys, unpaid: Trade, now: datetime) -> None:
    book.put(unpaid)
    asked = request(keys, now, CLOSE, {"mchid": ACCOUNTS.mchid})
    changed = replace(asked, body=asked.body + b" ")
    assert refusal(wechat.answer(changed, now)) == (401, "SIGN_ERROR")
    assert book.get(GatewayKind.WECHAT, "A10001") == unpaid


@pytest.mark.parametrize(
    ("sent", "content_type"),
    [
        ({}, "application/json"),
        ({"mchid": "1900000002"}, "application/json"),
        ({"mchid": ACCOUNTS.mchid, "more": 1}, "application/json"),
        ([], "application/json"),
        ({"mchid": ACCOUNTS.mchid}, "application/x-www-form-urlencoded"),
    ],
)
def test_a_close_that_says_something_else_is_a_400(
    *, wechat: Wechat, keys: Keys, now: datetime, sent: object, content_type: str
) -> None:
    asked = request(keys, now, CLOSE, sent, **{"Content-Type": content_type})
    assert refusal(wechat.answer(asked, now)) == (400, "PARAM_ERROR")


def test_a_close_whose_body_is_no_json_is_a_400(wechat: Wechat, keys: Keys, now: datetime) -> None:
    head = f"POST\n{CLOSE}\n{int(now.timestamp())}\n593BEC0C930BF1AFEB40B4A08C8FB242\n".encode()
    signature = base64.b64encode(keys.merchant.sign(head + b"{\n", padding.PKCS1v15(), hashes.SHA256())).decode()
    asked = request(keys, now, CLOSE, {})
    given = asked.headers["Authorization"].partition(',signature="')[0] + f',signature="{signature}"'
    asked = replace(asked, body=b"{", headers={**asked.headers, "Authorization": given})
    assert refusal(wechat.answer(asked, now)) == (400, "PARAM_ERROR")


def test_a_post_to_what_is_only_queried_finds_nothing(wechat: Wechat, keys: Keys, now: datetime) -> None:
    for target in (QUERY, CERTIFICATES):
        asked = request(keys, now, target, {"mchid": ACCOUNTS.mchid})
        assert refusal(wechat.answer(asked, now)) == (404, "RESOURCE_NOT_EXISTS")


def test_a_merchant_that_is_wrong_is_named_in_the_detail(wechat: Wechat, keys: Keys, now: datetime) -> None:
    reply = wechat.answer(request(keys, now, QUERY.replace(ACCOUNTS.mchid, "1900000002")), now)
    assert json.loads(reply.body)["detail"]["field"] == "mchid"


@pytest.mark.parametrize(("target", "sent"), [(QUERY, None), (CLOSE, {"mchid": ACCOUNTS.mchid}), (CERTIFICATES, None)])
def test_a_gateway_that_throttles_throttles_everything(
    *, wechat: Wechat, book: Book, keys: Keys, unpaid: Trade, now: datetime, target: str, sent: object
) -> None:
    book.put(unpaid)
    reply = wechat.answer(request(keys, now, target, sent), now, Condition(Trait.THROTTLE))
    assert refusal(reply)[0] == 429
    assert book.get(GatewayKind.WECHAT, "A10001") == unpaid


@pytest.mark.parametrize("off_s", [-400, 90])
def test_a_wrong_clock_shows_in_the_signed_timestamp_and_judges_no_request(
    *, wechat: Wechat, book: Book, keys: Keys, paid: Trade, now: datetime, off_s: int
) -> None:
    book.put(paid)
    condition = Condition(Trait.WRONG_CLOCK, timedelta(seconds=off_s))
    reply = wechat.answer(request(keys, now, QUERY), now, condition)
    verify(keys.platform.key, reply)
    assert int(reply.headers["Wechatpay-Timestamp"]) == int(now.timestamp()) + off_s
