"""Hours that are not as the last weeks were: said at each end, with the figures."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from reconciler.domain.case import CaseKind
from reconciler.domain.order import Attempt, OrderKey
from reconciler.events.unusual import ChannelUnusual, ChannelUsual, OrdersUnusual, OrdersUsual
from reconciler.flow import judged, past_hours
from reconciler.flow.past_hours import HOUR, HOURS_MARK, HOURS_MAX
from reconciler.flow.rounds import Rounds
from reconciler.flow.unusual import EVERY_S, LOST, MISMATCHES, Unusual
from reconciler.ports import (
    WAITING_TO_SETTLE,
    Batch,
    CaseReport,
    EndCases,
    Ends,
    LedgerUnavailable,
    NewWatch,
    WatchUpdate,
)
from tests.unit.flow.bench import ALIPAY, WECHAT, Bench


class Look:
    """A leader's look at the last hour, and hours that pass with payments in them."""

    def __init__(self, bench: Bench, rounds: Rounds) -> None:
        self.bench, self.rounds = bench, rounds
        self.unusual = Unusual(rounds.context, bench.channels)
        self.made = 0

    async def lasts(self, hours: float) -> None:
        """Let it do its turns for so long."""
        until = self.bench.clock.now() + hours * HOUR
        while self.bench.clock.now() < until:
            await self.bench.clock.advance(await self.unusual.turn())

    async def ended(self, decision: str, count: int, channel: Any = ALIPAY, *, is_paid: bool = True) -> None:  # noqa: ANN401
        """End watches of paid orders at this moment."""
        ledger, now = self.rounds.context.ledger, self.bench.clock.now()
        for _ in range(count):
            self.made += 1
            number = f"W{self.made}"
            await ledger.watch([NewWatch(Attempt(OrderKey(number), number, channel, number, now), now)], now)
        for watch in await ledger.lease(channel, now, now + HOUR, count):
            update = WatchUpdate(watch.id, now, now, 0, 0, decision, "x", ended=True, shows_paid=is_paid)
            await ledger.record(Batch(updates=(update,)), now)

    async def hours(self, count: int, *, lost: int, arrived: int) -> None:
        """Let hours pass, each with so many payments, and be looked at."""
        for _ in range(count):
            await self.ended("settled", lost)
            await self.ended("done", arrived)
            await self.lasts(1)

    async def cases(self, count: int, kind: CaseKind = CaseKind.AMOUNT_MISMATCH) -> None:
        """Open cases at this moment."""
        reports = [CaseReport(kind, OrderKey(f"C{self.made + at}"), "C", ALIPAY, "C", "why") for at in range(count)]
        self.made += count
        await self.rounds.context.ledger.record(Batch(cases=tuple(reports)), self.bench.clock.now())

    async def end_cases(self) -> None:
        """End every case."""
        ledger = self.rounds.context.ledger
        ends = tuple(EndCases(case.order_key, "settled") for case in await ledger.cases(limit=10_000))
        await ledger.record(Batch(ends=ends), self.bench.clock.now())


async def look(bench: Bench) -> Look:
    rounds = bench.process()
    assert await rounds.take_charge()
    return Look(bench, rounds)


async def again(made: Look) -> Look:
    """Start another process, as after a restart or a change of leader."""
    await made.rounds.context.shop.release()
    another = await look(made.bench)
    another.made = made.made
    return another


async def test_callbacks_that_get_lost_are_said_once_and_once_more_when_they_come_again(bench: Bench) -> None:
    made = await look(bench)
    await made.hours(30, lost=1, arrived=49)
    assert bench.events.events[-1].name == "lead.taken", "a usual day is no line"
    await made.hours(3, lost=41, arrived=19)
    (unusual,) = bench.events.of(ChannelUnusual)
    assert (unusual.channel, unusual.what) == (ALIPAY, LOST)
    assert unusual.why == (
        "callbacks lost: 41 of 60 in the last hour, usually 2.0 %, at most 2.0 % in nine of ten hours of 14 days"
    )
    assert bench.said(ChannelUsual) == []
    await made.hours(3, lost=1, arrived=49)
    (usual,) = bench.events.of(ChannelUsual)
    assert (usual.channel, usual.what) == (ALIPAY, LOST)
    assert timedelta(hours=2) < usual.after < timedelta(hours=4)
    assert usual.why.startswith("callbacks lost: 1 of 50 in the last hour, usually 2.0 %")
    assert len(bench.said(ChannelUnusual)) == 1


async def test_what_was_said_is_not_said_again_after_a_restart_and_its_end_is(bench: Bench) -> None:
    made = await look(bench)
    await made.hours(30, lost=1, arrived=49)
    await made.hours(1, lost=41, arrived=19)
    made = await again(made)
    await made.hours(1, lost=41, arrived=19)
    assert len(bench.said(ChannelUnusual)) == 1
    await made.hours(2, lost=0, arrived=50)
    assert len(bench.said(ChannelUsual)) == 1


async def test_a_quiet_night_is_no_end(bench: Bench) -> None:
    made = await look(bench)
    await made.hours(30, lost=1, arrived=49)
    await made.hours(1, lost=41, arrived=19)
    await made.hours(8, lost=0, arrived=2)
    assert bench.said(ChannelUsual) == []


