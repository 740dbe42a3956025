"""Orders that stay in a status for longer than they may: case `stalled`, until they move on."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reconciler.domain.case import CaseKind
from reconciler.domain.order import OrderKey, OrderState
from reconciler.domain.stay import StayPolicy
from reconciler.events.orders import CaseEnded, CaseOpened
from reconciler.events.stays import StatusCrowded, StatusMoving, StatusStalled
from reconciler.flow import stays as stays_of
from reconciler.flow.rounds import Rounds
from reconciler.flow.stay_book import CASES_MARK, FIGURES_MARK, SEEN_MARK
from reconciler.flow.stays import Stays
from reconciler.ports import Batch as Written
from reconciler.ports import Case, EndCases, LedgerUnavailable, PortError, Reopen, Resolve, ShopUnavailable
from tests.unit.flow.bench import Bench

MINUTE = timedelta(minutes=1)
LIMITS = {"2": 10 * MINUTE, "3": timedelta(days=2)}
POLICY = StayPolicy(LIMITS, settled_status="2", first_status="1")
WINDOW = timedelta(days=7)


class Look:
    """A leader's look at the statuses on the bench, and time passing with it."""

    def __init__(self, bench: Bench, rounds: Rounds, policy: StayPolicy = POLICY) -> None:
        self.bench, self.rounds = bench, rounds
        self.stays = Stays(rounds.context, policy, WINDOW)

    async def lasts(self, minutes: float) -> None:
        """Let it do its turns for so long."""
        until = self.bench.clock.now() + minutes * MINUTE
        while self.bench.clock.now() < until:
            await self.bench.clock.advance(await self.stays.turn())

    async def cases(self, *, with_ended: bool = False) -> list[Case]:
        return list(await self.rounds.context.ledger.cases(with_ended=with_ended, limit=10_000))

    async def mark(self, name: str) -> Any:  # noqa: ANN401 # whatever it holds
        return json.loads(await self.rounds.context.ledger.mark(name) or "null")


async def look(bench: Bench, policy: StayPolicy = POLICY) -> Look:
    rounds = bench.process()
    assert await rounds.take_charge()
    return Look(bench, rounds, policy)


async def again(made: Look, policy: StayPolicy = POLICY) -> Look:
    """Start another process, as after a restart or a change of leader."""
    await made.rounds.context.shop.release()
    return await look(made.bench, policy)


def paid(bench: Bench, key: str = "1", *, paid_ago: float | None = 5, status: str = "2", minutes: float = 60) -> None:
    """Put an order into a status, paid some minutes ago."""
    paid_at = bench.clock.now() - paid_ago * MINUTE if paid_ago is not None else None
    bench.order(key, minutes=minutes, state=OrderState.PAID, status=status, paid_at=paid_at)


async def test_a_paid_order_that_is_not_delivered_in_time_is_a_case_and_ends_when_it_moves_on(bench: Bench) -> None:
    paid(bench, paid_ago=5)
    made = await look(bench)
    await made.lasts(4.5)
    assert await made.cases() == []
    await made.lasts(3)
    (case,) = await made.cases()
    assert (case.kind, case.order_no, case.channel, case.out_trade_no) == (CaseKind.STALLED, "N1", None, "")
    assert case.why == "it has been in status 2 for 11 m by its paid time; processing_limits allows 10 m"
    assert [str(fact) for fact in case.facts] == [
        "status: theirs moves on from 2 ≠ ours 2 since 2026-11-23T11:55:00+00:00"
    ]
    assert len(bench.said(CaseOpened)) == 1
    bench.shop().change("1", status="3")
    await made.lasts(0.2)
    assert await made.cases() == []
    (ended,) = bench.events.of(CaseEnded)
    assert (ended.order_no, ended.ending) == ("N1", "stalled: it moved on to 3")


async def test_nobody_is_asked_and_no_order_is_moved(bench: Bench) -> None:
    paid(bench, paid_ago=50)
    made = await look(bench)
    before = dict(bench.table.rows)
    await made.lasts(30)
    assert len(await made.cases()) == 1
    assert bench.gateways == {} or not bench.gateway().asked
    assert bench.table.rows == before


async def test_a_case_is_said_once_however_long_it_lasts(bench: Bench) -> None:
    paid(bench, paid_ago=50)
    made = await look(bench)
    await made.lasts(600)
    (case,) = await made.cases()
    assert case.repeated == 0
    assert len(bench.said(CaseOpened)) == 1


