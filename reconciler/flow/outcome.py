"""What became of a settlement: moved, not moved, put off. Each is written with its intention, in one transaction."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from reconciler.domain.case import CaseKind, Fact
from reconciler.domain.confirm import Subject
from reconciler.domain.decide import decide
from reconciler.domain.decision import Done, OpenCase
from reconciler.domain.order import Order, Row
from reconciler.domain.schedule import retry_after
from reconciler.events.orders import CaseEnded, OrderCallbackWon, OrderSettled
from reconciler.flow.apply import announce, entries_of
from reconciler.flow.context import Context
from reconciler.flow.judged import PARKED, ROW_BUSY, WAITS, WOULD_SETTLE, Judged, ask_of, report_of, update_of
from reconciler.flow.row_busy import BUSY, TRIES_MAX, again_after, meet, stays_locked
from reconciler.ports import (
    Batch,
    CaseReport,
    EndCases,
    Intention,
    IntentionId,
    Outcome,
    RowBusy,
    ShopReadOnly,
    WatchUpdate,
)

UNDELIVERED = "settle_undelivered"
"""The decision on a watch whose order's payment the shop's own code could not be told of."""


async def moved(context: Context, item: Judged, intention: Intention, begun: IntentionId) -> None:
    """Write that the shop has moved the order, and say so."""
    now = context.clock.now()
    update = replace(
        update_of(context, item, now),
        ended=True,
        shows_paid=True,
        decision=Outcome.SETTLED.value,
        why="moved forward by us" if context.receiver is None else "moved forward by the shop's own code, told by us",
        ask=ask_of(item.reply, f"{Outcome.SETTLED.value}: {intention.why}"),
    )
    ending = f"settled by {intention.transaction_id}"
    ends = tuple(EndCases(order.key, ending, intention.out_trade_no) for order in intention.orders)
    await context.ledger.conclude(begun, Outcome.SETTLED, intention.why, Batch(updates=(update,), ends=ends), now)
    for order in intention.orders:
        context.tally.settled += 1
        context.events.emit(
            OrderSettled(
                order_no=order.order_no,
                channel=intention.channel,
                amount=order.amount,
                transaction_id=intention.transaction_id,
                paid_at=intention.paid_at,
                stuck_for=now - intention.paid_at,
                by="update" if context.receiver is None else "webhook",
            )
        )
    if item.history.open_cases:
        ending = ", ".join(sorted(kind.value for kind in item.history.open_cases)) + ": settled in full agreement"
        context.events.emit(CaseEnded(order_no=item.watch.attempt.order_no, ending=ending))


def decided_anew(context: Context, item: Judged, fresh: Row | None, holders: tuple[Row, ...] | None = None) -> Judged:
    """Decide again, on the same answer and the row (and, where read, all that carry its number) as they are now."""
    assert item.reply is not None  # noqa: S101 # nothing is settled without one
    alone = () if fresh is None else (fresh,)
    subject = Subject(item.watch.attempt, fresh, alone if holders is None else holders)
    decision = decide(subject, item.reply, item.history, context.policy, context.clock.now())
    return replace(item, subject=subject, decision=decision)


async def callback_won(context: Context, item: Judged, done: Done, intention: Intention, begun: IntentionId) -> None:
    """Write that the shop's own callback was faster; `item` is as decided anew."""
    now = context.clock.now()
    update = update_of(context, item, now)
    won = Outcome.CALLBACK_WON.value
    update = replace(update, decision=won, ask=ask_of(item.reply, f"{won}: {done.why}"))
    ends = (EndCases(order.key, f"done: {done.why}", intention.out_trade_no) for order in intention.orders)
    batch = Batch(updates=(update,), ends=tuple(ends))
    await context.ledger.conclude(begun, Outcome.CALLBACK_WON, done.why, batch, now)
    context.tally.callback_won += 1
    context.paid_by_shop[intention.channel] += 1
    context.events.emit(
        OrderCallbackWon(
            order_no=item.watch.attempt.order_no,
            channel=intention.channel,
            transaction_id=intention.transaction_id,
            why=f"the row turned paid between our reading and our {_hand(context)}: {done.why}",
        )
    )


def _hand(context: Context) -> str:
    return "update" if context.receiver is None else "message"


