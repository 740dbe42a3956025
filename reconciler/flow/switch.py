"""Pause and resume by a person's hand: settling as a whole, and channels one by one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from reconciler.domain.order import ChannelName
from reconciler.events.settling import ChannelPausedByHand, ChannelResumedByHand
from reconciler.flow.channel import ByHand, Channel
from reconciler.flow.context import Context
from reconciler.ports import Batch, Entry, Mark

SETTLING = "settling"


@dataclass(frozen=True, slots=True)
class Switched:
    """What became of one switch."""

    what: str
    """`settling`, or `channel NAME`."""
    paused: bool
    changed: bool
    """False where it was so already."""
    since: str = ""
    by: str = ""
    why: str = ""
    """Since when, by whom and why it is paused, or was until now."""


class Switch:
    """What a person may switch off and on. Survives restarts; who and when is in the ledger."""

    def __init__(self, context: Context, channels: Sequence[Channel]) -> None:
        self._context = context
        self._channels = channels

    async def pause(self, by: str, *, settling: bool, channels: Sequence[ChannelName]) -> tuple[Switched, ...]:
        """Switch off. What is being settled at this moment comes to its end. Raises PortError."""
        done = []
        async with self._context.applying:
            if settling:
                changed = await self._context.brake.pause(by)
                done.append(self._settling(changed=changed))
            for channel in self._named(channels):
                changed = await self._pause_channel(channel, by)
                done.append(_switched(channel, channel.by_hand, paused=True, changed=changed))
        return tuple(done)

    async def resume(self, by: str, *, settling: bool, channels: Sequence[ChannelName]) -> tuple[Switched, ...]:
        """Switch on again, whoever switched it off: for settling, the brake too. Raises PortError."""
        done = []
        async with self._context.applying:
            if settling:
                was = self._settling(changed=True)
                changed = await self._context.brake.resume(by)
                done.append(Switched(SETTLING, paused=False, changed=changed, since=was.since, by=was.by, why=was.why))
            for channel in self._named(channels):
                paused = channel.by_hand
                changed = await self._resume_channel(channel, by)
                done.append(_switched(channel, paused, paused=False, changed=changed))
        return tuple(done)

    def _named(self, names: Sequence[ChannelName]) -> list[Channel]:
        return [channel for channel in self._channels if channel.name in names]

    def _settling(self, *, changed: bool) -> Switched:
        stopped = self._context.brake.stopped
        if stopped is None:
            return Switched(SETTLING, paused=False, changed=changed)
        return Switched(SETTLING, True, changed, stopped.since, stopped.by, stopped.why)  # noqa: FBT003 # in the order of its fields

    async def _pause_channel(self, channel: Channel, by: str) -> bool:
        if channel.by_hand is not None:
            return False
        now = self._context.clock.now()
        by_hand = ByHand(now.isoformat(timespec="seconds"), by)
        await self._write(channel, "channel_paused", json.dumps(asdict(by_hand)), by, now)
        channel.by_hand = by_hand
        self._context.events.emit(ChannelPausedByHand(channel=channel.name, by=by))
        return True

    async def _resume_channel(self, channel: Channel, by: str) -> bool:
        paused, now = channel.by_hand, self._context.clock.now()
        if paused is None:
            return False
        await self._write(channel, "channel_resumed", "", by, now)
        channel.by_hand = None
        after = max(now - datetime.fromisoformat(paused.since), timedelta(0))
        self._context.events.emit(ChannelResumedByHand(channel=channel.name, by=by, after=after))
        return True

    async def _write(self, channel: Channel, kind: str, mark: str, by: str, now: datetime) -> None:
        entry = Entry(kind, channel=channel.name, body={"by": by, "why": "by hand"})
        batch = Batch(entries=(entry,), marks=(Mark(channel.by_hand_mark, mark),))
        await self._context.ledger.record(batch, now)


def _switched(channel: Channel, by_hand: ByHand | None, *, paused: bool, changed: bool) -> Switched:
    since, by, why = (by_hand.since, by_hand.by, by_hand.why) if by_hand else ("", "", "")
    return Switched(f"channel {channel.name}", paused, changed, since, by, why)
