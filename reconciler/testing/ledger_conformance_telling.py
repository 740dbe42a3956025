"""What every ledger must do: know who was told of a case, whatever crashes in between."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from reconciler.domain.case import CaseKind
from reconciler.domain.money import Money
from reconciler.domain.order import OrderKey
from reconciler.ports import (
    EXAMPLES,
    REMINDED_EVERY,
    Batch,
    CaseId,
    EndCases,
    Ledger,
    Look,
    News,
    Reopen,
    Resolve,
    Snooze,
)
from reconciler.testing.ledger_examples import NOW, Bench, Leading, report

BY = "li (uid 1000, pid 7)"
ALL = frozenset(CaseKind)
DAY = REMINDED_EVERY
MINUTE = timedelta(minutes=1)


class TellingConformance(Leading):
    """A part of the suite."""

    async def test_a_case_is_untold_until_it_is_told_of_and_another_process_sees_so(
        self, ledger: Ledger, bench: Bench
    ) -> None:
        await _opened(ledger, "1")
        look = await _look(ledger)
        found = await ledger.news(look)
        assert found.counts == ((CaseKind.AMOUNT_MISMATCH, 1),)
        assert [case.order_no for case in found.examples] == ["A1"]
        assert await ledger.untold() == 1, "looking tells nobody"
        assert await (await bench.open()).untold() == 1, "a crash here tells again"
        assert await ledger.told(look) == 1
        assert await ledger.untold() == await (await bench.open()).untold() == 0
        assert (await ledger.news(await _look(ledger))).total == 0
        assert await ledger.told(look) == 0

    async def test_a_look_counts_by_kind_and_by_currency_and_shows_the_first_few(self, ledger: Ledger) -> None:
        keys = [str(number) for number in range(10, 18)]
        for key in keys:
            await _opened(ledger, key)
        late = replace(report("10", kind=CaseKind.LATE_PAYMENT), amount=Money(500, "USD"))
        unread = replace(report("10", kind=CaseKind.UNREADABLE_ORDER), amount=None)
        await ledger.record(Batch(cases=(late, unread)), NOW)
        found = await ledger.news(await _look(ledger))
        kinds = (CaseKind.AMOUNT_MISMATCH, 8), (CaseKind.LATE_PAYMENT, 1), (CaseKind.UNREADABLE_ORDER, 1)
        assert found.counts == kinds
        assert (found.total, found.priced) == (10, 9)
        assert found.sums == (Money(8 * 9900), Money(500, "USD"))
        assert [case.order_no for case in found.examples] == [f"A{key}" for key in keys[:EXAMPLES]]
        assert found.examples[0].amount == Money(9900)

    async def test_only_the_kinds_that_were_looked_for_are_told_of(self, ledger: Ledger) -> None:
        await _opened(ledger, "1")
        await ledger.record(Batch(cases=(report("1", kind=CaseKind.LATE_PAYMENT),)), NOW)
        look = await _look(ledger, kinds=frozenset({CaseKind.LATE_PAYMENT}))
        assert (await ledger.news(look)).counts == ((CaseKind.LATE_PAYMENT, 1),)
        assert await ledger.told(look) == 1
        assert await ledger.untold() == 1
        assert (await ledger.news(await _look(ledger))).counts == ((CaseKind.AMOUNT_MISMATCH, 1),)

    async def test_what_opens_after_the_look_is_not_told_of_by_it(self, ledger: Ledger) -> None:
        first = await _opened(ledger, "1")
        await ledger.told(await _look(ledger))
        await ledger.handle([Resolve(first, BY, "x")], NOW)
        await _opened(ledger, "2")
        look = await _look(ledger)
        await _opened(ledger, "3")
        await ledger.handle([Reopen(first, BY)], NOW)
        assert (await ledger.news(look)).total == 1
        assert await ledger.told(look) == 1
        shown = (await ledger.news(await _look(ledger))).examples
        assert {case.order_no for case in shown} == {"A1", "A3"}, "opened again counts as opened"

    async def test_a_repeat_is_not_told_of_again(self, ledger: Ledger) -> None:
        await _opened(ledger, "1")
        await ledger.told(await _look(ledger))
        await ledger.record(Batch(cases=(report(), report(theirs="97.00"))), NOW)
        assert await ledger.untold() == 0

    async def test_an_end_is_news_where_the_case_was_told_of(self, ledger: Ledger) -> None:
        await _opened(ledger, "1")
        resolved = await _opened(ledger, "2")
        await ledger.told(await _look(ledger))
        await _opened(ledger, "3")
        await ledger.record(Batch(ends=(EndCases(OrderKey("1"), "settled"), EndCases(OrderKey("3"), "settled"))), NOW)
        await ledger.handle([Resolve(resolved, BY, "refunded"), Resolve(resolved, BY, "x", final=True)], NOW)
        assert await ledger.untold() == 0, "the third ended before anybody knew of it"
        look = await _look(ledger, News.ENDED)
        assert [case.order_no for case in (await ledger.news(look)).examples] == ["A1", "A2"]
        assert await ledger.told(look) == 2
        assert (await ledger.news(await _look(ledger, News.ENDED))).total == 0
        assert (await ledger.news(await _look(ledger, News.STANDING, NOW + 9 * DAY))).total == 0

    async def test_a_case_is_reminded_of_a_day_after_it_was_told_of_and_a_day_after_that(self, ledger: Ledger) -> None:
        await _opened(ledger, "1")
        assert (await ledger.news(await _look(ledger, News.STANDING, NOW + DAY))).total == 0, "nobody knows it yet"
        await ledger.told(await _look(ledger))
        assert (await ledger.news(await _look(ledger, News.STANDING, NOW + DAY - MINUTE))).total == 0
        look = await _look(ledger, News.STANDING, NOW + DAY)
        assert (await ledger.news(look)).total == 1
        assert await ledger.told(look) == 1
        assert (await ledger.news(await _look(ledger, News.STANDING, NOW + 2 * DAY - MINUTE))).total == 0
        assert (await ledger.news(await _look(ledger, News.STANDING, NOW + 2 * DAY))).total == 1

    async def test_a_reminder_takes_along_what_would_follow_soon(self, ledger: Ledger) -> None:
        for hours, key in ((0, "1"), (5, "2"), (23, "3")):
            await _opened(ledger, key)
            await ledger.told(await _look(ledger, at=NOW + timedelta(hours=hours)))
        look = await _look(ledger, News.STANDING, NOW + DAY)
        assert [case.order_no for case in (await ledger.news(look)).examples] == ["A1", "A2"]
        await ledger.told(look)
        assert (await ledger.news(await _look(ledger, News.STANDING, NOW + DAY + timedelta(hours=22)))).total == 0
        assert (await ledger.news(await _look(ledger, News.STANDING, NOW + DAY + timedelta(hours=23)))).total == 3

    async def test_nobody_is_reminded_of_a_snoozed_case_before_its_time(self, ledger: Ledger) -> None:
        early, late = await _opened(ledger, "1"), await _opened(ledger, "2")
        until = NOW + timedelta(days=3)
        await ledger.handle([Snooze(early, BY, until)], NOW)
        assert await ledger.told(await _look(ledger)) == 2, "put off, and still nobody knew of it"
        await ledger.handle([Snooze(late, BY, until + MINUTE)], NOW)
        for days in (1, 2):
            assert (await ledger.news(await _look(ledger, News.STANDING, NOW + days * DAY))).total == 0
        look = await _look(ledger, News.STANDING, until)
        assert [case.order_no for case in (await ledger.news(look)).examples] == ["A1"]
        await ledger.told(look)
        assert (await ledger.news(await _look(ledger, News.STANDING, until + MINUTE))).total == 1

    async def test_new_facts_end_a_snooze_and_are_reminded_of_within_a_day(self, ledger: Ledger) -> None:
        case = await _opened(ledger, "1")
        await ledger.told(await _look(ledger))
        await ledger.handle([Snooze(case, BY, NOW + 9 * DAY)], NOW)
        await ledger.record(Batch(cases=(report(theirs="97.00"),)), NOW)
        assert (await ledger.news(await _look(ledger, News.STANDING, NOW + DAY))).total == 1
        await ledger.handle([Snooze(case, BY, NOW + 9 * DAY)], NOW)
        await ledger.handle([Reopen(case, BY)], NOW)
        assert await ledger.untold() == 0, "woken by a person, and not a new question"
        assert (await ledger.news(await _look(ledger, News.STANDING, NOW + DAY))).total == 1


async def _opened(ledger: Ledger, key: str) -> CaseId:
    (outcome,) = await ledger.record(Batch(cases=(report(key),)), NOW)
    return outcome.case


async def _look(ledger: Ledger, news: News = News.OPENED, at: datetime = NOW, kinds: frozenset[CaseKind] = ALL) -> Look:
    return Look(news, kinds, at, (await ledger.head())[0])
