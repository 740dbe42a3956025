"""What was decided about one watch, and what that does to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

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
from reconciler.domain.decide import paced, when_next
from reconciler.domain.decision import CloseTrade, Decision, OpenCase, Settle
from reconciler.domain.decision import name_of as name_of_decision
from reconciler.domain.history import History
from reconciler.domain.order import Attempt, Order, OrderState, Row
from reconciler.domain.policy import Policy
from reconciler.domain.trust import distrust, has_grown_old
from reconciler.flow.context import Context
from reconciler.ports import Ask, CaseReport, Watch, WatchUpdate

PARKED = timedelta(hours=24)
"""In mode observe no watch ends: one that would have is looked at again a day later."""
WOULD_SETTLE = "would_settle"
WAITS = "settle_waits"
"""The decision on a watch whose order waits its turn, or is in hand already."""
UNANSWERED = frozenset({"ask_again", "pause_channel"})
"""The decisions on a watch whose gateway gave no answer to decide by: what it said before still stands."""
ROW_BUSY = "row_busy"
"""The decision on a watch whose order could not be settled, since another session had its row locked."""


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


def update_of(context: Context, item: Judged, now: datetime) -> WatchUpdate:
    """Say what the decision does to its watch."""
    watch, reply, decision = item.watch, item.reply, item.decision
    answered = reply is not None and uses_an_age(reply)
    # A close that is begun counts as come to nothing until its outcome is written: what cuts it short backs off, too.
    well = answered and not isinstance(decision, CloseTrade)
    failures = watch.failures if reply is None else 0 if well else watch.failures + 1
    asked_at = reply.asked_at if reply else None
    next_ask_at = when_next(
        paced(decision, watch.attempt, item.history), item.subject, context.policy, now, failures, asked_at
    )
    ended = next_ask_at is None and context.enforcing
    why = why_of(decision)
    if ended and isinstance(decision, OpenCase):
        why += "; a person has looked at it"
    name = WOULD_SETTLE if isinstance(decision, Settle) else name_of_decision(decision)
    return WatchUpdate(
        watch=watch.id,
        next_ask_at=next_ask_at or now + PARKED,
        last_answered_at=reply.asked_at if reply and answered else watch.last_answered_at,
        failures=failures,
        untrusted_run=item.history.untrusted_run,
        decision=name,
        why=why,
        ended=ended,
        ask=ask_of(reply, f"{name}: {why}"),
        last_verified=_last_verified(item),
        transaction_id=reply.answer.trade.transaction_id if reply and isinstance(reply.answer, Paid) else None,
        shows_paid=any(_shows_paid(row) for row in (item.was, item.subject.row)),
    )


def _last_verified(item: Judged) -> str | None:
    """Name what the gateway last said of the trade, for sure; None where that stays.

    Nothing makes a payment unsaid, and no payment a refund.
    """
    reply = item.reply
    if reply is None or not reply.verified:
        return None
    known = item.history.last_verified
    match reply.answer:
        case Refunded():
            return name_of(reply.answer)
        case Paid():
            return None if known == Refunded.__name__ else name_of(reply.answer)
        case Unpaid() | NotCreated() | Closed():
            return None if known in {Paid.__name__, Refunded.__name__} else name_of(reply.answer)
        case Unavailable() | Throttled() | Untrusted() | Misconfigured() | Rejected() | Unrecognised():
            return None
        case _:
            assert_never(reply.answer)


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
        amount=item.subject.row.amount if isinstance(item.subject.row, Order) else attempt.amount,
        is_repeated=(item.watch.last_decision, item.watch.why) == (case.kind.value, case.why),
    )


def believed(item: Attempt, reply: Reply, policy: Policy, now: datetime) -> Reply:
    """Give a reply for what it is worth: one that reads well and proves nothing says nothing, and uses up no age."""
    why = distrust(item, reply, policy, now)
    if not why:
        return reply
    answer = Unavailable(why) if has_grown_old(reply, now) else Untrusted(why)  # that we were slow is not its fault
    return replace(reply, answer=answer, verified=False)


def untrusted_run_of(watch: Watch, reply: Reply | None) -> int:
    """Count the untrusted answers in a row for this attempt, the present one included."""
    if reply is None or isinstance(reply.answer, Unavailable | Throttled | Misconfigured):
        return watch.untrusted_run
    return 0 if uses_an_age(reply) else watch.untrusted_run + 1


def uses_an_age(reply: Reply) -> bool:
    """Whether the gateway said something, so that its age is answered: what does not verify said nothing."""
    match reply.answer:
        case Unavailable() | Throttled() | Untrusted() | Misconfigured():
            return False
        case Paid() | Refunded() | Unpaid() | Closed():
            return reply.verified
        case NotCreated() | Rejected() | Unrecognised():
            return True


def shows_payment(row: Row | None, transaction_id: str) -> bool:
    """Whether the shop's row is paid, by this payment as far as it says."""
    return isinstance(row, Order) and row.state is OrderState.PAID and row.transaction_id in {None, transaction_id}


def _shows_paid(row: Row | None) -> bool:
    return isinstance(row, Order) and row.state in {OrderState.PAID, OrderState.REFUNDED}
