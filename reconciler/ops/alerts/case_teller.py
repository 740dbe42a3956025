"""Tells of cases, for as long as this daemon leads: what the ledger has as untold, not what a line of the log said.

So a crash between opening a case and telling of it tells again rather than never, and a case counts as told only when
a target took the message. Two messages about one case may come where a process dies between the two.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime
from typing import Final

from reconciler.ops.alerts.case_words import message_of
from reconciler.ops.alerts.post import Post, Route
from reconciler.ops.alerts.tempo import Tempo
from reconciler.ops.alerts.words import Voice
from reconciler.ports import CaseNews, Clock, Ledger, Look, Message, News, PortError

LOOK_EVERY_S: Final = 5.0


class CaseTeller:
    """One ledger's cases, and the post that takes them to people."""

    def __init__(self, ledger: Ledger, post: Post, voice: Voice, clock: Clock) -> None:
        self._ledger = ledger
        self._post = post
        self._voice = voice
        self._clock = clock
        self._tempo = Tempo()

    async def keep(self, leads: Callable[[], bool]) -> None:
        """Look for news while this process leads, until cancelled."""
        while self._post.routes:
            await self._clock.sleep(LOOK_EVERY_S)
            if leads():
                with contextlib.suppress(PortError):  # the rounds have said that the ledger is away
                    await self.turn()

    async def turn(self, *, at_once: bool = False) -> int:
        """Tell what there is to tell, if it is time; give the number of cases that somebody was told of."""
        self._ledger.may_still_write()  # else another process tells, and here it could not even be noted
        now_s = self._clock.monotonic()
        routes = [route for route in self._post.routes if route.kinds]
        if not self._post.is_open(route.name for route in routes) or not (at_once or self._tempo.is_apart(now_s)):
            return 0  # nothing is even looked up: there may be a hundred thousand
        now, (entry, _) = self._clock.now(), await self._ledger.head()
        found = {route.name: await self._news(route, now, entry) for route in routes}
        letters = {name: letter for name, (_, letter) in found.items() if letter is not None}
        if not letters:
            self._tempo.nothing()
            return 0
        if not self._post.is_open(letters) or not (at_once or self._tempo.is_time(now_s)):
            return 0
        heard = await self._post.send(letters)
        if heard:
            self._tempo.sent(now_s)
        told = 0
        for name in heard:
            for look in found[name][0]:
                told += await self._ledger.told(look)
        return told

    async def _news(self, route: Route, now: datetime, entry: int) -> tuple[tuple[Look, ...], Message | None]:
        """Look for all that a route is told of; the bound is the same for each, so that none misses anything."""
        looks = [Look(news, route.kinds, now, entry) for news in News]
        found: dict[News, CaseNews] = {look.news: await self._ledger.news(look) for look in looks}
        return tuple(look for look in looks if found[look.news].total), message_of(found, self._voice)
