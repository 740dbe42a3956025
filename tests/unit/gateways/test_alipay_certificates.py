from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

from reconciler.domain.answer import Answer, Evidence, Misconfigured, NotCreated, Paid, Untrusted, VerifyingKey
from reconciler.gateways.alipay import verify_evidence
from reconciler.gateways.alipay.certificates import serial_of
from reconciler.gateways.alipay.gateway import AlipayGateway
from reconciler.gateways.asking import Reading
from reconciler.gateways.keys import kept_key
from reconciler.transport import HttpRequest, HttpResponse
from tests.unit.gateways.alipay_bench import (
    ALIPAY,
    ALIPAY_CERT,
    APP,
    APP_CERT,
    CERTIFICATE_MODE,
    ENDPOINT,
    KEY_MODE,
    NOW,
    ROOT,
    ROOT_CERT,
    STRANGER,
    certificate,
    enveloped,
    gateway_of,
    public_pem,
    sign,
)

OURS = serial_of(load_pem_x509_certificate(ALIPAY_CERT))
RENEWED = "0123456789abcdef0123456789abcdef"
PAID: Mapping[str, object] = {
    "code": "10000",
    "msg": "Success",
    "out_trade_no": "A1",
    "trade_no": "2026112322001400001",
    "total_amount": "99.00",
    "trade_status": "TRADE_SUCCESS",
    "send_pay_date": "2026-11-23 01:29:00",
}
EXPIRED = {"code": "40002", "msg": "Invalid Arguments", "sub_code": "isv.app-cert-expired"}


@pytest.fixture
def gateway(tmp_path: Path) -> AlipayGateway:
    return gateway_of(tmp_path, CERTIFICATE_MODE)


def read(gateway: AlipayGateway, body: bytes) -> Reading:
    return gateway.query("A1").read(HttpResponse(200, (), body), NOW)


def untrusted(answer: Answer) -> Untrusted:
    assert isinstance(answer, Untrusted), answer
    return answer


def parameters(request: HttpRequest) -> Mapping[str, str]:
    return dict(parse_qsl(urlsplit(request.url).query, strict_parsing=True))


@pytest.mark.parametrize("call", ["query", "closing"])
def test_every_request_names_our_certificate_and_alipays_roots(gateway: AlipayGateway, call: str) -> None:
    public = parameters(getattr(gateway, call)("A1").write(NOW, ENDPOINT))
    assert public["app_cert_sn"] == serial_of(load_pem_x509_certificate(APP_CERT))
    assert public["alipay_root_cert_sn"] == serial_of(load_pem_x509_certificate(ROOT_CERT))


def test_in_key_mode_no_certificate_is_named(tmp_path: Path) -> None:
    public = parameters(gateway_of(tmp_path, KEY_MODE).query("A1").write(NOW, ENDPOINT))
    assert not {"app_cert_sn", "alipay_root_cert_sn", "app_auth_token"} & set(public)


def test_the_certificates_are_part_of_what_is_signed(gateway: AlipayGateway) -> None:
    request = gateway.query("A1").write(NOW, ENDPOINT)
    public = dict(parameters(request))
    signature = public.pop("sign")
    text = "&".join(
        f"{name}={value}" for name, value in sorted((public | dict(parse_qsl(request.body.decode()))).items())
    )
    assert signature == sign(text.encode(), APP)


def test_an_answer_by_our_certificate_is_verified(gateway: AlipayGateway) -> None:
    reading = read(gateway, enveloped(PAID, serial=OURS))
    assert isinstance(reading.answer, Paid)
    assert reading.key is not None


def test_a_renewed_certificate_is_named_with_how_to_renew_ours(gateway: AlipayGateway) -> None:
    answer = untrusted(read(gateway, enveloped(PAID, key=STRANGER, serial=RENEWED)).answer)
    assert answer.unknown_serial == RENEWED
    for word in ("download", "open platform", "alipay_cert", "restart"):
        assert word in answer.reason


def test_another_serial_is_not_ours_though_our_key_signed(gateway: AlipayGateway) -> None:
    reading = read(gateway, enveloped(PAID, serial=RENEWED))
    assert untrusted(reading.answer).unknown_serial == RENEWED
    assert reading.key is None


