from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from reconciler.gateways.alipay import AlipaySettings
from tests.unit.gateways.alipay_bench import (
    ALIPAY_CERT,
    APP,
    APP_CERT,
    CERTIFICATE_MODE,
    ELLIPTIC,
    ELLIPTIC_ROOT,
    KEY_MODE,
    ROOT_CERT,
    STRANGER,
    UNPARSABLE,
    certificate,
    gateway_of,
    private_pem,
    public_pem,
    settings_of,
)

SMALL = rsa.generate_private_key(65537, 1024)  # noqa: S505 # what must be refused
BOTH = "belongs to key mode"
MISSING = "is missing: certificate mode needs"
NO_CERTIFICATE = "holds no certificate in PEM"


def problems(folder: Path, secrets: Mapping[str, bytes | None]) -> dict[str, str]:
    given = {name: value for name, value in secrets.items() if value is not None}
    found = list(settings_of(folder, given).problems())
    assert len(found) == len(dict(found)), found
    return dict(found)


@pytest.mark.parametrize("mode", [KEY_MODE, CERTIFICATE_MODE], ids=["key", "certificate"])
@pytest.mark.parametrize("token", [{}, {"app_auth_token": b"202611BB0f9aX42"}], ids=["itself", "for a merchant"])
def test_each_mode_is_complete_by_itself(tmp_path: Path, mode: Mapping[str, bytes], token: Mapping[str, bytes]) -> None:
    assert problems(tmp_path, {**mode, **token}) == {}
    assert gateway_of(tmp_path, {**mode, **token}).kind == "alipay"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"alipay_public_key": public_pem(STRANGER)}, {"alipay_public_key": BOTH}),
        ({"alipay_public_key": public_pem(STRANGER), "app_cert": None}, {"alipay_public_key": BOTH}),
        ({"app_cert": None}, {"app_cert": MISSING}),
        ({"alipay_cert": None}, {"alipay_cert": MISSING}),
        ({"app_cert": None, "alipay_cert": None}, {"app_cert": MISSING, "alipay_cert": MISSING}),
        ({"alipay_root_cert": None}, {"alipay_root_cert": "alipayRootCert.crt"}),
        (
            dict.fromkeys(("app_cert", "alipay_cert", "alipay_root_cert")),
            {"alipay_public_key": "is missing; copy Alipay's public key"},
        ),
    ],
    ids=range(7),
)
def test_two_modes_at_once_or_a_part_of_one_are_problems_that_say_what_to_do(
    tmp_path: Path, change: Mapping[str, bytes | None], expected: Mapping[str, str]
) -> None:
    found = problems(tmp_path, {**CERTIFICATE_MODE, **change})
    assert set(found) == set(expected)
    assert all(text in found[name] for name, text in expected.items())


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("app_cert", certificate(STRANGER, "App"), "is not over private_key"),
        ("app_cert", ALIPAY_CERT, "is not over private_key"),
        ("app_cert", private_pem(APP), "holds a private key"),
        ("app_cert", public_pem(APP), "holds a public key"),
        ("app_cert", b"secret!", NO_CERTIFICATE),
        ("app_cert", UNPARSABLE, "cannot be read"),
        ("alipay_cert", APP_CERT, "is your application's own certificate"),
        ("alipay_cert", public_pem(STRANGER), "holds a public key"),
        ("alipay_cert", ELLIPTIC_ROOT, "RSA key"),
        ("alipay_cert", certificate(SMALL, "Alipay"), "RSA key of 2048 bits"),
        ("alipay_cert", UNPARSABLE + ALIPAY_CERT, "cannot be read"),
        ("alipay_root_cert", ELLIPTIC_ROOT, "holds no RSA root certificate"),
        ("alipay_root_cert", UNPARSABLE, "holds no RSA root certificate"),
        ("alipay_root_cert", ALIPAY_CERT, "alipayRootCert.crt"),
        ("alipay_root_cert", certificate(STRANGER, "R1", "R1", ELLIPTIC), "holds no RSA root certificate"),
        ("alipay_root_cert", public_pem(APP), "holds a public key"),
        ("alipay_root_cert", ROOT_CERT * 33, "more than 32 certificates"),
        ("private_key", APP_CERT, "is a certificate; the private key is needed"),
        ("private_key", b"x", "base64"),
        ("app_auth_token", b"two words", "is not a token"),
        ("app_auth_token", "令牌".encode(), "is not a token"),
        ("app_auth_token", b"x" * 257, "is not a token"),
    ],
    ids=range(22),
)
def test_what_is_of_no_use_or_in_anothers_place_is_named(tmp_path: Path, name: str, value: bytes, text: str) -> None:
    found = problems(tmp_path, {**CERTIFICATE_MODE, name: value})
    assert set(found) == {name}
    assert text in found[name]
    assert "secret" not in found[name]


def test_certificates_swapped_are_both_named(tmp_path: Path) -> None:
    found = problems(tmp_path, {**CERTIFICATE_MODE, "app_cert": ALIPAY_CERT, "alipay_cert": APP_CERT})
    assert set(found) == {"app_cert", "alipay_cert"}


def test_a_certificate_in_place_of_the_public_key_is_called_one(tmp_path: Path) -> None:
    found = problems(tmp_path, {**KEY_MODE, "alipay_public_key": ALIPAY_CERT})
    assert found == {"alipay_public_key": "is a certificate; the public key is needed"}


def test_an_expired_certificate_is_no_problem_of_the_configuration(tmp_path: Path) -> None:
    assert problems(tmp_path, {**CERTIFICATE_MODE, "app_cert": certificate(APP, "App", days=-1)}) == {}


def account(folder: Path, secrets: Mapping[str, bytes], app_id: str = "1") -> tuple[object, ...]:
    folder.mkdir(exist_ok=True)
    return settings_of(folder, secrets, app_id).account()


def test_accounts_are_told_apart_by_application_and_token_alone(tmp_path: Path) -> None:
    plain = account(tmp_path / "a", KEY_MODE)
    assert plain == account(tmp_path / "b", CERTIFICATE_MODE)
    assert plain != account(tmp_path / "c", KEY_MODE, app_id="2")
    first = account(tmp_path / "d", {**KEY_MODE, "app_auth_token": b"T1"})
    assert plain != first
    assert first != account(tmp_path / "e", {**KEY_MODE, "app_auth_token": b"T2"})
    assert first == account(tmp_path / "f", {**KEY_MODE, "app_auth_token": b"T1"})


def test_a_token_that_cannot_be_read_does_not_raise_where_accounts_are_compared(tmp_path: Path) -> None:
    table = {"app_id": "1", "private_key": "env:NONE", "app_auth_token": f"file:{tmp_path / 'none'}"}
    one, two = (AlipaySettings.model_validate(table | more) for more in ({}, {"app_auth_token": "file:/none"}))
    assert one.account() != two.account()
    assert one.account() == AlipaySettings.model_validate(table).account()
