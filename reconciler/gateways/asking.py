"""What asking has in common, whatever the gateway: which numbers reach the wire, in what order, and the evidence."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import reconciler
from reconciler.domain.answer import (
    Answer,
    Evidence,
    Misconfigured,
    Refunded,
    Rejected,
    Reply,
    Throttled,
    Unavailable,
    Untrusted,
    VerifyingKey,
)
from reconciler.domain.closing import CloseReply, NoSuchTrade, NotClosed, TradeClosed
from reconciler.domain.order import is_askable
from reconciler.domain.personal import without_persons
from reconciler.gateways.line import Call, Exchange, Line
from reconciler.transport import Headers

USER_AGENT: Final = f"payment-reconciler/{reconciler.__version__}"
TEXT_LENGTH_MAX: Final = 120
RAW_LENGTH_MAX: Final = 2000
"""What is longer is not even looked at. Persons are left out before a text is cut: half a number is nobody's shape."""
IDENTIFIER_LENGTH_MAX: Final = 64
_UNASKABLE: Final = "the number is empty, too long, or not printable ASCII: no gateway could know it"


@dataclass(frozen=True, slots=True)
class Reading:
    """What the response to a query says."""

    answer: Answer
    key: VerifyingKey | None = None
    """The key whose signature covers it, and ties it to the number that was asked; None for none."""
    signed_headers: Headers = ()
    """The headers that the signature covers or names."""
    again: bool = False
    """Whether asking once more, at once, may bring something better."""
    keys_may_be_old: bool = False
    """It names a key that we do not have, and that the gateway may hand out: `prepare`, then ask once more."""
    further: Call[Reading] | None = None
    """A second question about the same trade, to tell apart what this answer leaves open."""


@dataclass(frozen=True, slots=True)
class CloseReading:
    """What the response to closing a trade says."""

    reply: CloseReply
    again: bool = False
    is_unproven: bool = False
    """Nothing shows that the gateway said it."""

    @property
    def answer(self) -> Answer | None:
        """What the pace learns from it."""
        if self.is_unproven:
            return Untrusted("closing was answered by who knows whom")
        match self.reply:
            case Unavailable() | Throttled():
                return self.reply
            case TradeClosed() | NoSuchTrade() | NotClosed():
                return None


class Dialect(Protocol):
    """How one gateway is spoken with. Pure but for nonce and keys; hostile bytes are an answer, never an exception."""

    @property
    def kind(self) -> str:
        """The kind of gateway."""
        ...

    def refusal(self, out_trade_no: str) -> str | None:
        """Say why an askable number can be none of this gateway's; None where it can."""
        ...

    async def prepare(self, line: Line) -> Unavailable | Throttled | Misconfigured | None:
        """Get hold of what asking needs (keys that the gateway hands out); else say what to answer instead."""
        ...

    def query(self, out_trade_no: str) -> Call[Reading]:
        """Ask about the number."""
        ...

    def closing(self, out_trade_no: str) -> Call[CloseReading]:
        """Have the gateway close the trade, so that it can no longer be paid."""
        ...


async def ask_all(dialect: Dialect, line: Line, out_trade_nos: Sequence[str]) -> Sequence[Reply]:
    """Ask about each number, all at once as far as the pace lets them; replies in the order of the numbers."""
    refused = {number: why for number in out_trade_nos if (why := _refusal(dialect, number))}
    calls = iter(line.ahead([dialect.query(number) for number in out_trade_nos if number not in refused]))
    async with asyncio.TaskGroup() as group:
        tasks = [
            None if number in refused else group.create_task(_ask(dialect, line, next(calls)))
            for number in out_trade_nos
        ]
    return [
        task.result() if task is not None else _unasked(line, Rejected(refused[number]))
        for number, task in zip(out_trade_nos, tasks, strict=True)
    ]


async def close_trade(dialect: Dialect, line: Line, out_trade_no: str) -> CloseReply:
    """Have the gateway close one trade. What became of it, only the next answer to a query proves."""
    if refusal := _refusal(dialect, out_trade_no):
        return NotClosed(refusal)
    exchange = await line.exchange(dialect.closing(out_trade_no))
    if exchange.read is None:
        return exchange.missed or Unavailable("no answer")
    return exchange.read.reply


def printable(text: str, length_max: int = TEXT_LENGTH_MAX) -> str:
    """Make a stranger's text fit for a log line: no control or direction marks, no surrogates, not endless."""
    return "".join(character if character.isprintable() else "?" for character in text[:length_max])


def words(text: str) -> str:
    """Make a gateway's own words fit for a log line and the ledger: printable, short, with nobody's number in them."""
    return printable(without_persons(text[:RAW_LENGTH_MAX]))


def identifier(text: str | None) -> str | None:
    """Pass on what can be an identifier: printable ASCII without spaces, 1 to 64 characters; None for anything else."""
    return text if text is not None and len(text) <= IDENTIFIER_LENGTH_MAX and is_askable(text) else None


def _refusal(dialect: Dialect, number: str) -> str | None:
    """Say why the number never reaches the wire; None where it does."""
    return dialect.refusal(number) if is_askable(number) else _UNASKABLE


async def _ask(dialect: Dialect, line: Line, call: Call[Reading]) -> Reply:
    if not_ready := await dialect.prepare(line):
        return _unasked(line, not_ready)
    exchange = await line.exchange(call)
    if exchange.read is not None and exchange.read.keys_may_be_old and await dialect.prepare(line) is None:
        exchange = await line.exchange(call)
    reply = _reply(dialect.kind, call, exchange)
    if exchange.read is None or exchange.read.further is None:
        return reply
    further = _reply(dialect.kind, exchange.read.further, await line.exchange(exchange.read.further))
    # A second question can only make the answer firmer; where it could not be asked, neither can we answer yet.
    if isinstance(further.answer, Unavailable | Throttled) or (
        isinstance(further.answer, Refunded) and further.verified
    ):
        return further
    return reply


def _reply(kind: str, call: Call[Reading], exchange: Exchange[Reading]) -> Reply:
    reading, response = exchange.read, exchange.response
    if reading is None or response is None:
        answer = exchange.missed or Unavailable("no answer")
        return Reply(answer, verified=False, asked_at=exchange.asked_at, answered_at=exchange.answered_at)
    evidence = Evidence(
        gateway=kind,
        request=call.said,
        status=response.status,
        headers=reading.signed_headers,
        body=response.body,
        key_fingerprint=reading.key.fingerprint if reading.key else None,
        received_at=exchange.answered_at,
    )
    return Reply(
        answer=reading.answer,
        verified=reading.key is not None,
        asked_at=exchange.asked_at,
        answered_at=exchange.answered_at,
        evidence=evidence,
        key=reading.key,
        clock_off=exchange.clock_off,
    )


def _unasked(line: Line, answer: Answer) -> Reply:
    now = line.way.clock.now()
    return Reply(answer, verified=False, asked_at=now, answered_at=now)
