"""What asking has in common, whatever the gateway: turn, deadline, times, evidence."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

import reconciler
from reconciler.domain.answer import Answer, Evidence, Rejected, Reply, Unavailable, Untrusted, VerifyingKey
from reconciler.domain.order import is_askable
from reconciler.pace import NotNow
from reconciler.ports import Clock, Pacer
from reconciler.transport import Headers, HttpRequest, HttpResponse, Transport, TransportFailure

USER_AGENT: Final = f"payment-reconciler/{reconciler.__version__}"
TEXT_LENGTH_MAX: Final = 120
IDENTIFIER_LENGTH_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Way:
    """One channel's way out."""

    transport: Transport
    pace: Pacer
    clock: Clock
    timeout: timedelta
    """For one ask, from connecting to the last byte; waiting for a turn is not in it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a response says."""

    answer: Answer
    key: VerifyingKey | None = None
    """The key whose signature covers it, and ties it to the number that was asked; None for none."""
    signed_headers: Headers = ()
    """The headers that the signature covers or names."""


class Dialect(Protocol):
    """How one gateway is spoken with. Pure but for the nonce; hostile bytes are an answer, never an exception."""

    @property
    def kind(self) -> str:
        """The kind of gateway."""
        ...

    def refusal(self, out_trade_no: str) -> str | None:
        """Say why an askable number can be none of this gateway's; None where it can."""
        ...

    def request(self, out_trade_no: str, now: datetime) -> HttpRequest:
        """Write and sign the query."""
        ...

    def asked(self, out_trade_no: str) -> str:
        """Say what was asked, for the evidence: without secret or signature."""
        ...

    def read(self, out_trade_no: str, response: HttpResponse, received_at: datetime) -> Reading:
        """Verify and parse."""
        ...


async def ask_all(dialect: Dialect, way: Way, out_trade_nos: Sequence[str]) -> Sequence[Reply]:
    """Ask about each number, all at once as far as the pace lets them; replies in the order of the numbers."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_ask(dialect, way, number)) for number in out_trade_nos]
    return [task.result() for task in tasks]


def printable(text: str, length_max: int = TEXT_LENGTH_MAX) -> str:
    """Make a stranger's text fit for a log line: no control or direction marks, no surrogates, not endless."""
    return "".join(character if character.isprintable() else "?" for character in text[:length_max])


def identifier(text: str | None) -> str | None:
    """Pass on what can be an identifier: printable ASCII without spaces, 1 to 64 characters; None for anything else."""
    return text if text is not None and len(text) <= IDENTIFIER_LENGTH_MAX and is_askable(text) else None


async def _ask(dialect: Dialect, way: Way, number: str) -> Reply:
    if not is_askable(number):
        return _unasked(
            way, Rejected("the number is empty, too long, or not printable ASCII: no gateway could know it")
        )
    if refusal := dialect.refusal(number):
        return _unasked(way, Rejected(refusal))
    try:
        await way.pace.enter()
    except NotNow as not_now:
        return _unasked(way, not_now.answer)
    answer: Answer = Untrusted("the ask was broken off")  # no word on the gateway's health, either way
    try:
        reply = await _exchange(dialect, way, number)
        answer = reply.answer
    finally:
        way.pace.leave(answer)  # also when cancelled: a seat must not be lost
    return reply


async def _exchange(dialect: Dialect, way: Way, number: str) -> Reply:
    asked_at = way.clock.now()
    try:
        response = await way.transport.send(dialect.request(number, asked_at), way.timeout)
    except TransportFailure as failure:
        return Reply(Unavailable(failure.reason), verified=False, asked_at=asked_at, answered_at=way.clock.now())
    received_at = way.clock.now()
    reading = dialect.read(number, response, received_at)
    evidence = Evidence(
        gateway=dialect.kind,
        request=dialect.asked(number),
        status=response.status,
        headers=reading.signed_headers,
        body=response.body,
        key_fingerprint=reading.key.fingerprint if reading.key else None,
        received_at=received_at,
    )
    return Reply(reading.answer, reading.key is not None, asked_at, received_at, evidence, reading.key)


def _unasked(way: Way, answer: Answer) -> Reply:
    now = way.clock.now()
    return Reply(answer, verified=False, asked_at=now, answered_at=now)
