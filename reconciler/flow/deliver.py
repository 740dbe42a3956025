"""Deliver: tell the shop's own code of a payment, and see whether the row shows it. Not under `Context.applying`.

One delivery reads the row before the message and after it. What it cannot bring to an end stays an open intention, and
is asked about and decided anew, under the same message id.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, assert_never

from reconciler.domain.case import Fact
from reconciler.domain.decision import Done, OpenCase, Settle
from reconciler.domain.order import Order, OrderState, Row
from reconciler.events.running import TurnFailed
from reconciler.events.settling import WebhookAvailable, WebhookUnavailable
from reconciler.flow.context import Context
from reconciler.flow.deliveries import Unfinished
from reconciler.flow.judged import Judged, shows_payment
from reconciler.flow.outcome import (
    callback_won,
    decided_anew,
    moved,
    put_off,
    put_off_undelivered,
    refusal,
    refused,
)
from reconciler.ports import (
    Accepted,
    Declined,
    Intention,
    IntentionId,
    LockLost,
    Move,
    PortError,
    Receiver,
    Told,
    Undelivered,
)

LOOK_FIRST_S: Final = 0.2
LOOK_MAX_S: Final = 5.0
"""The row is read at once, then after waits that double between these."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One settlement in hand."""

    item: Judged
    intention: Intention
    move: Move

    @property
    def order(self) -> Order:
        """The one order: a shared payment is never settled by webhook."""
        (order,) = self.intention.orders
        return order

    @property
    def begun(self) -> IntentionId:
        """The intention in the ledger."""
        return IntentionId(self.move.intention)


def hand_over(context: Context, receiver: Receiver, item: Judged, intention: Intention, move: Move) -> None:
    """Take a settlement that was begun in hand; what comes of it is written by then."""
    delivery = Delivery(item, intention, move)
    context.deliveries.take(delivery.order.key, intention.amount, _deliver(context, receiver, delivery))


async def _deliver(context: Context, receiver: Receiver, delivery: Delivery) -> None:
    """Bring one settlement to its end, or leave it open. Raises PortError; a fault of ours holds up nobody else."""
    try:
        told = await _told(context, receiver, delivery)
        if told is not None:
            row = await _row_after(context, delivery, told)
            async with context.applying:
                await _conclude(context, delivery, told, row)
    except PortError:
        raise
    except Exception:  # noqa: BLE001 # as for any turn: logged with its traceback, counted, and asked again later
        attempt = delivery.item.watch.attempt
        context.tally.not_applied += 1
        context.unfinished[delivery.order.key] = Unfinished(delivery.begun, delivery.intention)
        what = f"telling the shop's own code of {attempt.out_trade_no}"
        context.events.emit(TurnFailed(what=what, order_nos=attempt.order_no, traceback=traceback.format_exc()))


async def _told(context: Context, receiver: Receiver, delivery: Delivery) -> Told | None:
    """Send the message, if everything still speaks for it; None where that was decided otherwise, and written."""
    hand, key = context.deliveries, delivery.order.key
    hand.waits(key, now=True)
    async with hand.on_the_wire:
        hand.waits(key, now=False)
        if hand.ending:
            return None
        if not await context.shop.holds_lock():
            raise LockLost("the lock is gone: the shop's own code is told of nothing without it")
        judged = await _decided_now(context, delivery)
        if not isinstance(judged.decision, Settle) or not context.brake.lets_finish:
            async with context.applying:
                await _not_told(context, delivery, judged)
            return None
        told = await receiver.tell(delivery.move)
        _note_reach(context, told)
        return told


async def _decided_now(context: Context, delivery: Delivery) -> Judged:
    """Read the rows that carry the number, and decide on them as they are now."""
    attempt = delivery.item.watch.attempt
    holders = tuple((await context.shop.holders([attempt.out_trade_no])).get(attempt.out_trade_no, ()))
    row = next((holder for holder in holders if holder.key == attempt.order_key), None)
    return decided_anew(context, delivery.item, row, holders)


