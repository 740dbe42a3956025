"""The post: routes, their targets, and what a target has missed.

A route has heard a message when one of its targets took it: nobody waits for the others. A target that fails is left
alone for longer each time; what it missed, while others of its route took it, is kept for it in memory, up to a limit.
What no target took is not kept here: whoever sent it tells anew, as things are by then.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from reconciler.domain.case import CaseKind
from reconciler.events import Severity
from reconciler.events.telling import AlertsDelivered, AlertsUndelivered
from reconciler.ports import Alerter, Clock, Events, Heard, Message, Unheard

TELL_WITHIN_S: Final = 30.0
"""A target that has not answered by then is taken to hang."""
RETRY_FIRST_S: Final = 30.0
RETRY_MAX_S: Final = 600.0
MISSED_MAX: Final = 20
"""Messages kept for a target that fails: the oldest goes first. The log, the ledger and the other targets have them."""


@dataclass(frozen=True, slots=True)
class Route:
    """Who is told of what."""

    name: str
    targets: tuple[Alerter, ...]
    min_severity: Severity | None = Severity.WARNING
    """Of events; a case is worth a message whatever its kind. None: of events only those that are named."""
    kinds: frozenset[CaseKind] = frozenset(CaseKind)
    events: frozenset[str] = frozenset()
    """Events that it is told of whatever their severity."""

    def wants(self, name: str, severity: Severity) -> bool:
        """Whether an event is for it."""
        return name in self.events or (self.min_severity is not None and severity <= self.min_severity)


@dataclass(slots=True)
class _Box:
    """One target, and how it stands with it."""

    target: Alerter
    failures: int = 0
    failing_since: datetime | None = None
    next_try_s: float = 0.0
    missed: deque[Message] = field(default_factory=lambda: deque(maxlen=MISSED_MAX))
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Post:
    """Delivers to all routes at once."""

    def __init__(self, routes: Sequence[Route], events: Events, clock: Clock) -> None:
        self.routes = tuple(route for route in routes if route.targets)
        self._boxes = {route.name: [_Box(target) for target in route.targets] for route in self.routes}
        self._events = events
        self._clock = clock
        self._late: set[asyncio.Task[bool]] = set()

    async def send(self, letters: Mapping[str, Message]) -> frozenset[str]:
        """Send each route its message; give the routes that have heard it. Ends once that is known of each."""
        tasks = {
            asyncio.create_task(self._give(box, message)): name
            for name, message in letters.items()
            for box in self._boxes[name]
        }
        pending, heard = set(tasks), set[str]()
        try:
            while {tasks[task] for task in pending} - heard:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                heard |= {tasks[task] for task in done if task.result()}
        except asyncio.CancelledError:
            for task in pending:
                task.cancel()
            raise
        self._late |= pending
        for task in pending:
            task.add_done_callback(self._late.discard)
        for name in letters.keys() - heard:
            for box in self._boxes[name]:
                _forget(box, letters[name])
        return frozenset(heard)

    def is_open(self, names: Iterable[str]) -> bool:
        """Whether one of these routes has a target that neither failed a moment ago nor hangs: else sending is vain."""
        now_s = self._clock.monotonic()
        return any(
            now_s >= box.next_try_s and not box.turn.locked() for name in names for box in self._boxes.get(name, ())
        )

    async def retry(self) -> None:
        """Give each target that missed something, and whose time has come, the oldest of it."""
        now_s = self._clock.monotonic()
        waiting = [box for boxes in self._boxes.values() for box in boxes if box.missed and now_s >= box.next_try_s]
        await asyncio.gather(*(self._give_again(box) for box in waiting if not box.turn.locked()))

    async def close(self) -> None:
        """Give up what is under way."""
        for task in tuple(self._late):
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    async def _give_again(self, box: _Box) -> None:
        message = box.missed[0]
        if await self._give(box, message):
            _forget(box, message)

    async def _give(self, box: _Box, message: Message) -> bool:
        """Give one target one message; keep it where the target did not take it."""
        if box.turn.locked() or self._clock.monotonic() < box.next_try_s:
            outcome: Heard | Unheard | None = None  # it hangs, or failed a moment ago
        else:
            async with box.turn:
                outcome = await within(self._clock, box.target, message)
        if isinstance(outcome, Heard):
            self._note_heard(box)
            return True
        if outcome is not None:
            self._note_unheard(box, outcome.why)
        if message not in box.missed:
            box.missed.append(message)
        return False

    def _note_heard(self, box: _Box) -> None:
        since, box.failing_since = box.failing_since, None
        box.failures, box.next_try_s = 0, 0.0
        if since is not None:
            after = max(self._clock.now() - since, since - since)
            self._events.emit(AlertsDelivered(target=box.target.name, after=after))

    def _note_unheard(self, box: _Box, why: str) -> None:
        box.next_try_s = self._clock.monotonic() + min(RETRY_FIRST_S * 2 ** min(box.failures, 10), RETRY_MAX_S)
        box.failures += 1
        if box.failing_since is None:
            box.failing_since = self._clock.now()
            self._events.emit(AlertsUndelivered(target=box.target.name, why=why))


async def within(clock: Clock, target: Alerter, message: Message, seconds: float = TELL_WITHIN_S) -> Heard | Unheard:
    """Tell a target, and give it up where it hangs."""
    telling = asyncio.ensure_future(target.tell(message))
    alarm = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({telling, alarm}, return_when=asyncio.FIRST_COMPLETED)
        return telling.result() if telling.done() else Unheard(f"no answer within {seconds:g} s")
    finally:
        telling.cancel()
        alarm.cancel()


def _forget(box: _Box, message: Message) -> None:
    if message in box.missed:
        box.missed.remove(message)
