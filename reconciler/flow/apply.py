"""Carry out what was decided, but for settling: schedule, open cases, end watches, close orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from reconciler.domain.answer import (
    Closed,
    Misconfigured,
    NotCreated,
    Paid,
    Refunded,
    Rejected,
    Reply,
    Throttled,
    Unavailable,
    Unpaid,
    Unrecognised,
    Untrusted,
    name_of,
    reason_of,
)
from reconciler.domain.confirm import Subject
from reconciler.domain.decide import when_next
from reconciler.domain.decision import AskAgain, CloseOrder, Decision, Done, OpenCase, Settle, Stop
from reconciler.domain.decision import name_of as name_of_decision
from reconciler.domain.history import History
from reconciler.domain.order import Order, OrderState, Row
from reconciler.events.orders import (
    CaseOpened,
    OrderCallbackWon,
    OrderClosed,
    OrderWouldClose,
    OrderWouldSettle,
    SettleRecovered,
)
from reconciler.flow.context import Context
from reconciler.ports import (
    Ask,
    Batch,
    CaseOutcome,
    CaseReport,
    Entry,
    Moved,
    Outcome,
    Reported,
    Watch,
    WatchUpdate,
)

PARKED = timedelta(hours=24)
"""In mode observe no watch ends: one that would have is looked at again a day later."""
WOULD_SETTLE = "would_settle"


@dataclass(frozen=True, slots=True)
class Judged:
    """A watch, what was known, and what was decided."""

    watch: Watch
    subject: Subject
    history: History
    decision: Decision
    reply: Reply | None
    was: Row | None
    """The row as read before asking."""


async def apply(context: Context, judged: Sequence[Judged]) -> None:
    """Record every decision in one transaction, then say what is worth a line."""
    if not judged:
        return
    judged = [await _close(context, item) for item in judged]
    now = context.clock.now()
    reports = tuple(report_of(item, item.decision) for item in judged if isinstance(item.decision, OpenCase))
    batch = Batch(
        updates=tuple(update_of(context, item, now) for item in judged),
        entries=tuple(entry for item in judged for entry in _entries(context, item)),
        cases=reports,
    )
    announce(context, reports, await context.ledger.record(batch, now))
    for item in judged:
        _count(context, item)
        _speak(context, item, now)
        await _supersede(context, item, now)


def update_of(context: Context, item: Judged, now: datetime) -> WatchUpdate:
    """Say what the decision does to its watch."""
    watch, reply = item.watch, item.reply
    answered = reply is not None and _uses_an_age(reply)
    failures = watch.failures if reply is None else 0 if answered else watch.failures + 1
    asked_at = reply.asked_at if reply else None
    next_ask_at = when_next(item.decision, item.subject, context.policy, now, failures, asked_at)
    ended = next_ask_at is None and context.enforcing
    name = WOULD_SETTLE if isinstance(item.decision, Settle) else name_of_decision(item.decision)
    return WatchUpdate(
        watch=watch.id,
        next_ask_at=next_ask_at or now + PARKED,
        last_answered_at=reply.asked_at if reply and answered else watch.last_answered_at,
        failures=failures,
        untrusted_run=item.history.untrusted_run,
        decision=name,
        why=why_of(item.decision),
        ended=ended,
        ask=ask_of(reply, f"{name}: {why_of(item.decision)}"),
        last_verified=name_of(reply.answer) if reply and reply.verified else None,
        transaction_id=reply.answer.trade.transaction_id if reply and isinstance(reply.answer, Paid) else None,
        shows_paid=any(_shows_paid(row) for row in (item.was, item.subject.row)),
    )


def ask_of(reply: Reply | None, decision: str) -> Ask | None:
    """Give one ask as the watch remembers it."""
    if reply is None:
        return None
    return Ask(reply.asked_at, name_of(reply.answer), reason_of(reply.answer), reply.duration_ms, decision)


def why_of(decision: Decision) -> str:
    """Give the decision's own words."""
    return decision.why


def report_of(item: Judged, case: OpenCase) -> CaseReport:
    """Make the case report of a decision, with the answer as evidence."""
    attempt, reply = item.watch.attempt, item.reply
    return CaseReport(
        kind=case.kind,
        order_key=attempt.order_key,
        order_no=attempt.order_no,
        channel=attempt.channel,
        out_trade_no=attempt.out_trade_no,
        why=case.why,
        facts=case.facts,
        evidence=reply.evidence if reply else None,
        key=reply.key if reply else None,
    )


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