async def _row_after(context: Context, delivery: Delivery, told: Told) -> Row | None:
    """Read the row; where the shop's own code says that it has acted, until it shows that or time is up."""
    key, clock, hand = delivery.order.key, context.clock, context.deliveries
    patience = context.confirm_within.total_seconds() if isinstance(told, Accepted) else 0.0
    until, wait = clock.monotonic() + patience, LOOK_FIRST_S
    while True:
        row = (await context.shop.read([key])).get(key)
        left = until - clock.monotonic()
        if _is_beyond_payment(row) or left <= 0 or hand.ending:
            return row
        hand.waits(key, now=True)
        await clock.sleep(min(wait, left))
        hand.waits(key, now=False)
        wait = min(wait * 2, LOOK_MAX_S)


async def _conclude(context: Context, delivery: Delivery, told: Told, row: Row | None) -> None:
    item, intention = delivery.item, delivery.intention
    if shows_payment(row, intention.transaction_id):
        await moved(context, item, intention, delivery.begun)
        context.deliveries.settled(delivery.order.key)
        return
    judged = decided_anew(context, item, row)
    match judged.decision:
        case Done() as done:
            await callback_won(context, judged, done, intention, delivery.begun)
        case OpenCase() as case:
            await refused(context, judged, case, delivery.begun)
        case _:
            await _not_shown(context, delivery, told, row, judged)


async def _not_shown(context: Context, delivery: Delivery, told: Told, row: Row | None, judged: Judged) -> None:
    """Ask a person, or try once more: the row does not show the payment, and nothing else says why."""
    if context.deliveries.ending or _is_beyond_payment(row):
        # Nobody waited long enough; or it shows another payment, and our answer is too old to say more.
        await _keep(context, delivery, "the shop's own code was told, and the row was not seen to show it yet")
        return
    match told:
        case Accepted():
            within = f"{context.confirm_within.total_seconds():g} s"
            reason = f"the shop's own code said yes, and the row does not show it after {within}"
            fact = Fact("webhook", "paid", f"accepted, and not shown after {within}")
        case Declined(status, why):
            reason = f"the shop's own code answers {status}: {why}"
            fact = Fact("webhook", "paid", f"answers {status}")
        case Undelivered(why):
            await _keep(context, delivery, f"the shop's own code could not be told: {why}")
            return
        case _:
            assert_never(told)
    await refused(context, judged, refusal(delivery.item.subject.row, row, reason, fact), delivery.begun)


async def _not_told(context: Context, delivery: Delivery, judged: Judged) -> None:
    """Write why nothing was sent: the row has moved on, the answer has grown old, or settling was stopped."""
    match judged.decision:
        case Done() as done:
            await callback_won(context, judged, done, delivery.intention, delivery.begun)
        case OpenCase() as case:
            await refused(context, judged, case, delivery.begun)
        case Settle() if context.brake.stopped is not None:
            _leave_open(context, delivery)
            await put_off(context, delivery.item, f"paid, and kept: {context.brake.stopped}", None)
        case _:
            await _keep(context, delivery, f"not told yet: {judged.decision.why}")


async def _keep(context: Context, delivery: Delivery, why: str) -> None:
    _leave_open(context, delivery)
    await put_off_undelivered(context, delivery.item, why)


def _leave_open(context: Context, delivery: Delivery) -> None:
    context.unfinished[delivery.order.key] = Unfinished(delivery.begun, delivery.intention)


def _is_beyond_payment(row: Row | None) -> bool:
    return isinstance(row, Order) and row.state in {OrderState.PAID, OrderState.REFUNDED}


def _note_reach(context: Context, told: Told) -> None:
    """Say once that the shop's own code cannot be reached, and once that it can."""
    now, reach = context.clock.now(), context.deliveries.reach
    if isinstance(told, Undelivered):
        if reach.failed(now):
            context.events.emit(WebhookUnavailable(why=told.why))
    elif (since := reach.reached()) is not None:
        context.events.emit(WebhookAvailable(after=max(now - since, timedelta(0))))
