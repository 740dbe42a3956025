"""What every ledger must do: keep what a person does with a case, and hold to it."""

from __future__ import annotations

from dataclasses import replace

from reconciler.domain.case import CaseKind, digest_of
from reconciler.domain.history import History
from reconciler.domain.order import OrderKey
from reconciler.ports import (
    Acted,
    Approve,
    Batch,
    Case,
    CaseAct,
    CaseId,
    EndCases,
    Ledger,
    NewWatch,
    OpenCases,
    Question,
    Reopen,
    Reported,
    Resolve,
    Snooze,
)
from reconciler.testing.ledger_examples import LATER, NOW, OTHER, Bench, Leading, attempt, kinds, lease, report, update

BY = "li (uid 1000, pid 7)"


class CaseConformance(Leading):
    """A part of the suite."""

    async def test_a_resolved_case_has_ended_by_somebody_with_a_note(self, ledger: Ledger) -> None:
        case = await _opened(ledger)
        assert await ledger.handle([Resolve(case.id, BY, "refunded", shown=case.digest)], LATER) == [Acted.DONE]
        ended = await _case(ledger, case.id)
        assert (ended.ended_at, ended.ending, ended.final) == (LATER, f"resolved by {BY}: refunded", False)
        (entry,) = [line.entry for line in (await ledger.story("1")).entries if line.entry.kind == "case_resolved"]
        assert (entry.body["case"], entry.body["by"], entry.body["note"]) == (case.id, BY, "refunded")
        assert await ledger.cases() == []

    async def test_resolving_twice_is_once(self, ledger: Ledger) -> None:
        case = await _opened(ledger)
        await ledger.handle([Resolve(case.id, BY, "refunded")], NOW)
        again = [Resolve(case.id, "wu", "me too"), Resolve(case.id, "wu", "never", final=True)]
        assert await ledger.handle(again, LATER) == [Acted.ALREADY, Acted.DONE]
        ended = await _case(ledger, case.id)
        assert (ended.ended_at, ended.ending, ended.final) == (NOW, "resolved by wu: never", True)
        assert (await kinds(ledger, "1")).count("case_resolved") == 2

    async def test_what_ended_by_itself_is_neither_resolved_nor_approved_nor_put_off(self, ledger: Ledger) -> None:
        case = await _opened(ledger)
        await ledger.record(Batch(ends=(EndCases(OrderKey("1"), "settled"),)), NOW)
        acts: list[CaseAct] = [Resolve(case.id, BY, "x"), Approve(case.id, BY), Snooze(case.id, BY, LATER)]
        assert await ledger.handle(acts, NOW) == [Acted.ENDED] * 3
        assert (await _case(ledger, case.id)).ending == "settled"

    async def test_no_case_is_unknown(self, ledger: Ledger) -> None:
        none = CaseId(17)
        acts: list[CaseAct] = [Resolve(none, BY, "x"), Approve(none, BY), Snooze(none, BY, LATER), Reopen(none, BY)]
        assert await ledger.handle(acts, NOW) == [Acted.UNKNOWN] * 4
        assert await ledger.handle([], NOW) == []

    async def test_a_question_that_was_not_shown_is_neither_approved_nor_resolved(self, ledger: Ledger) -> None:
        case = await _opened(ledger)
        await ledger.record(Batch(cases=(report(theirs="97.00"),)), NOW)
        acts: list[CaseAct] = [Approve(case.id, BY, case.digest), Resolve(case.id, BY, "x", shown=case.digest)]
        assert await ledger.handle(acts, NOW) == [Acted.CHANGED] * 2
        assert not (await _case(ledger, case.id)).approved
        assert "case_approved" not in await kinds(ledger, "1")

    async def test_a_cases_digest_names_its_question(self, ledger: Ledger) -> None:
        case = await _opened(ledger)
        assert case.digest == digest_of(case.kind, case.facts, (case.channel or "", "N1"))

    async def test_an_approval_holds_for_this_question_of_this_attempt_alone(self, ledger: Ledger) -> None:
        case = await _opened(ledger)
        assert not case.approved
        assert await ledger.handle([Approve(case.id, BY, case.digest)], NOW) == [Acted.DONE]
        assert (await _case(ledger, case.id)).approved
        own, sibling, stranger = await _histories(ledger)
        assert own.approved == {case.digest}
        assert sibling.approved == stranger.approved == frozenset()
        assert own.waived == frozenset(), "approved is not yet waived"
        await ledger.record(Batch(cases=(report(theirs="97.00"),)), NOW)
        assert not (await _case(ledger, case.id)).approved, "nobody saw these facts"
        assert (await _histories(ledger))[0].approved == frozenset()
        await ledger.record(Batch(cases=(report(),)), NOW)
        assert not (await _case(ledger, case.id)).approved, "and the old approval does not come back with the old facts"

    async def test_what_no_payment_answers_is_ended_by_its_own_kind_alone(self, ledger: Ledger) -> None:
        await ledger.record(Batch(cases=(report(kind=CaseKind.STALLED), report())), NOW)
        assert (await _histories(ledger))[0].open_cases == {CaseKind.AMOUNT_MISMATCH}
        await ledger.record(Batch(ends=(EndCases(OrderKey("1"), "settled", "N1"),)), NOW)
        assert [case.kind for case in await ledger.cases()] == [CaseKind.STALLED]
        await ledger.record(Batch(cases=(report(),)), NOW)
        await ledger.record(Batch(ends=(EndCases(OrderKey("1"), "moved on", kind=CaseKind.STALLED),)), NOW)
        assert [case.kind for case in await ledger.cases()] == [CaseKind.AMOUNT_MISMATCH]

    async def test_an_approval_ends_with_its_case(self, ledger: Ledger) -> None:
        case = await _opened(ledger)
        await ledger.handle([Approve(case.id, BY)], NOW)
        await ledger.record(Batch(ends=(EndCases(OrderKey("1"), "settled"),)), NOW)
        assert not (await _case(ledger, case.id)).approved
        assert (await _histories(ledger))[0].approved == frozenset()

    async def test_a_history_knows_the_questions_that_were_resolved(self, ledger: Ledger) -> None:
        case = await _opened(ledger)
        await ledger.handle([Resolve(case.id, BY, "x", final=True)], NOW)
        own, sibling, stranger = await _histories(ledger)
        assert own.resolved == sibling.resolved == {case.digest}
        assert own.resolved_for_good
        assert stranger.resolved == frozenset()

    async def test_a_reopened_case_asks_again(self, ledger: Ledger) -> None:
        case = await _opened(ledger)
        await ledger.handle([Approve(case.id, BY)], NOW)
        await ledger.handle([Resolve(case.id, BY, "refunded", final=True)], NOW)
        assert await ledger.handle([Reopen(case.id, BY), Reopen(case.id, BY)], LATER) == [Acted.DONE, Acted.ALREADY]
        again = await _case(ledger, case.id)
        assert (again.ended_at, again.ending, again.final, again.approved) == (None, "", False, False)
        assert [item.id for item in await ledger.cases()] == [case.id]
        own, *_ = await _histories(ledger)
        assert (own.resolved, own.resolved_for_good) == (frozenset(), False)
        await ledger.record(Batch(ends=(EndCases(OrderKey("1"), "settled"),)), NOW)
        (same,) = await ledger.record(Batch(cases=(report(),)), NOW)
        assert same.reported is Reported.OPENED, "its facts are not silent any more"

    async def test_a_case_is_not_opened_again_beside_another_of_its_kind(self, ledger: Ledger) -> None:
        case = await _opened(ledger)
        await ledger.handle([Resolve(case.id, BY, "x")], NOW)
        (other,) = await ledger.record(Batch(cases=(report(theirs="97.00"),)), NOW)
        assert other.reported is Reported.OPENED
        assert await ledger.handle([Reopen(case.id, BY)], NOW) == [Acted.RIVAL]
        kind = replace(report(), kind=CaseKind.CURRENCY_MISMATCH)
        await ledger.handle([Resolve(other.case, BY, "x")], NOW)
        await ledger.record(Batch(cases=(kind,)), NOW)
        assert await ledger.handle([Reopen(case.id, BY)], NOW) == [Acted.DONE], "another kind is another question"

    async def test_a_snoozed_case_stays_so_until_new_facts_come(self, ledger: Ledger, bench: Bench) -> None:
        case = await _opened(ledger)
        acts: list[CaseAct] = [Snooze(case.id, BY, LATER), Snooze(case.id, BY, LATER)]
        assert await ledger.handle(acts, NOW) == [Acted.DONE, Acted.ALREADY]
        await ledger.record(Batch(cases=(report(),)), NOW)
        assert (await _case(await bench.open(), case.id)).snoozed_until == LATER, "another process knows of it"
        await ledger.record(Batch(cases=(report(theirs="97.00"),)), NOW)
        assert (await _case(ledger, case.id)).snoozed_until is None

    async def test_what_an_attempt_says_again_leaves_anothers_question_in_its_place(self, ledger: Ledger) -> None:
        case = await _opened(ledger)
        await ledger.watch([NewWatch(attempt("1", number="N2"), NOW)], NOW)
        (watch,) = await lease(ledger, 9)
        anothers = replace(report(theirs="97.00"), out_trade_no="N2")
        await ledger.record(Batch(updates=(update(watch, "amount_mismatch"),), cases=(anothers,)), NOW)
        await ledger.handle([Snooze(case.id, BY, LATER)], NOW)
        again = (replace(report(), is_repeated=True), replace(anothers, is_repeated=True))
        await ledger.record(Batch(cases=again), NOW)
        now = await _case(ledger, case.id)
        assert (now.out_trade_no, now.repeated, now.snoozed_until) == ("N2", 3, LATER)
        assert (await kinds(ledger, "1")).count("case_repeated") == 1
        changed = replace(report(theirs="96.00"), out_trade_no="N2", is_repeated=True)
        await ledger.record(Batch(cases=(changed,)), NOW)
        assert (await _case(ledger, case.id)).snoozed_until is None, "its own facts are new all the same"
        for gone in (update(watch, "amount_mismatch", ended=True), update(watch, "ask_again")):
            await ledger.record(Batch(updates=(gone,), cases=(anothers, replace(report(), is_repeated=True))), NOW)
            assert (await _case(ledger, case.id)).out_trade_no == "N1", "a question that is asked no more gives way"

    async def test_what_was_resolved_stays_silent_beside_an_open_question_of_its_kind(self, ledger: Ledger) -> None:
        case = await _opened(ledger)
        await ledger.handle([Resolve(case.id, BY, "refunded")], NOW)
        (opened,) = await ledger.record(Batch(cases=(report(theirs="97.00"),)), NOW)
        (again,) = await ledger.record(Batch(cases=(report(),)), NOW)
        assert (again.reported, again.case) == (Reported.SILENT, case.id)
        assert (await _case(ledger, opened.case)).facts == report(theirs="97.00").facts

    async def test_reopening_a_snoozed_case_wakes_it(self, ledger: Ledger) -> None:
        case = await _opened(ledger)
        await ledger.handle([Snooze(case.id, BY, LATER)], NOW)
        assert await ledger.handle([Reopen(case.id, BY)], NOW) == [Acted.DONE]
        assert (await _case(ledger, case.id)).snoozed_until is None
        assert await kinds(ledger, "1") == ["case_opened", "case_snoozed", "case_reopened"]

    async def test_resolving_a_snoozed_case_ends_its_snooze(self, ledger: Ledger) -> None:
        case = await _opened(ledger)
        await ledger.handle([Snooze(case.id, BY, LATER), Resolve(case.id, BY, "x")], NOW)
        assert (await _case(ledger, case.id)).snoozed_until is None

    async def test_cases_are_listed_by_kind_and_page_by_page(self, ledger: Ledger) -> None:
        other = replace(report("3"), kind=CaseKind.CURRENCY_MISMATCH)
        await ledger.record(Batch(cases=(report("1"), other, report("2"), report("4"))), NOW)
        listed = await ledger.cases(kind=CaseKind.AMOUNT_MISMATCH, limit=2)
        assert [case.order_key for case in listed] == ["1", "2"]
        rest = await ledger.cases(kind=CaseKind.AMOUNT_MISMATCH, after=listed[-1].id)
        assert [case.order_key for case in rest] == ["4"]
        assert [case.order_key for case in await ledger.cases(after=listed[0].id)] == ["3", "2", "4"]
        await ledger.record(Batch(ends=(EndCases(OrderKey("2"), "settled"),)), LATER)
        assert len(await ledger.cases(kind=CaseKind.AMOUNT_MISMATCH)) == 2
        assert len(await ledger.cases(kind=CaseKind.AMOUNT_MISMATCH, with_ended=True)) == 3

    async def test_open_cases_are_counted_by_kind_with_the_age_of_the_oldest(self, ledger: Ledger) -> None:
        assert await ledger.open_cases() == {}
        other = replace(report("3"), kind=CaseKind.CURRENCY_MISMATCH)
        first, *_ = await ledger.record(Batch(cases=(report("1"), other)), NOW)
        await ledger.record(Batch(cases=(report("1", theirs="97.00"), report("2"))), LATER)
        mismatches = OpenCases(2, oldest_at=NOW)
        assert await ledger.open_cases() == {
            CaseKind.AMOUNT_MISMATCH: mismatches,
            CaseKind.CURRENCY_MISMATCH: OpenCases(1, oldest_at=NOW),
        }
        await ledger.handle([Resolve(first.case, BY, "x")], LATER)
        await ledger.record(Batch(ends=(EndCases(OrderKey("3"), "settled"),)), LATER)
        assert await ledger.open_cases() == {CaseKind.AMOUNT_MISMATCH: OpenCases(1, oldest_at=LATER)}
        await ledger.handle([Reopen(first.case, BY)], LATER)
        assert (await ledger.open_cases())[CaseKind.AMOUNT_MISMATCH] == mismatches


async def _opened(ledger: Ledger) -> Case:
    (outcome,) = await ledger.record(Batch(cases=(report(),)), NOW)
    return await _case(ledger, outcome.case)


async def _case(ledger: Ledger, number: CaseId) -> Case:
    case = await ledger.case(number)
    assert case is not None
    return case


async def _histories(ledger: Ledger) -> list[History]:
    """Ask about the case's own attempt, another one of its order, and another order's."""
    mine = [attempt("1"), attempt("1", number="N1b"), attempt("2")]
    await ledger.watch([NewWatch(item, NOW) for item in (*mine, attempt("1", OTHER))], NOW)
    watches = {watch.attempt.out_trade_no: watch for watch in await lease(ledger, 9)}
    await ledger.free_leases()
    return list(await ledger.histories([Question(watches[item.out_trade_no]) for item in mine]))