def untrusted_run_of(watch: Watch, reply: Reply | None) -> int:
    """Count the untrusted answers in a row for this attempt, the present one included."""
    if reply is None or isinstance(reply.answer, Unavailable | Throttled | Misconfigured):
        return watch.untrusted_run
    return 0 if _uses_an_age(reply) else watch.untrusted_run + 1


def _uses_an_age(reply: Reply) -> bool:
    """Whether the gateway said something, so that its age is answered: what does not verify said nothing."""
    match reply.answer:
        case Unavailable() | Throttled() | Untrusted() | Misconfigured():
            return False
        case Paid() | Refunded() | Unpaid() | Closed():
            return reply.verified
        case NotCreated() | Rejected() | Unrecognised():
            return True


def _shows_paid(row: Row | None) -> bool:
    return isinstance(row, Order) and row.state in {OrderState.PAID, OrderState.REFUNDED}


def _entries(context: Context, item: Judged) -> list[Entry]:
    """Give the lines that this decision adds to the ledger; "not yet" adds none."""
    decision = item.decision
    first_time = item.watch.last_decision != WOULD_SETTLE
    if isinstance(decision, Settle) and first_time:
        trade = decision.trade
        amount = {"amount_fen": trade.amount.fen, "currency": trade.amount.currency} if trade.amount else {}
        return [_entry(item, WOULD_SETTLE, {"transaction_id": trade.transaction_id, **amount})]
    if isinstance(decision, Stop) and context.enforcing:
        return [_entry(item, "watch_ended", {})]
    if isinstance(decision, CloseOrder) and context.enforcing:
        return [_entry(item, "closed", {})]
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
    if item.reply is not None and not _uses_an_age(item.reply):
        context.tally.unanswered += 1


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
        case Done(why) if _was_waiting(item) and item.reply and isinstance(item.reply.answer, Paid):
            context.tally.callback_won += 1
            trade = item.reply.answer.trade
            context.events.emit(
                OrderCallbackWon(
                    order_no=attempt.order_no,
                    channel=attempt.channel,
                    transaction_id=trade.transaction_id or "",
                    why=f"the row turned paid while the gateway was asked: {why}",
                )
            )
        case _:
            pass


def _was_waiting(item: Judged) -> bool:
    return isinstance(item.was, Order) and item.was.state in {OrderState.PENDING, OrderState.CLOSED}


async def _close(context: Context, item: Judged) -> Judged:
    """Mark the order closed in the shop, if that was decided; where its row has changed meanwhile, ask again."""
    row, attempt = item.subject.row, item.watch.attempt
    if not (isinstance(item.decision, CloseOrder) and context.enforcing and isinstance(row, Order)):
        return item
    if not isinstance(await context.shop.close_order(row), Moved):
        return replace(item, decision=AskAgain("closed at the gateway; the row changed while it was being closed"))
    context.tally.closed += 1
    context.events.emit(OrderClosed(order_no=attempt.order_no, channel=attempt.channel, why=item.decision.why))
    return item


async def _supersede(context: Context, item: Judged, now: datetime) -> None:
    """End a settlement found open at start that was decided otherwise now."""
    intention = context.recovering.get(item.watch.attempt.order_key)
    if intention is None or (item.reply is not None and not _uses_an_age(item.reply)):
        return
    row = item.subject.row
    has_it = isinstance(row, Order) and row.state is OrderState.PAID
    has_it = has_it and row.transaction_id in {None, intention.transaction_id}  # type: ignore[union-attr] # has_it says it is an Order
    outcome = Outcome.SETTLED if has_it else Outcome.SUPERSEDED
    await context.ledger.conclude(intention.id, outcome, why_of(item.decision), Batch(), now)
    for key in intention.order_keys:
        context.recovering.pop(key, None)
    context.events.emit(
        SettleRecovered(
            order_no=intention.order_no,
            channel=intention.channel,
            transaction_id=intention.transaction_id,
            outcome=f"{outcome.value}: {why_of(item.decision)}",
        )
    )
