from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from pydantic import ValidationError

from reconciler.gateways import KINDS, SETTINGS
from reconciler.gateways.alipay import AlipaySettings
from reconciler.gateways.keys import (
    KeyUnreadable,
    kept_key,
    load_private_key,
    load_public_key,
    sign,
    verifies,
    verifying_key,
)
from reconciler.gateways.wechat import WechatSettings

OURS = rsa.generate_private_key(65537, 2048)
THEIRS = rsa.generate_private_key(65537, 2048)
SMALL = rsa.generate_private_key(65537, 1024)  # noqa: S505 # what must be refused
FORMATS = (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL)
PUBLIC_FORMATS = (PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1)


def private(key: rsa.RSAPrivateKey, encoding: Encoding, form: PrivateFormat) -> bytes:
    raw = key.private_bytes(encoding, form, NoEncryption())
    return base64.b64encode(raw) if encoding is Encoding.DER else raw


def public(key: rsa.RSAPrivateKey, encoding: Encoding, form: PublicFormat) -> bytes:
    raw = key.public_key().public_bytes(encoding, form)
    return base64.b64encode(raw) if encoding is Encoding.DER else raw


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_a_private_key_is_read_in_every_form_the_tools_give(form: PrivateFormat, encoding: Encoding) -> None:
    text = private(OURS, encoding, form)
    for each in (text, text.replace(b"\n", b"\r\n"), b"\n" + text + b"\n"):
        assert load_private_key(each).private_numbers() == OURS.private_numbers()


@pytest.mark.parametrize("form", PUBLIC_FORMATS)
@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_a_public_key_is_read_in_every_form_the_tools_give(form: PublicFormat, encoding: Encoding) -> None:
    assert load_public_key(public(OURS, encoding, form)) == OURS.public_key()


def test_a_wrapped_base64_is_one_key() -> None:
    text = public(OURS, Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert load_public_key(b"\n".join(text[at : at + 64] for at in range(0, len(text), 64))) == OURS.public_key()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"secret!",
        b"QUJD",
        b"\xff\x00",
        public(OURS, Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public(OURS, Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        OURS.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")),
        OURS.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"x")),
        ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        private(SMALL, Encoding.PEM, PrivateFormat.PKCS8),
        private(OURS, Encoding.PEM, PrivateFormat.PKCS8)[:-40],
        b"-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----",
    ],
    ids=range(12),
)
def test_what_is_no_private_key_is_refused_without_printing_it(text: bytes) -> None:
    with pytest.raises(KeyUnreadable) as problem:
        load_private_key(text)
    assert b"secret" not in text or "secret" not in str(problem.value)


@pytest.mark.parametrize(
    "text",
    [b"", b"QUJD", private(OURS, Encoding.PEM, PrivateFormat.PKCS8), public(SMALL, Encoding.PEM, PUBLIC_FORMATS[0])],
    ids=range(4),
)
def test_what_is_no_public_key_is_refused(text: bytes) -> None:
    with pytest.raises(KeyUnreadable):
        load_public_key(text)


def test_a_certificate_in_place_of_a_key_is_called_one() -> None:
    with pytest.raises(KeyUnreadable, match="is a certificate; the public key is needed"):
        load_public_key(b"-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----")


def test_a_byte_order_mark_is_no_part_of_a_key() -> None:
    mark = b"\xef\xbb\xbf"
    assert load_public_key(mark + public(OURS, Encoding.PEM, PublicFormat.PKCS1)) == OURS.public_key()
    own = load_private_key(mark + private(OURS, Encoding.DER, PrivateFormat.PKCS8))
    assert own.private_numbers() == OURS.private_numbers()


def test_one_kind_of_key_in_place_of_the_other_is_called_what_it_is() -> None:
    for encoding in (Encoding.PEM, Encoding.DER):
        with pytest.raises(KeyUnreadable, match=r"(is|holds) a.* public key"):
            load_private_key(public(OURS, encoding, PublicFormat.PKCS1))
        with pytest.raises(KeyUnreadable, match=r"(is|holds) a.* private key"):
            load_public_key(private(OURS, encoding, PrivateFormat.TraditionalOpenSSL))


