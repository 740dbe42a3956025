"""WeChat Pay's signature: what it covers, how old it may be, and what is said where it proves nothing."""

from __future__ import annotations

import base64
import re
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256

from reconciler.gateways.keys import verifying_key
from reconciler.gateways.wechat.keyring import NotSigned, Signed, TheirKey, judge
from reconciler.gateways.wechat.signing import (
    AGE_S_MAX,
    fault_of,
    header_fault,
    is_deliberately_false,
    request_text,
    response_text,
    signed_headers,
)
from reconciler.transport import Headers, HttpResponse
from tests.unit.gateways.wechat_bench import FIRST, NOW, STRANGER, signed

PUBLIC = FIRST.key.public_key()
SECOND = timedelta(seconds=1)
OLDEST = AGE_S_MAX * SECOND


def without(response: HttpResponse, *names: str) -> Headers:
    return tuple((name, value) for name, value in response.headers if name not in names)


def test_the_signed_texts_are_lines_that_all_end() -> None:
    assert request_text("GET", "/v3/x?a=1", 7, "n") == b"GET\n/v3/x?a=1\n7\nn\n\n"
    assert request_text("POST", "/v3/x", 7, "n", b"{}\n") == b"POST\n/v3/x\n7\nn\n{}\n\n"
    assert response_text("7", "n", b"\xff") == b"7\nn\n\xff\n"


@pytest.mark.parametrize("header", ["serial", "timestamp", "nonce", "signature"])
def test_a_signature_needs_each_of_its_headers_once(header: str) -> None:
    response, name = signed({"a": 1}), f"wechatpay-{header}"
    assert header_fault(response.headers) is None
    assert header_fault(without(response, name)) == f"unsigned: no usable {name}"
    assert header_fault((*response.headers, (name, "x"))) == "a signature header is given twice"
    for odd in ("", "a b", "é", "x" * 1025, "a\n"):
        assert header_fault((*without(response, name), (name, odd))) == f"unsigned: no usable {name}"
    assert header_fault((*without(response, name), (name, "x" * 1024))) is None


def test_all_that_is_missing_is_named() -> None:
    missing = "wechatpay-serial, wechatpay-timestamp, wechatpay-nonce, wechatpay-signature"
    assert header_fault(()) == f"unsigned: no usable {missing}"
    assert header_fault((("date", "x"),)) == f"unsigned: no usable {missing}"


def test_what_is_kept_of_the_headers_is_what_was_signed() -> None:
    response = signed({"a": 1})
    assert signed_headers((*response.headers, ("date", "x"), ("wechatpay-nonce", "a b"))) == response.headers


def test_only_a_signature_can_be_deliberately_false() -> None:
    assert is_deliberately_false((("wechatpay-signature", "WECHATPAY/SIGNTEST/x"),))
    for name, value in (
        ("wechatpay-signature", "x WECHATPAY/SIGNTEST/"),
        ("wechatpay-signature", "wechatpay/signtest/x"),
        ("wechatpay-nonce", "WECHATPAY/SIGNTEST/x"),
    ):
        assert not is_deliberately_false(((name, value),))


@pytest.mark.parametrize("off", [-OLDEST, -SECOND, timedelta(), SECOND, OLDEST])
def test_a_time_within_five_minutes_is_ours(off: timedelta) -> None:
    response = signed({"a": 1})
    assert fault_of(response.headers, response.body, PUBLIC, NOW + off) is None


def test_a_time_beyond_that_says_whose_clock_is_off_by_how_much() -> None:
    response = signed({"a": 1})
    late = fault_of(response.headers, response.body, PUBLIC, NOW + OLDEST + SECOND)
    early = fault_of(response.headers, response.body, PUBLIC, NOW - OLDEST - SECOND)
    assert re.fullmatch(r"signed 301s before our time: .* the clock here is 301s fast", late or "")
    assert re.fullmatch(r"signed 301s after our time: the clock here is 301s slow, .*", early or "")


def test_what_was_not_signed_so_does_not_verify() -> None:
    response = signed({"a": 1})
    assert fault_of(response.headers, response.body, STRANGER.public_key(), NOW) == "the signature does not verify"
    assert fault_of(response.headers, response.body + b" ", PUBLIC, NOW) == "the signature does not verify"
    for timestamp in ("x", "-1", "1" * 13, "1.5"):
        odd = signed({"a": 1}, timestamp=timestamp)
        assert fault_of(odd.headers, odd.body, PUBLIC, NOW) == "the signed time is not a number of seconds"
    long = signed({"a": 1}, timestamp="1" * 12)
    assert "after our time" in (fault_of(long.headers, long.body, PUBLIC, NOW) or "")


KEY = TheirKey(PUBLIC, verifying_key(PUBLIC))


def judged(response: HttpResponse, key: TheirKey | None = KEY) -> Signed | NotSigned:
    return judge(response, lambda serial: key if serial == FIRST.serial else None, NOW)


@pytest.mark.parametrize("written", [FIRST.serial, FIRST.serial.lower(), f"00{FIRST.serial}"])
def test_a_key_is_looked_for_by_its_serial_written_one_way(written: str) -> None:
    assert judged(signed({"a": 1}, serial=written)) == Signed(KEY.kept)


def test_an_unknown_serial_is_told_as_it_was_written_and_nothing_else_is() -> None:
    said = judged(signed({"a": 1}, serial="00ab"))
    assert isinstance(said, NotSigned)
    assert (said.unknown_serial, said.again) == ("00ab", False)
    for response in (signed({"a": 1}, STRANGER), signed({"a": 1}, false=True), HttpResponse(200, (), b"")):
        other = judged(response)
        assert isinstance(other, NotSigned)
        assert other.unknown_serial is None


def test_a_deliberately_false_signature_alone_is_worth_asking_again() -> None:
    for response, again in (
        (signed({"a": 1}, false=True), True),
        (signed({"a": 1}, STRANGER), False),
        (signed({"a": 1}, at=NOW - OLDEST - SECOND), False),
        (HttpResponse(200, (), b""), False),
    ):
        said = judged(response)
        assert isinstance(said, NotSigned)
        assert said.again is again


@pytest.mark.parametrize(
    ("begins", "ends", "valid"),
    [
        (timedelta(), timedelta(), True),
        (SECOND, None, False),
        (None, -SECOND, False),
        (-SECOND, None, True),
        (None, SECOND, True),
        (None, None, True),
    ],
)
def test_a_key_vouches_for_what_was_signed_in_its_own_time(
    begins: timedelta | None, ends: timedelta | None, valid: bool
) -> None:
    key = TheirKey(PUBLIC, KEY.kept, None if begins is None else NOW + begins, None if ends is None else NOW + ends)
    said = judged(signed({"a": 1}), key)
    assert isinstance(said, Signed) is valid
    if isinstance(said, NotSigned):
        assert "platform certificate is not valid" in said.fault


def test_the_signature_covers_time_nonce_and_body_and_no_serial() -> None:
    response = signed({"a": 1})
    values = dict(response.headers)
    text = response_text(values["wechatpay-timestamp"], values["wechatpay-nonce"], response.body)
    PUBLIC.verify(base64.b64decode(values["wechatpay-signature"]), text, padding.PKCS1v15(), SHA256())
    for name in ("timestamp", "nonce"):
        other = (*without(response, f"wechatpay-{name}"), (f"wechatpay-{name}", "1"))
        assert fault_of(other, response.body, PUBLIC, NOW) == "the signature does not verify"
