"""Troubles: what began and is not over, and how much of it was told. State only, no input or output.

A trouble has two ends, and both are told; one that is over within its patience is not told of at all. What happens
rather than lasts (`turn.failed`) is told of at once, and then with its number, at most once an hour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from reconciler.events import CATALOGUE, Alert, Event, Severity

REPEATED_EVERY_S: Final = 3600.0
TROUBLES_MAX: Final = 1000
"""So many at once are known apart; what is beyond them is in the log."""

Key = tuple[str, str]
"""The event's name, and what it is about."""


def _begun_by() -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = {}
    for name, kind in CATALOGUE.items():
        for end in kind.alert.ends if kind.alert else ():
            found.setdefault(end, []).append(name)
    return found


BEGUN_BY: Final = _begun_by()
"""By the name of an event that ends troubles: the events that begin them."""


@dataclass(slots=True)
class Trouble:
    """One trouble, or one thing that happens now and then."""

    alert: Alert
    begun: Event | None
    """The latest line that said so; None where it began before this process did."""
    begun_at: datetime
    due_s: float
    """Monotonic time from which on it is told of."""
    times: int = 1
    """How often it began, or happened, since it was told of."""
    told: bool = False
    over: Event | None = None
    over_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of a trouble now: its beginning, its end, or both in one."""

    key: Key
    begun: Event | None
    """None where its beginning has been told."""
    begun_at: datetime
    times: int
    over: Event | None
    over_at: datetime | None

    @property
    def severity(self) -> Severity:
        """How bad it is now: what is over is good news."""
        if self.over is not None or self.begun is None:
            return Severity.NOTICE
        return self.begun.severity

    @property
    def floor(self) -> Severity:
        """By which severity it is chosen: an end interests whoever was told of the beginning."""
        return CATALOGUE[self.key[0]].severity


@dataclass(slots=True)
class Troubles:
    """What is wrong now, as this process' own lines have it."""

    _known: dict[Key, Trouble] = field(default_factory=dict)
    _is_standby: bool = False

    def note(self, event: Event, now: datetime, now_s: float) -> None:
        """Learn from one line of the log."""
        if event.name == "lead.taken":
            self._is_standby = False
        elif event.name == "lead.waiting":
            self._stand_by()
        for began in BEGUN_BY.get(event.name, ()):
            self._end(_key(began, event), event, now, now_s)
        if event.alert is not None and not (self._is_standby and event.alert.shared):
            self._begin(event, event.alert, now, now_s)

    def due(self, now_s: float, *, all_of_it: bool = False) -> Sequence[Told]:
        """Give what is to be told now; with `all_of_it` also what could yet be over soon."""
        return [
            Told(key, None if item.told else item.begun, item.begun_at, item.times, item.over, item.over_at)
            for key, item in self._known.items()
            if _is_news(item) and (all_of_it or item.over is not None or now_s >= item.due_s)
        ]

    def told(self, items: Sequence[Told], now_s: float) -> None:
        """Learn that somebody was told of these; what came meanwhile is kept."""
        for told in items:
            item = self._known.get(told.key)
            if item is None:
                continue
            if not item.alert.ends:
                item.times -= told.times
                item.due_s = now_s + REPEATED_EVERY_S
            elif told.over is not None and item.over is told.over:
                del self._known[told.key]
            else:
                item.told, item.times = True, 1

    def _begin(self, event: Event, alert: Alert, now: datetime, now_s: float) -> None:
        key = _key(event.name, event)
        known = self._known.get(key)
        if known is None:
            if len(self._known) < TROUBLES_MAX:
                patience_s = alert.patience.total_seconds() if alert.ends else 0.0
                self._known[key] = Trouble(alert, event, now, now_s + patience_s)
            return
        if not alert.ends:
            known.begun_at = now if known.times == 0 else known.begun_at
        if known.over is not None or not alert.ends:
            known.times += 1
        known.begun, known.over, known.over_at = event, None, None

    def _end(self, key: Key, event: Event, now: datetime, now_s: float) -> None:
        known = self._known.get(key)
        if known is not None:
            if not known.told and now_s < known.due_s:
                del self._known[key]
            elif known.over is None:
                known.over, known.over_at = event, now
            return
        alert, after = CATALOGUE[key[0]].alert, getattr(event, "after", None)
        siblings = [_key(name, event) for name in BEGUN_BY[event.name]]
        if alert is None or not isinstance(after, timedelta) or after < max(alert.patience, timedelta(minutes=1)):
            return
        if key == siblings[0] and not any(each in self._known for each in siblings):
            # It began before this process did, and may have been told of: its end is.
            self._known[key] = Trouble(alert, None, now - after, now_s, told=True, over=event, over_at=now)

    def _stand_by(self) -> None:
        """Leave what is everybody's to the leader."""
        self._is_standby = True
        self._known = {key: item for key, item in self._known.items() if not item.alert.shared}


def _is_news(item: Trouble) -> bool:
    if not item.alert.ends:
        return item.times > 0
    return not item.told or item.over is not None


def _key(name: str, event: Event) -> Key:
    alert = CATALOGUE[name].alert
    return name, " ".join(str(getattr(event, field, "")) for field in alert.subject) if alert else ""
