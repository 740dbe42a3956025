"""What every ledger must do: figures of what became of payments, and of what is stuck."""

# as under tests/: a test's name is its sentence, its numbers are its example

from __future__ import annotations

from dataclasses import replace

from reconciler.domain.case import CaseKind
from reconciler.domain.order import OrderKey
from reconciler.ports import Batch, EndCases, Ends, Ledger, NewWatch
from reconciler.testing.ledger_examples import CHANNEL, LATER, NOW, OTHER, Leading, attempt, lease, report, update


class FiguresConformance(Leading):
    """A part of the suite."""

    async def test_what_became_of_payments_is_counted_by_channel_and_time(self, ledger: Ledger) -> None:
        decisions = ("settled", "settled", "done", "callback_won", "stop", "done")
        new = [NewWatch(attempt(str(at)), NOW) for at in range(6)]
        await ledger.watch([*new, NewWatch(attempt("9", channel=OTHER), NOW)], NOW)
        watches = sorted(await lease(ledger, 9), key=lambda watch: watch.attempt.order_key)
        updates = [
            replace(update(watch, ended=True), decision=name) for watch, name in zip(watches, decisions, strict=True)
        ]
        paid = [replace(item, shows_paid=True) for item in updates[:-1]]
        await ledger.record(Batch(updates=tuple(paid[:1])), NOW - (LATER - NOW))
        await ledger.record(Batch(updates=(*paid[1:], updates[-1])), NOW)
        await ledger.record(Batch(cases=(report("1"), report("2", kind=CaseKind.NEEDS_REVIEW))), NOW)
        await ledger.record(Batch(cases=(report("3"),)), LATER)
        assert await ledger.ends(NOW, LATER) == {CHANNEL: Ends(lost=1, arrived=2, mismatches=1)}
        assert await ledger.ends(NOW - (LATER - NOW), NOW) == {CHANNEL: Ends(lost=1)}
        assert await ledger.ends(LATER, LATER + (LATER - NOW)) == {CHANNEL: Ends(mismatches=1)}
        assert await ledger.ends(LATER + (LATER - NOW), LATER + 2 * (LATER - NOW)) == {}

    async def test_what_waits_to_be_settled_or_for_a_person_is_stuck(self, ledger: Ledger) -> None:
        assert await ledger.stuck() == 0
        await ledger.watch([NewWatch(attempt(str(at)), NOW) for at in range(4)], NOW)
        first, second, third, fourth = await lease(ledger, 9)
        waits = replace(update(first), decision="would_settle")
        busy = replace(update(second), decision="row_busy")
        ended = replace(update(third, ended=True), decision="settle_waits")
        pending = replace(update(fourth), decision="ask_again")
        await ledger.record(Batch(updates=(waits, busy, ended, pending), cases=(report("7"),)), NOW)
        assert await ledger.stuck() == 3
        await ledger.record(Batch(ends=(EndCases(OrderKey("7"), "settled"),)), NOW)
        assert await ledger.stuck() == 2
