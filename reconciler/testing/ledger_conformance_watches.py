"""What every ledger must do: the pen, marks, watches."""

# as under tests/: a test's name is its sentence, its numbers are its example

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.domain.order import OrderKey
from reconciler.ports import (
    Ask,
    Batch,
    Entry,
    HeldUp,
    Ledger,
    NewWatch,
    Overtaken,
)
from reconciler.testing.ledger_examples import (
    CHANNEL,
    LATER,
    NOW,
    OTHER,
    Bench,
    Leading,
    attempt,
    intention,
    keys,
    lease,
    report,
    update,
)


class WatchConformance(Leading):
    """A part of the suite."""

    # the pen

    async def test_nothing_is_written_before_taking_the_lead(self, bench: Bench) -> None:
        ledger = await bench.open()
        for writing in (
            ledger.record(Batch(entries=(Entry("noted"),)), NOW),
            ledger.set_mark("a", "b"),
            ledger.watch([NewWatch(attempt(), NOW)], NOW),
            ledger.begin(intention("1"), NOW),
            ledger.prune(NOW),
            ledger.wake([OrderKey("1")], NOW),
            ledger.lease(CHANNEL, NOW, LATER, 1),
        ):
            with pytest.raises(Overtaken):
                await writing
        assert await ledger.head() == (0, "0" * 64)

    async def test_each_lead_raises_the_epoch(self, bench: Bench) -> None:
        first, second = await bench.open(), await bench.open()
        assert [await first.lead("a", NOW), await second.lead("b", NOW)] == [1, 2]
        assert await first.mark("epoch") == "2"

    async def test_the_leader_before_writes_nothing_more(self, bench: Bench, ledger: Ledger) -> None:
        await ledger.watch([NewWatch(attempt(), NOW)], NOW)
        second = await bench.open()
        await second.lead("second", NOW)
        head = await second.head()
        with pytest.raises(Overtaken):
            await ledger.record(Batch(entries=(Entry("noted"),), cases=(report(),)), NOW)
        with pytest.raises(Overtaken):
            await ledger.set_mark("a", "b")
        with pytest.raises(Overtaken):
            await ledger.lead("again", NOW)
        assert await second.head() == head
        assert await second.cases() == []
        assert await second.mark("a") is None
        await second.record(Batch(entries=(Entry("noted"),)), NOW)

    async def test_who_has_been_found_overtaken_stays_so(self, bench: Bench, ledger: Ledger) -> None:
        await (await bench.open()).lead("second", NOW)
        ledger.may_still_write()  # nobody has looked yet
        with pytest.raises(Overtaken):
            await ledger.set_mark("a", "b")
        with pytest.raises(Overtaken):
            ledger.may_still_write()

    async def test_an_idle_leader_learns_of_its_end(self, bench: Bench, ledger: Ledger) -> None:
        await (await bench.open()).lead("second", NOW)
        with pytest.raises(Overtaken):
            await ledger.lease(CHANNEL, NOW, LATER, 10)

    async def test_an_operator_breaks_the_pen_by_raising_the_epoch(self, bench: Bench, ledger: Ledger) -> None:
        await bench.raise_epoch()
        with pytest.raises(Overtaken):
            await ledger.set_mark("a", "b")

    async def test_entries_are_numbered_without_gaps_and_chained(self, ledger: Ledger) -> None:
        hashes = [await ledger.head()]
        for _ in range(3):
            await ledger.record(Batch(entries=(Entry("noted", order_key=OrderKey("1")),)), NOW)
            hashes.append(await ledger.head())
        assert [number for number, _ in hashes] == [1, 2, 3, 4]
        assert len({digest for _, digest in hashes}) == 4
        assert [line.id for line in (await ledger.story("1")).entries] == [2, 3, 4]

    async def test_a_batch_that_cannot_be_written_leaves_nothing(self, ledger: Ledger) -> None:
        head = await ledger.head()
        with pytest.raises((TypeError, ValueError)):
            await ledger.record(Batch(entries=(Entry("noted"), Entry("noted", body={"a": object()}))), NOW)
        assert await ledger.head() == head
        await ledger.record(Batch(entries=(Entry("noted"),)), NOW)

    # marks

    async def test_marks_are_kept_and_overwritten(self, ledger: Ledger) -> None:
        assert await ledger.mark("walk") is None
        await ledger.set_mark("walk", "17")
        await ledger.set_mark("walk", "18")
        assert await ledger.mark("walk") == "18"

    async def test_the_epoch_is_no_mark_to_set(self, ledger: Ledger) -> None:
        with pytest.raises(ValueError, match="epoch"):
            await ledger.set_mark("epoch", "7")

    # watches

    async def test_an_attempt_is_watched_once(self, ledger: Ledger) -> None:
        first, second = NewWatch(attempt("1"), NOW), NewWatch(attempt("1", number="n1"), NOW)
        assert await ledger.watch([first, first], NOW) == 1
        assert await ledger.watch([first, second], NOW) == 1
        assert (await ledger.counts(NOW)).open == 2
        (watch,) = await lease(ledger, 1)
        await ledger.record(Batch(updates=(update(watch, ended=True),)), NOW)
        assert await ledger.watch([first, second], NOW) == 0

    async def test_a_watch_comes_back_as_it_was_given(self, ledger: Ledger) -> None:
        await ledger.watch([NewWatch(attempt("1"), NOW)], NOW)
        (watch,) = await lease(ledger, 5)
        assert watch.attempt == attempt("1")
        assert watch.next_ask_at == NOW
        assert (watch.last_answered_at, watch.failures, watch.asks, watch.ended_at) == (None, 0, (), None)

    async def test_only_due_watches_of_the_channel_are_leased(self, ledger: Ledger) -> None:
        await ledger.watch(
            [
                NewWatch(attempt("1"), NOW),
                NewWatch(attempt("2"), NOW + timedelta(microseconds=1)),
                NewWatch(attempt("3", OTHER), NOW),
            ],
            NOW,
        )
        assert [watch.attempt.order_key for watch in await lease(ledger, 9)] == ["1"]

    async def test_a_leased_watch_is_nobodys_until_the_lease_ends(self, bench: Bench, ledger: Ledger) -> None:
        await ledger.watch([NewWatch(attempt("1"), NOW)], NOW)
        assert len(await lease(ledger, 9)) == 1
        assert await lease(ledger, 9) == ()
        assert await ledger.next_due(CHANNEL) == LATER
        second = await bench.open()
        await second.lead("second", NOW)
        assert await second.lease(CHANNEL, LATER - timedelta(microseconds=1), LATER, 9) == ()
        assert len(await second.lease(CHANNEL, LATER, LATER + timedelta(minutes=2), 9)) == 1

    async def test_the_newest_go_first_with_a_quarter_for_the_oldest(self, ledger: Ledger) -> None:
        await ledger.watch([NewWatch(attempt(str(age), age_s=age), NOW) for age in range(1, 21)], NOW)
        assert keys(await lease(ledger, 8)) == ["1", "2", "3", "4", "5", "6", "20", "19"]
        assert keys(await lease(ledger, 20)) == [str(age) for age in range(7, 19)]

    async def test_the_oldest_are_not_starved_one_at_a_time(self, ledger: Ledger) -> None:
        await ledger.watch([NewWatch(attempt(str(age), age_s=age), NOW) for age in range(1, 21)], NOW)
        taken = [keys(await lease(ledger, 1))[0] for _ in range(8)]
        assert taken == ["1", "2", "3", "20", "4", "5", "6", "19"]

    async def test_an_update_ends_the_lease_and_keeps_the_last_32_asks(self, ledger: Ledger) -> None:
        await ledger.watch([NewWatch(attempt("1"), NOW)], NOW)
        (watch,) = await lease(ledger, 9)
        asks = [Ask(NOW + timedelta(seconds=at), "Unpaid", "[busy]" * (at % 3), at, "ask_again") for at in range(40)]
        for ask in asks:
            item = replace(update(watch), next_ask_at=NOW, failures=3, untrusted_run=2, ask=ask)
            await ledger.record(Batch(updates=(item,)), NOW)
        (again,) = await lease(ledger, 9)
        assert again.asks == tuple(asks[-32:])
        assert (again.failures, again.untrusted_run, again.last_decision, again.why) == (3, 2, "ask_again", "not yet")
        assert again.last_answered_at == NOW

    async def test_an_ended_watch_is_not_due_until_it_is_woken(self, ledger: Ledger) -> None:
        await ledger.watch([NewWatch(attempt("1"), NOW)], NOW)
        (watch,) = await lease(ledger, 9)
        await ledger.record(Batch(updates=(update(watch, "Stop", ended=True),)), NOW)
        assert await ledger.next_due(CHANNEL) is None
        counted = await ledger.counts(LATER)
        assert (counted.open, counted.due, counted.ended, counted.oldest_due_at) == (0, 0, 1, None)
        await ledger.wake([OrderKey("1"), OrderKey("unknown")], NOW)
        assert keys(await lease(ledger, 9)) == ["1"]

    async def test_waking_does_not_break_a_lease(self, ledger: Ledger) -> None:
        await ledger.watch([NewWatch(attempt("1"), NOW)], NOW)
        await lease(ledger, 9)
        await ledger.wake([OrderKey("1")], NOW)
        assert await ledger.next_due(CHANNEL) == LATER

    async def test_what_is_due_later_is_woken_leased_or_not_and_what_has_ended_sleeps_on(self, ledger: Ledger) -> None:
        dues = {"1": NOW, "2": LATER, "3": NOW}
        await ledger.watch([NewWatch(attempt(key), due) for key, due in dues.items()], NOW)
        _, ended = await lease(ledger, 9)
        await ledger.record(Batch(updates=(update(ended, ended=True),)), NOW)
        assert await ledger.wake_later(NOW) == 2
        assert set(keys(await lease(ledger, 9))) == dues.keys() - {ended.attempt.order_key}
        assert await ledger.wake_later(LATER) == 0

    async def test_what_was_only_observed_is_woken_to_be_settled(self, ledger: Ledger) -> None:
        await ledger.watch([NewWatch(attempt(key), NOW) for key in "123"], NOW)
        watches = await lease(ledger, 9)
        decisions = ("would_settle", "ask_again", "would_settle")
        updates = [update(watches[place], decisions[place], ended=place == 2) for place in range(3)]
        await ledger.record(Batch(updates=tuple(updates)), NOW)
        assert await ledger.wake_would_settle(NOW) == 1
        assert [watch.id for watch in await lease(ledger, 9)] == [watches[0].id]

    async def test_an_order_that_was_paid_and_waits_again_is_asked_again(self, ledger: Ledger) -> None:
        known = [NewWatch(attempt("1"), NOW), NewWatch(attempt("2"), NOW)]
        await ledger.watch(known, NOW)
        first, second = sorted(await lease(ledger, 9), key=lambda watch: watch.id)
        ended = (replace(update(first, ended=True), shows_paid=True), update(second, ended=True))
        await ledger.record(Batch(updates=ended), NOW)
        assert await ledger.watch(known, NOW) == 0
        assert await lease(ledger, 9) == ()
        assert await ledger.watch([replace(item, waits_at=NOW) for item in known], NOW) == 0
        assert await lease(ledger, 9) == (), "the row was read before the watch ended"
        assert await ledger.watch([replace(item, waits_at=LATER) for item in known], NOW) == 0
        assert [watch.id for watch in await lease(ledger, 9)] == [first.id]

    async def test_what_was_interrupted_too_often_is_leased_alone_and_last(self, bench: Bench, ledger: Ledger) -> None:
        await ledger.watch([NewWatch(attempt("1"), NOW), NewWatch(attempt("2"), NOW)], NOW)
        for _ in range(4):
            assert len(await lease(ledger, 9)) == 2
            ledger = await bench.open()
            await ledger.lead("next", NOW)
            assert await ledger.free_leases() == 2
        await ledger.watch([NewWatch(attempt("3"), NOW)], NOW)
        leased = [[watch.attempt.order_key for watch in await lease(ledger, 9)] for _ in range(4)]
        assert leased == [["3"], ["1"], ["2"], []]

    async def test_what_is_interrupted_again_and_again_is_leased_for_longer_until_somebody_leads(
        self, bench: Bench, ledger: Ledger
    ) -> None:
        await ledger.watch([NewWatch(attempt("1"), NOW)], NOW)
        now, waits = NOW, []
        for _ in range(10):
            assert len(await ledger.lease(CHANNEL, now, now + timedelta(minutes=2), 9)) == 1
            due = await ledger.next_due(CHANNEL)
            assert due is not None
            waits.append((due - now).total_seconds() / 60)
            now = due
        assert waits == [2, 2, 2, 2, 4, 8, 16, 30, 30, 30]
        ledger = await bench.open()
        await ledger.lead("next", now)
        assert await ledger.free_leases() == 1
        assert len(await ledger.lease(CHANNEL, now, now + timedelta(minutes=2), 9)) == 1

    async def test_what_an_outage_interrupts_is_no_suspect(self, ledger: Ledger) -> None:
        await ledger.watch([NewWatch(attempt("1"), NOW), NewWatch(attempt("2"), NOW)], NOW)
        for _ in range(9):
            assert len(await lease(ledger, 9)) == 2
            assert await ledger.free_leases(lives=True) == 2
        assert len(await lease(ledger, 9)) == 2

    async def test_an_ask_that_ends_well_is_no_interruption(self, bench: Bench, ledger: Ledger) -> None:
        await ledger.watch([NewWatch(attempt("1"), NOW)], NOW)
        for _ in range(3):
            (watch,) = await lease(ledger, 9)
            await ledger.record(Batch(updates=(replace(update(watch), next_ask_at=NOW),)), NOW)
        await lease(ledger, 9)
        ledger = await bench.open()
        await ledger.lead("next", NOW)
        assert await ledger.free_leases() == 1

    async def test_counts_say_what_is_due_and_since_when(self, ledger: Ledger) -> None:
        due = [NOW - timedelta(minutes=3), NOW, NOW + timedelta(minutes=1)]
        await ledger.watch([NewWatch(attempt(str(place)), at) for place, at in enumerate(due)], NOW)
        counted = await ledger.counts(NOW)
        assert (counted.open, counted.due, counted.ended, counted.oldest_due_at) == (3, 2, 0, due[0])

    async def test_what_is_overdue_or_came_to_nothing_is_held_up_and_since_when(self, ledger: Ledger) -> None:
        due = [NOW - timedelta(minutes=3), NOW, NOW + timedelta(microseconds=1), NOW + timedelta(hours=1)]
        await ledger.watch([NewWatch(attempt(str(place)), at) for place, at in enumerate(due)], NOW)
        await ledger.watch([NewWatch(attempt("9", OTHER), NOW - timedelta(hours=9))], NOW)
        assert await ledger.held_up(CHANNEL, NOW) == HeldUp(2, due[0])
        await lease(ledger, 9)
        assert await ledger.held_up(CHANNEL, NOW) == HeldUp(2, due[0]), "under a lease it waits as before"
        assert await ledger.held_up(OTHER, NOW) == HeldUp(1, NOW - timedelta(hours=9))

    async def test_what_came_to_nothing_is_held_up_since_its_last_answer_until_it_is_answered(
        self, ledger: Ledger
    ) -> None:
        await ledger.watch([NewWatch(attempt(key, age_s=600), NOW) for key in "123"], NOW)
        first, second, third = sorted(await lease(ledger, 9), key=lambda watch: watch.id)
        soon, answered = NOW + timedelta(minutes=5), NOW - timedelta(minutes=4)
        failed = [
            replace(update(watch), next_ask_at=soon, last_answered_at=at, failures=2)
            for watch, at in ((first, answered), (second, None))
        ]
        await ledger.record(Batch(updates=(*failed, update(third))), NOW)
        assert await ledger.held_up(CHANNEL, NOW) == HeldUp(2, second.attempt.created_at)
        await ledger.record(Batch(updates=(update(second, ended=True),)), NOW)
        assert await ledger.held_up(CHANNEL, NOW) == HeldUp(1, answered)
        await ledger.record(Batch(updates=(update(first),)), NOW)
        assert await ledger.held_up(CHANNEL, NOW) == HeldUp(0, None)

    async def test_an_order_with_two_attempts_at_one_channel_is_held_up_once(self, ledger: Ledger) -> None:
        await ledger.watch([NewWatch(attempt("1"), NOW), NewWatch(attempt("1", number="N1b"), NOW)], NOW)
        assert (await ledger.held_up(CHANNEL, NOW)).orders == 1
