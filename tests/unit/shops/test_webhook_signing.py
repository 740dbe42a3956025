from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from reconciler.domain.money import Money
from reconciler.shops.webhook.signing import (
    EVENT,
    SECRET_BYTES_MAX,
    SECRET_BYTES_MIN,
    Confirmation,
    SecretUnusable,
    body_of,
    headers_of,
    message_id,
    signing_key,
)

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "shop-side" / "README.md"
KEY = bytes(range(32))
SECRET = b"whsec_" + base64.b64encode(KEY)
CONFIRMATION = Confirmation(
    order_key="7",
    order_no="A7",
    out_trade_no="P100007",
    channel="alipay-main",
    transaction_id="2" * 28,
    amount=Money(9905),
    paid_at=datetime(2026, 11, 24, 0, 0, 9, 123456, tzinfo=timezone(timedelta(hours=8))),
)
KEYS = st.binary(min_size=SECRET_BYTES_MIN, max_size=SECRET_BYTES_MAX)
TEXTS = st.text(max_size=40)


def now() -> datetime:
    return datetime.now(UTC)  # the other implementation takes no clock


def theirs(secret: bytes, headers: Mapping[str, str], body: bytes) -> object:
    return Webhook(secret.decode()).verify(body, dict(headers))


def test_the_other_implementation_takes_what_we_sign() -> None:
    body = body_of(CONFIRMATION)
    headers = headers_of(signing_key(SECRET), message_id("shop orders", "7"), now(), body)
    assert theirs(SECRET, headers, body) == json.loads(body)


@given(key=KEYS, shop=TEXTS, order=TEXTS, number=TEXTS, fen=st.integers(0, 10**12))
def test_the_other_implementation_takes_whatever_we_sign(
    key: bytes, shop: str, order: str, number: str, fen: int
) -> None:
    secret = b"whsec_" + base64.b64encode(key)
    confirmation = Confirmation(order, number, number, "c", "t", Money(fen), now())
    body = body_of(confirmation)
    headers = headers_of(signing_key(secret), message_id(shop, order), now(), body)
    assert theirs(secret, headers, body) == json.loads(body)


@given(
    key=KEYS,
    order=st.text(alphabet="abc019-_", min_size=1),
    seconds=st.integers(1_600_000_000, 3_000_000_000),
)
def test_we_sign_as_the_other_implementation_does(key: bytes, order: str, seconds: int) -> None:
    at = datetime.fromtimestamp(seconds, UTC)
    body = body_of(CONFIRMATION)
    ours = headers_of(signing_key(base64.b64encode(key)), order, at, body)
    assert ours["webhook-signature"] == Webhook(key).sign(order, at, body.decode())
    assert ours["webhook-timestamp"] == str(seconds)


@given(at=st.integers(0, 1000), changed=st.integers(1, 255))
def test_a_changed_byte_of_the_body_is_found_out(at: int, changed: int) -> None:
    body = bytearray(body_of(CONFIRMATION))
    headers = headers_of(signing_key(SECRET), "msg_1", now(), bytes(body))
    body[at % len(body)] ^= changed
    with pytest.raises((WebhookVerificationError, UnicodeDecodeError)):
        theirs(SECRET, headers, bytes(body))


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp"])
def test_id_and_timestamp_are_signed_too(header: str) -> None:
    body = body_of(CONFIRMATION)
    headers = dict(headers_of(signing_key(SECRET), "1", now(), body))
    headers[header] = str(int(headers[header]) + 1)
    with pytest.raises(WebhookVerificationError):
        theirs(SECRET, headers, body)


def test_an_old_message_is_refused_by_the_other_implementation() -> None:
    body = body_of(CONFIRMATION)
    headers = headers_of(signing_key(SECRET), "msg_1", now() - timedelta(minutes=6), body)
    with pytest.raises(WebhookVerificationError, match="too old"):
        theirs(SECRET, headers, body)


@pytest.mark.parametrize(
    "secret",
    [SECRET, base64.b64encode(KEY), SECRET.rstrip(b"="), SECRET + b"\n", base64.b64encode(KEY).rstrip(b"=")],
)
def test_a_secret_may_have_its_prefix_and_its_padding_or_not(secret: bytes) -> None:
    assert signing_key(secret) == signing_key(SECRET)


