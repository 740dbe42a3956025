"""What to do about one attempt: the decision table of design.md, as a pure function.

Read it downward: what came back from the gateway, then what the shop's row says, then, for a payment that the shop
has not taken, everything that must hold before the order moves.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from reconciler.domain.answer import (
    Answer,
    Closed,
    Misconfigured,
    NotCreated,
    Paid,
    Refunded,
    Rejected,
    Reply,
    Throttled,
    Trade,
    Unavailable,
    Unpaid,
    Unrecognised,
    Untrusted,
    Usable,
    name_of,
    reason_of,
)
from reconciler.domain.case import CaseKind, Fact
from reconciler.domain.confirm import Subject, confirm
from reconciler.domain.contradiction import (
    closed_after_paid,
    known_to_a_person,
    paid_after_refunded,
    unpaid_after_paid,
)
from reconciler.domain.decision import (
    AskAgain,
    AskAt,
    CloseOrder,
    CloseTrade,
    Decision,
    Done,
    OpenCase,
    Pace,
    PauseChannel,
    Settle,
    Stop,
)
from reconciler.domain.history import History
from reconciler.domain.order import Attempt, Order, OrderState, UnreadableOrder
from reconciler.domain.policy import Policy
from reconciler.domain.question import Question, amount_of
from reconciler.domain.schedule import PROBE_EVERY, jittered, later_ages, next_ask, retry_after
from reconciler.domain.trust import distrust

__all__ = ["Subject", "before_asking", "decide", "paced", "when_next"]

OUTLAST_REFUSAL_FIRST = timedelta(minutes=5)
OUTLAST_REFUSAL_FOR = timedelta(days=3)
"""How long a trade is asked about past its last age where the gateway refused to close it."""


def before_asking(subject: Subject, history: History) -> Decision | None:
    """Decide without asking where the shop's row has moved on, and neither another attempt nor a case asks for more."""
    row = subject.row
    if isinstance(row, Order) and history.is_only_attempt and not history.open_cases:
        if row.state is OrderState.PAID:
            return Done("the shop has it paid")
        if row.state is OrderState.REFUNDED:
            return Done("the shop has it refunded")
    return None


def decide(subject: Subject, reply: Reply, history: History, policy: Policy, now: datetime) -> Decision:
    """Say what to do about an attempt after a reply. No input or output, no clock, no log."""
    question = Question(subject, history, policy, now, reply.asked_at)
    answer = reply.answer
    match answer:
        case Paid() | Refunded() | Unpaid() | NotCreated() | Closed():
            if why := distrust(subject.attempt, reply, policy, now):
                return _untrusted(question, why)
            return _usable(question, answer)
        case Unavailable() | Throttled():
            return _unanswered(question, _said(answer))
        case Untrusted():
            return _untrusted(question, _said(answer))
        case Misconfigured(reason):
            return PauseChannel(reason or "the gateway gave no reason")
        case Rejected(reason):
            why = f"the gateway refuses to be asked about this number: {reason or 'no reason given'}"
            return OpenCase(CaseKind.UNASKABLE, why)
        case Unrecognised(raw):
            why = f"the gateway said something that we do not know: {raw}"
            fact = Fact("state", raw, "unknown to us")
            return OpenCase(CaseKind.UNRECOGNISED_STATE, why, (fact,))
        case _:
            assert_never(answer)


