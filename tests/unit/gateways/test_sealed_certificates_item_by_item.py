"""Opening WeChat Pay's items: each limit from both sides, and what is said of each item that is left out."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest

from reconciler.gateways.keys import kept_key
from reconciler.gateways.wechat.certificates import (
    ASSOCIATED_DATA_LENGTH_MAX,
    CIPHERTEXT_LENGTH_MAX,
    ITEMS_MAX,
    open_items,
)
from reconciler.gateways.wechat.keyring import can_be_a_certificate, is_public_key_id, plain_serial
from tests.unit.gateways.wechat_bench import APIV3_KEY, FIRST, LONG, NOW, PUBLIC, SECOND, certificate, item, sealed

TAG_BYTES = 16
ROOM = CIPHERTEXT_LENGTH_MAX // 4 * 3 - TAG_BYTES
"""Bytes of content whose ciphertext is exactly as long as allowed."""


def padded(length: int) -> bytes:
    return FIRST.pem + b" " * (length - len(FIRST.pem))


@pytest.mark.parametrize(
    ("within", "beyond", "fault"),
    [
        (
            sealed(padded(ROOM), FIRST.serial),
            sealed(padded(ROOM + 1), FIRST.serial),
            "an encrypted certificate is missing or too large",
        ),
        (
            sealed(FIRST.pem, FIRST.serial, about="x" * ASSOCIATED_DATA_LENGTH_MAX),
            sealed(FIRST.pem, FIRST.serial, about="x" * (ASSOCIATED_DATA_LENGTH_MAX + 1)),
            "an encrypted certificate is missing or too large",
        ),
        (
            sealed(FIRST.pem, FIRST.serial, nonce="0123456789ab"),
            sealed(FIRST.pem, FIRST.serial, nonce="0123456789a"),
            "a nonce is not 12 bytes",
        ),
        (
            item(FIRST) | {"serial_no": FIRST.serial.rjust(64, "0")},
            item(FIRST) | {"serial_no": FIRST.serial.rjust(65, "0")},
            "an item has no usable serial_no",
        ),
    ],
    ids=["ciphertext", "associated data", "nonce", "serial"],
)
def test_an_item_at_its_limit_opens_and_one_beyond_does_not(
    within: dict[str, Any], beyond: dict[str, Any], fault: str
) -> None:
    opened = open_items([within], APIV3_KEY)
    assert (list(opened.certificates), opened.faults) == ([FIRST.serial], ())
    refused = open_items([beyond], APIV3_KEY)
    assert (refused.certificates, refused.faults) == ({}, (fault,))


def test_a_list_is_so_long_and_no_longer() -> None:
    items: list[object] = [item(FIRST)] + [None] * (ITEMS_MAX - 1)
    opened = open_items(items, APIV3_KEY)
    assert list(opened.certificates) == [FIRST.serial]
    assert opened.faults == ("an item is no object",) * (ITEMS_MAX - 1)
    assert open_items([*items, None], APIV3_KEY).certificates == {}
    assert open_items([*items, None], APIV3_KEY).faults == (f"more than {ITEMS_MAX} certificates",)


def test_what_is_no_list_is_called_so() -> None:
    for items in (None, {"0": item(FIRST)}, "x", (item(FIRST),)):
        opened = open_items(items, APIV3_KEY)
        assert (opened.certificates, opened.faults) == ({}, ("not a list of certificates",))


def test_a_serial_number_given_twice_is_nobodys_and_the_others_stay() -> None:
    for times in (2, 3):
        opened = open_items([item(SECOND)] + [item(FIRST)] * times, APIV3_KEY)
        assert list(opened.certificates) == [SECOND.serial]
        assert opened.faults == ("two certificates have one serial number",)


def test_an_unsound_item_does_not_hide_the_one_after_it() -> None:
    opened = open_items([None, item(FIRST), {}, item(SECOND)], APIV3_KEY)
    assert list(opened.certificates) == [FIRST.serial, SECOND.serial]
    assert opened.faults == ("an item is no object", "an item has no usable serial_no")


def changed(**encrypted: object) -> dict[str, Any]:
    whole = item(FIRST)
    return whole | {"encrypt_certificate": whole["encrypt_certificate"] | encrypted}


@pytest.mark.parametrize(
    ("unsound", "fault"),
    [
        (changed(algorithm="AEAD_SM4_GCM"), "not encrypted with AEAD_AES_256_GCM"),
        (changed(nonce="é" * 12), "a nonce is not 12 bytes"),
        (changed(nonce=None), "a nonce is not 12 bytes"),
        (changed(ciphertext=None), "missing or too large"),
        (changed(ciphertext="A"), "garbled"),
        (changed(ciphertext="QUJD QUJD"), "garbled"),
        (changed(ciphertext=base64.b64encode(b"x" * 40).decode()), "does not open with apiv3_key"),
        (changed(associated_data=None), "does not open with apiv3_key"),
        (sealed(b"hello", FIRST.serial), "no certificate over an RSA key of 2048 bits"),
        (sealed(SECOND.pem, FIRST.serial), "another serial number than its item says"),
    ],
    ids=range(10),
)
def test_what_is_wrong_with_an_item_is_said(unsound: object, fault: str) -> None:
    opened = open_items([unsound], APIV3_KEY)
    assert opened.certificates == {}
    (said,) = opened.faults
    assert fault in said


def test_white_space_in_a_ciphertext_is_garbled_and_not_passed_over() -> None:
    ciphertext = item(FIRST)["encrypt_certificate"]["ciphertext"]
    for odd in (ciphertext + "\n", " " + ciphertext, ciphertext[:8] + "!" + ciphertext[8:]):
        assert open_items([changed(ciphertext=odd)], APIV3_KEY).faults == ("an encrypted certificate is garbled",)


def test_an_item_without_associated_data_opens_where_it_was_sealed_without() -> None:
    whole = sealed(FIRST.pem, FIRST.serial, about="")
    del whole["encrypt_certificate"]["associated_data"]
    assert list(open_items([whole], APIV3_KEY).certificates) == [FIRST.serial]


def test_what_is_kept_of_an_item_is_what_opening_it_again_needs() -> None:
    (once,) = open_items([item(FIRST) | {"more": 1}], APIV3_KEY).certificates.values()
    sealed_part = item(FIRST)["encrypt_certificate"]
    names = ("algorithm", "nonce", "associated_data", "ciphertext")
    assert set(once.item) == {"serial_no", "encrypt_certificate"}
    assert once.item["serial_no"] == FIRST.serial
    assert isinstance(once.item["encrypt_certificate"], dict)
    assert tuple(once.item["encrypt_certificate"]) == names
    assert {name: sealed_part[name] for name in ("algorithm", "nonce", "associated_data")}.items() <= once.item[
        "encrypt_certificate"
    ].items()
    (again,) = open_items([dict(once.item)], APIV3_KEY).certificates.values()
    assert again == once


def test_a_certificate_brings_its_key_its_word_and_its_dates() -> None:
    begins, ends = NOW - timedelta(days=3), NOW + timedelta(days=4)
    pem = certificate(PUBLIC, FIRST.number, begins, ends)
    (opened,) = open_items([sealed(pem, FIRST.serial.lower())], APIV3_KEY).certificates.values()
    assert opened.serial == FIRST.serial
    assert (opened.key.not_before, opened.key.not_after, opened.ends_at) == (begins, ends, ends)
    assert opened.key.public == PUBLIC.public_key() == kept_key(opened.key.kept)
    assert opened.key.kept.pem.endswith(pem.decode())


def test_a_key_is_valid_from_its_first_second_to_its_last() -> None:
    (opened,) = open_items([item(FIRST)], APIV3_KEY).certificates.values()
    begins_s, ends_s = (NOW - LONG).timestamp(), (NOW + LONG).timestamp()
    assert [opened.key.is_valid_at(moment) for moment in (begins_s, ends_s)] == [True, True]
    assert [opened.key.is_valid_at(moment) for moment in (begins_s - 1, ends_s + 1)] == [False, False]


@pytest.mark.parametrize(
    ("serial", "plain"),
    [
        ("5f1c", "5F1C"),
        ("005f10", "5F10"),
        ("0", "0"),
        ("000", "0"),
        ("X5F1C", "X5F1C"),
        ("pub_key_id_01", "PUB_KEY_ID_01"),
    ],
)
def test_a_serial_is_written_one_way(serial: str, plain: str) -> None:
    assert plain_serial(serial) == plain


def test_a_public_key_id_is_told_from_a_certificates_serial() -> None:
    assert [
        is_public_key_id(serial) for serial in ("PUB_KEY_ID_", "pub_key_id_1", "PUB_KEY", "5F", "XPUB_KEY_ID_1")
    ] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert [can_be_a_certificate(serial) for serial in ("5f1C", "F" * 64, "F" * 65, "", "5F1G", "PUB_KEY_ID_1")] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