@pytest.mark.parametrize("serial", [None, ""])
def test_an_answer_that_names_no_certificate_proves_nothing(gateway: AlipayGateway, serial: str | None) -> None:
    reading = read(gateway, enveloped(PAID, serial=serial))
    assert untrusted(reading.answer).unknown_serial is None
    assert reading.key is None


def test_a_refusal_that_names_no_certificate_proves_nothing_but_is_passed_on(gateway: AlipayGateway) -> None:
    answer = untrusted(read(gateway, enveloped(EXPIRED)).answer)
    assert "unproven, it says 40002 isv.app-cert-expired" in answer.reason


def test_our_serial_over_anothers_signature_is_untrusted_without_a_serial(gateway: AlipayGateway) -> None:
    for key in (STRANGER, APP, ROOT):
        assert untrusted(read(gateway, enveloped(PAID, key=key, serial=OURS)).answer).unknown_serial is None


@pytest.mark.parametrize("serial", [7, 1.5, True, [], ["x"], {"a": OURS}])
@pytest.mark.parametrize("mode", [KEY_MODE, CERTIFICATE_MODE], ids=["key", "certificate"])
def test_a_serial_of_the_wrong_type_is_untrusted_in_either_mode(
    tmp_path: Path, mode: Mapping[str, bytes], serial: object
) -> None:
    untrusted(read(gateway_of(tmp_path, mode), enveloped(PAID, serial=serial)).answer)


@pytest.mark.parametrize(
    "serial", ["x", OURS[:-1], OURS + "0", OURS.upper(), f" {OURS}", "x" * 100_000, "\u202e\n\ud800"]
)
def test_a_serial_of_the_wrong_length_is_none_of_ours_and_fit_for_a_log_line(
    gateway: AlipayGateway, serial: str
) -> None:
    named = untrusted(read(gateway, enveloped(PAID, serial=serial)).answer).unknown_serial
    assert named is not None
    assert named.isprintable()
    assert len(named) <= 64


def test_a_serial_given_twice_is_untrusted(gateway: AlipayGateway) -> None:
    twice = enveloped(PAID, serial=OURS)[:-1] + b',"alipay_cert_sn":"' + OURS.encode() + b'"}'
    untrusted(read(gateway, twice).answer)


@pytest.mark.parametrize("root", ["alipay_trade_query_response", "error_response"])
def test_an_unsigned_refusal_is_heard_whatever_it_names(gateway: AlipayGateway, root: str) -> None:
    for serial in (None, OURS, RENEWED):
        reading = read(gateway, enveloped(EXPIRED, root, key=None, serial=serial))
        assert isinstance(reading.answer, Misconfigured)
        assert reading.key is None


def test_a_signed_refusal_is_verified(gateway: AlipayGateway) -> None:
    content = {"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST", "out_trade_no": "A1"}
    reading = read(gateway, enveloped(content, "error_response", serial=OURS))
    assert reading.answer == NotCreated()
    assert reading.key is not None


def test_an_unsigned_success_is_untrusted(gateway: AlipayGateway) -> None:
    assert read(gateway, enveloped(PAID, key=None, serial=OURS)).answer == Untrusted("a success without signature")


def test_key_mode_takes_an_answer_signed_by_certificate_with_the_same_key(tmp_path: Path) -> None:
    reading = read(gateway_of(tmp_path, KEY_MODE), enveloped(PAID, serial=RENEWED))
    assert isinstance(reading.answer, Paid)


def test_key_mode_names_the_certificate_of_an_answer_that_does_not_verify(tmp_path: Path) -> None:
    answer = untrusted(read(gateway_of(tmp_path, KEY_MODE), enveloped(PAID, key=STRANGER, serial=RENEWED)).answer)
    assert answer.unknown_serial == RENEWED
    assert "key mode" in answer.reason


