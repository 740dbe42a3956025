"""A channel's line to its gateway: a turn, one deadline, quick retries, a second host, the gateway's clock."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final, Generic, Protocol, TypeVar

from tenacity import AsyncRetrying, retry_if_result, stop_after_attempt, wait_random

from reconciler.domain.answer import Answer, Throttled, Unavailable, Untrusted
from reconciler.gateways.signers import SIGNERS, Signed, sign_ahead
from reconciler.pace import NotNow
from reconciler.ports import Clock, Memory, Pacer
from reconciler.transport import HttpRequest, HttpResponse, Transport, TransportFailure

TRIES_MAX: Final = 3
RETRY_WAIT_S: Final = (0.05, 0.4)
"""Quick retries wait a random time between these: an outage must not make every ask knock in step."""
TRY_S_MIN: Final = 0.2
"""With less than that left of the deadline no further try is begun."""
BACK_TO_FIRST_S: Final = 60.0
"""How long the second host is preferred after the first could not be reached."""
DATE_LENGTH_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Way:
    """What a gateway is given to work with: one channel's way out."""

    transport: Transport
    pace: Pacer
    clock: Clock
    timeout: timedelta
    """For one ask, from connecting to the last byte, quick retries included; waiting for a turn is not in it."""
    memory: Memory
    """What must outlive the process."""


class Read(Protocol):
    """What was made of a response, as far as the line must know."""

    @property
    def answer(self) -> Answer | None:
        """What the pace learns from it; None: the gateway is well, and that is all."""
        ...

    @property
    def again(self) -> bool:
        """Whether asking once more, at once, may bring something better."""
        ...


R = TypeVar("R", bound=Read)


@dataclass(frozen=True, slots=True)
class Call(Generic[R]):
    """One thing to send, and how its response is read. Sent as often as it is retried: it must be safe to repeat."""

    said: str
    """What is asked, for the evidence: method and path, or API and number. Without secret or signature."""
    write: Callable[[datetime, str], HttpRequest]
    """Write and sign the request, for about this moment and for this endpoint. Called in a thread."""
    read: Callable[[HttpResponse, datetime], R]
    """Verify and parse, as of this moment. Hostile bytes are a result, never an exception."""
    signed: Signed | None = None
    """The request for the first try, where it is being signed already."""


@dataclass(frozen=True, slots=True)
class Exchange(Generic[R]):
    """A call, and what came of it: a response that was read, or the answer that stands for the lack of one."""

    asked_at: datetime
    answered_at: datetime
    response: HttpResponse | None = None
    read: R | None = None
    missed: Unavailable | Throttled | None = None
    is_sent: bool = True
    """Whether anything was sent; else there was no turn to be had."""
    clock_off: timedelta | None = None
    """How far the gateway's Date header was ahead of our clock (behind: negative); None where it gave none."""


