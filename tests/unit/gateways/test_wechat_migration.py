"""From certificates to the public key: both in one channel, and what one of them alone says about the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.domain.answer import Paid, Untrusted
from reconciler.transport import HttpRequest, HttpResponse
from tests.unit.gateways.wechat_bench import (
    FIRST,
    KEY_ID,
    NOW,
    PUBLIC,
    TRADE,
    Bench,
    always,
    answer,
    bench,
    item,
    refusal,
    settings,
    signed,
)

Make = Callable[..., Bench]


@pytest.fixture
def certified(tmp_path: Path) -> Make:
    """Platform-certificate mode."""
    return lambda memory=None, office=None: bench(settings(tmp_path, public_key=False, apiv3_key=True), memory, office)


@pytest.fixture
def migrating(tmp_path: Path) -> Make:
    """Make a channel with both: the public key, and what certificates are opened with."""
    return lambda memory=None, office=None: bench(settings(tmp_path, public_key=True, apiv3_key=True), memory, office)


def under_the_public_key(_: HttpRequest, now: object) -> HttpResponse:
    return signed(TRADE, PUBLIC, KEY_ID, at=NOW)


async def test_while_migrating_nothing_is_fetched_before_an_answer_needs_it(migrating: Make) -> None:
    made = migrating()
    made.office.trade = under_the_public_key
    assert isinstance(await answer(made), Paid)
    assert made.wire.fetches == 0
    made.office.trade = None
    assert isinstance(await answer(made), Paid)
    assert made.wire.fetches == 1
    made.office.trade = under_the_public_key
    assert isinstance(await answer(made), Paid)


async def test_while_migrating_the_list_may_be_signed_with_the_public_key(migrating: Make) -> None:
    made = migrating()
    made.office.certificates = lambda _, now: signed({"data": [item(FIRST)]}, PUBLIC, KEY_ID, at=now)
    assert isinstance(await answer(made), Paid)


async def test_while_migrating_a_failed_fetch_leaves_the_public_key(migrating: Make) -> None:
    made = migrating()
    made.office.certificates = always(refusal(404, "RESOURCE_NOT_EXISTS"))
    said = await answer(made)
    assert isinstance(said, Untrusted)
    assert said.unknown_serial == FIRST.serial
    assert "no platform certificates" in said.reason
    made.office.trade = under_the_public_key
    assert isinstance(await answer(made), Paid)
    assert made.wire.fetches == 1


async def test_with_the_public_key_alone_the_reason_names_what_to_set(tmp_path: Path) -> None:
    made = bench(settings(tmp_path, public_key=True, apiv3_key=False))
    said = await answer(made)
    assert isinstance(said, Untrusted)
    assert said.unknown_serial == FIRST.serial
    assert "set apiv3_key" in said.reason
    assert (made.wire.fetches, made.wire.questions) == (0, 1)


async def test_with_certificates_alone_the_reason_names_the_public_key(certified: Make) -> None:
    made = certified()
    made.office.trade = under_the_public_key
    said = await answer(made)
    assert isinstance(said, Untrusted)
    assert "set public_key_id" in said.reason


@pytest.mark.parametrize("written", [FIRST.serial.lower(), "00" + FIRST.serial])
async def test_a_serial_is_text_whatever_its_case_and_leading_zeros(certified: Make, written: str) -> None:
    made = certified()
    made.office.trade = lambda _, now: signed(TRADE, FIRST.key, written, at=now)
    assert isinstance(await answer(made), Paid)