def test_a_signature_holds_for_its_text_and_key_only() -> None:
    signature = sign(OURS, b"text")
    assert verifies(OURS.public_key(), signature, b"text")
    assert not verifies(OURS.public_key(), signature, b"text ")
    assert not verifies(THEIRS.public_key(), signature, b"text")
    for odd in ("", "=", "é", signature + "\n", signature[:-4], "A" * 5000):
        assert not verifies(OURS.public_key(), odd, b"text")


def test_a_kept_key_is_the_one_it_says() -> None:
    kept = verifying_key(OURS.public_key())
    assert kept_key(kept) == OURS.public_key()
    with pytest.raises(KeyUnreadable):
        kept_key(type(kept)(verifying_key(THEIRS.public_key()).fingerprint, kept.pem))


@pytest.fixture
def alipay(tmp_path: Path) -> dict[str, object]:
    (tmp_path / "own").write_bytes(private(OURS, Encoding.PEM, PrivateFormat.PKCS8))
    (tmp_path / "theirs").write_bytes(public(THEIRS, Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (tmp_path / "own-public").write_bytes(public(OURS, Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return {
        "gateway": "alipay",
        "app_id": "2021000000000001",
        "private_key": f"file:{tmp_path / 'own'}",
        "alipay_public_key": f"file:{tmp_path / 'theirs'}",
    }


@pytest.fixture
def wechat(tmp_path: Path, alipay: dict[str, object]) -> dict[str, object]:
    return {
        "gateway": "wechat",
        "mchid": "1900000001",
        "appid": "wx1",
        "serial_no": "AB",
        "private_key": alipay["private_key"],
        "public_key_id": "PUB_KEY_ID_1",
        "public_key": alipay["alipay_public_key"],
    }


def test_complete_settings_have_no_problem(alipay: dict[str, object], wechat: dict[str, object]) -> None:
    assert list(AlipaySettings.model_validate(alipay).problems()) == []
    assert list(WechatSettings.model_validate(wechat).problems()) == []


def test_ones_own_public_key_in_place_of_theirs_is_named(
    alipay: dict[str, object], wechat: dict[str, object], tmp_path: Path
) -> None:
    own = f"file:{tmp_path / 'own-public'}"
    assert (
        "own public key"
        in dict(AlipaySettings.model_validate(alipay | {"alipay_public_key": own}).problems())["alipay_public_key"]
    )
    assert (
        "own private_key" in dict(WechatSettings.model_validate(wechat | {"public_key": own}).problems())["public_key"]
    )


def test_missing_and_mixed_up_keys_are_named_all_at_once(alipay: dict[str, object], wechat: dict[str, object]) -> None:
    mixed = AlipaySettings.model_validate(
        alipay | {"private_key": alipay["alipay_public_key"], "alipay_public_key": None}
    )
    assert [name for name, _ in mixed.problems()] == ["private_key", "alipay_public_key"]
    bare = WechatSettings.model_validate(
        wechat | {"public_key_id": None, "public_key": None, "endpoint": "https://h.example/x"}
    )
    assert [name for name, _ in bare.problems()] == ["endpoint", "public_key_id"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("mchid", 'x"'), ("mchid", "1\n"), ("appid", "wx 1"), ("serial_no", "zz"), ("public_key_id", "PUB_KEY_ID_é")],
)
def test_what_would_break_out_of_a_header_is_no_setting(wechat: dict[str, object], field: str, value: str) -> None:
    with pytest.raises(ValidationError):
        WechatSettings.model_validate(wechat | {field: value})


def test_each_kind_is_known_by_its_name() -> None:
    assert set(KINDS) == set(SETTINGS) == {"alipay", "wechat"}
    assert all(name == kind.name and SETTINGS[name] is kind.settings for name, kind in KINDS.items())
