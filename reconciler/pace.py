"""One channel's pace: an even rate, a concurrency, a breaker. State of this process only; nothing hangs on it."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import timedelta
from typing import Final, assert_never

from reconciler.domain.answer import (
    Answer,
    Closed,
    Misconfigured,
    NotCreated,
    Paid,
    Refunded,
    Rejected,
    Throttled,
    Unavailable,
    Unpaid,
    Unrecognised,
    Untrusted,
)
from reconciler.ports import Clock

ROOM_S: Final = 2.0
"""`room` offers what can start within this time: rows read just before asking must not go stale in a queue."""
SEAT_S_MIN: Final = 0.001
"""No ask is believed to take less."""
NEWEST_SHARE: Final = 0.1
"""What one ask's time counts for in the mean."""
CATCH_UP_S: Final = 0.02
"""A timer that fires late is made up for while others wait, by this much at most: no burst grows out of it."""

THROTTLED_SHARE_MIN: Final = 1 / 64
"""The rate is never halved below this share of the configured one."""
HALVE_EVERY_S: Final = 2.0
"""Asks in flight together are throttled together: that is one halving, not many."""
RECOVERY_S: Final = 120.0
"""From nothing back to the configured rate; so one halving is made up for in a minute."""
HOLD_S_MAX: Final = 60.0
"""The longest wait that a gateway's own word (Retry-After) is good for."""

UNAVAILABLE_RUN_MAX: Final = 5
PROBE_AFTER_S: Final = 5.0
PROBE_AFTER_S_MAX: Final = 60.0


class NotNow(Exception):
    """No ask may start, and waiting for a turn would take long: the breaker is open, or the gateway said when.

    `answer` is what to reply instead of asking. No turn was taken: `leave` is not called.
    """

    def __init__(self, answer: Unavailable | Throttled) -> None:
        self.answer = answer
        super().__init__(str(answer))


