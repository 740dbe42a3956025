"""What is said of an Alipay answer that proves nothing, and which serials and roots a request names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate, load_pem_x509_certificate

from reconciler.domain.answer import Answer, Closed, NotCreated, Trade, Unavailable, Unrecognised, Untrusted
from reconciler.domain.closing import NotClosed, TradeClosed
from reconciler.gateways.alipay.certificates import root_serials, serial_of
from reconciler.gateways.alipay.gateway import AlipayGateway
from reconciler.gateways.alipay.signing import Method, open_envelope, string_to_sign
from reconciler.gateways.asking import CloseReading, Reading
from reconciler.gateways.keys import KeyUnreadable
from reconciler.gateways.strict_json import Malformed
from reconciler.transport import HttpResponse
from tests.unit.gateways.alipay_bench import (
    ALIPAY_CERT,
    APP,
    APP_CERT,
    CERTIFICATE_MODE,
    CLOSE,
    ELLIPTIC,
    ELLIPTIC_ROOT,
    ENDPOINT,
    KEY_MODE,
    NOW,
    REFUND_QUERY,
    ROOT_CERT,
    STRANGER,
    UNPARSABLE,
    certificate,
    enveloped,
    gateway_of,
)

OURS = serial_of(load_pem_x509_certificate(ALIPAY_CERT))
OTHER = "0123456789abcdef0123456789abcdef"
SECOND_ROOT = certificate(STRANGER, "Root 2", "Root 2", STRANGER)
BETWEEN = certificate(APP, "Between", "Root 2", STRANGER)
REFUSED: Mapping[str, object] = {"code": "40002", "msg": "no", "sub_code": "isv.app-cert-expired"}
NO_TRADE: Mapping[str, object] = {"code": "40004", "msg": "no", "sub_code": "ACQ.TRADE_NOT_EXIST"}


@pytest.fixture
def certified(tmp_path: Path) -> AlipayGateway:
    return gateway_of(tmp_path, CERTIFICATE_MODE)


@pytest.fixture
def keyed(tmp_path: Path) -> AlipayGateway:
    return gateway_of(tmp_path, KEY_MODE)


def read(gateway: AlipayGateway, body: bytes, status: int = 200) -> Reading:
    return gateway.query("A1").read(HttpResponse(status, (), body), NOW)


def fault(answer: Answer) -> Untrusted:
    assert isinstance(answer, Untrusted), answer
    return answer


def test_an_unproven_refusal_keeps_the_serial_that_it_names(certified: AlipayGateway) -> None:
    said = fault(read(certified, enveloped(REFUSED, key=STRANGER, serial=OTHER)).answer)
    assert said.unknown_serial == OTHER
    assert said.reason.endswith("; unproven, it says 40002 isv.app-cert-expired no")
    assert "alipay_cert" in said.reason


@pytest.mark.parametrize("content", [{"code": "10000"}, {"code": ""}, {"code": 40002}, {}], ids=str)
def test_an_unproven_success_or_nothing_is_not_passed_on(certified: AlipayGateway, content: dict[str, object]) -> None:
    assert "it says" not in fault(read(certified, enveloped(content, key=STRANGER, serial=OTHER)).answer).reason


def test_which_of_the_keys_did_not_fit_is_said(certified: AlipayGateway, keyed: AlipayGateway) -> None:
    assert "key of alipay_cert" in fault(read(certified, enveloped(REFUSED, key=STRANGER, serial=OURS)).answer).reason
    assert "alipay_public_key" in fault(read(keyed, enveloped(REFUSED, key=STRANGER)).answer).reason
    assert "certificate mode" in fault(read(certified, enveloped(REFUSED)).answer).reason
    assert "key mode" in fault(read(keyed, enveloped(REFUSED, key=STRANGER, serial=OTHER)).answer).reason


def test_a_refusal_about_another_number_is_untrusted_signed_or_not(keyed: AlipayGateway) -> None:
    content = {**NO_TRADE, "out_trade_no": "A2"}
    for body in (enveloped(content), enveloped(content, key=None)):
        assert fault(read(keyed, body).answer).reason == "it answers for another out_trade_no"


def test_a_not_created_is_verified_where_it_is_signed_and_names_the_number(keyed: AlipayGateway) -> None:
    for named, signed in ((True, True), (True, False), (False, True), (False, False)):
        content = {**NO_TRADE, "out_trade_no": "A1"} if named else NO_TRADE
        reading = read(keyed, enveloped(content) if signed else enveloped(content, key=None))
        assert reading.answer == NotCreated()
        assert (reading.key is not None) == (named and signed)


def test_any_other_refusal_is_verified_where_it_is_signed(keyed: AlipayGateway) -> None:
    assert read(keyed, enveloped(REFUSED)).key is not None
    assert read(keyed, enveloped(REFUSED, key=None)).key is None


def test_an_unknown_code_is_said_with_whether_it_was_signed(keyed: AlipayGateway) -> None:
    assert read(keyed, enveloped({"code": "10003\n"})).answer == Unrecognised("code 10003?")
    assert read(keyed, enveloped({})).answer == Unrecognised("no code")
    assert read(keyed, enveloped({"code": "10003"}, key=None)).answer == Untrusted("unsigned, with code 10003")
    assert read(keyed, enveloped({}, key=None)).answer == Untrusted("unsigned, with no code")


def test_what_is_no_answer_says_what_came_instead(keyed: AlipayGateway) -> None:
    assert read(keyed, enveloped(REFUSED), 302).answer == Unavailable("HTTP 302")
    page = read(keyed, b"<html>").answer
    assert isinstance(page, Unavailable)
    assert "not JSON" in page.reason
    malformed = fault(read(keyed, b'{"alipay_trade_query_response":{},"a_response":{}}').answer).reason
    assert malformed.startswith("malformed answer: ")
    assert "alipay_trade_query_response" in malformed


@pytest.mark.parametrize(
    ("body", "unproven"),
    [
        (enveloped({"code": "10000", "out_trade_no": "A1"}, CLOSE), False),
        (enveloped({"code": "10000", "out_trade_no": "A1"}, CLOSE, key=None), True),
        (enveloped({"code": "10000", "out_trade_no": "A1"}, CLOSE, key=STRANGER), True),
        (enveloped({"code": "10000", "out_trade_no": "A2"}, CLOSE), True),
        (enveloped({"code": "40004", "sub_code": "ACQ.TRADE_STATUS_ERROR"}, CLOSE), False),
        (enveloped({"code": "10003"}, CLOSE), False),
        (b"{", True),
    ],
    ids=range(7),
)
def test_the_pace_learns_nothing_good_from_a_close_that_nothing_proves(
    keyed: AlipayGateway, body: bytes, *, unproven: bool
) -> None:
    reading: CloseReading = keyed.closing("A1").read(HttpResponse(200, (), body), NOW)
    assert reading.is_unproven is unproven
    assert isinstance(reading.answer, Untrusted) is unproven
    assert isinstance(reading.reply, TradeClosed | NotClosed)


def test_every_rsa_root_of_the_bundle_is_named_in_the_files_order(tmp_path: Path) -> None:
    bundle = SECOND_ROOT + ELLIPTIC_ROOT + UNPARSABLE + BETWEEN + ROOT_CERT
    serials = [serial_of(load_pem_x509_certificate(each)) for each in (SECOND_ROOT, BETWEEN, ROOT_CERT)]
    assert list(root_serials(bundle)) == serials
    request = gateway_of(tmp_path, {**CERTIFICATE_MODE, "alipay_root_cert": bundle}).query("A1").write(NOW, ENDPOINT)
    assert f"alipay_root_cert_sn={'_'.join(serials)}" in request.url


@pytest.mark.parametrize(
    "bundle",
    [BETWEEN, APP_CERT + BETWEEN, ELLIPTIC_ROOT, UNPARSABLE, certificate(STRANGER, "E1", "E1", ELLIPTIC)],
    ids=["not a root", "two of none", "elliptic", "unparsable", "an RSA key that an elliptic one signed for"],
)
def test_a_bundle_without_an_rsa_root_is_refused_with_the_file_to_give(bundle: bytes) -> None:
    with pytest.raises(KeyUnreadable, match=r"alipayRootCert\.crt"):
        root_serials(bundle)


def test_every_request_names_its_app(tmp_path: Path) -> None:
    for secrets in (KEY_MODE, CERTIFICATE_MODE):
        gateway = gateway_of(tmp_path, secrets)
        for call in (gateway.query("A1"), gateway.closing("A1"), gateway.refund_query(Trade("A1"))):
            assert dict(parse_qsl(urlsplit(call.write(NOW, ENDPOINT).url).query))["app_id"] == "2021000000000001"


def test_a_certificate_whose_issuer_cannot_be_read_is_called_so() -> None:
    raw = load_pem_x509_certificate(ALIPAY_CERT).public_bytes(Encoding.DER)
    garbled = load_der_x509_certificate(raw.replace(b"Root", b"\xff\xfe\xff\xfe"))
    with pytest.raises(KeyUnreadable, match="issuer cannot be read; download it again"):
        serial_of(garbled)


@pytest.mark.parametrize(
    "body",
    [
        enveloped(REFUSED, REFUND_QUERY),
        enveloped(REFUSED, REFUND_QUERY, key=None),
        enveloped(REFUSED, REFUND_QUERY, key=STRANGER),
        enveloped(NO_TRADE, REFUND_QUERY),
        enveloped({"code": "10000", "out_trade_no": "A1"}, REFUND_QUERY),
        b"{",
    ],
    ids=range(6),
)
def test_a_refund_query_that_shows_no_refund_says_closed_and_proves_nothing(keyed: AlipayGateway, body: bytes) -> None:
    reading = keyed.refund_query(Trade("A1")).read(HttpResponse(200, (), body), NOW)
    assert reading == Reading(Closed(Trade("A1")))


def test_what_is_signed_is_every_parameter_that_says_something() -> None:
    said = {"b": "2", "sign": "x", "a": "1 &=", "sign_type": "RSA2", "empty": "", "B": "é"}
    assert string_to_sign(said) == "B=é&a=1 &=&b=2&sign_type=RSA2".encode()


@pytest.mark.parametrize("method", Method)
def test_an_envelope_has_one_root_its_own_or_that_of_errors(method: Method) -> None:
    own = method.root.encode()
    for root in (own, b"error_response"):
        envelope = open_envelope(b'{"x":1,"%b": {"a" :1} ,"sign":"s"}' % root, method.root)
        assert (envelope.content, envelope.signature, envelope.cert_serial) == (b'{"a" :1}', "s", None)
    for roots in (b'"%b":{},"error_response":{}' % own, b'"other_response":{}', b'"x":{}'):
        with pytest.raises(Malformed, match=f"{method.root} and error_response, alone"):
            open_envelope(b"{%b}" % roots, method.root)