def when_next(
    decision: Decision, subject: Subject, policy: Policy, now: datetime, failures: int, asked_at: datetime | None = None
) -> datetime | None:
    """Say when the attempt is asked next after a decision; None where its watch ends.

    `failures` is the number of asks in a row that came to nothing, the present one included; `asked_at` is when the
    answer that was decided on was asked for: the ages count from there. A case is `paced` first.
    """
    asked_at = asked_at or now
    match decision:
        case AskAgain(pace=Pace.SOON) | OpenCase(pace=Pace.SOON) | CloseTrade() | PauseChannel():
            return now + retry_after(failures, subject.attempt.out_trade_no)
        case AskAgain(pace=Pace.PROBE) | OpenCase(pace=Pace.PROBE):
            return _next_age(subject, policy, asked_at, now, Pace.AGES) or now + PROBE_EVERY
        case AskAgain(pace=pace) | OpenCase(pace=pace):
            return _next_age(subject, policy, asked_at, now, pace)
        case Settle():
            return _next_age(subject, policy, asked_at, now, Pace.AGES)
        case AskAt(at=at):
            return at
        case Stop() | Done() | CloseOrder():
            return None
        case _:
            assert_never(decision)


def paced(decision: Decision, attempt: Attempt, history: History) -> Decision:
    """Let a case keep its watch past the last age while it is a question: what a person has resolved needs none."""
    if not isinstance(decision, OpenCase) or decision.pace is not Pace.PROBE:
        return decision
    return replace(decision, pace=Pace.AGES) if decision.digest(attempt.number) in history.resolved else decision


def _said(answer: Answer) -> str:
    """Give the answer's own words; where it has none, its name."""
    return reason_of(answer) or name_of(answer)


# ------------------------------------------------------------------------------------------------------ usable answers


def _usable(question: Question, answer: Usable) -> Decision:
    row = question.subject.row
    if with_a_person := known_to_a_person(question, answer):
        return with_a_person
    if row is None:
        return _gone(question, answer)
    if isinstance(row, UnreadableOrder):
        return _unknown(question, answer, row.problem)
    match row.state:
        case OrderState.PENDING:
            return _pending(question, row, answer)
        case OrderState.CLOSED:
            return _closed(question, row, answer)
        case OrderState.PAID:
            return _paid(question, row, answer)
        case OrderState.REFUNDED:
            return _refunded(question, row, answer)
        case OrderState.UNKNOWN:
            return _unknown(question, answer, f"status {row.status} is not mapped")
        case _:
            assert_never(row.state)


def _pending(question: Question, order: Order, answer: Usable) -> Decision:
    match answer:
        case Paid(trade):
            return paid_after_refunded(question, order, trade) or _confirm(question, order, trade)
        case Refunded(trade):
            why = f"paid and refunded ({reason_of(answer)}) at the gateway, while the shop still waits for payment"
            return OpenCase(CaseKind.REFUNDED_WHILE_PENDING, why, (amount_of(trade, order),))
        case Unpaid():
            return unpaid_after_paid(question, order, answer) or _wait_or_close(question, answer, "not paid yet")
        case NotCreated():
            why = "the gateway knows no such trade"
            return unpaid_after_paid(question, order, answer) or _wait_or_close(question, answer, why)
        case Closed():
            return _closing(question, order)
        case _:
            assert_never(answer)


def _closed(question: Question, order: Order, answer: Usable) -> Decision:
    match answer:
        case Paid(trade):
            return paid_after_refunded(question, order, trade) or _confirm(question, order, trade)
        case Refunded(trade, in_full):
            if in_full:
                return Stop("closed in the shop, paid and refunded in full at the gateway")
            why = "closed in the shop, paid at the gateway and refunded there, perhaps only in part"
            return OpenCase(CaseKind.REFUND_UNCLEAR, why, (amount_of(trade, order),))
        case Unpaid():
            why = "closed in the shop, not paid"
            return unpaid_after_paid(question, order, answer) or _wait_or_close(question, answer, why, Pace.LATER_AGES)
        case NotCreated():
            why = "closed in the shop; the gateway knows no such trade"
            return unpaid_after_paid(question, order, answer) or _wait_or_close(question, answer, why, Pace.LATER_AGES)
        case Closed():
            return closed_after_paid(question, order) or Stop("closed in the shop and at the gateway")
        case _:
            assert_never(answer)