async def refused(context: Context, item: Judged, case: OpenCase, begun: IntentionId) -> None:
    """Write that the shop did not take it, and ask a person; `item` is as decided anew."""
    now = context.clock.now()
    judged = replace(item, decision=case)
    report = report_of(judged, case)
    update = update_of(context, judged, now)
    batch = Batch(updates=(update,), entries=tuple(entries_of(context, judged, update)), cases=(report,))
    outcomes = await context.ledger.conclude(begun, Outcome.REFUSED, case.why, batch, now)
    context.tally.not_applied += 1
    announce(context, (report,), outcomes)


async def row_busy(context: Context, item: Judged, intention: Intention, begun: IntentionId, busy: RowBusy) -> None:
    """Write that nothing was moved, for another session has the row locked, and when it is tried again.

    The intention ends here: what was rolled back is known to be so, and whoever moves the order next it was not this.
    """
    now, number = context.clock.now(), item.watch.attempt.out_trade_no
    key = intention.orders[0].key
    if context.block.busy(key, str(busy)):
        name, why = WAITS, f"paid, and its row is locked as others are: {busy}"
        wait = context.block.wait(key) or again_after(1, number)
        tries = 0
    else:
        tries = meet(context, item, busy)
        name, why, wait = ROW_BUSY, f"paid, and {BUSY}: {busy}", again_after(tries, number)
    reports: tuple[CaseReport, ...] = ()
    if tries >= TRIES_MAX:
        case = stays_locked(item)
        name, reports = CaseKind.SETTLE_REFUSED.value, (report_of(item, case),)
    batch = Batch(updates=(_not_written(context, item, now, name, why, wait),), cases=reports)
    announce(context, reports, await context.ledger.conclude(begun, Outcome.REFUSED, why, batch, now))


async def read_only(
    context: Context, item: Judged, intention: Intention, begun: IntentionId, error: ShopReadOnly
) -> None:
    """Write that nothing was moved, for no row can be written now: it waits with all others, and counts nothing."""
    now, why = context.clock.now(), f"paid, and nothing can be written: {error}"
    await context.block.read_only(str(error))
    wait = context.block.wait(intention.orders[0].key) or again_after(1, item.watch.attempt.out_trade_no)
    kept = _not_written(context, item, now, WAITS, why, wait)
    await context.ledger.conclude(begun, Outcome.REFUSED, why, Batch(updates=(kept,)), now)


def _not_written(context: Context, item: Judged, now: datetime, name: str, why: str, wait: timedelta) -> WatchUpdate:
    """Keep an order whose row could not be written, to be asked about after a wait; no age is used up."""
    context.tally.not_applied += 1
    return replace(
        update_of(context, item, now),
        next_ask_at=now + wait,
        last_answered_at=item.watch.last_answered_at,
        ended=False,
        decision=name,
        why=why,
        ask=ask_of(item.reply, f"{name}: {why}"),
    )


def refusal(was: Row | None, fresh: Row | None, reason: str, *more: Fact) -> OpenCase:
    """Make the case of a payment that the shop did not take."""
    before = f"status {was.status}, {was.amount}" if isinstance(was, Order) else "unreadable"
    now_is = f"status {fresh.status}, {fresh.amount}" if isinstance(fresh, Order) else "unreadable or gone"
    facts = (Fact("row", f"as read: {before}", f"now: {now_is}"), *more)
    return OpenCase(CaseKind.SETTLE_REFUSED, f"paid, and the shop's row did not take it: {reason}", facts)


async def put_off(context: Context, item: Judged, why: str, until: datetime | None, name: str = WAITS) -> None:
    """Keep an order that may not be settled now, to be asked about then; None: at its age, or on a person's word."""
    now = context.clock.now()
    update = update_of(context, item, now)
    if until is None:
        until, name = (now + PARKED if update.ended else update.next_ask_at), WOULD_SETTLE
    kept = replace(
        update, next_ask_at=until, ended=False, decision=name, why=why, ask=ask_of(item.reply, f"{name}: {why}")
    )
    context.tally.not_applied += 1
    await context.ledger.record(Batch(updates=(kept,)), now)


async def put_off_undelivered(context: Context, item: Judged, why: str) -> None:
    """Keep an order that the shop's own code could not be told of, with the back-off of an ask that came to nothing."""
    failures = item.watch.failures + 1
    now = context.clock.now()
    until = now + retry_after(failures, item.watch.attempt.out_trade_no)
    kept = replace(
        update_of(context, item, now),
        next_ask_at=until,
        ended=False,
        failures=failures,
        decision=UNDELIVERED,
        why=why,
        ask=ask_of(item.reply, f"{UNDELIVERED}: {why}"),
    )
    context.tally.not_applied += 1
    await context.ledger.record(Batch(updates=(kept,)), now)
