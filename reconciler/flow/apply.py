"""Carry out what was decided, but for settling: schedule, open cases, end watches, close orders."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from reconciler.domain.answer import Paid, name_of
from reconciler.domain.decision import CloseOrder, CloseTrade, Done, OpenCase, Settle, Stop
from reconciler.domain.decision import name_of as name_of_decision
from reconciler.domain.order import Order, OrderState
from reconciler.events.orders import CaseOpened, OrderCallbackWon, OrderWouldClose, OrderWouldSettle, SettleRecovered
from reconciler.flow.close import close
from reconciler.flow.context import Context
from reconciler.flow.judged import (
    ROW_BUSY,
    WOULD_SETTLE,
    Judged,
    report_of,
    shows_payment,
    update_of,
    uses_an_age,
    why_of,
)
from reconciler.ports import (
    TRADE_CLOSE_BEGUN,
    Batch,
    CaseOutcome,
    CaseReport,
    EndCases,
    Entry,
    Outcome,
    Reported,
    WatchUpdate,
)


async def apply(context: Context, judged: Sequence[Judged]) -> None:
    """Record every decision in one transaction, then say what is worth a line."""
    if not judged:
        return
    judged = [await close(context, item) for item in judged]
    now = context.clock.now()
    reports = tuple(report_of(item, item.decision) for item in judged if isinstance(item.decision, OpenCase))
    updates = tuple(update_of(context, item, now) for item in judged)
    batch = Batch(
        updates=updates,
        entries=tuple(
            entry for item, update in zip(judged, updates, strict=True) for entry in entries_of(context, item, update)
        ),
        cases=reports,
        ends=tuple(_answered(item) for item in judged if isinstance(item.decision, Done) and item.history.open_cases),
    )
    announce(context, reports, await context.ledger.record(batch, now))
    for item in judged:
        _count(context, item)
        _note_paid_by_shop(context, item)
        _speak(context, item, now)
        await _supersede(context, item, now)


def announce(context: Context, reports: Sequence[CaseReport], outcomes: Sequence[CaseOutcome]) -> None:
    """Say each case once, when it is opened."""
    for report, outcome in zip(reports, outcomes, strict=True):
        if outcome.reported is not Reported.OPENED:
            continue
        context.tally.cases_opened += 1
        context.events.emit(
            CaseOpened(
                case_id=outcome.case,
                kind=report.kind.value,
                order_no=report.order_no,
                channel=report.channel or "",
                why=report.why,
            )
        )


def _answered(item: Judged) -> EndCases:
    """End what was asked about this attempt: the shop has the order where it belongs, by whoever's hand."""
    attempt = item.watch.attempt
    return EndCases(attempt.order_key, f"done: {why_of(item.decision)}", attempt.out_trade_no)


def entries_of(context: Context, item: Judged, update: WatchUpdate) -> list[Entry]:
    """Give the lines that this decision adds to the ledger; "not yet" adds none."""
    decision = item.decision
    first_time = item.watch.last_decision != WOULD_SETTLE
    if isinstance(decision, Settle) and first_time:
        trade = decision.trade
        amount = {"amount_fen": trade.amount.fen, "currency": trade.amount.currency} if trade.amount else {}
        return [_entry(item, WOULD_SETTLE, {"transaction_id": trade.transaction_id, **amount})]
    is_news = (item.watch.last_decision, item.watch.why) != (update.decision, update.why)  # put back, it ends again
    if isinstance(decision, Stop | OpenCase) and update.ended and is_news:
        return [_entry(item, "watch_ended", {"why": update.why})]
    if isinstance(decision, CloseOrder) and update.ended:
        return [_entry(item, "closed", {})]
    if isinstance(decision, CloseTrade) and context.enforcing and not item.history.close_begun:
        return [_entry(item, TRADE_CLOSE_BEGUN, {})]
    return []


