"""The RSA keys of both sides, their certificates and secrets, and the files they are kept in."""

from __future__ import annotations

import base64
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key

from reconciler.sandbox.certificates import (
    AlipayCertificates,
    Certified,
    alipay_certificates,
    pem,
    platform_certificate,
)
from reconciler.sandbox.errors import KeyFileError

KEY_BITS = 2048
KEY_FILE_BYTES_MAX = 16 * 1024

APP_KEY = "alipay-app-key.pem"
ALIPAY_PUBLIC_KEY = "alipay-public-key.pem"
MERCHANT_KEY = "wechat-merchant-key.pem"
WECHAT_PUBLIC_KEY = "wechat-public-key.pem"
APP_CERTIFICATE = "alipay-app-cert.pem"
ALIPAY_CERTIFICATE = "alipay-cert.pem"
ALIPAY_ROOT_CERTIFICATE = "alipay-root-cert.pem"
APP_AUTH_TOKEN = "alipay-app-auth-token"  # noqa: S105 # a file's name
APIV3_KEY = "wechat-apiv3-key"
_ALIPAY_KEY = "gateway-alipay-key.pem"
_ALIPAY_CERTIFIED_KEY = "gateway-alipay-certified-key.pem"
_ALIPAY_ROOT_KEY = "gateway-alipay-root-key.pem"
_WECHAT_KEY = "gateway-wechat-key.pem"
_PLATFORM_KEY = "gateway-wechat-platform-key.pem"
_SECRET = re.compile(r"[0-9A-Za-z]{32}")


@dataclass(frozen=True, slots=True)
class Keys:
    """Everybody's private keys: this is a sandbox."""

    app: RSAPrivateKey
    """The application's, at Alipay: signs requests."""
    alipay: RSAPrivateKey
    """Alipay's own: signs answers."""
    merchant: RSAPrivateKey
    """The merchant's, at WeChat: signs requests."""
    wechat: RSAPrivateKey
    """WeChat's own, behind the public key id: signs answers."""
    stranger: RSAPrivateKey
    """Nobody's: signs what must not verify."""
    certificates: AlipayCertificates
    """Alipay's, for certificate mode."""
    platform: Certified
    """WeChat's first platform certificate."""
    app_auth_token: str
    """With which a merchant lets a service provider act for him, at Alipay."""
    apiv3_key: str
    """With which WeChat encrypts what it sends to the merchant: 32 characters."""


def make_keys() -> Keys:
    """Make fresh keys, in memory."""
    return _keys(lambda _name: generate_private_key(65537, KEY_BITS), lambda _name: secrets.token_hex(16))


def keep_keys(directory: Path) -> Keys:
    """Load the keys kept in a directory, making those that are missing; every file is 0600. Raises KeyFileError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = _keys(lambda name: _load_or_make(directory / name), lambda name: _load_or_make_secret(directory / name))
    for name, content in _given_out(keys).items():
        write_private(directory / name, content)
    return keys


def _keys(key: Callable[[str], RSAPrivateKey], secret: Callable[[str], str]) -> Keys:
    app = key(APP_KEY)
    nobodys, next_one = (generate_private_key(65537, KEY_BITS) for _ in range(2))
    return Keys(
        app=app,
        alipay=key(_ALIPAY_KEY),
        merchant=key(MERCHANT_KEY),
        wechat=key(_WECHAT_KEY),
        stranger=nobodys,
        certificates=alipay_certificates(
            key(_ALIPAY_ROOT_KEY), app.public_key(), key(_ALIPAY_CERTIFIED_KEY), renewed=next_one
        ),
        platform=platform_certificate(key(_PLATFORM_KEY)),
        app_auth_token=secret(APP_AUTH_TOKEN),
        apiv3_key=secret(APIV3_KEY),
    )


def _given_out(keys: Keys) -> Mapping[str, bytes]:
    """Give the files that a merchant downloads from the gateways."""
    return {
        ALIPAY_PUBLIC_KEY: _public_pem(keys.alipay.public_key()),
        WECHAT_PUBLIC_KEY: _public_pem(keys.wechat.public_key()),
        APP_CERTIFICATE: pem(keys.certificates.app),
        ALIPAY_CERTIFICATE: pem(keys.certificates.alipay.certificate),
        ALIPAY_ROOT_CERTIFICATE: keys.certificates.bundle,
    }


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read: whole, or not at all."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def sign(key: RSAPrivateKey, message: bytes) -> str:
    """SHA256withRSA, PKCS#1 v1.5, in base64: both gateways' signature (gateways.md 1.3, 2.3)."""
    return base64.b64encode(key.sign(message, padding.PKCS1v15(), hashes.SHA256())).decode()


def verifies(key: RSAPublicKey, signature: str, message: bytes) -> bool:
    """Whether a base64 signature is this key's over exactly these bytes."""
    try:
        key.verify(base64.b64decode(signature, validate=True), message, padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


def _load_or_make(path: Path) -> RSAPrivateKey:
    try:
        with path.open("rb") as file:
            pem = file.read(KEY_FILE_BYTES_MAX)
    except FileNotFoundError:
        key = generate_private_key(65537, KEY_BITS)
        write_private(path, _private_pem(key))
        return key
    try:
        loaded = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise KeyFileError(f"{path} is no private key in PEM; delete it and start again") from error
    if not isinstance(loaded, RSAPrivateKey):
        raise KeyFileError(f"{path} is not an RSA key; delete it and start again")
    return loaded


def _load_or_make_secret(path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(KEY_FILE_BYTES_MAX).decode("ascii", "replace").strip()
    except FileNotFoundError:
        text = secrets.token_hex(16)
        write_private(path, text.encode())
    if not _SECRET.fullmatch(text):
        raise KeyFileError(f"{path} is not 32 letters and digits; delete it and start again")
    return text


def _private_pem(key: RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _public_pem(key: RSAPublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