async def test_in_mode_observe_it_reports_alike(bench: Bench) -> None:
    bench.enforcing = False
    paid(bench, paid_ago=50)
    made = await look(bench)
    await made.lasts(1)
    assert len(await made.cases()) == 1


async def test_a_status_that_tells_no_time_counts_from_when_it_was_first_seen(bench: Bench) -> None:
    paid(bench, status="3", paid_ago=10_000, minutes=10_000)
    made = await look(bench)
    await made.lasts(2 * 24 * 60 - 10)
    assert await made.cases() == []
    await made.lasts(20)
    (case,) = await made.cases()
    assert "by when we first saw it so" in case.why


async def test_what_was_first_seen_survives_a_change_of_leader(bench: Bench) -> None:
    paid(bench, paid_ago=None)
    made = await again(await _after(bench, 6))
    await made.lasts(3)
    assert await made.cases() == []
    await made.lasts(3)
    assert len(await made.cases()) == 1


async def test_an_order_that_was_elsewhere_meanwhile_is_seen_anew(bench: Bench) -> None:
    paid(bench, paid_ago=None)
    made = await look(bench)
    await made.lasts(6)
    bench.shop().change("1", status="7")
    await made.lasts(6)
    assert await made.mark(SEEN_MARK) == {}
    bench.shop().change("1", status="2")
    await made.lasts(8)
    assert await made.cases() == []
    await made.lasts(6)
    assert len(await made.cases()) == 1


async def test_an_order_that_changed_from_one_limited_status_to_another_is_seen_anew(bench: Bench) -> None:
    paid(bench, paid_ago=None, status="3")
    made = await look(bench)
    await made.lasts(30)
    bench.shop().change("1", status="2")
    await made.lasts(5)
    assert await made.cases() == []
    await made.lasts(9)
    assert len(await made.cases()) == 1, "by the limit of where it is now"


async def test_where_the_shop_keeps_no_paid_time_our_own_settling_counts(bench: Bench) -> None:
    bench.order("1")
    bench.pay("N1")
    rounds = await bench.once()
    assert rounds.context.tally.settled == 1
    bench.shop().change("1", status="2", paid_at=None)
    await bench.clock.advance(7 * 60)
    made = await look(bench)
    await made.lasts(2)
    assert await made.cases() == []
    await made.lasts(4)
    (case,) = await made.cases()
    assert "by our settling it" in case.why


async def test_the_first_status_counts_from_the_creation(bench: Bench) -> None:
    bench.order("1", status="1", minutes=61)
    made = await look(bench, replace(POLICY, limits={"1": 60 * MINUTE}))
    await made.lasts(1)
    (case,) = await made.cases()
    assert "by its creation" in case.why


async def test_a_row_that_cannot_be_read_stalls_too(bench: Bench) -> None:
    paid(bench, paid_ago=50)
    bench.shop().change("1", amount=None)
    made = await look(bench)
    await made.lasts(13)
    assert [case.kind for case in await made.cases()] == [CaseKind.STALLED]


async def test_what_is_older_than_the_window_is_left_alone(bench: Bench) -> None:
    paid(bench, minutes=60 * 24 * 11, paid_ago=60 * 24 * 10)
    paid(bench, "2", minutes=60 * 24 * 9, paid_ago=60 * 24 * 8)
    made = await look(bench)
    await made.lasts(5)
    assert [case.order_no for case in await made.cases()] == ["N2"], "seven days, the longest limit, and a day"


async def test_an_open_case_ends_even_when_its_order_has_left_the_window(bench: Bench) -> None:
    paid(bench, paid_ago=50)
    made = await look(bench)
    await made.lasts(5)
    await bench.clock.advance(60 * 60 * 24 * 30)
    await made.lasts(70)
    assert len(await made.cases()) == 1
    bench.shop().remove("1")
    await made.lasts(1)
    (case,) = await made.cases(with_ended=True)
    assert case.ending == "its row is gone"


@pytest.mark.parametrize(
    ("policy", "ending"),
    [
        (replace(POLICY, limits={"2": timedelta(hours=5)}), "it is within the limit of 2 that holds now"),
        (StayPolicy(), "processing_limits names 2 no more"),
    ],
)
async def test_a_limit_that_was_raised_or_taken_away_ends_its_cases(
    bench: Bench, policy: StayPolicy, ending: str
) -> None:
    paid(bench, paid_ago=50)
    made = await again(await _after(bench, 2), policy)
    await made.lasts(1)
    (case,) = await made.cases(with_ended=True)
    assert case.ending == ending
    figures = await made.mark(FIGURES_MARK)
    assert all(figure["over"] == 0 for figure in figures["statuses"].values())