@pytest.mark.parametrize("days", [-1, 365])
def test_the_dates_of_certificates_are_alipays_business(tmp_path: Path, days: int) -> None:
    secrets = {**CERTIFICATE_MODE, "app_cert": certificate(APP, "App", days=days)}
    secrets["alipay_cert"] = certificate(ALIPAY, "Alipay", days=days)
    assert isinstance(read(gateway_of(tmp_path, secrets), enveloped(PAID, serial=OURS)).answer, Paid)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_of_a_chain_the_first_certificate_signs_whatever_the_line_ends(tmp_path: Path, line_end: bytes) -> None:
    chain = ALIPAY_CERT + certificate(STRANGER, "Between") + ROOT_CERT
    secrets = {**CERTIFICATE_MODE, "alipay_cert": chain}
    secrets = {name: value.replace(b"\n", line_end) for name, value in secrets.items()}
    gateway = gateway_of(tmp_path, secrets)
    assert isinstance(read(gateway, enveloped(PAID, serial=OURS)).answer, Paid)
    assert parameters(gateway.query("A1").write(NOW, ENDPOINT))["alipay_root_cert_sn"] == serial_of(
        load_pem_x509_certificate(ROOT_CERT)
    )


def test_the_certificate_need_not_lead_to_the_roots(tmp_path: Path) -> None:
    strange = certificate(ALIPAY, "Alipay", "Nobody", STRANGER)
    gateway = gateway_of(tmp_path, {**CERTIFICATE_MODE, "alipay_cert": strange})
    serial = serial_of(load_pem_x509_certificate(strange))
    assert isinstance(read(gateway, enveloped(PAID, serial=serial)).answer, Paid)


def test_the_kept_key_carries_the_certificate_and_has_the_fingerprint_of_the_key(
    gateway: AlipayGateway, tmp_path: Path
) -> None:
    key = read(gateway, enveloped(PAID, serial=OURS)).key
    plain = read(gateway_of(tmp_path, KEY_MODE), enveloped(PAID)).key
    assert key is not None
    assert plain is not None
    assert key.fingerprint == plain.fingerprint
    assert key.pem == plain.pem + ALIPAY_CERT.decode()
    assert kept_key(key) == kept_key(plain) == ALIPAY.public_key()
    # The ledger reads a kept key so, and takes the first block for it.
    assert load_pem_public_key(key.pem.encode()) == ALIPAY.public_key()


def test_evidence_verifies_with_either_form_of_the_kept_key(gateway: AlipayGateway) -> None:
    body = enveloped(PAID, serial=OURS)
    key = read(gateway, body).key
    assert key is not None
    evidence = Evidence("alipay", "alipay.trade.query out_trade_no=A1", 200, (), body, key.fingerprint, NOW)
    alone = VerifyingKey(key.fingerprint, public_pem(ALIPAY).decode())
    assert verify_evidence(evidence, key) is None
    assert verify_evidence(evidence, alone) is None
    other = VerifyingKey(key.fingerprint, public_pem(STRANGER).decode() + ALIPAY_CERT.decode())
    assert verify_evidence(evidence, other) == "the kept key does not have the fingerprint it is kept under"
    bare = VerifyingKey(key.fingerprint, ALIPAY_CERT.decode())
    assert verify_evidence(evidence, bare) is not None


def test_the_merchants_token_is_named_and_signed(tmp_path: Path) -> None:
    gateway = gateway_of(tmp_path, {**CERTIFICATE_MODE, "app_auth_token": b"202611BB-token"})
    for call in (gateway.query("A1"), gateway.closing("A1")):
        request = call.write(NOW + timedelta(days=1), ENDPOINT)
        public = dict(parameters(request))
        assert public["app_auth_token"] == "202611BB-token"
        assert b"token" not in request.body
        assert "token" not in call.said
        signature = public.pop("sign")
        order = {"biz_content": json.dumps({"out_trade_no": "A1"}, separators=(",", ":"))}
        text = "&".join(f"{name}={value}" for name, value in sorted((public | order).items()))
        assert signature == sign(text.encode(), APP)


def test_secrets_are_not_in_what_is_printed(tmp_path: Path) -> None:
    gateway = gateway_of(tmp_path, {**CERTIFICATE_MODE, "app_auth_token": b"202611BB-token"})
    assert "token" not in repr(gateway._identity)
