"""The ledger's double: what came to its end within a time, and what is stuck."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from reconciler.domain.case import MISMATCHES
from reconciler.domain.order import ChannelName
from reconciler.ports import MOVED_BY_THE_SHOP, MOVED_BY_US, STUCK_MAX, WAITING_TO_SETTLE, Ends
from reconciler.testing.shelf import Contents


def ends(contents: Contents, since: datetime, until: datetime) -> dict[ChannelName, Ends]:
    """Count by channel."""
    lost: Counter[ChannelName] = Counter()
    arrived: Counter[ChannelName] = Counter()
    for item in contents.watches.values():
        watch = item.watch
        if item.was_paid and watch.ended_at is not None and since <= watch.ended_at < until:
            lost[watch.attempt.channel] += watch.last_decision in MOVED_BY_US
            arrived[watch.attempt.channel] += watch.last_decision in MOVED_BY_THE_SHOP
    mismatches = Counter(
        case.channel
        for case in contents.cases.values()
        if case.kind in MISMATCHES and case.channel is not None and since <= case.opened_at < until
    )
    channels = {*(+lost), *(+arrived), *mismatches}
    return {channel: Ends(lost[channel], arrived[channel], mismatches[channel]) for channel in channels}


def stuck(contents: Contents) -> int:
    """Count what waits for us, or for a person."""
    waiting = sum(
        item.watch.last_decision in WAITING_TO_SETTLE and not item.watch.ended_at for item in contents.watches.values()
    )
    return min(waiting + sum(not case.ended_at for case in contents.cases.values()), STUCK_MAX)