def _entry(item: Judged, kind: str, facts: dict[str, object]) -> Entry:
    attempt, reply = item.watch.attempt, item.reply
    answer = {"answer": name_of(reply.answer)} if reply else {}
    return Entry(
        kind=kind,
        order_key=attempt.order_key,
        order_no=attempt.order_no,
        channel=attempt.channel,
        out_trade_no=attempt.out_trade_no,
        body={"why": why_of(item.decision), **answer, **facts},
        evidence=reply.evidence if reply else None,
        key=reply.key if reply else None,
    )


def _count(context: Context, item: Judged) -> None:
    if item.reply is not None and not uses_an_age(item.reply):
        context.tally.unanswered += 1


def _note_paid_by_shop(context: Context, item: Judged) -> None:
    """Count an order that the shop has moved without us: once, though in mode observe its watch goes on."""
    row, attempt = item.subject.row, item.watch.attempt
    was_noted = item.watch.last_decision == name_of_decision(item.decision)
    ours = item.history.settled is not None or context.begun_for(attempt.order_key) is not None
    is_paid = isinstance(row, Order) and row.state is OrderState.PAID
    if isinstance(item.decision, Done) and is_paid and not ours and not was_noted:
        context.paid_by_shop[attempt.channel] += 1


def _speak(context: Context, item: Judged, now: datetime) -> None:
    attempt, decision = item.watch.attempt, item.decision
    match decision:
        case Settle(trade) if item.watch.last_decision != WOULD_SETTLE and trade.amount and trade.paid_at:
            context.tally.would_settle += 1
            context.events.emit(
                OrderWouldSettle(
                    order_no=attempt.order_no,
                    channel=attempt.channel,
                    amount=trade.amount,
                    transaction_id=trade.transaction_id or "",
                    paid_at=trade.paid_at,
                    stuck_for=now - trade.paid_at,
                )
            )
        case CloseOrder(why) if not context.enforcing and item.watch.last_decision != name_of_decision(decision):
            context.events.emit(OrderWouldClose(order_no=attempt.order_no, channel=attempt.channel, why=why))
        case Done(why) if _lost_gladly(item) and item.reply and isinstance(item.reply.answer, Paid):
            context.tally.callback_won += 1
            trade = item.reply.answer.trade
            meanwhile = (
                "another session had it locked" if item.watch.last_decision == ROW_BUSY else "the gateway was asked"
            )
            context.events.emit(
                OrderCallbackWon(
                    order_no=attempt.order_no,
                    channel=attempt.channel,
                    transaction_id=trade.transaction_id or "",
                    why=f"the row turned paid while {meanwhile}: {why}",
                )
            )
        case _:
            pass


def _lost_gladly(item: Judged) -> bool:
    """Whether the row turned paid while we asked, or waited for its lock, and not by ourselves (with its group)."""
    was_waiting = isinstance(item.was, Order) and item.was.state in {OrderState.PENDING, OrderState.CLOSED}
    return (was_waiting or item.watch.last_decision == ROW_BUSY) and item.history.settled is None


async def _supersede(context: Context, item: Judged, now: datetime) -> None:
    """End a settlement found open at start that was decided otherwise now."""
    intention = context.begun_for(item.watch.attempt.order_key)
    if intention is None or (item.reply is not None and not uses_an_age(item.reply)):
        return
    if item.reply is not None and (intention.channel, intention.out_trade_no) != item.watch.attempt.number:
        return  # what the gateway says of another attempt is no word on this payment
    settled = shows_payment(item.subject.row, intention.transaction_id)
    outcome = Outcome.SETTLED if settled else Outcome.SUPERSEDED
    await context.ledger.conclude(intention.id, outcome, why_of(item.decision), Batch(), now)
    context.concluded(intention.order_keys)
    context.events.emit(
        SettleRecovered(
            order_no=intention.order_no,
            channel=intention.channel,
            transaction_id=intention.transaction_id,
            outcome=f"{outcome.value}: {why_of(item.decision)}",
        )
    )
