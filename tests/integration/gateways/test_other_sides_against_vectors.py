"""The other side that the wire tests talk to is itself held to public test vectors, so that two errors do not agree."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import load_pem_x509_certificate

from tests.integration.gateways.other_keys import holds, roots_sn_of, sn_of
from tests.integration.gateways.other_wechat import sealed

VECTORS = Path(__file__).parents[3].parent / "shared" / "vectors"


@pytest.fixture(scope="module")
def vectors() -> Path:
    if not VECTORS.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"the test vectors are missing: {VECTORS}")
        pytest.skip("the test vectors (../shared/vectors beside the project) are not here")
    return VECTORS


def load(path: Path) -> Any:  # noqa: ANN401 # a vector file's shape is its own
    return json.loads(path.read_text())


def certified(path: Path) -> RSAPublicKey:
    key = load_pem_x509_certificate(path.read_bytes()).public_key()
    assert isinstance(key, RSAPublicKey)
    return key


def test_certificates_are_named_as_other_sdks_name_them(vectors: Path) -> None:
    names = load(vectors / "alipay/cert_sn.json")
    for file, sn in names["cert_sn"].items():
        assert sn_of(load_pem_x509_certificate((vectors / "alipay/certs" / file).read_bytes())) == sn
    for file, sn in names["alipay_root_cert_sn"].items():
        assert roots_sn_of((vectors / "alipay/certs" / file).read_bytes()) == sn


def test_signatures_hold_where_real_ones_do(vectors: Path) -> None:
    key = certified(vectors / "alipay/certs/yansongda_alipay_sandbox_chain.crt")
    for sample in load(vectors / "alipay/response_signatures_yansongda.json")["vectors"]:
        assert holds(key, sample["sign"], sample["signed_text"].encode())
    sample = load(vectors / "wechat/java_vectors.json")["rsa_sha256"]
    key = certified(vectors / "wechat" / sample["cert"])
    assert holds(key, sample["signature"], sample["message"].encode())
    assert not holds(key, sample["signature"], sample["message"].encode() + b" ")


def test_platform_certificates_are_sealed_as_real_ones_are(vectors: Path) -> None:
    file = load(vectors / "wechat/java_vectors.json")
    key, pem = file["apiv3_key"].encode(), file["v3_certificates_decrypted_pem"].encode()
    (item,) = file["v3_certificates_response"]["data"]
    envelope = item["encrypt_certificate"]
    assert sealed(pem, envelope["nonce"], key)["ciphertext"] == envelope["ciphertext"]
    assert set(sealed(pem, envelope["nonce"], key)) == set(envelope)
