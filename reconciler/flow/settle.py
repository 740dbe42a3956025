"""Settle: write the intention, move the order behind a guard, write the outcome."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

from reconciler.domain.answer import Paid
from reconciler.domain.case import CaseKind, Fact
from reconciler.domain.decision import Done, OpenCase, Settle
from reconciler.domain.order import Order, OrderKey
from reconciler.domain.schedule import retry_after
from reconciler.events.orders import SettleRecovered
from reconciler.flow.apply import apply
from reconciler.flow.brake import Go, Held, Wait
from reconciler.flow.context import Context
from reconciler.flow.deliver import hand_over
from reconciler.flow.judged import Judged
from reconciler.flow.outcome import callback_won, decided_anew, moved, put_off, read_only, refusal, refused, row_busy
from reconciler.ports import Intention, IntentionId, Move, Moved, NotMoved, RowBusy, ShopReadOnly, Taken

FULL_AGAIN: Final = timedelta(seconds=30)
"""When an order comes again for which the shop's own code had no room left."""


class UnprovenError(AssertionError):
    """A decision to settle without a verified, complete payment behind it: a fault of ours, and nothing is moved."""


async def settle(context: Context, item: Judged) -> set[OrderKey]:
    """Move the order (or the group) of a decision to settle, as far as the brake lets it; give the keys decided on.

    Where the shop's own code settles, this only hands over: what comes of it is written later (`Deliveries.finish`).
    Raises LockLost, ShopUnavailable and LedgerUnavailable with the intention left open: it is decided anew.
    """
    intention = _intention(item)
    keys = {order.key for order in intention.orders}
    if not await _may_go(context, item, intention):
        return set()
    begun = await context.ledger.begin(intention, context.clock.now())
    if isinstance(begun, Taken):
        await apply(context, [replace(item, decision=_taken(item, begun, intention))])
        return keys
    _say_resumed(context, intention)
    move = Move(
        intention=begun.id,
        orders=intention.orders,
        channel=intention.channel,
        out_trade_no=intention.out_trade_no,
        transaction_id=intention.transaction_id,
        amount=intention.amount,
        paid_at=intention.paid_at,
    )
    if context.receiver is not None:
        hand_over(context, context.receiver, item, intention, move)
        return keys
    try:
        result = await context.shop.settle(move)
    except RowBusy as busy:
        await row_busy(context, item, intention, begun.id, busy)
        return keys
    except ShopReadOnly as error:
        await read_only(context, item, intention, begun.id, error)
        return keys
    context.block.free()
    match result:
        case Moved():
            await moved(context, item, intention, begun.id)
        case NotMoved():
            await _not_moved(context, item, intention, begun.id, result)
    return keys


async def _may_go(context: Context, item: Judged, intention: Intention) -> bool:
    """Ask whoever may put the order off: rows that nobody can write, a crowd at the shop's own code, the brake."""
    number = item.watch.attempt.out_trade_no
    if (wait := context.block.wait(item.watch.attempt.order_key)) is not None:
        why = f"paid, and {'; '.join(context.block.told())}"
        await put_off(context, item, why, context.clock.now() + wait)
        return False
    if context.receiver is not None and not context.deliveries.has_room():
        now = context.clock.now()
        why = "paid, and waits: the shop's own code is busy with others"
        await put_off(context, item, why, now + max(retry_after(item.watch.failures + 1, number), FULL_AGAIN))
        return False
    match await context.brake.leave(intention.orders, intention.amount, context.deliveries.amounts):
        case Go():
            return True
        case Wait(until, why):
            await put_off(context, item, why, until)
        case Held(why):
            await put_off(context, item, f"paid, and kept: {why}", None)
    return False


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


async def _not_moved(
    context: Context, item: Judged, intention: Intention, begun: IntentionId, refusal_: NotMoved
) -> None:
    """Decide anew on the row as it is now: the callback won, or it is a case. Nothing was written to the shop."""
    fresh, said = refusal_.rows.get(item.watch.attempt.order_key), refusal_.why
    together = tuple(refusal_.rows.values()) if len(intention.orders) > 1 else None
    judged = decided_anew(context, item, fresh, together)
    match judged.decision:
        case Done() as done:
            await callback_won(context, judged, done, intention, begun)
        case OpenCase() as case:
            await refused(context, judged, case, begun)
        case _:
            reason = f"the database says: {said}" if said else "it is not as it was read a moment before"
            # the first line: what follows may name the row as it was to be, with the time of the try
            more = (Fact("database", "settle", said.partition("\n")[0]),) if said else ()
            await refused(context, judged, refusal(item.subject.row, fresh, reason, *more), begun)


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
    resumed = [context.recovering.get(order.key) for order in intention.orders]
    context.concluded(order.key for order in intention.orders)
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
