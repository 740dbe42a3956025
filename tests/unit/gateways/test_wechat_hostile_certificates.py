"""What a stranger can put into /v3/certificates: an answer each time, and never a new key."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from reconciler.domain.answer import Misconfigured, Unavailable, Untrusted
from reconciler.gateways.wechat.certificates import open_items
from tests.unit.gateways.test_gateway_vectors import load, vectors
from tests.unit.gateways.wechat_bench import (
    APIV3_KEY,
    FIRST,
    MERCHANT,
    NOW,
    SECOND,
    STRANGER,
    TRADE,
    bench,
    certificate,
    item,
    sealed,
    settings,
    signed,
)

__all__ = ["vectors"]

LATE = timedelta(seconds=301)
SMALL = rsa.generate_private_key(65537, 1024)  # noqa: S505 # what must be refused
ELLIPTIC = ec.generate_private_key(ec.SECP256R1())


def changed(**encrypted: object) -> dict[str, Any]:
    """Take the second certificate's item, with something else in its encrypted part."""
    whole = item(SECOND)
    return whole | {"encrypt_certificate": whole["encrypt_certificate"] | encrypted}


def flipped() -> dict[str, Any]:
    raw = bytearray(base64.b64decode(item(SECOND)["encrypt_certificate"]["ciphertext"]))
    raw[-1] ^= 1
    return changed(ciphertext=base64.b64encode(raw).decode())


UNSOUND: dict[str, object] = {
    "no object": "x",
    "null": None,
    "nested list": [[]],
    "nothing in it": {},
    "no serial": item(SECOND) | {"serial_no": None},
    "a number for a serial": item(SECOND) | {"serial_no": 7},
    "a serial that is not hex": item(SECOND) | {"serial_no": "PUB_KEY_ID_1"},
    "an endless serial": item(SECOND) | {"serial_no": "F" * 100_000},
    "another serial": item(SECOND) | {"serial_no": FIRST.serial[:-1] + "F"},
    "nothing encrypted": item(SECOND) | {"encrypt_certificate": []},
    "another algorithm": changed(algorithm="AEAD_SM4_GCM"),
    "no algorithm": changed(algorithm=None),
    "an empty nonce": changed(nonce=""),
    "a short nonce": changed(nonce="0" * 7),
    "a long nonce": changed(nonce="0" * 13),
    "a nonce of a megabyte": changed(nonce="0" * 900_000),
    "a nonce of 12 characters but more bytes": changed(nonce="é" * 12),
    "a number for a nonce": changed(nonce=123456789012),
    "garbage for base64": changed(ciphertext="%%%"),
    "an empty ciphertext": changed(ciphertext=""),
    "a ciphertext shorter than its tag": changed(ciphertext="QUJD"),
    "a huge ciphertext": changed(ciphertext="A" * 500_000),
    "a list for a ciphertext": changed(ciphertext=["A"]),
    "a wrong tag": flipped(),
    "other associated data": changed(associated_data="x"),
    "huge associated data": changed(associated_data="x" * 500_000),
    "a surrogate in associated data": changed(associated_data="\ud800"),
    "a number for associated data": changed(associated_data=1),
    "another merchant's": item(SECOND, b"another merchants own apiv3 key!"),
    "an elliptic key": sealed(certificate(ELLIPTIC, SECOND.number), SECOND.serial),
    "1024 bits": sealed(certificate(SMALL, SECOND.number), SECOND.serial),
    "a certificate of another number": sealed(certificate(SECOND.key, 5), SECOND.serial),
    "no certificate": sealed(b"hello", SECOND.serial),
    "nothing": sealed(b"", SECOND.serial),
    "a nonce of 13 bytes that opens": sealed(SECOND.pem, SECOND.serial, nonce="0123456789abc"),
    "long associated data that opens": sealed(SECOND.pem, SECOND.serial, about="x" * 257),
    "a large content that opens": sealed(SECOND.pem + b" " * 7000, SECOND.serial),
    "a broken certificate": sealed(SECOND.pem[:300] + SECOND.pem[-40:], SECOND.serial),
    "a public key": sealed(b"-----BEGIN PUBLIC KEY-----\nQUJD\n-----END PUBLIC KEY-----\n", SECOND.serial),
}


@pytest.mark.parametrize("unsound", UNSOUND.values(), ids=UNSOUND.keys())
@pytest.mark.parametrize("beside_a_sound_one", [False, True])
async def test_an_unsound_item_brings_no_key(tmp_path: Path, unsound: object, *, beside_a_sound_one: bool) -> None:
    made = bench(settings(tmp_path, public_key=False, apiv3_key=True))
    items = [unsound, item(FIRST)] if beside_a_sound_one else [unsound]
    made.office.certificates = lambda _, now: signed({"data": items}, at=now)
    made.office.trade = lambda _, now: signed(TRADE, SECOND.key, SECOND.serial, at=now)
    (reply,) = await made.gateway.ask(["A1"])
    assert not reply.verified
    assert type(reply.answer) in ({Untrusted} if beside_a_sound_one else {Unavailable, Misconfigured})
    made.office.trade = None
    (reply,) = await made.gateway.ask(["A1"])
    assert reply.verified is beside_a_sound_one


