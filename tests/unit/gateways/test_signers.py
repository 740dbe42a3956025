"""Requests signed ahead of their turns: each is used once, while it is good, and nobody's fault is his neighbour's."""

import asyncio
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.gateways.signers import GOOD_FOR, SIGNED_TOGETHER, sign_ahead
from reconciler.transport import HttpRequest

NOW = datetime(2026, 11, 30, 10, 0, tzinfo=UTC)
HOST, OTHER = "https://one.example", "https://two.example"
INSTANT = timedelta(microseconds=1)


def write(now: datetime, endpoint: str) -> HttpRequest:
    return HttpRequest("GET", f"{endpoint}/{now:%S}", ())


async def test_a_request_is_written_for_its_moment_and_its_host() -> None:
    (signed,) = sign_ahead([write], NOW, HOST)
    assert await signed.take(NOW + GOOD_FOR, HOST) == write(NOW, HOST)


async def test_a_signed_request_is_used_once() -> None:
    (signed,) = sign_ahead([write], NOW, HOST)
    assert await signed.take(NOW, HOST) is not None
    assert await signed.take(NOW, HOST) is None


@pytest.mark.parametrize(
    ("now", "endpoint"),
    [(NOW + GOOD_FOR + INSTANT, HOST), (NOW - INSTANT, HOST), (NOW, OTHER)],
    ids=["waited too long", "the clock was set back", "another host"],
)
async def test_what_is_not_good_any_more_is_not_taken(now: datetime, endpoint: str) -> None:
    (signed,) = sign_ahead([write], NOW, HOST)
    assert await signed.take(now, endpoint) is None


async def test_each_gets_its_own_however_many_there_are() -> None:
    count = 2 * SIGNED_TOGETHER + 1

    def writer(place: int) -> HttpRequest:
        return HttpRequest("GET", f"{HOST}/{place}", ())

    signed = sign_ahead([lambda *_, place=place: writer(place) for place in range(count)], NOW, HOST)
    assert [await each.take(NOW, HOST) for each in signed] == [writer(place) for place in range(count)]


async def test_a_fault_in_one_is_no_neighbours() -> None:
    def fails(_now: datetime, _endpoint: str) -> HttpRequest:
        raise ZeroDivisionError

    broken, sound = sign_ahead([fails, write], NOW, HOST)
    assert await broken.take(NOW, HOST) is None
    assert await sound.take(NOW, HOST) == write(NOW, HOST)


async def test_who_is_cancelled_while_waiting_cancels_no_neighbour() -> None:
    held = threading.Event()

    def slow(now: datetime, endpoint: str) -> HttpRequest:
        held.wait(10)
        return write(now, endpoint)

    first, second = sign_ahead([slow, write], NOW, HOST)
    waiting = asyncio.create_task(first.take(NOW, HOST))
    await asyncio.sleep(0)
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    held.set()
    assert await second.take(NOW, HOST) == write(NOW, HOST)
