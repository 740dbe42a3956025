"""When to ask: ages of an attempt, counted from its creation."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache

JITTER_SHARE = 0.05
JITTER_MAX = timedelta(seconds=60)
RETRY_FIRST = timedelta(seconds=5)
RETRY_MAX = timedelta(minutes=5)
RETRY_DOUBLINGS_MAX = 10
RETRY_SPREAD = 0.1
PROBE_EVERY = timedelta(days=1)
"""How often an attempt is asked on after its last age, where a person has been told."""
INTERRUPTIONS_MAX = 3
"""Asks in a row that came to no end at all. An attempt that had more may be what breaks us."""
SUSPECT_LEASE_MAX = timedelta(minutes=30)
"""Often enough for the alert on faults of ours to stay on, and seldom enough for a log that can be read."""
SUSPECT_DOUBLINGS_MAX = 10


def next_ask(
    created: datetime, last_answered: datetime | None, now: datetime, ages: Sequence[timedelta]
) -> datetime | None:
    """Say when an attempt is asked next; not before `now`, and None when its last age has been answered.

    Nothing is used up by time that passes unasked: an attempt overdue by hours is asked once, now, and then at
    its next age; the last age always gets its ask. `ages` ascend.
    """
    for age in ages:
        due = created + age
        if last_answered is None or due > last_answered:
            return max(due, now)
    return None


def jittered(ages: Sequence[timedelta], number: str, first: timedelta | None = None) -> tuple[timedelta, ...]:
    """Keep bursts apart: each age but the `first` a little later, by a share that the number itself decides."""
    share = share_of(number)
    return tuple(age + most * share for age, most in _with_most(tuple(ages), first or ages[0]))


@lru_cache(maxsize=16)
def _with_most(ages: tuple[timedelta, ...], first: timedelta) -> tuple[tuple[timedelta, timedelta], ...]:
    """Give each age with the most it is moved by. Every ask wants them, and a policy has few lists of ages."""
    return tuple((age, timedelta(0) if age == first else min(age * JITTER_SHARE, JITTER_MAX)) for age in ages)


def later_ages(ages: Sequence[timedelta], late_from: timedelta) -> tuple[timedelta, ...]:
    """Give the ages from `late_from` on, and the last one in any case."""
    return tuple(age for age in ages if age >= late_from) or tuple(ages[-1:])


def retry_after(failures: int, number: str) -> timedelta:
    """Say how long to wait after `failures` asks in a row came to nothing: 5 s, doubling to 5 min, + up to a tenth."""
    doublings = min(max(failures, 1) - 1, RETRY_DOUBLINGS_MAX)
    wait = min(RETRY_FIRST * (1 << doublings), RETRY_MAX)
    return wait + wait * share_of(number) * RETRY_SPREAD


def leased_for(lease: timedelta, interruptions: int) -> timedelta:
    """Say how long a lease keeps an attempt whose last asks came to no end, so many in a row: what may break us longer.

    Twice as long each time beyond `INTERRUPTIONS_MAX`. A restart frees it at once: that may be the mending.
    """
    doublings = min(max(interruptions - INTERRUPTIONS_MAX, 0), SUSPECT_DOUBLINGS_MAX)
    return max(lease, min(lease * (1 << doublings), SUSPECT_LEASE_MAX))


def share_of(number: str) -> float:
    """Give a share from 0 to 1 that the number itself decides."""
    return zlib.crc32(number.encode()) / 2**32
