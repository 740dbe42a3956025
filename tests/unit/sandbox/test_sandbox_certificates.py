from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509 import load_pem_x509_certificate, load_pem_x509_certificates

from reconciler.sandbox import platform as platform_module
from reconciler.sandbox.certificates import alipay_sn
from reconciler.sandbox.errors import KeyFileError, TooManyCertificates
from reconciler.sandbox.keys import (
    ALIPAY_CERTIFICATE,
    ALIPAY_ROOT_CERTIFICATE,
    APIV3_KEY,
    APP_AUTH_TOKEN,
    APP_CERTIFICATE,
    Keys,
    keep_keys,
)
from reconciler.sandbox.platform import Platform

VECTORS = Path(__file__).parents[3].parent / "shared" / "vectors" / "alipay"


@pytest.fixture(scope="module")
def vectors() -> Path:
    if not VECTORS.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"the test vectors are missing: {VECTORS}")
        pytest.skip("the test vectors (../shared/vectors beside the project) are not here")
    return VECTORS


def test_an_sn_is_reckoned_as_other_sdks_reckon_it(vectors: Path) -> None:
    expected = json.loads((vectors / "cert_sn.json").read_text())["cert_sn"]
    got = {name: alipay_sn(load_pem_x509_certificate((vectors / "certs" / name).read_bytes())) for name in expected}
    assert got == expected
    assert len(got) >= 3


def test_the_root_issued_the_others_and_no_two_share_a_key(keys: Keys) -> None:
    ours = keys.certificates
    for certificate in (ours.root.certificate, ours.app, ours.alipay.certificate, ours.renewed.certificate):
        certificate.verify_directly_issued_by(ours.root.certificate)
    assert ours.app.public_key() == keys.app.public_key()
    pairs = (keys.app, keys.alipay, keys.wechat, keys.stranger, ours.root.key, ours.alipay.key, ours.renewed.key)
    assert len({key.public_key().public_numbers().n for key in (*pairs, keys.platform.key)}) == len(pairs) + 1


def test_only_the_rsa_root_of_the_bundle_takes_part_in_its_sn(keys: Keys) -> None:
    in_bundle = load_pem_x509_certificates(keys.certificates.bundle)
    assert in_bundle == [keys.certificates.root.certificate, keys.certificates.other_root]
    assert keys.certificates.root_sn == keys.certificates.root.sn
    assert alipay_sn(in_bundle[1]) not in keys.certificates.root_sn


def test_a_kept_key_has_the_same_certificate_and_secret_next_time(tmp_path: Path) -> None:
    first, again = keep_keys(tmp_path), keep_keys(tmp_path)
    assert first.certificates.app == again.certificates.app
    assert first.certificates.alipay.certificate == again.certificates.alipay.certificate
    assert first.certificates.root_sn == again.certificates.root_sn
    assert first.platform.certificate == again.platform.certificate
    assert (first.app_auth_token, first.apiv3_key) == (again.app_auth_token, again.apiv3_key)


def test_what_a_merchant_downloads_is_in_files_of_his_own(tmp_path: Path) -> None:
    keys = keep_keys(tmp_path)
    assert load_pem_x509_certificate((tmp_path / APP_CERTIFICATE).read_bytes()) == keys.certificates.app
    alipays = load_pem_x509_certificate((tmp_path / ALIPAY_CERTIFICATE).read_bytes())
    assert alipays == keys.certificates.alipay.certificate
    assert (tmp_path / ALIPAY_ROOT_CERTIFICATE).read_bytes() == keys.certificates.bundle
    assert (tmp_path / APP_AUTH_TOKEN).read_text() == keys.app_auth_token
    assert (tmp_path / APIV3_KEY).read_text() == keys.apiv3_key
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize("text", ["", "short", "x" * 33, "é" * 32])
def test_a_kept_secret_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / APIV3_KEY).write_text(text)
    with pytest.raises(KeyFileError, match=APIV3_KEY):
        keep_keys(tmp_path)


def opened(entry: dict[str, dict[str, str]], apiv3_key: str) -> bytes:
    sealed = entry["encrypt_certificate"]
    assert sealed["algorithm"] == "AEAD_AES_256_GCM"
    assert len(sealed["nonce"]) == 12
    cipher, purpose = AESGCM(apiv3_key.encode()), sealed["associated_data"].encode()
    return cipher.decrypt(sealed["nonce"].encode(), base64.b64decode(sealed["ciphertext"]), purpose)


def test_the_platform_certificates_open_with_the_apiv3_key_alone(keys: Keys) -> None:
    (entry,) = json.loads(json.dumps(Platform(keys.platform, keys.apiv3_key).listed()))["data"]
    certificate = load_pem_x509_certificate(opened(entry, keys.apiv3_key))
    assert certificate == keys.platform.certificate
    assert entry["serial_no"] == f"{certificate.serial_number:X}"
    assert len(entry["serial_no"]) == 40
    assert (entry["effective_time"], entry["expire_time"]) == ("2020-01-01T08:00:00+08:00", "2050-01-01T08:00:00+08:00")
    with pytest.raises(InvalidTag):
        opened(entry, "0" * 32)


def test_a_roll_over_adds_a_certificate_that_is_newer(keys: Keys) -> None:
    platform = Platform(keys.platform, keys.apiv3_key)
    serial = platform.roll_over()
    assert platform.serials == (keys.platform.serial, serial)
    assert platform.newest.serial == serial
    first, second = (entry["effective_time"] for entry in json.loads(json.dumps(platform.listed()))["data"])
    assert first < second


def test_there_is_an_end_to_rolling_over(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform_module, "CERTIFICATES_MAX", 1)
    with pytest.raises(TooManyCertificates, match="start it anew"):
        Platform(keys.platform, keys.apiv3_key).roll_over()
