"""A gateway's clock against ours: every request and many an answer carries a time, and lives for minutes only."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

SAID_OVER: Final = timedelta(seconds=60)
PAUSES_OVER: Final = timedelta(seconds=240)
"""WeChat Pay refuses what is five minutes off, and so do we (gateways.md 2.3): before that, nothing can work."""
RUN: Final = 2
LATELY_S: Final = 60.0
"""So many replies in a row say so, and none has said otherwise for so long: then it is believed. One of many hosts
behind a gateway's name may have a wrong clock; ours, when it is wrong, is wrong to all of them."""
REMEDY: Final = "set this machine's clock (`timedatectl` shows it; chrony or systemd-timesyncd keeps it right)"


@dataclass(slots=True)
class _Side:
    """One of two opinions, and how firm it is."""

    run: int = 0
    last_s: float | None = None

    def is_firm(self, other: _Side, now_s: float) -> bool:
        return self.run >= RUN and (other.last_s is None or now_s - other.last_s >= LATELY_S)


@dataclass(slots=True)
class ClockOff:
    """Whether our clock is off, as far as one gateway's replies tell. Times are monotonic: wall time is in doubt."""

    is_off: bool = False
    _far: _Side = field(default_factory=_Side)
    _near: _Side = field(default_factory=_Side)

    def hear(self, off: timedelta, now_s: float, *, believe: bool) -> bool:
        """Hear how far a gateway's clock is ahead; say whether `is_off` has changed by it.

        `believe` takes the word of a single reply that it is off.
        """
        says, other = (self._far, self._near) if is_far(off) else (self._near, self._far)
        says.run, says.last_s, other.run = says.run + 1, now_s, 0
        changes = says.is_firm(other, now_s) or (believe and says is self._far)
        was, self.is_off = self.is_off, (says is self._far) if changes else self.is_off
        return self.is_off != was

    def reason_to_pause(self, off: timedelta, now_s: float, *, failed: bool) -> str:
        """Say why the channel pauses on a reply that came with this figure; empty where it does not.

        Where an ask `failed` for another reason, that the clock is off at all explains it.
        """
        is_firm = self._far.is_firm(self._near, now_s) and abs(off) > PAUSES_OVER
        if not (self.is_off and is_far(off) and (failed or is_firm)):
            return ""
        return f"{said_off(off)}: {REMEDY}"


def is_far(off: timedelta) -> bool:
    """Whether a difference is worth a word, either way."""
    return abs(off) > SAID_OVER


def said_off(off: timedelta) -> str:
    """Say it in words, with the figure."""
    side = "ahead of" if off > timedelta(0) else "behind"
    return f"the gateway's clock is {abs(off).total_seconds():.0f}s {side} this machine's"


def side_ahead(off: timedelta) -> str:
    """Say whose clock is ahead."""
    return "gateway" if off > timedelta(0) else "this machine"