class Line:
    """Carries calls to one gateway."""

    def __init__(self, way: Way, endpoints: Sequence[str]) -> None:
        """Take the endpoints in the order of preference."""
        self.way = way
        self._endpoints = tuple(endpoints)
        self._preferred = 0
        self._until = 0.0

    def ahead(self, calls: Sequence[Call[R]]) -> list[Call[R]]:
        """Give the same calls, with their requests being signed while they wait for their turns."""
        signed = sign_ahead([call.write for call in calls], self.way.clock.now(), self.endpoint())
        return [replace(call, signed=each) for call, each in zip(calls, signed, strict=True)]

    async def exchange(self, call: Call[R]) -> Exchange[R]:
        """Send it, again at once where that is worth it, within one turn and one deadline."""
        pace, clock = self.way.pace, self.way.clock
        try:
            await pace.enter()
        except NotNow as not_now:
            return Exchange(clock.now(), clock.now(), missed=not_now.answer, is_sent=False)
        answer: Answer | None = Untrusted("the ask was broken off")  # no word on the gateway's health, either way
        try:
            done = await self._try(call)
            answer = done.read.answer if done.read else done.missed
        finally:
            pace.leave(answer)  # also when cancelled: a seat must not be lost
        return done

    async def _try(self, call: Call[R]) -> Exchange[R]:
        tries: _Tries[R] = _Tries(self, call)
        await tries.send()
        if tries.is_worth_another:  # one in many is: the others do not pay for the making of a retry
            await self.way.clock.sleep(random.uniform(*RETRY_WAIT_S))  # noqa: S311 # to keep asks apart, no secret
            retrying: AsyncRetrying = AsyncRetrying(
                stop=stop_after_attempt(TRIES_MAX - 1),
                wait=wait_random(*RETRY_WAIT_S),
                retry=retry_if_result(lambda _: tries.is_worth_another),
                retry_error_callback=lambda _: None,
                sleep=self.way.clock.sleep,
            )
            await retrying(tries.send_again)
        assert tries.last is not None  # noqa: S101 # send() has run
        return tries.last

    @property
    def has_another_host(self) -> bool:
        """Whether there is a second host to try."""
        return len(self._endpoints) > 1

    def endpoint(self) -> str:
        """Give the host to try now."""
        if self._preferred and self.way.clock.monotonic() >= self._until:
            self._preferred = 0
        return self._endpoints[self._preferred]

    def note_unreachable(self, endpoint: str) -> None:
        """Turn to the next host for a while; asks side by side that meet the same failure turn once."""
        if self.has_another_host and endpoint == self._endpoints[self._preferred]:
            self._preferred = (self._preferred + 1) % len(self._endpoints)
            self._until = self.way.clock.monotonic() + BACK_TO_FIRST_S


class _Tries(Generic[R]):
    """One call's tries."""

    def __init__(self, line: Line, call: Call[R]) -> None:
        self._line = line
        self._call = call
        self._left_s = line.way.timeout.total_seconds()
        self._tried = 0
        self.last: Exchange[R] | None = None
        self.is_worth_another = False

    async def send(self) -> None:
        """Send."""
        self.last = await self._send()

    async def send_again(self) -> None:
        """Send once more. Where the gateway wants us to wait, what came before stands."""
        self.is_worth_another = False
        try:
            await self._line.way.pace.again()
        except NotNow:
            return
        await self.send()

    async def _send(self) -> Exchange[R]:
        way, endpoint = self._line.way, self._line.endpoint()
        self._tried += 1
        asked_at, began_s = way.clock.now(), way.clock.monotonic()
        # The first of two hosts gets half of the time: one that hangs must leave some for the other.
        share_s = self._left_s / 2 if self._line.has_another_host and self._tried == 1 else self._left_s
        try:
            request = await self._request(asked_at, endpoint)
            response = await way.transport.send(request, timedelta(seconds=share_s))
        except TransportFailure as failure:
            self._spend(began_s)
            self._line.note_unreachable(endpoint)
            self.is_worth_another = not failure.lasts and self._left_s >= TRY_S_MIN
            return Exchange(asked_at, way.clock.now(), missed=Unavailable(failure.reason))
        self._spend(began_s)
        received_at = way.clock.now()
        read = self._call.read(response, received_at)
        self.is_worth_another = read.again and self._left_s >= TRY_S_MIN
        if read.again and isinstance(read.answer, Unavailable):
            self._line.note_unreachable(endpoint)
        off = None if isinstance(read.answer, Unavailable) else clock_off(response, asked_at, received_at)
        return Exchange(asked_at, received_at, response, read, clock_off=off)

    async def _request(self, now: datetime, endpoint: str) -> HttpRequest:
        signed = self._call.signed
        if signed is not None and (request := await signed.take(now, endpoint)) is not None:
            return request
        return await asyncio.get_running_loop().run_in_executor(SIGNERS, self._call.write, now, endpoint)

    def _spend(self, began_s: float) -> None:
        self._left_s -= self._line.way.clock.monotonic() - began_s


def clock_off(response: HttpResponse, asked_at: datetime, received_at: datetime) -> timedelta | None:
    """Say how far the response's Date is ahead of our clock; None where it has none that can be read.

    It has whole seconds only, and was written somewhere between question and answer: taken as in the middle.
    """
    text = response.header("date")
    if text is None or len(text) > DATE_LENGTH_MAX:
        return None
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if date.tzinfo is None:
        return None  # "-0000": a time of nobody's
    return date - (asked_at + (received_at - asked_at) / 2)
