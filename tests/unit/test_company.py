"""Housekeeping: what is older than is to be kept goes, by a clock that nobody contradicts."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Never

import pytest

from reconciler.alerting import AGAIN_S
from reconciler.company import Company
from reconciler.events.running import TurnFailed
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


async def test_a_keeper_that_meets_a_fault_goes_on_a_minute_later(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, events, turns = ManualClock(NOW), RecordingEvents(), 0
    company = company_of(Ledger(), events)
    company._clock = clock

    async def breaks() -> Never:
        nonlocal turns
        turns += 1
        raise OverflowError("a row that nobody thought of")

    async def waits() -> None:
        await asyncio.Event().wait()

    for keeper in ("_look_at_stays", "_look_for_the_unusual", "_listen", "_tell_of_cases"):
        monkeypatch.setattr(company, keeper, waits)
    monkeypatch.setattr(company, "_audit", breaks)
    monkeypatch.setattr(company, "_calendar", lambda: SimpleNamespace(keep=waits))
    monkeypatch.setattr(company, "_figures", lambda: SimpleNamespace(keep=waits))
    monkeypatch.setattr("reconciler.company.ControlKeeper", lambda *_: SimpleNamespace(keep=waits))
    company._alerting = SimpleNamespace(heartbeat=None)  # type: ignore[assignment] # all that is asked of it
    company._notify = SimpleNamespace(watchdog_every_s=None)  # type: ignore[assignment] # the same
    async with company.together():
        for _ in range(3):
            await clock.advance(AGAIN_S)
    assert turns >= 3
    assert events.of(TurnFailed)[0].what == "audit: OverflowError: a row that nobody thought of"