def _paid(question: Question, order: Order, answer: Usable) -> Decision:
    match answer:
        case Paid(trade):
            return _paid_twice(question, order, trade)
        case Refunded():
            return Stop("paid in the shop; this attempt was paid and refunded at the gateway")
        case Unpaid() | NotCreated():
            return _wait_or_close(question, answer, "paid in the shop; this attempt is not paid", Pace.LATER_AGES)
        case Closed():
            return Stop("paid in the shop; this attempt is closed at the gateway")
        case _:
            assert_never(answer)


def _paid_twice(question: Question, order: Order, trade: Trade) -> Decision:
    by = question.history.transaction_moved
    if by is not None and by != order.key and not question.policy.shared_payment:
        fact = Fact("transaction_id", trade.transaction_id or "missing", f"moved the order with key {by}")
        return OpenCase(CaseKind.AMBIGUOUS_NUMBER, "paid in the shop, by a payment that moved another order", (fact,))
    other, recorded = _other_payment(question, order, trade)
    if other is None:
        return Done("the shop has this very payment" if recorded else "paid in the shop; winner unknown")
    fact = Fact("transaction_id", trade.transaction_id or "missing", other)
    return OpenCase(
        CaseKind.DUPLICATE_PAYMENT, "the buyer paid this order a second time", (fact, amount_of(trade, order))
    )


def _other_payment(question: Question, order: Order, trade: Trade) -> tuple[str | None, bool]:
    """Give another payment that this order is known by, and whether the shop or the ledger has one recorded."""
    history = question.history
    recorded = order.transaction_id or (history.settled.transaction_id if history.settled else None)
    rivals = [recorded] if recorded else [other.transaction_id for other in history.others if other.transaction_id]
    return next((rival for rival in rivals if rival != trade.transaction_id), None), recorded is not None


def _refunded(question: Question, order: Order, answer: Usable) -> Decision:
    if isinstance(answer, Paid):
        other, _ = _other_payment(question, order, answer.trade)
        if other is not None:
            fact = Fact("transaction_id", answer.trade.transaction_id or "missing", other)
            why = "refunded in the shop, and paid by another transaction at the gateway"
            return OpenCase(CaseKind.PAID_AFTER_REFUND, why, (fact, amount_of(answer.trade, order)))
    return Done("the shop has it refunded")


def _gone(question: Question, answer: Usable) -> Decision:
    match answer:
        case Paid(trade):
            fact = Fact("order", f"paid {trade.amount}, transaction {trade.transaction_id}", "no such row")
            return OpenCase(CaseKind.ORDER_VANISHED, "paid, and the order is no longer in the shop's table", (fact,))
        case Refunded():
            return Stop("the order is gone from the table; paid and refunded at the gateway")
        case Unpaid() | NotCreated():
            return _wait(question, answer, "the order is gone from the table; not paid")
        case Closed():
            return Stop("the order is gone from the table, and closed at the gateway")
        case _:
            assert_never(answer)


def _unknown(question: Question, answer: Usable, problem: str) -> Decision:
    match answer:
        case Paid(trade):
            fact = Fact("order", f"paid {trade.amount}, transaction {trade.transaction_id}", problem)
            return OpenCase(CaseKind.UNREADABLE_ORDER, f"paid, and the order cannot be read: {problem}", (fact,))
        case Refunded():
            return Stop(f"the order cannot be read ({problem}); paid and refunded at the gateway")
        case Unpaid() | NotCreated():
            return _wait(question, answer, f"the order cannot be read ({problem}); not paid")
        case Closed():
            return Stop(f"the order cannot be read ({problem}); closed at the gateway")
        case _:
            assert_never(answer)


def _confirm(question: Question, order: Order, trade: Trade) -> Decision:
    return confirm(question.subject, order, trade, question.history, question.policy, question.now)


