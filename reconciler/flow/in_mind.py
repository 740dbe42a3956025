"""In mode observe an order is moved in the mind alone: what would have moved it once would not move it again."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from reconciler.domain.answer import Reply
from reconciler.domain.confirm import Subject
from reconciler.domain.decide import decide
from reconciler.domain.decision import Decision, OpenCase, Settle
from reconciler.domain.history import History, Settlement
from reconciler.flow.context import Context
from reconciler.flow.judged import WOULD_SETTLE

IN_MIND: Final = "mode observe: by then another payment would have moved this order"


async def unless_moved_in_mind(
    context: Context, subject: Subject, reply: Reply, history: History, decision: Settle
) -> Decision:
    """Decide as mode enforce would, where another attempt of the order would have been settled by now."""
    settled = None if context.enforcing else await _settled(context, subject, history)
    if settled is None:
        return decision
    anew = decide(subject, reply, replace(history, settled=settled), context.policy, context.clock.now())
    return replace(anew, why=IN_MIND) if isinstance(anew, OpenCase) else anew


async def _settled(context: Context, subject: Subject, history: History) -> Settlement | None:
    """Give the other payment."""
    paid = {(other.channel, other.out_trade_no): other.transaction_id for other in history.others}
    if not any(paid.values()):
        return None
    story = await context.ledger.story(subject.attempt.order_key)
    for watch in story.watches:
        number, transaction = watch.attempt.number, paid.get(watch.attempt.number)
        is_same_order = watch.attempt.order_key == subject.attempt.order_key
        if is_same_order and transaction and watch.last_decision == WOULD_SETTLE:
            return Settlement(*number, transaction)
    return None
