"""Ask: take the due watches of a channel, read the shop's rows again, query the gateway, and have it decided."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.domain.answer import Paid, Reply, reason_of
from reconciler.domain.confirm import Subject
from reconciler.domain.decide import before_asking, decide
from reconciler.domain.decision import CloseTrade, Settle
from reconciler.domain.history import History
from reconciler.domain.order import OrderKey, Row
from reconciler.domain.schedule import retry_after
from reconciler.domain.trust import FRESH_WITHIN
from reconciler.events.running import TurnFailed
from reconciler.flow.apply import apply
from reconciler.flow.channel import Channel
from reconciler.flow.closing import close_trades
from reconciler.flow.context import Context
from reconciler.flow.in_mind import unless_moved_in_mind
from reconciler.flow.judged import (
    UNANSWERED,
    WAITS,
    Judged,
    ask_of,
    believed,
    shows_payment,
    untrusted_run_of,
)
from reconciler.flow.outcome import moved
from reconciler.flow.settle import settle
from reconciler.ports import WAITING_TO_SETTLE, Batch, PortError, Question, ShopUnavailable, Watch, WatchUpdate

LEASE = FRESH_WITHIN
"""Whoever took a watch and has not come back after that long has nothing fresh to say of it."""
BATCH_MAX = 256
"""What a batch costs beside its asks (two commits, some twenty statements) is shared by so many."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A watch, the shop's row as read before asking, and the reply; None where nothing had to be asked."""

    watch: Watch
    row: Row | None
    reply: Reply | None = None
    untimely: bool = False
    """Our clock is so far off that nothing is to be decided by it."""


