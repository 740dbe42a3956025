"""An operator's question: ask about one order now, and lay out what is known, theirs and ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from reconciler.domain.answer import Paid, Refunded, name_of, reason_of
from reconciler.domain.case import Fact
from reconciler.domain.decision import name_of as name_of_decision
from reconciler.domain.facts import compare
from reconciler.domain.order import Order, Row, UnreadableOrder
from reconciler.flow.ask import Asker
from reconciler.flow.channel import Channel
from reconciler.flow.context import Context
from reconciler.flow.find import Finder, FindPolicy
from reconciler.flow.judged import Judged, ask_of, update_of, uses_an_age, why_of
from reconciler.ports import Batch, Case, Watch

FINDINGS_MAX = 64


@dataclass(frozen=True, slots=True)
class Finding:
    """What one ask about one attempt found."""

    order_no: str
    channel: str
    out_trade_no: str
    row: str
    """The shop's row in a few words."""
    answer: str
    reason: str
    verified: bool
    duration_ms: int
    facts: tuple[Fact, ...]
    """Every fact, theirs and ours, where there is a payment to compare."""
    decision: str
    why: str
    acted: bool
    """Whether the decision was carried out: with `--settle`, in mode enforce, on an answer that says something."""
    outcome: str
    """What became of it; empty where nothing was done."""


class Inquiry:
    """Asks on behalf of a person, by the same code as the daemon's own turns."""

    def __init__(self, context: Context, channels: Sequence[Channel]) -> None:
        self._context = context
        self._channels = channels

    async def ask(self, number: str, *, act: bool) -> tuple[Finding, ...]:
        """Ask now about every attempt of the orders with this order_no or out_trade_no; empty where none is known.

        With `act` the decisions are carried out (in mode enforce); without, the ask is only noted on the watch.
        """
        watches = await self._watches(number)
        findings: list[Finding] = []
        for channel in self._channels:
            mine = [watch for watch in watches if watch.attempt.channel == channel.name][:FINDINGS_MAX]
            if mine:
                findings += await self._ask(Asker(self._context, channel), mine, act=act)
        return tuple(findings)

    async def ask_approved(self, case: Case) -> Finding | None:
        """Ask now about the attempt that an approved case is about, and act on it; None where it is not known here.

        What the person approved is waived, and nothing else: see `History.approved`.
        """
        channel = next((channel for channel in self._channels if channel.name == case.channel), None)
        if channel is None:
            return None
        for watch in await self._watches_of(case):
            attempt = watch.attempt
            if (attempt.order_key, *attempt.number) == (case.order_key, case.channel, case.out_trade_no):
                (finding,) = await self._ask(Asker(self._context, channel, waives=True), [watch], act=True)
                return finding
        return None

    async def _watches_of(self, case: Case) -> Sequence[Watch]:
        story = await self._context.ledger.story(case.order_key)
        return [*story.watches, *(await self._watches(case.out_trade_no))]

    async def _watches(self, number: str) -> Sequence[Watch]:
        """Find the order's watches, and begin those that were missing."""
        context = self._context
        now = context.clock.now()
        finder = Finder(context, FindPolicy())
        found = await context.shop.look_up(number)
        new = [finder.watch_for(attempt, now) for candidate in found for attempt in candidate.attempts]
        if new:
            await context.ledger.watch(new, now)
        keys = {candidate.row.key for candidate in found}
        stories = [await context.ledger.story(key) for key in keys] or [await context.ledger.story(number)]
        watches = {watch.id: watch for story in stories for watch in story.watches}
        return [watch for watch in watches.values() if not keys or watch.attempt.order_key in keys]

    async def _ask(self, asker: Asker, watches: Sequence[Watch], *, act: bool) -> list[Finding]:
        context = self._context
        asked = await asker.ask(watches, without_shortcut=True)
        async with context.applying:
            judged = await asker.judge(asked)
            # An ask by hand that came to nothing changes nothing: the daemon's own asks have their turn.
            idle = [item for item in judged if not (act and item.reply and uses_an_age(item.reply))]
            if idle:
                now = context.clock.now()
                noted = tuple(
                    replace(
                        update_of(context, item, now),
                        next_ask_at=item.watch.next_ask_at,
                        failures=item.watch.failures,
                        decision=item.watch.last_decision,
                        why=item.watch.why,
                        ended=item.watch.ended_at is not None,
                        ask=ask_of(item.reply, f"asked by hand, nothing done: {name_of_decision(item.decision)}"),
                    )
                    for item in idle
                )
                await context.ledger.record(Batch(updates=noted), now)
        untouched = {item.watch.id for item in idle}
        await asker.carry_out([item for item in asked if item.watch.id not in untouched])
        return [self._finding(item, "" if item.watch.id in untouched else await self._outcome(item)) for item in judged]

    async def _outcome(self, item: Judged) -> str:
        """Say what the ledger has on the watch now."""
        story = await self._context.ledger.story(item.watch.attempt.order_key)
        watch = next((watch for watch in story.watches if watch.id == item.watch.id), item.watch)
        return f"{watch.last_decision}: {watch.why}"

    def _finding(self, item: Judged, outcome: str) -> Finding:
        context, attempt, reply = self._context, item.watch.attempt, item.reply
        assert reply is not None  # noqa: S101 # asked without the short cut
        facts: tuple[Fact, ...] = ()
        if isinstance(reply.answer, Paid | Refunded) and isinstance(item.subject.row, Order):
            holders = tuple(row for row in item.subject.holders if isinstance(row, Order))
            orders = holders if context.policy.shared_payment and holders else (item.subject.row,)
            facts = compare(attempt, orders, reply.answer.trade, context.policy, context.clock.now())
        return Finding(
            order_no=attempt.order_no,
            channel=attempt.channel,
            out_trade_no=attempt.out_trade_no,
            row=_in_words(item.subject.row),
            answer=name_of(reply.answer),
            reason=reason_of(reply.answer),
            verified=reply.verified,
            duration_ms=reply.duration_ms,
            facts=facts,
            decision=name_of_decision(item.decision),
            why=why_of(item.decision),
            acted=bool(outcome) and context.enforcing,
            outcome=outcome,
        )


def _in_words(row: Row | None) -> str:
    match row:
        case None:
            return "gone from the table"
        case UnreadableOrder(problem=problem):
            return f"unreadable: {problem}"
        case Order():
            transaction = f", transaction {row.transaction_id}" if row.transaction_id else ""
            return f"{row.state.value} (status {row.status}), {row.amount}{transaction}"
