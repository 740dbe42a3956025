"""The last two weeks by the hour, as the ledger has them: kept as a mark, so that each hour is counted once."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

from reconciler.domain.order import ChannelName
from reconciler.domain.unusual import Share
from reconciler.ports import Ends, Ledger

HOURS_MARK: Final = "unusual.hours"
HOUR: Final = timedelta(hours=1)
DAYS: Final = 14
HOURS_MAX: Final = DAYS * 24
HOURS_AT_ONCE: Final = 24
FRESH: Final = timedelta(minutes=10)
"""How long after an hour's end what is stuck counts as what was stuck then."""


@dataclass(frozen=True, slots=True)
class PastHour:
    """What came to its end within one hour, by channel, and how many orders were stuck at its end."""

    ends: Mapping[ChannelName, Ends]
    stuck: int | None = None
    """None where nobody counted them then."""
    unusual: frozenset[str] = frozenset()
    """What was said to be unusual by then: it does not count as past, or an outage would soon be the usual thing."""


class PastHours:
    """The hours, by their beginning."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._hours: dict[datetime, PastHour] | None = None

    async def catch_up(self, now: datetime, unusual: Collection[str] = ()) -> bool:
        """Count some hours that are over and were not counted yet, newest first; whether there were any."""
        if self._hours is None:
            kept = json.loads(await self._ledger.mark(HOURS_MARK) or "{}")
            self._hours = {datetime.fromtimestamp(int(at) * 3600, UTC): _read(hour) for at, hour in kept.items()}
        last = datetime.fromtimestamp((int(now.timestamp()) // 3600 - 1) * 3600, UTC)
        wanted = (last - back * HOUR for back in range(HOURS_MAX))
        missing = list(islice((hour for hour in wanted if hour not in self._hours), HOURS_AT_ONCE))
        if not missing:
            return False
        counted = {hour: PastHour(await self._ledger.ends(hour, hour + HOUR)) for hour in missing}
        if last in counted and now - (last + HOUR) <= FRESH:
            counted[last] = replace(counted[last], stuck=await self._ledger.stuck(), unusual=frozenset(unusual))
        # What a clock that was ahead has left behind would be the past of no hour.
        first = last - (HOURS_MAX - 1) * HOUR
        hours = {hour: known for hour, known in self._hours.items() if first <= hour <= last} | counted
        await self._ledger.set_mark(HOURS_MARK, _text(hours))
        self._hours = hours
        return True

    def lost(self, channel: ChannelName, name: str) -> list[Share]:
        """Give a channel's lost callbacks of each hour, but for those in which they were unusual under this name."""
        return [lost_of(hour.ends.get(channel)) for hour in self._usual(name)]

    def mismatches(self, channel: ChannelName, name: str) -> list[Share]:
        """Give a channel's mismatches of each hour, likewise."""
        return [mismatches_of(hour.ends.get(channel)) for hour in self._usual(name)]

    def stuck(self, name: str) -> list[int]:
        """Give how many orders were stuck at the end of each hour that knows it, likewise."""
        return [hour.stuck for hour in self._usual(name) if hour.stuck is not None]

    def _usual(self, name: str) -> Iterator[PastHour]:
        return (hour for hour in (self._hours or {}).values() if name not in hour.unusual)


def lost_of(ends: Ends | None) -> Share:
    """Say how many payments of an hour it took us to bring home."""
    return Share(ends.lost, ends.lost + ends.arrived) if ends else Share(0, 0)


def mismatches_of(ends: Ends | None) -> Share:
    """Say how many payments of an hour did not agree with their orders."""
    return Share(ends.mismatches, ends.lost + ends.arrived + ends.mismatches) if ends else Share(0, 0)


def _text(hours: Mapping[datetime, PastHour]) -> str:
    kept = {
        int(at.timestamp()) // 3600: [
            hour.stuck,
            {channel: [ends.lost, ends.arrived, ends.mismatches] for channel, ends in hour.ends.items()},
            sorted(hour.unusual),
        ]
        for at, hour in sorted(hours.items())
    }
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def _read(kept: list[Any]) -> PastHour:
    ends = {ChannelName(channel): Ends(*figures) for channel, figures in kept[1].items()}
    return PastHour(ends, kept[0], frozenset(kept[2]))
