"""Settle: write the intention, move the order behind a guard, write the outcome."""

from __future__ import annotations

from dataclasses import replace

from reconciler.domain.answer import Paid
from reconciler.domain.case import CaseKind, Fact
from reconciler.domain.confirm import Subject
from reconciler.domain.decide import decide
from reconciler.domain.decision import Done, OpenCase, Settle
from reconciler.domain.order import Order, OrderKey, Row
from reconciler.events.orders import CaseEnded, OrderCallbackWon, OrderSettled, SettleRecovered
from reconciler.flow.apply import announce, apply
from reconciler.flow.context import Context
from reconciler.flow.judged import Judged, ask_of, report_of, update_of
from reconciler.ports import Batch, EndCases, Intention, IntentionId, Move, Moved, NotMoved, Outcome, Taken


class UnprovenError(AssertionError):
    """A decision to settle without a verified, complete payment behind it: a fault of ours, and nothing is moved."""


async def settle(context: Context, item: Judged) -> set[OrderKey]:
    """Move the order (or the group) of a decision to settle; give the keys whose rows are new now.

    Raises LockLost, ShopUnavailable and LedgerUnavailable with the intention left open: it is decided anew.
    """
    intention = _intention(item)
    keys = {order.key for order in intention.orders}
    begun = await context.ledger.begin(intention, context.clock.now())
    if isinstance(begun, Taken):
        await apply(context, [replace(item, decision=_taken(item, begun, intention))])
        return keys
    _say_resumed(context, intention)
    result = await context.shop.settle(
        Move(
            intention=begun.id,
            orders=intention.orders,
            channel=intention.channel,
            out_trade_no=intention.out_trade_no,
            transaction_id=intention.transaction_id,
            amount=intention.amount,
            paid_at=intention.paid_at,
        )
    )
    match result:
        case Moved():
            await _moved(context, item, intention, begun.id)
        case NotMoved():
            await _not_moved(context, item, intention, begun.id, result)
    return keys


def _intention(item: Judged) -> Intention:
    """Put the proof together; the last place where a missing piece is found out."""
    reply, decision, row = item.reply, item.decision, item.subject.row
    if not isinstance(decision, Settle) or reply is None or not reply.verified or not isinstance(reply.answer, Paid):
        raise UnprovenError("settling needs a verified payment")
    trade = decision.trade
    holders = tuple(holder for holder in item.subject.holders if isinstance(holder, Order))
    orders = holders if len(holders) > 1 else (row,) if isinstance(row, Order) else ()
    if not orders or trade.transaction_id is None or trade.amount is None or trade.paid_at is None:
        raise UnprovenError("settling needs an order, a transaction, an amount and a time")
    return Intention(
        orders=orders,
        channel=item.watch.attempt.channel,
        out_trade_no=item.watch.attempt.out_trade_no,
        transaction_id=trade.transaction_id,
        amount=trade.amount,
        paid_at=trade.paid_at,
        why=decision.why,
        evidence=reply.evidence,
        key=reply.key,
    )


async def _moved(context: Context, item: Judged, intention: Intention, begun: IntentionId) -> None:
    now = context.clock.now()
    update = replace(
        update_of(context, item, now),
        ended=True,
        shows_paid=True,
        decision=Outcome.SETTLED.value,
        why="moved forward by us",
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
                by="update",
            )
        )
    if item.history.open_cases:
        ending = ", ".join(sorted(kind.value for kind in item.history.open_cases)) + ": settled in full agreement"
        context.events.emit(CaseEnded(order_no=item.watch.attempt.order_no, ending=ending))


async def _not_moved(
    context: Context, item: Judged, intention: Intention, begun: IntentionId, refusal: NotMoved
) -> None:
    """Decide anew on the row as it is now: the callback won, or it is a case. Nothing was written to the shop."""
    now, fresh, why = context.clock.now(), refusal.rows.get(item.watch.attempt.order_key), refusal.why
    subject = Subject(item.watch.attempt, fresh, () if fresh is None else (fresh,))
    assert item.reply is not None  # noqa: S101 # `_intention` saw it
    decision = decide(subject, item.reply, item.history, context.policy, now)
    if isinstance(decision, Done):
        update = update_of(context, replace(item, subject=subject, decision=decision), now)
        won = Outcome.CALLBACK_WON.value
        update = replace(update, decision=won, ask=ask_of(item.reply, f"{won}: {decision.why}"))
        batch = Batch(updates=(update,))
        await context.ledger.conclude(begun, Outcome.CALLBACK_WON, decision.why, batch, now)
        context.tally.callback_won += 1
        context.events.emit(
            OrderCallbackWon(
                order_no=item.watch.attempt.order_no,
                channel=intention.channel,
                transaction_id=intention.transaction_id,
                why=f"the row turned paid between our reading and our update: {decision.why}",
            )
        )
        return
    case = decision if isinstance(decision, OpenCase) else _refused(item, fresh, why)
    judged = replace(item, subject=subject, decision=case)
    report = report_of(judged, case)
    batch = Batch(updates=(update_of(context, judged, now),), cases=(report,))
    outcomes = await context.ledger.conclude(begun, Outcome.REFUSED, case.why, batch, now)
    context.tally.not_applied += 1
    announce(context, (report,), outcomes)


def _refused(item: Judged, fresh: Row | None, said: str) -> OpenCase:
    before = item.subject.row
    was = f"status {before.status}, {before.amount}" if isinstance(before, Order) else "unreadable"
    now_is = f"status {fresh.status}, {fresh.amount}" if isinstance(fresh, Order) else "unreadable or gone"
    reason = f"the database says: {said}" if said else "it is not as it was read a moment before"
    facts = [Fact("row", f"as read: {was}", f"now: {now_is}")]
    if said:
        facts.append(Fact("database", "settle", said))
    return OpenCase(CaseKind.SETTLE_REFUSED, f"paid, and the shop's row did not take it: {reason}", tuple(facts))


def _taken(item: Judged, taken: Taken, intention: Intention) -> OpenCase:
    """Say why this payment moves nothing: it has moved an order already."""
    if taken.by == item.watch.attempt.order_key:
        why = "this payment moved the order once, and now it waits again"
        kind = CaseKind.NEEDS_REVIEW
    else:
        why = "this payment has moved another order already"
        kind = CaseKind.AMBIGUOUS_NUMBER
    return OpenCase(
        kind, why, (Fact("transaction_id", intention.transaction_id, f"moved the order with key {taken.by}"),)
    )


def _say_resumed(context: Context, intention: Intention) -> None:
    resumed = [context.recovering.pop(order.key, None) for order in intention.orders]
    for earlier in resumed:
        if earlier is not None:
            same = earlier.transaction_id == intention.transaction_id
            context.events.emit(
                SettleRecovered(
                    order_no=earlier.order_no,
                    channel=earlier.channel,
                    transaction_id=earlier.transaction_id,
                    outcome="decided anew: going on under the same id" if same else "superseded by another payment",
                )
            )
