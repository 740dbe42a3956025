"""Tells of troubles: of what this process' own log says is wrong, and that it is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from reconciler.events import Event, Severity
from reconciler.ops.alerts.post import Post, Route
from reconciler.ops.alerts.tempo import Tempo
from reconciler.ops.alerts.trouble_words import message_of
from reconciler.ops.alerts.troubles import Told, Troubles
from reconciler.ops.alerts.words import Voice
from reconciler.ports import Clock

LOOK_EVERY_S: Final = 5.0

Wanting = Sequence[tuple[Told, set[str]]]
"""What is to be told, each with the routes that want it."""


class TroubleTeller:
    """Implements `Events`, and passes on what somebody should act upon. A brake need not wait behind a case."""

    def __init__(self, post: Post, voice: Voice, clock: Clock) -> None:
        self._post = post
        self._voice = voice
        self._clock = clock
        self._troubles = Troubles()
        self._tempi: dict[str, Tempo] = {}

    def emit(self, event: Event) -> None:
        """Learn of one line of the log."""
        if self._post.routes:
            self._troubles.note(event, self._clock.now(), self._clock.monotonic())

    def take_over(self, post: Post, voice: Voice) -> None:
        """Go on with the targets of a configuration that was read anew."""
        self._post, self._voice = post, voice

    async def keep(self) -> None:
        """Look for troubles, until cancelled."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            await self.turn()
            await self._post.retry()

    async def turn(self, *, at_once: bool = False) -> None:
        """Tell what there is to tell, if it is time; `at_once` is for a process that ends.

        Each route has its own tempo, and what several are to be told of waits until all of them may be.
        """
        now_s = self._clock.monotonic()
        due = self._troubles.due(now_s, all_of_it=at_once)
        wanting = [(item, {route.name for route in self._post.routes if _is_for(route, item)}) for item in due]
        ready = {name for name in self._post_names() if self._is_ready(name, wanting, now_s, at_once=at_once)}
        now = [(item, names) for item, names in wanting if names <= ready]
        letters = {name: [item for item, names in now if name in names] for name in ready}
        sent = {name: message_of(items, self._voice) for name, items in letters.items() if items}
        heard = await self._post.send(sent) if sent and self._post.is_open(sent) else frozenset[str]()
        for name in heard:
            self._tempi[name].sent(now_s)
        self._troubles.told([item for item, names in now if names & heard or not names], now_s)

    def _post_names(self) -> Sequence[str]:
        return [route.name for route in self._post.routes]

    def _is_ready(self, name: str, wanting: Wanting, now_s: float, *, at_once: bool) -> bool:
        tempo = self._tempi.setdefault(name, Tempo())
        mine = [item for item, names in wanting if name in names]
        if not mine:
            tempo.nothing()
            return True
        urgent = any(item.severity is Severity.CRITICAL for item in mine)
        return tempo.is_time(now_s, urgent=urgent) or at_once


def _is_for(route: Route, item: Told) -> bool:
    return route.wants(item.key[0], item.floor)
