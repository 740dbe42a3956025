"""Platform certificates: when they are fetched, what is kept, and what is answered without one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.domain.answer import Misconfigured, Paid, Throttled, Unavailable, Untrusted
from reconciler.gateways.wechat import verify_evidence
from reconciler.transport import HttpRequest, HttpResponse, TransportFailure
from tests.unit.gateways.wechat_bench import (
    FIRST,
    LONG,
    NOW,
    SECOND,
    TRADE,
    Bench,
    always,
    answer,
    bench,
    item,
    platform,
    refusal,
    settings,
    signed,
)

HOUR_S = 3600.0
Make = Callable[..., Bench]


@pytest.fixture
def certified(tmp_path: Path) -> Make:
    """Platform-certificate mode."""
    return lambda memory=None, office=None: bench(settings(tmp_path, public_key=False, apiv3_key=True), memory, office)


async def test_the_first_ask_fetches_them_and_is_answered(certified: Make) -> None:
    made = certified()
    (reply,) = await made.gateway.ask(["A1"])
    assert isinstance(reply.answer, Paid)
    assert reply.verified
    assert [request.url for request in made.wire.sent] == [
        "https://api.mch.weixin.qq.com/v3/certificates",
        "https://api.mch.weixin.qq.com/v3/pay/transactions/out-trade-no/A1?mchid=1900000001",
    ]
    assert made.pace.inside == 0
    assert len(made.pace.heard) == 2


async def test_no_public_key_is_asked_for_where_there_is_none(certified: Make) -> None:
    made = certified()
    await answer(made)
    assert not any("Wechatpay-Serial" in dict(request.headers) for request in made.wire.sent)


async def test_however_many_ask_one_fetches(certified: Make) -> None:
    made = certified()
    replies = await made.gateway.ask(["A1"] * 20)
    assert all(isinstance(reply.answer, Paid) for reply in replies)
    assert made.wire.fetches == 1
    assert made.wire.questions == 20


async def test_a_failed_fetch_is_everybodys_who_waited_for_it(certified: Make) -> None:
    made = certified()
    made.office.certificates = always(refusal(500, "SYSTEM_ERROR"))
    replies = await made.gateway.ask(["A1"] * 20)
    assert all(isinstance(reply.answer, Unavailable) for reply in replies)
    assert made.wire.fetches == 1
    made.office.certificates = None
    assert isinstance(await answer(made), Paid)


async def test_they_are_fresh_for_eleven_hours(certified: Make) -> None:
    made = certified()
    await answer(made)
    await made.clock.advance(11 * HOUR_S - 1)
    await answer(made)
    assert made.wire.fetches == 1
    await made.clock.advance(1)
    assert isinstance(await answer(made), Paid)
    assert made.wire.fetches == 2


async def test_a_clock_that_was_set_back_makes_nothing_fresh(certified: Make) -> None:
    made = certified()
    await answer(made)
    await made.clock.advance(60)
    made.clock.set_wall(NOW - timedelta(hours=20))
    assert isinstance(await answer(made), Paid)
    assert made.wire.fetches == 2


async def test_asking_goes_on_where_they_cannot_be_renewed(certified: Make) -> None:
    made = certified()
    await answer(made)
    made.office.certificates = always(refusal(500, "SYSTEM_ERROR"))
    await made.clock.advance(12 * HOUR_S)
    for _ in range(5):
        assert isinstance(await answer(made), Paid)
    assert made.wire.fetches == 2
    await made.clock.advance(60)
    assert isinstance(await answer(made), Paid)
    assert made.wire.fetches == 3


async def test_a_new_serial_is_fetched_at_once_and_asked_again(certified: Make) -> None:
    made = certified()
    await answer(made)
    await made.clock.advance(60)
    made.office.platforms.append(SECOND)
    (reply,) = await made.gateway.ask(["A1"])
    assert isinstance(reply.answer, Paid)
    assert reply.evidence is not None
    assert ("wechatpay-serial", SECOND.serial) in reply.evidence.headers
    assert (made.wire.fetches, made.wire.questions) == (2, 3)


async def test_a_new_serial_seen_by_many_is_fetched_once(certified: Make) -> None:
    made = certified()
    await answer(made)
    await made.clock.advance(60)
    made.office.platforms.append(SECOND)
    replies = await made.gateway.ask(["A1"] * 20)
    assert all(isinstance(reply.answer, Paid) for reply in replies)
    assert made.wire.fetches == 2


async def test_a_serial_that_nobody_hands_out_is_looked_for_once_a_minute(certified: Make) -> None:
    made = certified()
    await answer(made)
    made.office.trade = lambda _, now: signed(TRADE, SECOND.key, SECOND.serial, at=now)
    fetches = []
    for _ in range(4):
        said = await answer(made)
        assert isinstance(said, Untrusted)
        assert said.unknown_serial == SECOND.serial
        fetches.append(made.wire.fetches)
        await made.clock.advance(30)
    assert fetches == [1, 1, 2, 2]


@pytest.mark.parametrize("serial", ["PUB_KEY_ID_2", "not-hex", "F" * 65])
async def test_what_is_no_certificates_serial_fetches_nothing(certified: Make, serial: str) -> None:
    made = certified()
    await answer(made)
    await made.clock.advance(60)
    made.office.trade = lambda _, now: signed(TRADE, SECOND.key, serial, at=now)
    assert isinstance(await answer(made), Untrusted)
    assert (made.wire.fetches, made.wire.questions) == (1, 2)


async def test_what_was_fetched_before_stays(certified: Make) -> None:
    """The list no longer names the first, and an answer is still signed under it."""
    made = certified()
    await answer(made)
    made.office.certificates = lambda _, now: signed({"data": [item(SECOND)]}, SECOND.key, SECOND.serial, at=now)
    await made.clock.advance(12 * HOUR_S)
    assert isinstance(await answer(made), Paid)
    assert made.wire.fetches == 2
    made.office.platforms = [SECOND]
    assert isinstance(await answer(made), Paid)
    assert made.wire.fetches == 2


async def test_a_list_may_be_signed_under_a_certificate_that_we_have(certified: Make) -> None:
    made = certified()
    await answer(made)
    made.office.certificates = lambda _, now: signed({"data": [item(SECOND)]}, at=now)
    await made.clock.advance(12 * HOUR_S)
    await answer(made)
    made.office.platforms = [SECOND]
    assert isinstance(await answer(made), Paid)
    assert made.wire.fetches == 2


async def test_a_certificate_vouches_only_for_its_own_time(certified: Make) -> None:
    made = certified()
    until = NOW + timedelta(hours=1)
    old, new = platform(0x11, ends=until), platform(0x12, begins=until)
    made.office.platforms = [new, old]
    assert isinstance(await answer(made), Paid)
    made.office.trade = lambda _, now: signed(TRADE, new.key, new.serial, at=now)
    early = await answer(made)
    assert isinstance(early, Untrusted)
    assert "certificate is not valid" in early.reason
    await made.clock.advance(2 * HOUR_S)
    assert isinstance(await answer(made), Paid)
    made.office.trade = lambda _, now: signed(TRADE, old.key, old.serial, at=now)
    assert isinstance(await answer(made), Untrusted)


async def test_a_list_that_holds_nothing_for_now_says_so(certified: Make) -> None:
    made = certified()
    made.office.platforms = [platform(0x13, begins=NOW + timedelta(days=1)), platform(0x14, ends=NOW - LONG / 2)]
    said = await answer(made)
    assert isinstance(said, Unavailable)
    assert "not valid" in said.reason
    assert made.wire.questions == 0


@pytest.mark.parametrize(
    ("response", "expected", "remedy"),
    [
        (refusal(404, "RESOURCE_NOT_EXISTS"), Misconfigured, "set public_key_id and public_key"),
        (refusal(401, "SIGN_ERROR"), Misconfigured, "SIGN_ERROR"),
        (refusal(400, "PARAM_ERROR"), Misconfigured, "PARAM_ERROR"),
        (refusal(404, "ORDER_NOT_EXIST"), Misconfigured, "instead"),
        (refusal(429), Throttled, ""),
        (refusal(500, "SYSTEM_ERROR"), Unavailable, "SYSTEM_ERROR"),
        (refusal(204), Unavailable, "HTTP 204"),
        (TransportFailure("cannot connect"), Unavailable, "cannot connect"),
        (signed({"data": []}), Misconfigured, "set public_key_id and public_key"),
        (signed({"data": [item(FIRST, b"0" * 32)]}), Misconfigured, "apiv3_key does not open"),
    ],
    ids=range(10),
)
async def test_without_one_the_answer_is_why(
    certified: Make, response: HttpResponse | TransportFailure, expected: type, remedy: str
) -> None:
    made = certified()
    made.office.certificates = always(response)
    said = await answer(made)
    assert type(said) is expected
    assert remedy in str(said)
    assert made.wire.questions == 0


async def test_a_deliberately_false_signature_is_asked_again(certified: Make) -> None:
    made = certified()
    lists = [True, False]
    made.office.certificates = lambda _, now: signed({"data": [item(FIRST)]}, at=now, false=lists.pop(0))
    assert isinstance(await answer(made), Paid)
    assert made.wire.fetches == 2


async def test_evidence_names_the_key_and_keeps_the_certificate(certified: Make) -> None:
    made = certified()
    (reply,) = await made.gateway.ask(["A1"])
    assert reply.key is not None
    assert reply.evidence is not None
    assert reply.key.pem.count("BEGIN PUBLIC KEY") == 1
    assert reply.key.pem.endswith(FIRST.pem.decode())
    assert verify_evidence(reply.evidence, reply.key) is None
    for wrong, key in (
        (replace(reply.evidence, gateway="alipay"), reply.key),
        (replace(reply.evidence, key_fingerprint="0" * 64), reply.key),
        (replace(reply.evidence, body=reply.evidence.body + b" "), reply.key),
        (replace(reply.evidence, received_at=NOW + timedelta(minutes=6)), reply.key),
        (reply.evidence, replace(reply.key, pem=SECOND.pem.decode())),
    ):
        assert verify_evidence(wrong, key) is not None


async def test_evidence_outlives_the_key(certified: Make) -> None:
    """Neither the channel nor its certificates are needed, and no clock."""
    made = certified()
    made.office.platforms = [platform(0x15, ends=NOW + timedelta(hours=1))]
    (reply,) = await made.gateway.ask(["A1"])
    await made.clock.advance(24 * HOUR_S)
    assert reply.key is not None
    assert reply.evidence is not None
    assert verify_evidence(reply.evidence, reply.key) is None


async def test_one_who_breaks_off_leaves_the_fetch_to_the_next(certified: Make) -> None:
    made = certified()
    held = asyncio.Event()
    send = made.wire.send

    async def hang(request: HttpRequest, timeout: timedelta) -> HttpResponse:  # noqa: ASYNC109 # as Transport has it
        held.set()
        await asyncio.Event().wait()
        return await send(request, timeout)

    made.wire.send = hang  # type: ignore[method-assign] # for a while, until it is put back
    first = asyncio.create_task(made.gateway.ask(["A1"]))
    await held.wait()
    second = asyncio.create_task(made.gateway.ask(["A1"]))
    await asyncio.sleep(0)
    made.wire.send = send  # type: ignore[method-assign] # put back
    first.cancel()
    (reply,) = await second
    assert isinstance(reply.answer, Paid)
    assert made.pace.inside == 0
