"""Close: mark an order closed in the shop that every gateway has closed unpaid."""

from __future__ import annotations

from dataclasses import replace

from reconciler.domain.decision import AskAgain, CloseOrder, Stop
from reconciler.domain.order import Order
from reconciler.events.orders import OrderClosed
from reconciler.flow.block import WAIT_FIRST
from reconciler.flow.context import Context
from reconciler.flow.judged import Judged
from reconciler.flow.row_busy import close_blocked, close_later
from reconciler.ports import Moved, RowBusy, ShopReadOnly


async def close(context: Context, item: Judged) -> Judged:
    """Mark the order closed in the shop, if that was decided; where its row has changed or is locked, ask again."""
    row, attempt = item.subject.row, item.watch.attempt
    if not (isinstance(item.decision, CloseOrder) and context.enforcing and isinstance(row, Order)):
        return item
    if why := await _perhaps_paid_elsewhere(context, item):
        return replace(item, decision=Stop(f"closed at the gateway, unpaid; not closed in the shop: {why}"))
    if (wait := context.block.wait(attempt.order_key)) is not None:
        return close_blocked(context, item, wait)
    try:
        outcome = await context.shop.close_order(row)
    except RowBusy as busy:
        return close_later(context, item, busy)
    except ShopReadOnly as error:
        await context.block.read_only(str(error))
        return close_blocked(context, item, context.block.wait(attempt.order_key) or WAIT_FIRST)
    context.block.free()
    if not isinstance(outcome, Moved):
        return replace(item, decision=AskAgain("closed at the gateway; the row changed while it was being closed"))
    context.tally.closed += 1
    context.events.emit(OrderClosed(order_no=attempt.order_no, channel=attempt.channel, why=item.decision.why))
    return item


async def _perhaps_paid_elsewhere(context: Context, item: Judged) -> str:
    """Say which attempt of the order, as the shop has them now, is not known to be closed; empty where none is."""
    attempt = item.watch.attempt
    known = {attempt.number} | {(other.channel, other.out_trade_no) for other in item.history.others}
    for found in await context.shop.look_up(attempt.out_trade_no):
        if found.row.key != attempt.order_key:
            continue
        if found.unwatched:
            return "; ".join(found.unwatched)
        for other in found.attempts:
            if other.number not in known:
                return f"attempt {other.out_trade_no} at {other.channel} has just been made"
        return ""
    return "its row carries the number no more"