WHOLE: dict[str, Callable[[], Any]] = {
    "not signed": lambda: type(signed(b""))(200, (), json.dumps({"data": [item(FIRST)]}).encode()),
    "signed by a stranger": lambda: signed({"data": [item(FIRST)]}, STRANGER),
    "signed under one that it does not bring": lambda: signed({"data": [item(FIRST)]}, SECOND.key, SECOND.serial),
    "signed with a key that it brings under another name": lambda: signed(
        {"data": [item(FIRST), item(SECOND)]}, SECOND.key
    ),
    "signed by ourselves": lambda: signed({"data": [item(FIRST)]}, MERCHANT),
    "signed too long ago": lambda: signed({"data": [item(FIRST)]}, at=NOW - LATE),
    "signed too far ahead": lambda: signed({"data": [item(FIRST)]}, at=NOW + LATE),
    "always deliberately false": lambda: signed({"data": [item(FIRST)]}, false=True),
    "another body": lambda: type(signed(b""))(
        200, signed({"data": [item(FIRST)]}).headers, json.dumps({"data": [item(FIRST)]}).encode() + b" "
    ),
    "one serial twice": lambda: signed({"data": [item(FIRST), item(FIRST)]}),
    "too many": lambda: signed(
        {"data": [item(FIRST), *(sealed(certificate(SECOND.key, n), f"{n:X}") for n in range(1, 33))]}
    ),
    "a member twice": lambda: signed(b'{"data":[],"data":' + json.dumps([item(FIRST)]).encode() + b"}"),
    "no list": lambda: signed({"data": {"0": item(FIRST)}}),
    "null": lambda: signed({"data": None}),
    "no data": lambda: signed({}),
    "no object": lambda: signed([item(FIRST)]),
    "no JSON": lambda: signed(b"<html>"),
    "not UTF-8": lambda: signed(b'{"data":"\xff"}'),
    "deep": lambda: signed(b'{"data":' + b"[" * 100_000),
    "empty": lambda: signed(b""),
    "a huge number": lambda: signed(b'{"data":' + b"9" * 5000 + b"}"),
}


@pytest.mark.parametrize("make", WHOLE.values(), ids=WHOLE.keys())
async def test_a_list_that_cannot_be_trusted_brings_no_key(tmp_path: Path, make: Callable[[], Any]) -> None:
    made = bench(settings(tmp_path, public_key=False, apiv3_key=True))
    made.office.certificates = lambda _request, _now: make()
    (reply,) = await made.gateway.ask(["A1"])
    assert isinstance(reply.answer, Unavailable), reply.answer
    assert reply.answer.reason.isprintable()
    assert made.wire.questions == 0


async def test_a_serial_keeps_the_key_that_it_first_had(tmp_path: Path) -> None:
    """Even whoever knows the APIv3 key, and signs with a key that we have, replaces none."""
    made = bench(settings(tmp_path, public_key=False, apiv3_key=True))
    await made.gateway.ask(["A1"])
    other = sealed(certificate(STRANGER, FIRST.number), FIRST.serial)
    made.office.certificates = lambda _, now: signed({"data": [other]}, at=now)
    await made.clock.advance(12 * 3600)
    assert [reply.verified for reply in await made.gateway.ask(["A1"])] == [True]
    made.office.trade = lambda _, now: signed(TRADE, STRANGER, at=now)
    assert [reply.verified for reply in await made.gateway.ask(["A1"])] == [False]


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
ANYTHING = st.recursive(SCALARS, lambda some: st.lists(some) | st.dictionaries(st.text(max_size=5), some), max_leaves=9)


@given(
    st.lists(
        ANYTHING
        | st.fixed_dictionaries(
            {
                "serial_no": SCALARS | st.just(FIRST.serial),
                "encrypt_certificate": ANYTHING
                | st.fixed_dictionaries(
                    {
                        "algorithm": st.just("AEAD_AES_256_GCM"),
                        "nonce": st.text(min_size=12, max_size=12) | SCALARS,
                        "associated_data": SCALARS,
                        "ciphertext": st.binary(max_size=64).map(lambda raw: base64.b64encode(raw).decode()) | SCALARS,
                    }
                ),
            }
        )
    )
)
def test_no_items_raise_or_bring_a_key(items: list[object]) -> None:
    assert open_items(items, APIV3_KEY).certificates == {}


@given(st.binary(max_size=200))
def test_no_content_raises_or_brings_a_key(content: bytes) -> None:
    for raw in (content, FIRST.pem[:40] + content + FIRST.pem[-30:]):
        assert open_items([sealed(raw, FIRST.serial)], APIV3_KEY).certificates == {}


def test_the_java_sdks_sample_opens(vectors: Path) -> None:
    """An independent oracle: another SDK's /v3/certificates answer."""
    sample = load(vectors / "wechat/java_vectors.json")
    items = sample["v3_certificates_response"]["data"]
    opened = open_items(items, sample["apiv3_key"].encode())
    assert opened.faults == ()
    assert list(opened.certificates) == [each["serial_no"] for each in items]
    (only,) = opened.certificates.values()
    assert only.key.kept.pem.split("\n", 1)[0] == "-----BEGIN PUBLIC KEY-----"
    assert sample["v3_certificates_decrypted_pem"].strip() in only.key.kept.pem
    assert open_items(items, b"x" * 32).certificates == {}
