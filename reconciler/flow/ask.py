"""Ask: take the due watches of a channel, read the shop's rows again, query the gateway, and have it decided."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.domain.answer import Paid, Reply
from reconciler.domain.confirm import Subject
from reconciler.domain.decide import FRESH_WITHIN, before_asking, decide
from reconciler.domain.decision import Settle
from reconciler.domain.history import History
from reconciler.domain.order import OrderKey, Row
from reconciler.events.running import TurnFailed
from reconciler.flow.apply import apply
from reconciler.flow.channel import Channel
from reconciler.flow.context import Context
from reconciler.flow.judged import Judged, untrusted_run_of
from reconciler.flow.settle import settle
from reconciler.ports import Batch, PortError, Question, ShopUnavailable, Watch, WatchUpdate

LEASE = FRESH_WITHIN
"""Whoever took a watch and has not come back after that long has nothing fresh to say of it."""
BATCH_MAX = 64


@dataclass(frozen=True, slots=True)
class Asked:
    """A watch, the shop's row as read before asking, and the reply; None where nothing had to be asked."""

    watch: Watch
    row: Row | None
    reply: Reply | None = None


class Asker:
    """Asks about one channel's attempts, a batch a turn."""

    def __init__(self, context: Context, channel: Channel) -> None:
        self._context = context
        self._channel = channel

    async def turn(self, due_by: datetime | None = None) -> int:
        """Handle one batch of due watches; give its size, 0 where none is due or the channel has no room."""
        context = self._context
        now = context.clock.now()
        limit = min(self._channel.room(now), BATCH_MAX)
        if limit <= 0:
            return 0
        watches = await context.ledger.lease(self._channel.name, due_by or now, now + LEASE, limit)
        if not watches:
            return 0
        try:
            await self._handle_or_part(watches)
        except ShopUnavailable:
            await self._put_back(watches)
            raise
        return len(watches)

    async def ask(self, watches: Sequence[Watch], *, without_shortcut: bool = False) -> list[Asked]:
        """Read the rows in one statement, and ask about those that did not move on."""
        context = self._context
        rows = await context.shop.read(list({watch.attempt.order_key for watch in watches}))
        histories = await context.ledger.histories([Question(watch) for watch in watches])
        asked = []
        for watch, history in zip(watches, histories, strict=True):
            row = rows.get(watch.attempt.order_key)
            needs_asking = without_shortcut or before_asking(Subject(watch.attempt, row), history) is None
            asked.append((watch, row, needs_asking))
        numbers = list({watch.attempt.out_trade_no: None for watch, _, needs_asking in asked if needs_asking})
        replies = dict(zip(numbers, await self._channel.gateway.ask(numbers), strict=True)) if numbers else {}
        async with context.applying:
            await self._channel.hear(context, list(replies), list(replies.values()))
        return [
            Asked(watch, row, replies[watch.attempt.out_trade_no] if needs_asking else None)
            for watch, row, needs_asking in asked
        ]

    async def judge(self, asked: Sequence[Asked]) -> list[Judged]:
        """Decide on each, after reading anew every row that a payment was found for."""
        context = self._context
        paid = {item.watch.attempt.out_trade_no for item in asked if item.reply and isinstance(item.reply.answer, Paid)}
        holders = await context.shop.holders(sorted(paid)) if paid else {}
        histories = await context.ledger.histories([Question(item.watch, _transaction(item.reply)) for item in asked])
        judged = []
        for item, history in zip(asked, histories, strict=True):
            attempt = item.watch.attempt
            row = item.row
            others: tuple[Row, ...] = ()
            if item.reply and isinstance(item.reply.answer, Paid):
                others = tuple(holders.get(attempt.out_trade_no, ()))
                row = next((holder for holder in others if holder.key == attempt.order_key), None)
            subject = Subject(attempt, row, others)
            known = replace(
                await self._with_group(item, history, others),
                untrusted_run=untrusted_run_of(item.watch, item.reply),
                channel_in_doubt=self._channel.in_doubt,
            )
            now = context.clock.now()
            if item.reply is None:
                decision = before_asking(subject, known)
                assert decision is not None, "only what is decided without asking has no reply"  # noqa: S101 # an invariant of `ask`
            else:
                decision = decide(subject, item.reply, known, context.policy, now)
            judged.append(Judged(item.watch, subject, known, decision, item.reply, was=item.row))
        return judged

    async def _with_group(self, item: Asked, history: History, holders: Sequence[Row]) -> History:
        """Add what is known of the other orders that share the payment: what holds one of them holds them all."""
        attempt = item.watch.attempt
        members = [replace(attempt, order_key=row.key) for row in holders if row.key != attempt.order_key]
        if not members or not self._context.policy.shared_payment:
            return history
        questions = [Question(replace(item.watch, attempt=member), _transaction(item.reply)) for member in members]
        theirs = await self._context.ledger.histories(questions)
        return replace(
            history,
            settled=history.settled or next((other.settled for other in theirs if other.settled), None),
            was_paid=history.was_paid or any(other.was_paid for other in theirs),
            resolved_for_good=history.resolved_for_good or any(other.resolved_for_good for other in theirs),
        )

    async def _handle_or_part(self, watches: Sequence[Watch]) -> None:
        """Handle a batch; where it meets a fault of ours, each watch alone, so that one cannot block the rest."""
        try:
            await self.carry_out(await self.ask(watches))
        except PortError:
            raise
        except Exception:  # noqa: BLE001 # the one place that keeps the daemon alive: logged, counted, and parted
            if len(watches) == 1:
                await self._give_up(watches[0])
                return
            for watch in watches:
                await self._handle_or_part([watch])

    async def carry_out(self, asked: Sequence[Asked]) -> None:
        """Decide and do it: attempts of one order one after another, so that each knows what became of the last."""
        async with self._context.applying:
            while asked:
                first = {item.watch.attempt.order_key: item for item in reversed(asked)}
                await self._carry_out_side_by_side(list(first.values()))
                asked = [item for item in asked if item is not first[item.watch.attempt.order_key]]

    async def _carry_out_side_by_side(self, asked: Sequence[Asked]) -> None:
        """Do it for different orders: what moves nothing in one transaction, settlements one after another."""
        judged = await self.judge(asked)
        await apply(self._context, [item for item in judged if not self._settles(item)])
        moved: set[OrderKey] = set()
        for question, item in zip(asked, judged, strict=True):
            if self._settles(item):
                moved |= await self._settle(question, item, moved)

    async def _settle(self, question: Asked, item: Judged, moved: set[OrderKey]) -> set[OrderKey]:
        if item.watch.attempt.order_key in moved or not self._is_fresh(item):
            # Its group has just been moved, or the ones before it took long: decide on what is true now.
            (item,) = await self.judge([question])
            if not self._settles(item):
                await apply(self._context, [item])
                return set()
        return await settle(self._context, item)

    def _is_fresh(self, item: Judged) -> bool:
        return item.reply is not None and self._context.clock.now() - item.reply.answered_at <= FRESH_WITHIN

    def _settles(self, item: Judged) -> bool:
        return isinstance(item.decision, Settle) and self._context.enforcing

    async def _give_up(self, watch: Watch) -> None:
        """Say that this watch broke us. Its lease keeps it away for a while; nothing of it is lost."""
        self._context.tally.not_applied += 1
        self._context.events.emit(
            TurnFailed(
                what=f"asking about {watch.attempt.out_trade_no} at {watch.attempt.channel}",
                order_nos=watch.attempt.order_no,
                traceback=traceback.format_exc(),
            )
        )

    async def _put_back(self, watches: Sequence[Watch]) -> None:
        """Make them due again at once: that the shop was away uses up nothing."""
        updates = tuple(
            WatchUpdate(
                watch=watch.id,
                next_ask_at=watch.next_ask_at,
                last_answered_at=watch.last_answered_at,
                failures=watch.failures,
                untrusted_run=watch.untrusted_run,
                decision=watch.last_decision,
                why=watch.why,
            )
            for watch in watches
        )
        await self._context.ledger.record(Batch(updates=updates), self._context.clock.now())


def _transaction(reply: Reply | None) -> str | None:
    return reply.answer.trade.transaction_id if reply and isinstance(reply.answer, Paid) else None
