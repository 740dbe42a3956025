"""A gateway that answers what it was told to."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from reconciler.domain.answer import (
    Answer,
    Closed,
    Evidence,
    Merchant,
    NotCreated,
    Paid,
    Refunded,
    Rejected,
    Reply,
    Unavailable,
    Unpaid,
    Unrecognised,
    Untrusted,
    VerifyingKey,
    name_of,
)
from reconciler.domain.closing import CloseReply, NotClosed, TradeClosed
from reconciler.domain.order import ChannelName, is_askable
from reconciler.pace import NotNow
from reconciler.ports import Clock, Pacer

KEY: Final = VerifyingKey(hashlib.sha256(b"scripted").hexdigest(), "a scripted gateway's key, which verifies nothing\n")
"""What a verified reply of the double names. It is well-formed, and no key at all."""

SIGNED_BY_NATURE = (Paid, Refunded, Unpaid, Closed, Unrecognised)
"""What real gateways sign. Refusals, NotCreated among them, come unsigned."""


class ScriptedGateway:
    """Implements the port `Gateway`. A number that nobody scripted is NotCreated, unsigned."""

    def __init__(
        self,
        channel: ChannelName,
        clock: Clock,
        *,
        kind: str = "scripted",
        merchant: Merchant = (),
        pace: Pacer | None = None,
        latency: timedelta = timedelta(0),
    ) -> None:
        """Without a pace every number is asked at once; `latency` passes on the clock between question and answer."""
        self.channel = channel
        self.kind = kind
        self.merchant = merchant
        self.asked: Counter[str] = Counter()
        """How often each number reached the gateway."""
        self.calls = 0
        """How often `ask` was called."""
        self.closed: list[str] = []
        """The numbers that were to be closed, in order."""
        self.clock_off: timedelta | None = None
        """How far its clock is ahead, as every reply that reached it says; None: it does not say."""
        self.on_close: Callable[[str], None] | None = None
        """Called with the number while a trade is being closed."""
        self.in_flight_max = 0
        self.is_closed = False
        self.on_ask: Callable[[str], None] | None = None
        """Called with the number while the ask is under way: for what happens meanwhile."""
        self._clock = clock
        self._pace = pace
        self._latency_s = latency.total_seconds()
        self._in_flight = 0
        self._script: dict[str, deque[tuple[Answer, bool]]] = {}
        self._closings: dict[str, deque[CloseReply]] = {}

    def will_answer(self, out_trade_no: str, *answers: Answer, verified: bool | None = None) -> None:
        """Set what is answered about a number, one after another; the last one for ever.

        `verified` None: as real gateways sign, refusals not.
        """
        if not answers:
            raise ValueError("a script needs an answer")
        self._script[out_trade_no] = deque(
            (answer, isinstance(answer, SIGNED_BY_NATURE) if verified is None else verified) for answer in answers
        )

    async def ask(self, out_trade_nos: Sequence[str]) -> Sequence[Reply]:
        """Answer by the script. One reply each, in order; never raises."""
        self.calls += 1
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._ask(number)) for number in out_trade_nos]
        return [task.result() for task in tasks]

    def will_close(self, out_trade_no: str, *replies: CloseReply) -> None:
        """Set what comes of closing a number, one after another; the last one for ever. Unscripted: TradeClosed."""
        if not replies:
            raise ValueError("a script needs a reply")
        self._closings[out_trade_no] = deque(replies)

    async def close_trade(self, out_trade_no: str) -> CloseReply:
        """Reply by the script."""
        if not is_askable(out_trade_no):
            return NotClosed("not askable")
        self.closed.append(out_trade_no)
        if self._latency_s:
            await self._clock.sleep(self._latency_s)
        if self.on_close is not None:
            self.on_close(out_trade_no)
        script = self._closings.get(out_trade_no, deque([TradeClosed()]))
        return script.popleft() if len(script) > 1 else script[0]

    async def close(self) -> None:
        """Remember it."""
        self.is_closed = True

    async def _ask(self, number: str) -> Reply:
        if not is_askable(number):
            return self._unasked(Rejected("not askable"))
        if self._pace is None:
            return await self._exchange(number)
        try:
            await self._pace.enter()
        except NotNow as not_now:
            return self._unasked(not_now.answer)
        answer: Answer = Untrusted("the ask was broken off")  # no word on the gateway's health, either way
        try:
            reply = await self._exchange(number)
            answer = reply.answer
        finally:
            self._pace.leave(answer)
        return reply

    async def _exchange(self, number: str) -> Reply:
        asked_at = self._clock.now()
        self.asked[number] += 1
        self._in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self._in_flight)
        try:
            if self._latency_s:
                await self._clock.sleep(self._latency_s)
            if self.on_ask is not None:
                self.on_ask(number)
        finally:
            self._in_flight -= 1
        answer, verified = self._next(number)
        answered_at = self._clock.now()
        if isinstance(answer, Unavailable):
            return Reply(answer, verified=False, asked_at=asked_at, answered_at=answered_at)
        evidence = Evidence(
            gateway=self.kind,
            request=f"scripted out_trade_no={number}",
            status=200,
            headers=(),
            body=f"{name_of(answer)} {answer!r}".encode(),
            key_fingerprint=KEY.fingerprint if verified else None,
            received_at=answered_at,
        )
        return Reply(answer, verified, asked_at, answered_at, evidence, KEY if verified else None, self.clock_off)

    def _next(self, number: str) -> tuple[Answer, bool]:
        script = self._script.get(number)
        if script is None:
            return NotCreated(), False
        return script.popleft() if len(script) > 1 else script[0]

    def _unasked(self, answer: Answer) -> Reply:
        now = self._clock.now()
        return Reply(answer, verified=False, asked_at=now, answered_at=now)