@given(key=st.binary(max_size=200))
def test_a_secret_has_24_to_64_bytes(key: bytes) -> None:
    if SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        assert signing_key(base64.b64encode(key)).key == key
    else:
        with pytest.raises(SecretUnusable, match=f"{len(key)} bytes"):
            signing_key(base64.b64encode(key))


@pytest.mark.parametrize(
    "secret", [b"whsec_not base64!", b"whsec_\xff\xfe" + b"A" * 40, b"whsec_" + b"A" * 45, b"whpk_" + b"A" * 43]
)
def test_what_is_no_secret_is_said_so(secret: bytes) -> None:
    with pytest.raises(SecretUnusable, match="base64 are due"):
        signing_key(secret)


@given(secret=st.binary(min_size=4, max_size=120))
def test_no_error_shows_a_part_of_the_secret(secret: bytes) -> None:
    secret = b"whsec_\x01" + secret
    with pytest.raises(SecretUnusable) as caught:
        signing_key(secret)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert str(caught.value) == "is no whsec_… secret: whsec_ and base64 are due"


def test_a_key_does_not_show_itself() -> None:
    assert repr(signing_key(SECRET)) == "SigningKey()"


def test_the_id_of_an_order_is_always_this_one() -> None:
    assert message_id("shop orders", "7") == "msg_c06a76a6ae5a1061b367667cb993c5e5fe4c8e33"


@given(st.lists(st.tuples(TEXTS, TEXTS), unique=True, min_size=2, max_size=20))
def test_every_order_of_every_shop_has_an_id_of_its_own(orders: list[tuple[str, str]]) -> None:
    ids = {message_id(shop, key) for shop, key in orders}
    assert len(ids) == len(orders)
    assert all(len(each) == 44 and "." not in each for each in ids)


def test_the_body_says_what_was_proven_and_nothing_of_it_is_a_float() -> None:
    def refuse(number: str) -> float:
        raise AssertionError(number)

    assert json.loads(body_of(CONFIRMATION), parse_float=refuse) == {
        "type": EVENT,
        "data": {
            "order_key": "7",
            "order_no": "A7",
            "out_trade_no": "P100007",
            "channel": "alipay-main",
            "transaction_id": "2" * 28,
            "amount_fen": 9905,
            "amount": "99.05",
            "currency": "CNY",
            "paid_at": "2026-11-24T00:00:09+08:00",
        },
    }


@pytest.mark.parametrize(("fen", "yuan"), [(0, "0.00"), (1, "0.01"), (100, "1.00"), (10**12, "10000000000.00")])
def test_yuan_have_two_decimals_and_no_exponent(fen: int, yuan: str) -> None:
    confirmation = Confirmation("7", "A7", "P7", "c", "t", Money(fen), now())
    assert json.loads(body_of(confirmation))["data"]["amount"] == yuan


def test_times_without_an_offset_are_refused() -> None:
    naive = datetime(2026, 11, 24)  # noqa: DTZ001 # that is the point
    with pytest.raises(ValueError, match="without an offset"):
        body_of(Confirmation("7", "A7", "P7", "c", "t", Money(1), naive))
    with pytest.raises(ValueError, match="without an offset"):
        headers_of(signing_key(SECRET), "msg_1", naive, b"{}")


def test_the_message_that_the_page_shows_is_one_of_ours() -> None:
    page = PAGE.read_text()
    headers, _, body = page.partition("```\nPOST ")[2].partition("\n```")[0].partition("\n\n")
    signed = body.replace("\n", "").encode()
    shown = dict(line.split(": ", 1) for line in headers.splitlines()[1:])
    at = datetime.fromtimestamp(int(shown["webhook-timestamp"]), UTC)
    assert headers_of(signing_key(SECRET), message_id("shop orders", "7"), at, signed) == shown
    fields = json.loads(body_of(CONFIRMATION))["data"]
    assert list(json.loads(signed)["data"]) == list(fields)
    assert [
        line.split("`")[1].removeprefix("data.") for line in page.splitlines() if line.startswith("| `data.")
    ] == list(fields)
