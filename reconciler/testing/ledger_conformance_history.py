"""What every ledger must do: remember, tell and forget."""

# as under tests/: a test's name is its sentence, its numbers are its example

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.domain.answer import VerifyingKey
from reconciler.domain.case import CaseKind
from reconciler.domain.history import KnownAttempt, Settlement
from reconciler.domain.order import OrderKey
from reconciler.ports import (
    TRADE_CLOSE_BEGUN,
    TRADE_CLOSE_ENDED,
    Batch,
    EndCases,
    Entry,
    Ledger,
    NewWatch,
    Outcome,
    Question,
    Resolve,
)
from reconciler.testing.ledger_examples import (
    CHANNEL,
    LATER,
    NOW,
    OTHER,
    Leading,
    attempt,
    begin,
    evidence,
    intention,
    lease,
    report,
    update,
)


class HistoryConformance(Leading):
    """A part of the suite."""

    # histories

    async def test_a_history_knows_the_other_attempts(self, ledger: Ledger) -> None:
        attempts = [attempt("1"), attempt("1", OTHER), attempt("1", number="N1b"), attempt("2")]
        await ledger.watch([NewWatch(item, NOW) for item in attempts], NOW)
        first, *_ = watches = sorted(await lease(ledger, 9), key=lambda watch: watch.id)
        (wechat,) = await ledger.lease(OTHER, NOW, LATER, 9)
        closed = replace(update(wechat), last_verified="Closed", transaction_id="W1")
        await ledger.record(Batch(updates=(closed,)), NOW)
        await ledger.record(Batch(updates=(update(wechat),)), NOW)
        known, alone = await ledger.histories([Question(first), Question(watches[-1])])
        assert set(known.others) == {
            KnownAttempt(OTHER, "N1", "Closed", "W1"),
            KnownAttempt(CHANNEL, "N1b"),
        }
        assert alone.others == ()
        assert not known.was_paid

    async def test_a_history_knows_what_moved_the_order_and_what_the_payment_moved(self, ledger: Ledger) -> None:
        await ledger.watch([NewWatch(attempt("1"), NOW), NewWatch(attempt("2"), NOW)], NOW)
        first, second = sorted(await lease(ledger, 9), key=lambda watch: watch.id)
        begun = await begin(ledger, intention("1"))
        (before,) = await ledger.histories([Question(second, "T1")])
        assert before.transaction_moved is None
        await ledger.conclude(begun, Outcome.CALLBACK_WON, "", Batch(), NOW)
        own, others, unrelated = await ledger.histories(
            [Question(first, "T1"), Question(second, "T1"), Question(second, "T2")]
        )
        assert own.settled == Settlement(CHANNEL, "N1", "T1")
        assert own.settled.at == NOW
        assert (own.was_paid, own.transaction_moved) == (True, None)
        assert (others.settled, others.was_paid, others.transaction_moved) == (None, False, "1")
        assert unrelated.transaction_moved is None

    async def test_a_payment_of_another_channel_is_another_payment(self, ledger: Ledger) -> None:
        await ledger.watch([NewWatch(attempt("2"), NOW)], NOW)
        (watch,) = await lease(ledger, 9)
        begun = await begin(ledger, intention("1", channel=OTHER))
        await ledger.conclude(begun, Outcome.SETTLED, "", Batch(), NOW)
        (history,) = await ledger.histories([Question(watch, "T1")])
        assert history.transaction_moved is None

    async def test_members_of_a_group_do_not_accuse_each_other(self, ledger: Ledger) -> None:
        await ledger.watch([NewWatch(attempt("2", number="N1"), NOW)], NOW)
        (watch,) = await lease(ledger, 9)
        begun = await begin(ledger, intention("1", "2"))
        await ledger.conclude(begun, Outcome.SETTLED, "", Batch(), NOW)
        (history,) = await ledger.histories([Question(watch, "T1")])
        assert history.transaction_moved is None
        assert history.settled is not None

    async def test_an_order_once_seen_paid_in_the_shop_stays_so(self, ledger: Ledger) -> None:
        await ledger.watch([NewWatch(attempt("1"), NOW), NewWatch(attempt("2"), NOW)], NOW)
        first, second = sorted(await lease(ledger, 9), key=lambda watch: watch.id)
        for shows_paid in (True, False):
            await ledger.record(Batch(updates=(replace(update(first), shows_paid=shows_paid),)), NOW)
        await ledger.record(Batch(cases=(report("2", kind=CaseKind.PAID_AFTER_REFUND),)), NOW)
        assert [history.was_paid for history in await ledger.histories([Question(first), Question(second)])] == [
            True
        ] * 2

    async def test_a_payment_seen_at_the_gateway_is_not_the_shops(self, ledger: Ledger) -> None:
        await ledger.watch([NewWatch(attempt("1"), NOW)], NOW)
        (watch,) = await lease(ledger, 9)
        await ledger.record(Batch(updates=(replace(update(watch, "ask_at"), last_verified="Paid"),)), NOW)
        (history,) = await ledger.histories([Question(replace(watch, untrusted_run=3))])
        assert (history.was_paid, history.untrusted_run, history.last_verified) == (False, 3, "Paid")

    async def test_a_history_knows_open_and_final_cases(self, ledger: Ledger) -> None:
        await ledger.watch([NewWatch(attempt("1"), NOW)], NOW)
        (watch,) = await lease(ledger, 9)
        (outcome,) = await ledger.record(Batch(cases=(report(),)), NOW)
        (asked,) = await ledger.histories([Question(watch)])
        await ledger.handle([Resolve(outcome.case, "li", "refunded", final=True)], NOW)
        (resolved,) = await ledger.histories([Question(watch)])
        assert (asked.open_cases, asked.resolved_for_good) == (frozenset({CaseKind.AMOUNT_MISMATCH}), False)
        assert (resolved.open_cases, resolved.resolved_for_good) == (frozenset(), True)

    async def test_a_history_knows_what_came_of_closing_this_very_trade(self, ledger: Ledger) -> None:
        await ledger.watch([NewWatch(attempt("1"), NOW), NewWatch(attempt("1", number="N1b"), NOW)], NOW)
        first, other = sorted(await lease(ledger, 9), key=lambda watch: watch.id)

        async def known() -> list[tuple[bool, str]]:
            found = await ledger.histories([Question(first), Question(other)])
            return [(history.close_begun, history.close_outcome) for history in found]

        line = Entry(TRADE_CLOSE_BEGUN, OrderKey("1"), "A1", CHANNEL, "N1")
        assert await known() == [(False, ""), (False, "")]
        await ledger.record(Batch(entries=(line,)), NOW)
        assert await known() == [(True, ""), (False, "")]
        ended = replace(line, kind=TRADE_CLOSE_ENDED, body={"outcome": "closed at the gateway"})
        await ledger.record(Batch(entries=(ended, replace(ended, channel=OTHER, body={"outcome": "another's"}))), NOW)
        assert await known() == [(True, "closed at the gateway"), (False, "")]

    async def test_a_history_of_an_only_attempt_leaves_nothing_out(self, ledger: Ledger) -> None:
        await ledger.watch([NewWatch(attempt(str(key), age_s=9 - key), NOW) for key in range(4)], NOW)
        watches = sorted(await lease(ledger, 9), key=lambda watch: watch.attempt.order_key)
        closing = Entry(TRADE_CLOSE_BEGUN, OrderKey("1"), "A1", CHANNEL, "N1")
        await ledger.record(Batch(entries=(closing,), cases=(report("2"),)), NOW)
        await ledger.conclude(await begin(ledger, intention("3")), Outcome.SETTLED, "", Batch(), NOW)
        found = await ledger.histories([Question(watch) for watch in watches])
        assert [history.close_begun for history in found] == [False, True, False, False]
        assert [bool(history.open_cases) for history in found] == [False, False, True, False]
        assert [history.settled is not None for history in found] == [False, False, False, True]

    async def test_no_question_has_no_history(self, ledger: Ledger) -> None:
        assert list(await ledger.histories([])) == []

    # the story, and forgetting

    @pytest.mark.parametrize("number", ["1", "A1", "N1"])
    async def test_a_story_is_found_by_every_name_of_the_order(self, ledger: Ledger, number: str) -> None:
        await ledger.watch([NewWatch(attempt("1"), NOW), NewWatch(attempt("2"), NOW)], NOW)
        await ledger.record(Batch(cases=(report("1"), report("2"))), NOW)
        begun = await begin(ledger, intention("1"))
        story = await ledger.story(number)
        assert [watch.attempt.order_key for watch in story.watches] == ["1"]
        assert [line.entry.kind for line in story.entries] == ["case_opened", "settle_begun"]
        assert [case.order_key for case in story.cases] == ["1"]
        assert [opened.id for opened in story.intentions] == [begun]
        assert story.entries[0].entry.evidence == evidence("1")
        assert story.entries[0].at == NOW

    async def test_a_stranger_has_no_story(self, ledger: Ledger) -> None:
        story = await ledger.story("nobody")
        assert (story.watches, story.entries, story.cases, story.intentions) == ((), (), (), ())

    async def test_evidence_comes_back_with_its_key(self, ledger: Ledger) -> None:
        key = VerifyingKey("f" * 64, "PEM")
        signed = replace(evidence(), key_fingerprint=key.fingerprint)
        await ledger.record(Batch(entries=(Entry("noted", OrderKey("1"), evidence=signed, key=key),)), NOW)
        (line,) = (await ledger.story("1")).entries
        assert line.entry.evidence is not None
        assert line.entry.evidence.digest() == signed.digest()
        assert line.entry.key == key

    async def test_pruning_forgets_what_is_old_and_keeps_the_chain(self, ledger: Ledger) -> None:
        await ledger.watch([NewWatch(attempt(key), NOW) for key in "12"], NOW)
        first, second = await lease(ledger, 9)
        await ledger.record(Batch(updates=(update(first, ended=True), update(second))), NOW)
        for at, mark in ((NOW, "old"), (LATER, "new"), (NOW, "both"), (LATER, "both")):
            await ledger.record(Batch(entries=(Entry(mark, OrderKey("9"), evidence=evidence(mark)),)), at)
        head = await ledger.head()
        assert await ledger.prune(LATER) == 2
        assert await ledger.prune(LATER) == 0
        assert await ledger.head() == head
        kept = [(line.entry.kind, line.entry.evidence is not None) for line in (await ledger.story("9")).entries]
        assert kept == [("old", False), ("new", True), ("both", True), ("both", True)]
        counted = await ledger.counts(NOW)
        assert (counted.open, counted.ended) == (1, 0)

    async def test_pruning_spares_what_is_known_of_an_order_that_is_still_asked_about(self, ledger: Ledger) -> None:
        other = replace(attempt("1"), out_trade_no="another number")
        await ledger.watch([NewWatch(attempt("1"), NOW), NewWatch(other, NOW)], NOW)
        first, second = await lease(ledger, 9)
        await ledger.record(Batch(updates=(update(first, ended=True), update(second))), NOW)
        assert await ledger.prune(LATER) == 0
        assert len((await ledger.story("1")).watches) == 2
        await ledger.record(Batch(updates=(update(second, ended=True),)), NOW)
        assert await ledger.prune(LATER) == 2

    async def test_pruning_spares_what_an_open_question_needs(self, ledger: Ledger) -> None:
        await ledger.watch([NewWatch(attempt("1"), NOW)], NOW)
        (watch,) = await lease(ledger, 9)
        await ledger.record(Batch(updates=(update(watch, ended=True),), cases=(report("1"),)), NOW)
        await ledger.begin(replace(intention("2"), evidence=evidence("2")), NOW)
        assert await ledger.prune(LATER) == 0
        assert (await ledger.story("1")).entries[0].entry.evidence is not None
        await ledger.record(Batch(ends=(EndCases(OrderKey("1"), "settled"),)), NOW)
        assert await ledger.prune(LATER) == 2
