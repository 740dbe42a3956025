"""Independent oracles: sample data from the public test suites of other SDKs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import load_pem_x509_certificate

from reconciler.domain.closing import NotClosed, TradeClosed
from reconciler.gateways.alipay.certificates import root_serials, serial_of
from reconciler.gateways.alipay.codes import refusal_of
from reconciler.gateways.alipay.identity import Signer
from reconciler.gateways.alipay.reading import read_close
from reconciler.gateways.alipay.signing import Method, open_envelope
from reconciler.gateways.certificates import certificate_blocks, certified_key, load_certificate
from reconciler.gateways.keys import load_public_key, verifies, verifying_key
from reconciler.gateways.strict_json import parse_object
from reconciler.gateways.wechat.signing import response_text
from reconciler.transport import HttpResponse

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


def test_real_alipay_answers_verify_and_changed_ones_do_not(vectors: Path) -> None:
    key = certified(vectors / "alipay/certs/yansongda_alipay_sandbox_chain.crt")
    samples = load(vectors / "alipay/response_signatures_yansongda.json")["vectors"]
    for sample in samples:
        envelope = open_envelope(sample["full_response"].encode(), sample["root_key"])
        assert envelope.content == sample["signed_text"].encode()
        assert envelope.signature is not None
        assert envelope.signature == sample["sign"]
        assert verifies(key, envelope.signature, envelope.content)
        assert not verifies(key, envelope.signature, envelope.content.replace(b'"', b'" ', 1))
        assert parse_object(envelope.content)["code"] == "10000"
    assert len(samples) >= 5


def test_a_real_close_answer_is_closed_about_its_own_number_only(vectors: Path) -> None:
    samples = load(vectors / "alipay/response_signatures_yansongda.json")["vectors"]
    (sample,) = (sample for sample in samples if sample["root_key"] == Method.CLOSE.root)
    key = certified(vectors / "alipay/certs/yansongda_alipay_sandbox_chain.crt")
    response = HttpResponse(200, (), sample["full_response"].encode())
    by_key = Signer(key, verifying_key(key))
    number = json.loads(sample["signed_text"])["out_trade_no"]
    assert read_close(response, number, by_key).reply == TradeClosed()
    assert isinstance(read_close(response, f"{number}0", by_key).reply, NotClosed)
    assert isinstance(read_close(response, number, Signer(key, verifying_key(key), "0" * 32)).reply, NotClosed)


def test_certificates_have_the_serials_that_other_sdks_give_them(vectors: Path) -> None:
    expected = load(vectors / "alipay/cert_sn.json")
    folder = vectors / "alipay/certs"
    for name, serial in expected["cert_sn"].items():
        assert serial_of(load_certificate((folder / name).read_bytes())) == serial, name
    for name, joined in expected["alipay_root_cert_sn"].items():
        assert "_".join(root_serials((folder / name).read_bytes())) == joined, name
    assert len(expected["cert_sn"]) + len(expected["alipay_root_cert_sn"]) >= 5


def test_of_a_real_chain_the_first_certificate_is_the_signers(vectors: Path) -> None:
    path = vectors / "alipay/certs/yansongda_alipay_sandbox_chain.crt"
    assert len(certificate_blocks(path.read_bytes())) == 2
    assert certified_key(load_certificate(path.read_bytes())) == certified(path)


def test_the_signed_bytes_are_cut_out_as_other_sdks_cut_them(vectors: Path) -> None:
    file = load(vectors / "alipay/response_extraction_nodejs.json")
    key = load_public_key(file["public_key_der_b64"].encode())
    for sample in file["vectors"]:
        envelope = open_envelope(sample["raw"].encode(), sample["root_key"])
        assert envelope.content == sample["signed_text"].encode()
        assert envelope.signature is not None
        assert envelope.signature == sample["sign"]
        assert verifies(key, envelope.signature, envelope.content) == sample["verifies_with_alipay-public-key.pem"]


def test_error_samples_are_opened(vectors: Path) -> None:
    samples = load(vectors / "alipay/sample_error_responses.json")
    unsigned = open_envelope(samples["no_sign_invalid_app_id_2026"].encode(), Method.QUERY.root)
    assert unsigned.signature is None
    assert type(refusal_of("40002", parse_object(unsigned.content))).__name__ == "Misconfigured"
    error = open_envelope(samples["error_response_cert_mode"].encode(), Method.QUERY.root)
    assert error.cert_serial == "a5b59edf65dcda9ca26e071ab6f5a0a7"
    assert error.signature
    not_exist = samples["trade_not_exist_node"]
    assert type(refusal_of(not_exist["code"], not_exist)).__name__ == "NotCreated"


def test_the_wechat_sdks_signature_verifies(vectors: Path) -> None:
    sample = load(vectors / "wechat/java_vectors.json")["rsa_sha256"]
    key = certified(vectors / "wechat" / sample["cert"])
    assert verifies(key, sample["signature"], sample["message"].encode())
    assert not verifies(key, sample["signature"], sample["message"].encode() + b"\n")


def test_the_text_that_wechat_signs_ends_in_a_line_feed() -> None:
    assert response_text("1", "n", b"{}") == b"1\nn\n{}\n"
    assert response_text("1", "n", b"") == b"1\nn\n\n"
