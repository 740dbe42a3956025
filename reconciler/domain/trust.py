"""Whether an answer proves anything about the attempt that was asked about: signed, fresh, about it, and ours."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from reconciler.domain.answer import NotCreated, Paid, Reply, Usable, name_of
from reconciler.domain.order import Attempt
from reconciler.domain.policy import Policy

FRESH_WITHIN = timedelta(minutes=2)
"""An answer older than that proves nothing any more: as long as a lease lasts."""


def distrust(attempt: Attempt, reply: Reply, policy: Policy, now: datetime) -> str:
    """Say why an answer that reads well proves nothing, or nothing any more; empty where it may be decided on."""
    answer, name = reply.answer, name_of(reply.answer)
    if not isinstance(answer, Usable):
        return ""  # it proves nothing, and says so itself
    if has_grown_old(reply, now):
        return f"{name}, but the answer has grown old while we were held up"
    if isinstance(answer, NotCreated):
        return ""  # a refusal, which comes unsigned and without a number
    if not reply.verified:
        return f"{name} without a signature that verifies"
    if answer.trade.out_trade_no != attempt.out_trade_no:
        return f"{name} about another number, {answer.trade.out_trade_no}"
    if isinstance(answer, Paid):
        return ""  # whom it paid is a fact to compare: money that went elsewhere is a person's question
    ours = dict(policy.merchants.get(attempt.channel, ()))
    others = [f"{fact} {value}" for fact, value in answer.trade.merchant if _is_another(fact, value, ours)]
    return f"{name} about another merchant's trade: {', '.join(others)}" if others else ""


def has_grown_old(reply: Reply, now: datetime) -> bool:
    """Whether an answer is too old to act on."""
    return now - reply.answered_at > FRESH_WITHIN


def _is_another(fact: str, value: str, ours: Mapping[str, str]) -> bool:
    """Whether a fact names another account. The appid does not: one merchant may have several of them."""
    return fact.endswith("mchid") and ours.get(fact) != value
