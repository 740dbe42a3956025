"""Housekeeping: what is older than is to be kept goes, by a clock that nobody contradicts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.company import Company
from reconciler.events.trouble import LedgerPruned
from reconciler.flow.clock_off import ClockOff
from reconciler.ops.metrics import Metrics
from reconciler.ports import LedgerUnavailable
from reconciler.testing.clock import ManualClock
from reconciler.testing.events import RecordingEvents

NOW = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)
KEEP = timedelta(days=400)


class Ledger:
    def __init__(self, fails: LedgerUnavailable | None = None) -> None:
        self.fails = fails
        self.pruned: list[datetime] = []

    async def prune(self, before: datetime) -> int:
        if self.fails is not None:
            raise self.fails
        self.pruned.append(before)
        return 7


def company_of(ledger: Ledger, events: RecordingEvents, *, leading: bool = True, off: tuple[bool, ...] = ()) -> Company:
    channels = [SimpleNamespace(clock=ClockOff(is_off=each)) for each in off]
    assembly: Any = SimpleNamespace(
        ledger=ledger,
        rounds=SimpleNamespace(leading=leading, channels=channels),
        settings=SimpleNamespace(ledger=SimpleNamespace(keep=KEEP)),
    )
    unused: Any = None
    return Company(assembly, unused, events, Metrics(version="0", mode="observe"), unused, ManualClock(NOW))


async def test_a_leader_forgets_what_is_older_than_is_to_be_kept_and_says_so() -> None:
    ledger, events = Ledger(), RecordingEvents()
    await company_of(ledger, events, off=(False, False))._prune()
    assert ledger.pruned == [NOW - KEEP]
    assert events.events == [LedgerPruned(rows=7, before=NOW - KEEP)]


@pytest.mark.parametrize(("leading", "off"), [(False, (False,)), (True, (False, True))], ids=["a standby", "clock off"])
async def test_nothing_is_forgotten(leading: bool, off: tuple[bool, ...]) -> None:
    ledger, events = Ledger(), RecordingEvents()
    await company_of(ledger, events, leading=leading, off=off)._prune()
    assert (ledger.pruned, events.events) == ([], [])


async def test_a_ledger_that_is_away_is_tidied_another_day() -> None:
    events = RecordingEvents()
    await company_of(Ledger(LedgerUnavailable("away")), events)._prune()
    assert events.events == []
