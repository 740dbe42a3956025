"""What is said to an operator who gave the wrong key, and what a signature and a kept key stand for."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from reconciler.gateways.keys import (
    KeyUnreadable,
    kept_key,
    load_private_key,
    load_public_key,
    sign,
    verifies,
    verifying_key,
)

OURS, THEIRS = (rsa.generate_private_key(65537, 2048) for _ in range(2))
SMALL = rsa.generate_private_key(65537, 1024)  # noqa: S505 # what must be refused
ELLIPTIC = ec.generate_private_key(ec.SECP256R1())
SPKI, PKCS8 = PublicFormat.SubjectPublicKeyInfo, PrivateFormat.PKCS8


def private(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, encoding: Encoding) -> bytes:
    raw = key.private_bytes(encoding, PKCS8, NoEncryption())
    return base64.b64encode(raw) if encoding is Encoding.DER else raw


def public(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, encoding: Encoding) -> bytes:
    raw = key.public_key().public_bytes(encoding, SPKI)
    return base64.b64encode(raw) if encoding is Encoding.DER else raw


LOCKED = BestAvailableEncryption(b"x")


@pytest.mark.parametrize(
    ("load", "text", "said"),
    [
        (load_private_key, public(OURS, Encoding.DER), r"^is a public key; give the private one in PKCS#1 or PKCS#8"),
        (load_private_key, public(OURS, Encoding.PEM), r"^holds a public key; the private key is needed"),
        (load_private_key, b"QUJD", r"^is not an RSA private key; give the private one"),
        (load_private_key, private(SMALL, Encoding.PEM), r"^is not an RSA key of 2048 bits or more"),
        (load_private_key, private(ELLIPTIC, Encoding.PEM), r"^is not an RSA key of 2048 bits or more"),
        (load_private_key, OURS.private_bytes(Encoding.PEM, PKCS8, LOCKED), "passphrase; give it without one"),
        (
            load_private_key,
            OURS.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, LOCKED),
            "passphrase; give it without one",
        ),
        (load_private_key, b"-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----", "the private key is need"),
        (load_private_key, private(OURS, Encoding.DER)[:-1] + b"!", "neither PEM nor base64; the private key"),
        (load_public_key, private(OURS, Encoding.DER), r"^is a private key; give the public one"),
        (load_public_key, private(OURS, Encoding.PEM), r"^holds a private key; the public key is needed"),
        (load_public_key, b"QUJD", r"^is not an RSA public key; give the public one"),
        (load_public_key, public(SMALL, Encoding.DER), r"^is not an RSA key of 2048 bits or more"),
        (load_public_key, public(ELLIPTIC, Encoding.DER), r"^is not an RSA key of 2048 bits or more"),
        (load_public_key, b"%%%", "neither PEM nor base64; the public key"),
    ],
    ids=range(15),
)
def test_a_wrong_key_is_called_what_it_is(load: Callable[[bytes], object], text: bytes, said: str) -> None:
    with pytest.raises(KeyUnreadable, match=said):
        load(text)


def test_odd_characters_in_a_bare_key_are_not_passed_over() -> None:
    text = public(OURS, Encoding.DER)
    assert load_public_key(text) == OURS.public_key()
    for odd in (b"!" + text, text[:80] + b"!" + text[80:], b"-----\n" + text):
        with pytest.raises(KeyUnreadable, match="in one piece"):
            load_public_key(odd)


def test_two_keys_in_one_file_are_none() -> None:
    with pytest.raises(KeyUnreadable):
        load_public_key(public(OURS, Encoding.PEM) + public(THEIRS, Encoding.PEM))


def test_odd_characters_in_a_signature_are_not_passed_over() -> None:
    signature = sign(OURS, b"text")
    assert verifies(OURS.public_key(), signature, b"text")
    for odd in (f"!{signature}", f"{signature[:8]} {signature[8:]}", f"{signature}\n", signature + "=" * 4000):
        assert not verifies(OURS.public_key(), odd, b"text")


def test_a_key_is_kept_under_the_digest_of_its_own_standard_form() -> None:
    raw = OURS.public_key().public_bytes(Encoding.DER, SPKI)
    kept = verifying_key(OURS.public_key())
    assert kept.fingerprint == hashlib.sha256(raw).hexdigest()
    assert kept.pem == public(OURS, Encoding.PEM).decode()


def test_a_kept_key_that_is_not_the_one_it_says_is_refused_with_why() -> None:
    kept = verifying_key(OURS.public_key())
    for pem in (public(THEIRS, Encoding.PEM), public(THEIRS, Encoding.PEM) + public(OURS, Encoding.PEM)):
        with pytest.raises(KeyUnreadable, match="does not have the fingerprint it is kept under"):
            kept_key(type(kept)(kept.fingerprint, pem.decode()))
    assert kept_key(type(kept)(kept.fingerprint, kept.pem + public(THEIRS, Encoding.PEM).decode())) == OURS.public_key()