async def test_a_limit_that_was_lowered_opens_cases(bench: Bench) -> None:
    paid(bench, paid_ago=3)
    made = await again(await _after(bench, 2), replace(POLICY, limits={"2": MINUTE}))
    await made.lasts(1)
    assert len(await made.cases()) == 1


async def test_a_case_that_is_open_is_taken_up_by_the_next_leader(bench: Bench) -> None:
    paid(bench, paid_ago=50)
    made = await again(await _after(bench, 2))
    bench.shop().change("1", status="3")
    await made.lasts(0.2)
    assert await made.cases() == []
    assert len(bench.said(CaseOpened)) == 1


async def test_what_a_person_resolved_stays_silent_for_as_long_as_the_order_stays(bench: Bench) -> None:
    paid(bench, paid_ago=50)
    made = await look(bench)
    await made.lasts(2)
    (case,) = await made.cases()
    await made.rounds.context.ledger.handle([Resolve(case.id, "li", note="waits for stock")], bench.clock.now())
    await made.lasts(60)
    assert await made.cases() == []
    made = await again(made, replace(POLICY, limits={"2": 20 * MINUTE}))
    await made.lasts(60)
    assert await made.cases() == [], "nor does another limit ask again"
    bench.shop().change("1", status="3")
    await made.lasts(1)
    assert bench.said(CaseEnded) == [], "it had ended"


async def test_a_case_that_was_opened_again_ends_by_itself(bench: Bench) -> None:
    paid(bench, paid_ago=50)
    made = await look(bench)
    await made.lasts(2)
    (case,) = await made.cases()
    ledger = made.rounds.context.ledger
    await ledger.handle([Resolve(case.id, "li", note="seen")], bench.clock.now())
    await made.lasts(10)
    await ledger.handle([Reopen(case.id, "li")], bench.clock.now())
    await made.lasts(10)
    bench.shop().change("1", status="3")
    await made.lasts(1)
    assert await made.cases() == []


async def test_no_answer_about_a_payment_ends_it(bench: Bench) -> None:
    """`stalled` is about what the shop does, and a settlement, or a callback that won, is no word on that."""
    paid(bench, paid_ago=50)
    made = await look(bench)
    await made.lasts(2)
    await made.rounds.context.ledger.record(Written(ends=(EndCases(OrderKey("1"), "settled"),)), bench.clock.now())
    assert len(await made.cases()) == 1


async def test_a_flood_is_told_by_its_number_and_as_many_cases_as_a_person_can_look_at(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stays_of, "CASES_MAX", 10)
    monkeypatch.setattr(stays_of, "PAGE_ROWS", 7)
    for at in range(100):
        paid(bench, str(at), paid_ago=50)
    made = await look(bench)
    await made.lasts(60)
    assert len(await made.cases()) == 10
    (flood,) = bench.events.of(StatusStalled)
    assert (flood.status, flood.orders, flood.cases) == ("2", 100, 10)
    assert flood.longest >= 50 * MINUTE
    assert made.stays.over() == {"2": 100, "3": 0}
    made = await again(made)
    await made.lasts(60)
    assert len(bench.said(StatusStalled)) == 1, "nor is it said again after a restart"
    for at in range(94):
        bench.shop().change(str(at), status="3")
    await made.lasts(5)
    assert bench.said(StatusMoving) == [], "six of ten is not yet over"
    bench.shop().change("94", status="3")
    await made.lasts(5)
    (moving,) = bench.events.of(StatusMoving)
    assert (moving.status, moving.orders) == ("2", 5)
    assert {case.order_no for case in await made.cases()} == {f"N{at}" for at in range(95, 100)}


async def test_a_flood_in_one_status_leaves_room_for_the_others(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stays_of, "CASES_MAX", 3)
    for at in range(10):
        bench.order(str(at), status="1", minutes=120)
    paid(bench, "90", paid_ago=50)
    made = await look(bench, replace(POLICY, limits={"1": MINUTE, "2": MINUTE}))
    await made.lasts(2)
    assert sum("status 2" in case.why for case in await made.cases()) == 1
    assert len(await made.cases()) == 4