class Pace:
    """Implements the port `Pacer`; `enter` raises NotNow rather than wait out an outage."""

    def __init__(self, clock: Clock, rate: float, concurrency: int) -> None:
        """Take the rate in asks a second."""
        if rate <= 0 or concurrency < 1:
            raise ValueError("a pace needs a rate above 0 and a concurrency of 1 or more")
        self._clock = clock
        self._rate_max = rate
        self._rate_then = rate  # at _halved_at; grows from there
        self._halved_at = clock.monotonic() - RECOVERY_S
        self._concurrency = concurrency
        self._waiting = 0
        self._in_flight = 0
        self._began: deque[float] = deque()  # one for each in flight
        self._seat_s: float | None = None
        self._turnstile = asyncio.Lock()
        self._seat_freed = asyncio.Event()
        self._next_start = clock.monotonic()
        self._held_until = clock.monotonic()
        self._breaker = _Breaker(clock)

    @property
    def rate(self) -> float:
        """Asks a second at this moment: less than configured after having been throttled."""
        grown = self._rate_max * (self._clock.monotonic() - self._halved_at) / RECOVERY_S
        return min(self._rate_max, self._rate_then + grown)

    @property
    def is_open(self) -> bool:
        """Whether the breaker keeps us from asking (a probe excepted)."""
        return self._breaker.is_open

    def room(self) -> int:
        """How many asks may be started now; 0 while the breaker is open and no probe is due."""
        if self._clock.monotonic() < self._held_until:
            return 0
        taken = self._in_flight + self._waiting
        if self._breaker.is_open:
            return int(self._breaker.may_probe() and taken < self._concurrency)
        queue = max(1, int(self.rate * ROOM_S)) - self._waiting
        return max(0, min(self._seats() - taken, queue))

    async def enter(self) -> None:
        """Wait for a turn, first come first served; every `enter` that returns is followed by one `leave`.

        Raises NotNow.
        """
        followed = self._waiting > 0
        self._waiting += 1
        try:
            async with self._turnstile:
                await self._seat()
                self._refuse()
                await self._slot(followed=followed)
                self._refuse()
                self._breaker.note_start()
                self._in_flight += 1
                self._began.append(self._clock.monotonic())
        finally:
            self._waiting -= 1

    async def again(self) -> None:
        """Wait for another start within the turn that is held. Raises NotNow; the turn stays held.

        Neither the breaker is asked (whoever probes may try more than once) nor the turnstile: who waits there may wait
        for this very seat.
        """
        self._respect_hold()
        await self._slot(followed=False)

    def leave(self, answer: Answer | None) -> None:
        """Give the turn back, and learn from the answer; None: the gateway is well, and that is all."""
        if self._in_flight == 0:
            raise RuntimeError("leave() without enter()")
        self._in_flight -= 1
        self._note_seat(self._clock.monotonic() - self._began.popleft())
        self._seat_freed.set()
        if isinstance(answer, Throttled):
            self._slow_down(answer)
        self._breaker.note_answer(answer)

    def _seats(self) -> int:
        """How many asks find a seat within `ROOM_S`, all in all: each is taken again as soon as it is left."""
        if self._seat_s is None:
            return self._concurrency
        again = ROOM_S / max(self._seat_s, SEAT_S_MIN)
        return self._concurrency + int(self._concurrency * again)

    def _note_seat(self, held_s: float) -> None:
        """Keep the mean of how long a seat is held. The oldest is taken for it: the mean is the same."""
        before_s = held_s if self._seat_s is None else self._seat_s
        self._seat_s = before_s + (held_s - before_s) * NEWEST_SHARE

    async def _seat(self) -> None:
        while self._in_flight >= self._concurrency:
            self._refuse()
            self._seat_freed.clear()
            await self._seat_freed.wait()

    async def _slot(self, *, followed: bool) -> None:
        now = self._clock.monotonic()
        start = max(self._next_start, now - CATCH_UP_S if followed else now)
        self._next_start = start + 1 / self.rate
        if start > now:
            await self._clock.sleep(start - now)

    def _respect_hold(self) -> None:
        hold_s = self._held_until - self._clock.monotonic()
        if hold_s > 0:
            raise NotNow(Throttled(timedelta(seconds=hold_s)))

    def _refuse(self) -> None:
        self._respect_hold()
        if self._breaker.is_open and not self._breaker.may_probe():
            raise NotNow(Unavailable(self._breaker.reason()))

    def _slow_down(self, throttled: Throttled) -> None:
        now = self._clock.monotonic()
        if throttled.after is not None:
            self._held_until = max(self._held_until, now + min(throttled.after.total_seconds(), HOLD_S_MAX))
        if self._rate_then < self._rate_max and now - self._halved_at < HALVE_EVERY_S:
            return
        self._rate_then = max(self.rate / 2, self._rate_max * THROTTLED_SHARE_MIN)
        self._halved_at = now


class _Breaker:
    """Opens on a run of Unavailable; lets one probe through after a back-off; closes on a gateway's own word."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._run = 0
        self._probe_at: float | None = None
        self._probe_after_s = PROBE_AFTER_S
        self._probing = False

    @property
    def is_open(self) -> bool:
        return self._probe_at is not None

    def may_probe(self) -> bool:
        return self._probe_at is not None and not self._probing and self._clock.monotonic() >= self._probe_at

    def reason(self) -> str:
        wait_s = max(0.0, (self._probe_at or 0.0) - self._clock.monotonic())
        then = "one ask is probing" if self._probing else f"next probe in {wait_s:.0f}s"
        return f"not asked: {self._run} asks in a row were unavailable; {then}"

    def note_start(self) -> None:
        self._probing = self.is_open

    def note_answer(self, answer: Answer | None) -> None:
        match answer:
            case Unavailable():
                self._run += 1
                self._note_failure()
            case Untrusted():
                # Whoever that was, it was not the gateway: neither a sign of its health nor of its absence.
                if self._probing:
                    self._note_failure()
            case (
                Paid()
                | Refunded()
                | Unpaid()
                | NotCreated()
                | Closed()
                | Throttled()
                | Misconfigured()
                | Rejected()
                | Unrecognised()
                | None
            ):
                self._run = 0
                self._probe_at = None
                self._probing = False
                self._probe_after_s = PROBE_AFTER_S
            case _:
                assert_never(answer)

    def _note_failure(self) -> None:
        if self._probing:
            self._probing = False
            self._probe_after_s = min(self._probe_after_s * 2, PROBE_AFTER_S_MAX)
        elif self.is_open or self._run < UNAVAILABLE_RUN_MAX:
            return
        self._probe_at = self._clock.monotonic() + self._probe_after_s
