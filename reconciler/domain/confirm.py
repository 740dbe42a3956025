"""A payment that the shop has not taken: everything that must hold before the order moves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.domain.answer import Trade
from reconciler.domain.case import CaseKind, Fact
from reconciler.domain.decision import AskAgain, AskAt, Decision, OpenCase, Pace, Settle
from reconciler.domain.facts import compare, kind_of
from reconciler.domain.history import History
from reconciler.domain.order import Attempt, Order, OrderState, Row, UnreadableOrder
from reconciler.domain.policy import LatePayment, Policy


@dataclass(frozen=True, slots=True)
class Subject:
    """The attempt in question, and the shop's rows as last read."""

    attempt: Attempt
    row: Row | None
    """None: gone from the table."""
    holders: tuple[Row, ...] = ()
    """Every row that carries the attempt's number, this one included; empty where nobody looked yet."""


def confirm(subject: Subject, order: Order, trade: Trade, history: History, policy: Policy, now: datetime) -> Decision:
    """Decide on a verified payment of an order that is pending or closed in the shop."""
    if subject.attempt.order_key != order.key or order not in subject.holders:
        return AskAgain("paid; but who else carries the number has not been read", Pace.SOON)
    group = _group(subject, policy)
    if isinstance(group, OpenCase):
        return group
    if case := _moved_before(order, group, trade, history):
        return case
    facts = compare(subject.attempt, group, trade, policy, now)
    disagreements = tuple(fact for fact in facts if not fact.agrees)
    payment = _payment(subject.attempt, facts)
    if disagreements or trade.paid_at is None:
        why = "; ".join(_in_words(fact, subject.attempt.channel) for fact in disagreements)
        question = OpenCase(kind_of(disagreements), f"paid, but not as ordered: {why}", disagreements)
        return _naming(payment, question)
    if now < trade.paid_at + policy.grace:
        return AskAt(trade.paid_at + policy.grace, "paid a moment ago: its callback may be on its way")
    closed = any(member.state is OrderState.CLOSED for member in group)
    questions = (
        _late(group, trade, history, policy, now) if closed else None,
        _review(subject.attempt, group, trade, history, policy, now),
    )
    whole = (_naming(payment, case) for case in questions if case is not None)
    asked = next((case for case in whole if case.digest(subject.attempt.number) not in history.waived), None)
    if history.resolved_for_good and (asked is None or asked.digest(subject.attempt.number) not in history.resolved):
        return _resolved_for_good(trade)
    return asked or Settle(trade, revives=closed, why="every fact agrees")


def _payment(attempt: Attempt, facts: tuple[Fact, ...]) -> tuple[Fact, ...]:
    """Give what tells this payment from another, as far as it agrees: a person looks it up, or refunds it, by that.

    Beside the transaction stands the number that it was paid under: what the row carries may be filled in by hand
    later, and the question would look like a new one.
    """
    agreed = {fact.name: fact for fact in facts if fact.agrees}
    if "currency" not in agreed:
        agreed.pop("amount", None)  # as many, and of something else
    if "transaction_id" in agreed:
        agreed["transaction_id"] = replace(agreed["transaction_id"], ours=f"of {attempt.out_trade_no}")
    return tuple(agreed[name] for name in ("amount", "transaction_id", "paid_at") if name in agreed)


def _naming(payment: tuple[Fact, ...], case: OpenCase) -> OpenCase:
    """Add to a case's facts what they do not say of the payment: about another payment it is another question."""
    said = {fact.name for fact in case.facts}
    return replace(case, facts=(*case.facts, *(fact for fact in payment if fact.name not in said)))


def _in_words(fact: Fact, channel: str) -> str:
    place = f"[channels.{channel}]" if fact.name.startswith("merchant") else "the shop"
    return f"{fact.name} {fact.theirs} at the gateway, {fact.ours} in {place}"


def _group(subject: Subject, policy: Policy) -> tuple[Order, ...] | OpenCase:
    """Give the orders that this payment is for, all in a state to be moved, or the case why it cannot be told."""
    rows = subject.holders
    if len(rows) > 1 and not policy.shared_payment:
        facts = tuple(Fact(f"order {row.order_no}", "one payment", row.state.value) for row in rows)
        why = f"{len(rows)} orders carry the number {subject.attempt.out_trade_no}: which one was paid?"
        return OpenCase(CaseKind.AMBIGUOUS_NUMBER, why, facts)
    for row in rows:
        if isinstance(row, UnreadableOrder):
            fact = Fact(f"order {row.order_no}", "paid", row.problem)
            return OpenCase(CaseKind.UNREADABLE_ORDER, f"paid, and the order cannot be read: {row.problem}", (fact,))
    orders = tuple(row for row in rows if isinstance(row, Order))
    if any(member.state not in {OrderState.PENDING, OrderState.CLOSED} for member in orders):
        facts = tuple(Fact(f"order {member.order_no}", "paid together", member.state.value) for member in orders)
        return OpenCase(CaseKind.AMBIGUOUS_NUMBER, "only part of the orders that share this payment were moved", facts)
    return orders


