"""What every ledger must do: intentions and cases."""

# as under tests/: a test's name is its sentence, its numbers are its example

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.domain.case import CaseKind
from reconciler.domain.learning import Payments
from reconciler.domain.order import OrderKey
from reconciler.ports import (
    Batch,
    Begun,
    CaseId,
    EndCases,
    Entry,
    IntentionId,
    Ledger,
    Mark,
    NewWatch,
    Outcome,
    Reported,
    Resolve,
    Settled,
    Taken,
)
from reconciler.testing.ledger_examples import (
    LATER,
    NOW,
    OTHER,
    Leading,
    attempt,
    begin,
    evidence,
    intention,
    kinds,
    lease,
    report,
    update,
)


class SettlingConformance(Leading):
    """A part of the suite."""

    # when buyers pay

    async def test_settlements_and_ended_watches_say_when_buyers_pay(self, ledger: Ledger) -> None:
        """Order 1 is settled, 2 is seen paid, 3 ends unpaid, 4 is open; with 5 the callback won."""
        new = [NewWatch(attempt(key, age_s=60 * int(key)), NOW) for key in "12345"]
        await ledger.watch(new, NOW)
        leased = {watch.attempt.order_key: watch for watch in await lease(ledger, 5)}
        for key, outcome in (("1", Outcome.SETTLED), ("5", Outcome.CALLBACK_WON)):
            begun = await begin(ledger, intention(key, transaction_id=f"T{key}"))
            ended = replace(update(leased[OrderKey(key)], ended=True), shows_paid=True)
            await ledger.conclude(begun, outcome, "done", Batch(updates=(ended,)), NOW)
        paid = replace(update(leased[OrderKey("2")], ended=True), shows_paid=True)
        unpaid = update(leased[OrderKey("3")], ended=True)
        await ledger.record(Batch(updates=(paid, unpaid)), LATER)
        assert await ledger.payments(NOW, 10) == Payments((timedelta(seconds=60),), orders=4, paid=3)
        assert await ledger.payments(LATER, 10) == Payments((), orders=2, paid=1)
        assert await ledger.payments(LATER + timedelta(seconds=1), 10) == Payments((), orders=0, paid=0)

    async def test_of_many_payments_the_newest_are_looked_at(self, ledger: Ledger) -> None:
        await ledger.watch([NewWatch(attempt(key, age_s=60 * int(key)), NOW) for key in "123"], NOW)
        for place, key in enumerate("213"):
            begun = await begin(ledger, intention(key, transaction_id=f"T{key}"))
            await ledger.conclude(begun, Outcome.SETTLED, "done", Batch(), NOW + timedelta(minutes=place))
        seen = await ledger.payments(NOW, 2)
        assert seen.delays == (timedelta(minutes=1), timedelta(minutes=3))

    # intentions

    async def test_one_payment_for_one_order_is_begun_once(self, ledger: Ledger) -> None:
        first = await begin(ledger, intention("1"))
        assert await begin(ledger, intention("1")) == first
        (opened,) = await ledger.open_intentions()
        assert (opened.id, opened.order_keys, opened.transaction_id, opened.begun_at) == (first, ("1",), "T1", NOW)
        assert [line.entry.kind for line in (await ledger.story("1")).entries] == ["settle_begun", "settle_begun"]

    async def test_another_payment_supersedes_an_open_intention(self, ledger: Ledger) -> None:
        first = await begin(ledger, intention("1"))
        second = await begin(ledger, intention("1", transaction_id="T2"))
        assert first != second
        assert [opened.id for opened in await ledger.open_intentions()] == [second]
        assert await ledger.begin(intention("2"), NOW) == Begun(await begin(ledger, intention("2")))

    async def test_a_payment_that_is_being_spent_is_taken(self, ledger: Ledger) -> None:
        await ledger.begin(intention("1"), NOW)
        assert await ledger.begin(intention("2"), NOW) == Taken(OrderKey("1"))

    @pytest.mark.parametrize("outcome", [Outcome.SETTLED, Outcome.CALLBACK_WON])
    async def test_a_payment_moves_no_order_twice_not_even_its_own(self, ledger: Ledger, outcome: Outcome) -> None:
        begun = await begin(ledger, intention("1"))
        await ledger.conclude(begun, outcome, "done", Batch(), NOW)
        assert await ledger.begin(intention("1"), NOW) == Taken(OrderKey("1"))
        assert await ledger.begin(intention("2"), NOW) == Taken(OrderKey("1"))
        assert isinstance(await ledger.begin(intention("2", channel=OTHER), NOW), Begun)

    @pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.SUPERSEDED])
    async def test_a_payment_that_moved_nothing_may_be_spent(self, ledger: Ledger, outcome: Outcome) -> None:
        begun = await begin(ledger, intention("1"))
        await ledger.conclude(begun, outcome, "no", Batch(), NOW)
        assert isinstance(await ledger.begin(intention("2"), NOW), Begun)
        assert await ledger.begin(intention("1"), NOW) == Taken(OrderKey("2"))

    async def test_the_orders_of_a_group_share_a_payment(self, ledger: Ledger) -> None:
        begun = await begin(ledger, intention("1", "2"))
        assert await begin(ledger, intention("2", "1")) == begun
        (opened,) = await ledger.open_intentions()
        assert opened.order_keys == ("1", "2")
        await ledger.conclude(begun, Outcome.SETTLED, "done", Batch(), NOW)
        assert await ledger.begin(intention("3"), NOW) == Taken(OrderKey("1"))
        assert await ledger.begin(intention("2"), NOW) == Taken(OrderKey("2"))
        assert await kinds(ledger, "2") == ["settle_begun", "settle_begun", "settled"]

    async def test_a_group_that_has_changed_is_begun_anew(self, ledger: Ledger) -> None:
        begun = await begin(ledger, intention("1", "2"))
        again = await begin(ledger, intention("2", "3"))
        assert again != begun
        (opened,) = await ledger.open_intentions()
        assert opened.order_keys == ("2", "3")

    async def test_an_intention_settles_different_orders(self, ledger: Ledger) -> None:
        for wrong in (intention(), intention("1", "1")):
            with pytest.raises(ValueError, match="order"):
                await ledger.begin(wrong, NOW)

    async def test_an_outcome_is_written_once_with_its_batch(self, ledger: Ledger) -> None:
        await ledger.record(Batch(cases=(report(),)), NOW)
        begun = await begin(ledger, intention("1"))
        batch = Batch(entries=(Entry("noted", OrderKey("1")),), ends=(EndCases(OrderKey("1"), "settled"),))
        await ledger.conclude(begun, Outcome.SETTLED, "one row", batch, LATER)
        await ledger.conclude(begun, Outcome.SETTLED, "one row", batch, LATER)
        assert await kinds(ledger, "1") == ["case_opened", "settle_begun", "settled", "noted", "case_ended"]
        with pytest.raises(ValueError, match=str(begun)):
            await ledger.conclude(begun, Outcome.REFUSED, "no", Batch(), NOW)
        with pytest.raises(ValueError, match="nobody"):
            await ledger.conclude(IntentionId("nobody"), Outcome.SETTLED, "", Batch(), NOW)

    async def test_a_settlement_says_what_was_paid_and_rests_on_evidence(self, ledger: Ledger) -> None:
        begun = await begin(ledger, intention("1"))
        await ledger.conclude(begun, Outcome.SETTLED, "one row", Batch(), NOW)
        settled = (await ledger.story("1")).entries[-1].entry
        assert settled.evidence == evidence()
        assert settled.body["amount_fen"] == 9900
        assert settled.body["currency"] == "CNY"
        assert settled.body["transaction_id"] == "T1"
        assert settled.body["why"] == "one row"

    async def test_what_was_settled_since_some_time_is_counted_by_order_and_by_payment(self, ledger: Ledger) -> None:
        begun = await begin(ledger, intention("1"))
        await ledger.conclude(begun, Outcome.SETTLED, "done", Batch(), NOW)
        begun = await begin(ledger, intention("2", "3", transaction_id="T2"))
        await ledger.conclude(begun, Outcome.SETTLED, "done", Batch(), LATER)
        for number, outcome in enumerate((Outcome.CALLBACK_WON, Outcome.REFUSED, Outcome.SUPERSEDED)):
            begun = await begin(ledger, intention(f"n{number}", transaction_id=f"N{number}"))
            await ledger.conclude(begun, outcome, "not by us", Batch(), LATER)
        await begin(ledger, intention("4", transaction_id="T4"))
        assert await ledger.settled(NOW) == Settled(3, 3 * 9900)
        assert await ledger.settled(LATER) == Settled(2, 2 * 9900)
        assert await ledger.settled(LATER + (LATER - NOW)) == Settled(0, 0)

    async def test_a_batch_sets_marks_with_the_rest(self, ledger: Ledger) -> None:
        await ledger.record(Batch(marks=(Mark("a", "1"), Mark("b", "2"))), NOW)
        await ledger.record(Batch(marks=(Mark("a", "3"),), entries=(Entry("noted", OrderKey("1")),)), NOW)
        assert (await ledger.mark("a"), await ledger.mark("b")) == ("3", "2")
        assert await kinds(ledger, "1") == ["noted"]

    # cases

    async def test_a_case_is_opened_once_and_repeated_after(self, ledger: Ledger) -> None:
        (opened,) = await ledger.record(Batch(cases=(report(),)), NOW)
        same, changed = await ledger.record(Batch(cases=(report(), report(theirs="97.00"))), LATER)
        assert opened.reported is Reported.OPENED
        assert {same.reported, changed.reported} == {Reported.REPEATED}
        assert {opened.case, same.case, changed.case} == {opened.case}
        case = await ledger.case(opened.case)
        assert case is not None
        assert (case.repeated, case.facts, case.opened_at) == (2, report(theirs="97.00").facts, NOW)
        assert await kinds(ledger, "1") == ["case_opened", "case_repeated"]

    async def test_kinds_and_orders_have_cases_of_their_own(self, ledger: Ledger) -> None:
        reports = (report("1"), report("1", kind=CaseKind.LATE_PAYMENT), report("2"))
        outcomes = await ledger.record(Batch(cases=reports), NOW)
        assert {outcome.reported for outcome in outcomes} == {Reported.OPENED}
        assert [case.id for case in await ledger.cases()] == [outcome.case for outcome in outcomes]
        assert len(await ledger.cases(limit=2)) == 2

    async def test_a_settled_order_ends_its_cases_and_they_may_open_again(self, ledger: Ledger) -> None:
        (first,) = await ledger.record(Batch(cases=(report(),)), NOW)
        (again,) = await ledger.record(Batch(ends=(EndCases(OrderKey("1"), "settled"),), cases=(report(),)), LATER)
        assert again.reported is Reported.OPENED
        assert again.case != first.case
        ended = await ledger.case(first.case)
        assert ended is not None
        assert (ended.ended_at, ended.ending) == (LATER, "settled")
        assert [case.id for case in await ledger.cases()] == [again.case]
        assert [case.id for case in await ledger.cases(with_ended=True)] == [first.case, again.case]

    async def test_facts_that_were_resolved_stay_silent(self, ledger: Ledger) -> None:
        (opened,) = await ledger.record(Batch(cases=(report(),)), NOW)
        await ledger.handle([Resolve(opened.case, "li", "refunded", final=False)], NOW)
        same, other = await ledger.record(Batch(cases=(report(), report(theirs="97.00"))), NOW)
        assert (same.reported, same.case) == (Reported.SILENT, opened.case)
        assert other.reported is Reported.OPENED

    async def test_no_case_is_none(self, ledger: Ledger) -> None:
        assert await ledger.case(CaseId(17)) is None