class Asker:
    """Asks about one channel's attempts, a batch a turn; `waives` what a person has approved, on his word."""

    def __init__(self, context: Context, channel: Channel, *, waives: bool = False) -> None:
        self._context = context
        self._channel = channel
        self._waives = waives

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
            needs_asking = without_shortcut or not self._has_moved_on(watch, row, history)
            asked.append((watch, row, needs_asking))
        numbers = list({watch.attempt.out_trade_no: None for watch, _, needs_asking in asked if needs_asking})
        answered = await self._channel.gateway.ask(numbers) if numbers else ()
        replies = {
            number: self._channel.own_fault(number, reply) for number, reply in zip(numbers, answered, strict=True)
        }
        async with context.applying:
            await self._channel.hear(context, list(replies), list(replies.values()))
        return [
            self._asked(watch, row, replies[watch.attempt.out_trade_no]) if needs_asking else Asked(watch, row)
            for watch, row, needs_asking in asked
        ]

    def _asked(self, watch: Watch, row: Row | None, reply: Reply) -> Asked:
        in_time = self._channel.in_time(reply, self._context.policy.clock_tolerance)
        return Asked(watch, row, in_time, untimely=in_time is not reply)

    async def judge(self, asked: Sequence[Asked]) -> list[Judged]:
        """Decide on each, after reading anew every row that a payment was found for, or whose trade is to be closed."""
        judged = await self._judge(asked, {_number(item) for item in asked if _is_paid(item)})
        closing = [place for place, item in enumerate(judged) if isinstance(item.decision, CloseTrade)]
        if closing:
            again = await self._judge([asked[place] for place in closing], {_number(asked[place]) for place in closing})
            for place, item in zip(closing, again, strict=True):
                judged[place] = item
        return judged

    async def _judge(self, asked: Sequence[Asked], to_read: AbstractSet[str]) -> list[Judged]:
        context = self._context
        holders = await context.shop.holders(sorted(to_read)) if to_read else {}
        histories = await context.ledger.histories([Question(item.watch, _transaction(item.reply)) for item in asked])
        judged = []
        for item, history in zip(asked, histories, strict=True):
            attempt, now = item.watch.attempt, context.clock.now()
            reply = believed(attempt, item.reply, context.policy, now) if item.reply else None
            row = item.row
            others: tuple[Row, ...] = ()
            if attempt.out_trade_no in to_read and item.reply:
                others = tuple(holders.get(attempt.out_trade_no, ()))
                row = next((holder for holder in others if holder.key == attempt.order_key), None)
            subject = Subject(attempt, row, others)
            known = replace(
                await self._with_group(item, history, others),
                untrusted_run=untrusted_run_of(item.watch, reply),
                channel_in_doubt=self._channel.in_doubt,
                waived=self._waived(item, history),
            )
            if reply is None:
                decision = before_asking(subject, known)
                assert decision is not None, "only what is decided without asking has no reply"  # noqa: S101 # an invariant of `ask`
            else:
                decision = decide(subject, reply, known, context.policy, now)
                if isinstance(decision, Settle):
                    decision = await unless_moved_in_mind(context, subject, reply, known, decision)
            judged.append(Judged(item.watch, subject, known, decision, reply, was=item.row))
        return judged

    def _waived(self, item: Asked, history: History) -> frozenset[str]:
        """Give what a person has approved, in the ask that he asked for and in what was left to do of it.

        A crash may have cut it short, the shop's own code may be away, the brake or a locked row have put it off.
        """
        begun = self._context.begun_for(item.watch.attempt.order_key)
        is_begun = begun is not None and begun.transaction_id == _transaction(item.reply)
        goes_on = is_begun or item.watch.last_decision in WAITING_TO_SETTLE
        return history.approved if self._waives or goes_on else frozenset()

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
            await self.carry_out(await self.ask(watches), to_the_end=False)
        except PortError:
            raise
        except Exception:  # noqa: BLE001 # the one place that keeps the daemon alive: logged, counted, and parted
            if len(watches) == 1:
                await self._give_up(watches[0])
                return
            for watch in watches:
                await self._handle_or_part([watch])

    async def carry_out(self, asked: Sequence[Asked], *, to_the_end: bool = True) -> None:
        """Decide and do it: attempts of one order one after another, so that each knows what became of the last.

        Trades are closed at the gateway after everything else, when nobody waits for us any more. `to_the_end` waits
        for what was handed over to the shop's own code, too.
        """
        keys = {item.watch.attempt.order_key for item in asked}
        applied: list[Judged] = []
        async with self._context.applying:
            while asked := await self._without_those_put_off(asked):
                first = {item.watch.attempt.order_key: item for item in reversed(asked)}
                applied += await self._carry_out_side_by_side(list(first.values()))
                asked = [item for item in asked if item is not first[item.watch.attempt.order_key]]
        await close_trades(self._context, self._channel.gateway, applied)
        if to_the_end:
            await self._context.deliveries.finish(keys)

    async def _without_those_put_off(self, asked: Sequence[Asked]) -> Sequence[Asked]:
        """Put off what cannot be decided now; give the rest."""
        now = self._context.clock.now()
        put_off = [(item, update) for item in asked if (update := self._put_off(item, now)) is not None]
        if put_off:
            await self._context.ledger.record(Batch(updates=tuple(update for _, update in put_off)), now)
        return [item for item in asked if item not in [item for item, _ in put_off]]

    def _put_off(self, item: Asked, now: datetime) -> WatchUpdate | None:
        """Say what becomes of a watch meanwhile, where its order is being settled, or our clock is wrong."""
        watch, reply = item.watch, item.reply
        if self._context.deliveries.has(watch.attempt.order_key):
            # Nobody else decides about it meanwhile.
            why = f"{WAITS}: its order is being settled"
            return replace(_unchanged(watch), next_ask_at=now + LEASE, ask=ask_of(reply, why))
        if item.untimely and reply is not None:
            self._context.tally.unanswered += 1
            failures = watch.failures + 1
            until = now + retry_after(failures, watch.attempt.out_trade_no)
            why = reason_of(reply.answer)
            return replace(
                _unchanged(watch), next_ask_at=until, failures=failures, why=why, ask=ask_of(reply, "ask_again")
            )
        return None

    async def _carry_out_side_by_side(self, asked: Sequence[Asked]) -> list[Judged]:
        """Do it for different orders: what moves nothing in one transaction, settlements one after another.

        Gives what moved nothing.
        """
        judged = await self.judge(asked)
        shown = [item for item in judged if self._shows_what_was_told(item)]
        for item in shown:
            await self._note_moved(item)
        applied = [item for item in judged if item not in shown and not self._settles(item)]
        await apply(self._context, applied)
        settled: set[OrderKey] = set()
        for question, item in zip(asked, judged, strict=True):
            if item not in shown and self._settles(item):
                settled |= await self._settle(question, item, settled)
        return applied

    async def _settle(self, question: Asked, item: Judged, moved: set[OrderKey]) -> set[OrderKey]:
        if item.watch.attempt.order_key in moved or not self._is_fresh(item):
            # Its group has just been moved, or the ones before it took long: decide on what is true now.
            (item,) = await self.judge([question])
            if not self._settles(item):
                await apply(self._context, [item])
                return set()
        return await settle(self._context, item)

    def _has_moved_on(self, watch: Watch, row: Row | None, history: History) -> bool:
        """Whether it is decided without asking.

        Not where a settlement was begun and the row does not show that one, nor where an order that is paid waited, for
        its turn, for the lock of its row or for mode enforce, even if the gateway has been silent since: what moved it
        meanwhile may be another payment.
        """
        was_paid = history.last_verified == Paid.__name__ and watch.last_decision in UNANSWERED
        if was_paid or watch.last_decision in WAITING_TO_SETTLE:
            return False
        begun = self._context.begun_for(watch.attempt.order_key)
        if begun is not None and not shows_payment(row, begun.transaction_id):
            return False
        return before_asking(Subject(watch.attempt, row), history) is not None

    def _shows_what_was_told(self, item: Judged) -> bool:
        unfinished = self._context.unfinished.get(item.watch.attempt.order_key)
        return unfinished is not None and shows_payment(item.subject.row, unfinished.intention.transaction_id)

    async def _note_moved(self, item: Judged) -> None:
        """Write that the shop's own code has moved an order after all, whose word of it we did not get."""
        key = item.watch.attempt.order_key
        unfinished = self._context.unfinished[key]
        await moved(self._context, item, unfinished.intention, unfinished.id)
        self._context.concluded([key])

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
        updates = tuple(_unchanged(watch) for watch in watches)
        await self._context.ledger.record(Batch(updates=updates), self._context.clock.now())


def _unchanged(watch: Watch) -> WatchUpdate:
    return WatchUpdate(
        watch=watch.id,
        next_ask_at=watch.next_ask_at,
        last_answered_at=watch.last_answered_at,
        failures=watch.failures,
        untrusted_run=watch.untrusted_run,
        decision=watch.last_decision,
        why=watch.why,
    )


def _number(item: Asked) -> str:
    return item.watch.attempt.out_trade_no


def _is_paid(item: Asked) -> bool:
    return item.reply is not None and isinstance(item.reply.answer, Paid)


def _transaction(reply: Reply | None) -> str | None:
    return reply.answer.trade.transaction_id if reply and isinstance(reply.answer, Paid) else None