async def test_a_small_shop_stays_quiet_whatever_happens(bench: Bench) -> None:
    made = await look(bench)
    await made.hours(60, lost=0, arrived=4)
    await made.hours(10, lost=4, arrived=0)
    assert bench.said(ChannelUnusual) == []


async def test_a_channel_is_compared_with_itself(bench: Bench) -> None:
    bench.channels = (ALIPAY, WECHAT)
    made = await look(bench)
    for _ in range(30):
        await made.ended("settled", 30, WECHAT)
        await made.hours(1, lost=0, arrived=30)
    await made.ended("settled", 30, WECHAT)
    await made.hours(1, lost=30, arrived=0)
    assert [event.channel for event in bench.events.of(ChannelUnusual)] == [ALIPAY]


async def test_the_past_is_read_from_a_ledger_that_was_there_before(bench: Bench) -> None:
    """After an upgrade nobody waits two weeks: the hours are counted, one after another, and each only once."""
    made = await look(bench)
    for _ in range(30):
        await made.ended("done", 50)
        await bench.clock.advance(3600)
    await made.ended("settled", 50)
    await made.lasts(0.5)
    assert len(bench.said(ChannelUnusual)) == 1
    kept = json.loads(await made.rounds.context.ledger.mark(HOURS_MARK) or "{}")
    assert len(kept) == HOURS_MAX
    made.rounds.context.ledger.ends = _refusing  # type: ignore[method-assign] # nothing is counted twice
    assert not await made.unusual._past.catch_up(bench.clock.now())


async def test_hours_that_a_clock_counted_ahead_of_its_time_are_forgotten(bench: Bench) -> None:
    made = await look(bench)
    await made.hours(3, lost=1, arrived=49)
    bench.clock.set_wall(bench.clock.now() - timedelta(days=30))
    made = await again(made)
    await made.lasts(1)
    kept = json.loads(await made.rounds.context.ledger.mark(HOURS_MARK) or "{}")
    assert len(kept) == HOURS_MAX
    assert max(int(hour) for hour in kept) < bench.clock.now().timestamp() // 3600


async def test_mismatches_are_judged_by_their_share(bench: Bench) -> None:
    made = await look(bench)
    await made.hours(30, lost=1, arrived=49)
    await made.cases(40, CaseKind.NEEDS_REVIEW)
    await made.hours(1, lost=1, arrived=49)
    assert bench.said(ChannelUnusual) == []
    await made.cases(20)
    await made.hours(1, lost=1, arrived=49)
    (unusual,) = bench.events.of(ChannelUnusual)
    assert unusual.what == MISMATCHES
    assert "mismatches: 20 of 70 in the last hour, usually 0 %" in unusual.why


async def test_orders_that_get_stuck_are_said_and_when_they_are_gone(bench: Bench) -> None:
    made = await look(bench)
    await made.cases(2, CaseKind.NEEDS_REVIEW)
    await made.lasts(30)
    await made.cases(61, CaseKind.NEEDS_REVIEW)
    await made.lasts(2)
    (unusual,) = bench.events.of(OrdersUnusual)
    assert (unusual.stuck, unusual.why) == (
        63,
        "orders stuck: 63 now, usually 2, at most 2 in nine of ten hours of 14 days",
    )
    await made.end_cases()
    await made.lasts(1)
    (usual,) = bench.events.of(OrdersUsual)
    assert (usual.stuck, len(bench.said(OrdersUnusual))) == (0, 1)


async def test_an_outage_does_not_become_usual_by_lasting(bench: Bench) -> None:
    made = await look(bench)
    await made.hours(26, lost=0, arrived=25)
    await made.hours(20, lost=25, arrived=0)
    made = await again(made)
    await made.hours(20, lost=25, arrived=0)
    assert (len(bench.said(ChannelUnusual)), bench.said(ChannelUsual)) == (1, [])
    await made.hours(2, lost=0, arrived=25)
    assert len(bench.said(ChannelUsual)) == 1
    await made.hours(2, lost=20, arrived=5)
    assert len(bench.said(ChannelUnusual)) == 2, "nor was it a past to be compared with"


async def test_what_lasts_for_all_of_the_past_is_usual(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past_hours, "HOURS_MAX", 30)
    made = await look(bench)
    await made.hours(30, lost=0, arrived=25)
    await made.hours(60, lost=25, arrived=0)
    assert len(bench.said(ChannelUnusual)) == 1
    (usual,) = bench.events.of(ChannelUsual)
    assert "too little is known" in usual.why


async def test_a_ledger_that_is_away_puts_it_off_and_no_more(bench: Bench) -> None:
    made = await look(bench)
    await made.hours(30, lost=1, arrived=49)
    bench.shelf.unavailable = "disk full"
    with pytest.raises(LedgerUnavailable):
        await made.unusual.turn()
    bench.shelf.unavailable = None
    await made.hours(1, lost=41, arrived=19)
    assert len(bench.said(ChannelUnusual)) == 1


async def test_an_hour_is_judged_every_few_minutes(bench: Bench) -> None:
    made = await look(bench)
    await made.lasts(1)
    assert await made.unusual.turn() in {EVERY_S, 0.5}


def test_the_ledger_counts_what_the_flow_calls_waiting() -> None:
    assert {judged.WOULD_SETTLE, judged.WAITS, judged.ROW_BUSY} == WAITING_TO_SETTLE


async def _refusing(since: datetime, until: datetime) -> dict[Any, Ends]:
    raise AssertionError((since, until))