def _closing(question: Question, order: Order) -> Decision:
    history = question.history
    if case := closed_after_paid(question, order):
        return case
    if not question.policy.closes_orders:
        return Stop("closed at the gateway, unpaid")
    if history.resolved_for_good or history.was_paid:
        return Stop(
            "closed at the gateway, unpaid; a person or a payment had this order before, so it is left as it is"
        )
    still_open = [other for other in history.others if other.last_verified != Closed.__name__]
    if still_open:
        return Stop(f"closed at the gateway, unpaid; attempt {still_open[0].out_trade_no} is not known to be")
    return CloseOrder("every attempt is closed at its gateway, unpaid")


# -------------------------------------------------------------------------------------------------------------- waiting


def _wait_or_close(
    question: Question, answer: Unpaid | NotCreated, why: str, pace: Pace = Pace.AGES
) -> AskAgain | AskAt | Stop | CloseTrade:
    """Wait; where that would end at the last age, close what can be closed at the gateway, or say why it cannot be."""
    decision = _wait(question, answer, why, pace)
    if isinstance(decision, AskAgain) or not question.policy.closes_at_gateway:
        return decision
    if isinstance(answer, NotCreated):
        return Stop(f"{decision.why}; so there it cannot be closed, and a payment page still open could yet be paid")
    if question.history.close_outcome:
        tried = f"{why}: still unpaid, although closing was tried: {question.history.close_outcome}"
        return _outlast(question, tried) if question.history.close_refused else Stop(tried)
    rows = len(question.subject.holders)
    if rows > 1 and not question.policy.shared_payment:
        return Stop(f"{decision.why}; not closed at the gateway: {rows} orders carry the number")
    return CloseTrade(decision.why)


def _outlast(question: Question, why: str) -> AskAt | Stop:
    """Ask on for some days where the gateway would not close: a payment may be under way. Less often each time."""
    since_last_age = question.age - question.policy.ages[-1]
    if since_last_age > OUTLAST_REFUSAL_FOR:
        return Stop(why)
    return AskAt(question.now + max(OUTLAST_REFUSAL_FIRST, since_last_age), why)


def _wait(question: Question, answer: Usable, why: str, pace: Pace = Pace.AGES) -> AskAgain | Stop:
    if _next_age(question.subject, question.policy, question.asked_at, question.now, pace) is not None:
        return AskAgain(why, pace)
    if isinstance(answer, NotCreated) and question.history.channel_in_doubt:
        return AskAgain(f"{why}, as for every ask of this channel lately: no watch ends on that", Pace.PROBE)
    return Stop(f"{why}, at its last age")


def _next_age(subject: Subject, policy: Policy, asked_at: datetime, now: datetime, pace: Pace) -> datetime | None:
    ages = later_ages(policy.ages, policy.late_from) if pace is Pace.LATER_AGES else policy.ages
    attempt = subject.attempt
    return next_ask(attempt.created_at, asked_at, now, jittered(ages, attempt.out_trade_no, policy.ages[0]))


def _unanswered(question: Question, why: str) -> Decision:
    """Ask again soon; no age is used up. Past its last age somebody is told, unless he has a question about it already.

    Where closing was begun, and not refused, its last age has been answered: only what became of the trade is missing.
    """
    is_closed_or_closing = question.history.close_begun and not question.history.close_refused
    is_asked = bool(question.history.open_cases - {CaseKind.UNANSWERED})
    if question.is_past_last_age and not is_closed_or_closing and not is_asked:
        return OpenCase(CaseKind.UNANSWERED, f"no usable answer at its last age; the last was: {why}", (), Pace.SOON)
    return AskAgain(why, Pace.SOON)


def _untrusted(question: Question, why: str) -> Decision:
    if question.history.untrusted_run >= question.policy.untrusted_limit:
        why = f"answers that prove nothing, one after another: {why}"
        pace = Pace.PROBE if question.is_past_last_age else Pace.SOON
        return OpenCase(CaseKind.UNTRUSTED_ANSWER, why, (), pace)
    return _unanswered(question, why)