def _moved_before(order: Order, group: tuple[Order, ...], trade: Trade, history: History) -> OpenCase | None:
    """One payment moves one order, once; and an order that was paid once is not moved again by itself."""
    transaction = trade.transaction_id or "missing"
    by = history.transaction_moved
    if by is not None and by not in {member.key for member in group}:
        fact = Fact("transaction_id", transaction, f"moved the order with key {by}")
        return OpenCase(CaseKind.AMBIGUOUS_NUMBER, "this payment has moved another order already", (fact,))
    settled = history.settled
    if settled is not None and settled.transaction_id != trade.transaction_id:
        fact = Fact("transaction_id", transaction, settled.transaction_id)
        return OpenCase(CaseKind.DUPLICATE_PAYMENT, "another payment moved this order before", (fact,))
    if by is not None or settled is not None:
        fact = Fact("state", "paid, and settled once", order.state.value)
        why = f"this payment moved the order once, and now it is {order.state.value} again"
        return OpenCase(CaseKind.NEEDS_REVIEW, why, (fact,))
    return None


def _resolved_for_good(trade: Trade) -> OpenCase:
    """Do not move what a person resolved for good; money that came since is said once, not passed over."""
    fact = Fact("transaction_id", trade.transaction_id or "missing", "resolved for good")
    why = "paid in full agreement, but a person resolved this order for good: it is not moved"
    return OpenCase(CaseKind.NEEDS_REVIEW, why, (fact,))


def _late(group: tuple[Order, ...], trade: Trade, history: History, policy: Policy, now: datetime) -> OpenCase | None:
    obstacle = _obstacle_to_reviving(group, trade, history, policy, now)
    if obstacle is None:
        return None
    closed = next(member for member in group if member.state is OrderState.CLOSED)
    fact = Fact("state", "paid", f"closed (status {closed.status}): {obstacle}")
    return OpenCase(CaseKind.LATE_PAYMENT, f"paid, and closed in the shop; {obstacle}", (fact,))


def _obstacle_to_reviving(
    group: tuple[Order, ...], trade: Trade, history: History, policy: Policy, now: datetime
) -> str | None:
    """Say why a closed order is not revived: "closed" may also be a delivered order that staff shut."""
    if any(member.transaction_id or member.paid_at for member in group):
        return "its row shows an earlier payment"
    if history.was_paid:
        return "it was seen paid before"
    if policy.late_payment is not LatePayment.REVIVE:
        return "settle.late_payment leaves it to a person"
    if not (policy.keeps_transaction_id or policy.keeps_paid_at):
        return "the shop keeps neither transaction nor paid time, so whether it was delivered cannot be told"
    if trade.paid_at is None or now - trade.paid_at > policy.revive_within:
        return "the payment is older than settle.revive_within"
    return None


def _review(
    attempt: Attempt, group: tuple[Order, ...], trade: Trade, history: History, policy: Policy, now: datetime
) -> OpenCase | None:
    """Give everything that wants a person to look first as one question: who waves it through has seen all of it."""
    reasons = [(f"{flag} is set", Fact(flag, "present", "absent")) for flag in trade.flags]
    if policy.review_over and trade.amount and trade.amount.fen > policy.review_over.fen:
        fact = Fact("amount", str(trade.amount), f"settle.review_over {policy.review_over}")
        reasons.append((f"{trade.amount} is over {policy.review_over}", fact))
    if trade.paid_at is not None and now - trade.paid_at > policy.review_after:
        limit = f"{policy.review_after.total_seconds() / 3600:g} h"
        paid_at = trade.paid_at.astimezone(group[0].created_at.tzinfo)  # in the shop's zone, as every time of a case
        fact = Fact("paid_at", paid_at.isoformat(), f"settle.review_after {limit}")
        reasons.append((f"the payment is older than {limit}", fact))
    if attempt.amount is not None and len(group) == 1 and attempt.amount.fen < group[0].amount.fen:
        # A deposit, an instalment: whether it pays for the whole order, the tables do not say.
        fact = Fact("attempt's amount", str(attempt.amount), str(group[0].amount))
        reasons.append((f"the attempt was for {attempt.amount}, less than the order", fact))
    for member in group:
        if member.transaction_id and member.transaction_id != trade.transaction_id:
            fact = Fact("transaction_id", trade.transaction_id or "missing", member.transaction_id)
            reasons.append((f"order {member.order_no} carries another transaction already", fact))
    if history.was_paid and any(member.state is OrderState.PENDING for member in group):
        fact = Fact("state", "paid", "pending, and seen paid before")
        reasons.append(("the shop showed it paid before, and now it waits for payment again", fact))
    if not reasons:
        return None
    why = "every fact agrees, but a person must look first: " + ", ".join(reason for reason, _ in reasons)
    return OpenCase(CaseKind.NEEDS_REVIEW, why, tuple(fact for _, fact in reasons))