async def test_what_a_person_resolved_makes_room(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stays_of, "CASES_MAX", 2)
    for at in range(4):
        paid(bench, str(at), paid_ago=50)
    made = await look(bench)
    await made.lasts(3)
    acts = [Resolve(case.id, "li", note="seen") for case in await made.cases()]
    await made.rounds.context.ledger.handle(acts, bench.clock.now())
    await made.lasts(10)
    assert {case.order_no for case in await made.cases()} == {"N2", "N3"}


async def test_a_limit_on_a_status_that_nothing_leaves_is_told_and_costs_little(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stays_of, "SEEN_MAX", 50)
    monkeypatch.setattr(stays_of, "PAGE_ROWS", 10)
    for at in range(300):
        paid(bench, str(at), status="3", paid_ago=None)
    paid(bench, "999", paid_ago=50)
    made = await look(bench)
    shop = made.rounds.context.shop
    pages: list[frozenset[str]] = []
    resting = shop.resting

    async def counted(statuses: Any, after: Any, limit: int) -> Any:  # noqa: ANN401 # the port's
        pages.append(frozenset(statuses))
        return await resting(statuses, after, limit)

    monkeypatch.setattr(shop, "resting", counted)
    await made.lasts(50)
    (crowded,) = bench.events.of(StatusCrowded)
    assert (crowded.status, crowded.orders, crowded.limit) == ("3", 51, timedelta(days=2))
    assert sum("3" in statuses for statuses in pages) == 6, "and not again within the hour"
    assert not await made.mark(SEEN_MARK)
    assert [case.order_no for case in await made.cases()] == ["N999"], "the other status is looked at all the same"
    await made.lasts(300)
    assert len(bench.said(StatusCrowded)) == 1
    assert (await made.mark(FIGURES_MARK))["statuses"]["3"]["crowded"] is True
    for at in range(300):
        bench.shop().change(str(at), status="4")
    await made.lasts(70)
    assert (await made.mark(FIGURES_MARK))["statuses"]["3"]["crowded"] is False


async def test_a_status_whose_rows_tell_their_times_is_crowded_alike(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stays_of, "SEEN_MAX", 50)
    for at in range(60):
        paid(bench, str(at), paid_ago=5)
    made = await look(bench)
    await made.lasts(20)
    (crowded,) = bench.events.of(StatusCrowded)
    assert (crowded.status, await made.cases()) == ("2", [])


async def test_a_walk_reads_so_many_rows_a_second_and_no_more(bench: Bench) -> None:
    for at in range(700):
        paid(bench, str(at), paid_ago=5)
    made = await look(bench)
    waits = [await made.stays.turn(), await made.stays.turn()]
    assert waits == [0.5, 0.2]


@pytest.mark.parametrize("method", ["before", "resting", "read"])
async def test_a_shop_that_is_away_puts_it_off_and_no_more(bench: Bench, method: str) -> None:
    paid(bench, paid_ago=50)
    made = await look(bench)
    if method == "read":
        await made.lasts(1)
    made.rounds.context.shop.fail(method, ShopUnavailable("gone"))  # type: ignore[attr-defined] # the double
    with pytest.raises(PortError):
        await made.lasts(10)
    await made.lasts(10)
    assert len(await made.cases()) == 1


async def test_a_ledger_that_is_away_opens_nothing_twice(bench: Bench) -> None:
    paid(bench, paid_ago=50)
    made = await look(bench)
    bench.shelf.unavailable = "disk full"
    with pytest.raises(LedgerUnavailable):
        await made.stays.turn()
    bench.shelf.unavailable = None
    await made.lasts(10)
    assert (len(await made.cases()), len(bench.said(CaseOpened))) == (1, 1)


async def test_a_clock_that_was_set_back_delays_the_next_walk_by_nothing(bench: Bench) -> None:
    made = await look(bench)
    await made.lasts(1)
    bench.clock.set_wall(bench.clock.now() - timedelta(days=3))
    paid(bench, paid_ago=50)
    await made.lasts(3)
    assert len(await made.cases()) == 1


async def test_without_limits_nothing_is_read(bench: Bench) -> None:
    paid(bench, paid_ago=5000)
    made = await look(bench, StayPolicy())
    made.rounds.context.shop.fail("before", ShopUnavailable("not to be read"))  # type: ignore[attr-defined] # the double
    await made.lasts(60)
    assert await made.cases() == []
    assert await made.mark(CASES_MARK) is None


async def _after(bench: Bench, minutes: float) -> Look:
    made = await look(bench)
    await made.lasts(minutes)
    return made
