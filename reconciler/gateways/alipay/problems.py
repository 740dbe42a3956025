"""What keeps an Alipay channel from being asked: keys and certificates that are missing, broken or misplaced."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from reconciler.gateways.alipay.certificates import root_serials, serial_of
from reconciler.gateways.alipay.settings import AlipaySettings
from reconciler.gateways.certificates import certified_key, load_certificate
from reconciler.gateways.keys import KeyUnreadable, load_private_key, load_public_key
from reconciler.settings.types import Secret

CERTIFICATES: Final = {
    "app_cert": "your application's certificate (appCertPublicKey_APPID.crt)",
    "alipay_cert": "Alipay's certificate (alipayCertPublicKey_RSA2.crt)",
    "alipay_root_cert": "Alipay's roots (alipayRootCert.crt)",
}
"""The settings of certificate mode, and what the open platform calls their files."""
NO_MODE: Final = (
    "is missing; copy Alipay's public key from the open platform, or, where the application uses certificates, "
    "give app_cert, alipay_cert and alipay_root_cert instead"
)
BOTH_MODES: Final = (
    "belongs to key mode, and {given} to certificate mode; keep those that the open platform shows for the "
    "application, and leave the others out"
)

_TOKEN = re.compile(rb"[!-~]{1,256}")


def of(settings: AlipaySettings) -> Iterator[tuple[str, str]]:
    """Name each setting that keeps the channel from being asked, and say what is wrong with it."""
    own = None
    try:
        own = load_private_key(settings.private_key.reveal())
    except KeyUnreadable as problem:
        yield "private_key", str(problem)
    yield from _problems_of_mode(settings)
    for name, check in _CHECKS.items():
        secret: Secret | None = getattr(settings, name)
        if secret is None:
            continue
        try:
            check(secret.reveal(), own)
        except KeyUnreadable as problem:
            yield name, str(problem)
    if settings.app_auth_token is not None and not _TOKEN.fullmatch(settings.app_auth_token.reveal()):
        yield "app_auth_token", "is not a token; give the merchant's app_auth_token alone, on one line"


def _problems_of_mode(settings: AlipaySettings) -> Iterator[tuple[str, str]]:
    given = [name for name in CERTIFICATES if getattr(settings, name) is not None]
    if settings.alipay_public_key is not None:
        if given:
            yield "alipay_public_key", BOTH_MODES.format(given=" and ".join(given))
    elif not given:
        yield "alipay_public_key", NO_MODE
    else:
        missing = (name for name in CERTIFICATES if name not in given)
        yield from ((name, f"is missing: certificate mode needs {CERTIFICATES[name]}") for name in missing)


def _check_public_key(text: bytes, own: RSAPrivateKey | None) -> None:
    theirs = load_public_key(text)
    if own is not None and own.public_key() == theirs:
        raise KeyUnreadable(
            "is your application's own public key; copy Alipay's, which is shown beside it on the open platform"
        )


def _check_app_cert(text: bytes, own: RSAPrivateKey | None) -> None:
    # An expired one is no fault of the configuration: Alipay itself says so, and the channel pauses.
    certificate = load_certificate(text)
    serial_of(certificate)
    key = certified_key(certificate)
    if own is not None and own.public_key() != key:
        wanted = CERTIFICATES["app_cert"]
        raise KeyUnreadable(f"is not over private_key; give {wanted}, and the private key that it was applied for with")


def _check_alipay_cert(text: bytes, own: RSAPrivateKey | None) -> None:
    certificate = load_certificate(text)
    serial_of(certificate)
    theirs = certified_key(certificate)
    if own is not None and own.public_key() == theirs:
        raise KeyUnreadable(f"is your application's own certificate; give {CERTIFICATES['alipay_cert']}")


def _check_roots(bundle: bytes, _own: RSAPrivateKey | None) -> None:
    root_serials(bundle)


_CHECKS: Final[Mapping[str, Callable[[bytes, RSAPrivateKey | None], None]]] = {
    "alipay_public_key": _check_public_key,
    "app_cert": _check_app_cert,
    "alipay_cert": _check_alipay_cert,
    "alipay_root_cert": _check_roots,
}
"""Each raises KeyUnreadable, with what is wrong and what to give."""
