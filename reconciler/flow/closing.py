"""Closing: have a gateway close trades that nobody paid, so that nobody pays them any more, and ask once more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import assert_never

from reconciler.domain.answer import Throttled, Unavailable
from reconciler.domain.closing import CloseReply, NoSuchTrade, NotClosed, TradeClosed, say
from reconciler.domain.decision import CloseTrade
from reconciler.domain.decision import name_of as name_of_decision
from reconciler.domain.schedule import retry_after
from reconciler.events.orders import OrderClosedAtGateway, OrderNotClosedAtGateway
from reconciler.flow.context import Context
from reconciler.flow.judged import Judged
from reconciler.ports import TRADE_CLOSE_ENDED, Batch, Entry, Gateway, LockLost, WatchUpdate


async def close_trades(context: Context, gateway: Gateway, begun: Sequence[Judged]) -> None:
    """Carry out decisions to close a trade that `apply` has begun in the ledger, and write what came of each.

    Not to be called under `context.applying`: a gateway that hangs holds up nobody but its own channel. Raises LockLost
    before anything is closed. What a crash cuts short is asked again, and then closed again: that is safe to repeat.
    """
    wanted = [item for item in begun if isinstance(item.decision, CloseTrade) and context.enforcing]
    if not wanted:
        return
    if not await context.shop.holds_lock():
        raise LockLost("the lock is gone: no trade is closed at a gateway without it")
    numbers = list({item.watch.attempt.out_trade_no: None for item in wanted})
    async with asyncio.TaskGroup() as group:
        tasks = {number: group.create_task(gateway.close_trade(number)) for number in numbers}
    replies = [(item, tasks[item.watch.attempt.out_trade_no].result()) for item in wanted]
    async with context.applying:
        await _note(context, replies)


async def _note(context: Context, replies: Sequence[tuple[Judged, CloseReply]]) -> None:
    now = context.clock.now()
    batch = Batch(
        updates=tuple(_update(item, reply, now) for item, reply in replies),
        entries=tuple(_entry(item, reply) for item, reply in replies if _is_an_outcome(reply)),
    )
    await context.ledger.record(batch, now)
    for item, reply in replies:
        if isinstance(reply, TradeClosed):
            attempt = item.watch.attempt
            context.tally.closed_at_gateway += 1
            context.events.emit(
                OrderClosedAtGateway(
                    order_no=attempt.order_no,
                    channel=attempt.channel,
                    out_trade_no=attempt.out_trade_no,
                    why=item.decision.why,
                )
            )
        elif isinstance(reply, NotClosed):
            attempt = item.watch.attempt
            context.events.emit(
                OrderNotClosedAtGateway(
                    order_no=attempt.order_no,
                    channel=attempt.channel,
                    out_trade_no=attempt.out_trade_no,
                    why=reply.reason,
                )
            )


def _is_an_outcome(reply: CloseReply) -> bool:
    """Whether the gateway said something; where it could not be told, closing is still to do."""
    match reply:
        case TradeClosed() | NoSuchTrade() | NotClosed():
            return True
        case Unavailable() | Throttled():
            return False
        case _:
            assert_never(reply)


def _update(item: Judged, reply: CloseReply, now: datetime) -> WatchUpdate:
    """Ask once more soon; after a close that could not be told, with the back-off of an ask that came to nothing."""
    watch, answer = item.watch, item.reply
    failures = 0 if _is_an_outcome(reply) else watch.failures + 1
    return WatchUpdate(
        watch=watch.id,
        next_ask_at=now + retry_after(failures, watch.attempt.out_trade_no),
        last_answered_at=answer.asked_at if answer else watch.last_answered_at,
        failures=failures,
        untrusted_run=item.history.untrusted_run,
        decision=name_of_decision(item.decision),
        why=f"{item.decision.why}; {say(reply)}; asked once more",
    )


def _entry(item: Judged, reply: CloseReply) -> Entry:
    attempt = item.watch.attempt
    return Entry(
        kind=TRADE_CLOSE_ENDED,
        order_key=attempt.order_key,
        order_no=attempt.order_no,
        channel=attempt.channel,
        out_trade_no=attempt.out_trade_no,
        body={"outcome": say(reply), "refused": isinstance(reply, NotClosed)},
    )
