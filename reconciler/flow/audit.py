"""Audit: ask about orders that the shop calls paid, gently; what every gateway denies again and again is a case.

So is an order that was paid twice: every attempt is asked about, at every channel, and not only until one is paid. One
that may be paid yet is asked about again by the next walk.

A denial is counted only while every channel that was asked is well: not paused, not away, not in doubt. One that is not
repeated proves nothing (a refusal comes unsigned), and so it takes three, over an hour at least.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, assert_never

from reconciler.domain.answer import NotCreated, Paid, Refunded, Reply, Unpaid
from reconciler.domain.audit import Word, denial, word_of
from reconciler.domain.case import CaseKind, Fact
from reconciler.domain.money import Money
from reconciler.domain.order import Attempt, ChannelName, Order, OrderKey, OrderState
from reconciler.flow.apply import announce
from reconciler.flow.audit_second import Payment, second_payment
from reconciler.flow.audit_walk import PaidWalk, is_auditable
from reconciler.flow.channel import Channel
from reconciler.flow.context import Context
from reconciler.flow.suspects import DENIALS_NEEDED, DENIED_EVERY, SUSPECTS_MAX, Suspect, Suspects
from reconciler.ports import Batch, CaseReport, Found, Question, Watch, WatchId

NOTHING_SAID_WAIT: Final = timedelta(minutes=5)
"""When a suspect is asked about again after an ask that said nothing."""
CLEAR_MAX: Final = 50_000
"""Orders remembered as clear; one that is forgotten is asked about again at the next walk, no more."""
IDLE_S: Final = 30.0
TURN_MIN_S: Final = 0.02
"""Between two orders that need no asking: the shop's database has others to serve."""
PAYMENT_NAMES: Final = frozenset({Paid.__name__, Refunded.__name__})
"""Verified answers that prove a payment, whatever came of it."""

CASES: Final = frozenset({CaseKind.PAID_WITHOUT_PAYMENT, CaseKind.DUPLICATE_PAYMENT})
"""What the audit finds: once it is open a person sees to it."""


@dataclass(frozen=True, slots=True)
class AuditPolicy:
    """How gently, and how far back."""

    rate: float = 1.0
    """Queries a second; 0: none."""
    window: timedelta = timedelta(hours=24)
    """Orders created within it."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """What was said about one order."""

    word: Word
    asked: int = 0
    """Queries that it took."""
    denials: tuple[Fact, ...] = ()
    first: Reply | None = None
    """The first denial, as evidence."""
    payments: tuple[Payment, ...] = ()
    """What was verified as paid."""
    may_be_paid_yet: bool = False
    """Another attempt of the order is still open at its gateway, or could not be asked about."""


class Auditor:
    """One leader's audit. It reads the shop, asks, and opens cases; in no mode does it write to the shop."""

    def __init__(self, context: Context, channels: Sequence[Channel], policy: AuditPolicy) -> None:
        self._context = context
        self._channels = {channel.name: channel for channel in channels}
        self._policy = policy
        self._walk = PaidWalk(context, policy.window)
        self._suspects = Suspects(context.ledger)
        self._clear: dict[OrderKey, None] = {}
        """Orders that need no more looks: a payment was found, or a person has said what there is to say."""

    async def turn(self) -> float:
        """Look at one order at most; give the seconds to wait before the next turn. Raises PortError."""
        if self._policy.rate <= 0:
            return IDLE_S
        due = await self._suspects.due(self._context.clock.now())
        if due is not None:
            found = await self._context.shop.look_up(due.order_no)
            asked = await self._look(due.key, due, next((item for item in found if item.row.key == due.key), None))
        elif len(await self._suspects.all()) < SUSPECTS_MAX and (met := await self._walk.next()) is not None:
            key = met.row.key
            is_known = key in self._clear or key in await self._suspects.all()
            asked = 0 if is_known else await self._look(key, None, met)
        else:
            return IDLE_S
        return max(asked / self._policy.rate, TURN_MIN_S)

    # ------------------------------------------------------------------------------------------------------- one order

    async def _look(self, key: OrderKey, suspect: Suspect | None, found: Found | None) -> int:
        """Ask about one order, and draw the conclusion; give the number of queries that it took."""
        attempts = await self._attempts_to_ask(found) if found is not None else ()
        if found is None or not attempts:
            await self._drop(key)
            return 0
        order = found.row
        assert isinstance(order, Order)  # noqa: S101 # no other has attempts to ask about
        heard = await self._hear_about(order, attempts)
        match heard.word:
            case Word.CONFIRMS:
                await self._confirmed(order, heard)
            case Word.SAYS_NOTHING:
                if suspect is not None:
                    await self._put_off(suspect)
            case Word.DENIES:
                await self._denied(suspect, order, attempts[0], heard)
            case _:
                assert_never(heard.word)
        return heard.asked

    async def _attempts_to_ask(self, found: Found) -> tuple[Attempt, ...]:
        """Give every attempt of an order that is still to be doubted; none where its payment is known, or cannot be.

        Left out is what the daemon itself settled, what a verified answer called paid before, and what is a case.
        """
        if not is_auditable(found):
            return ()
        first = found.attempts[0]
        question = Question(Watch(WatchId(0), first, self._context.clock.now()))
        (known,) = await self._context.ledger.histories([question])
        names = {known.last_verified, *(other.last_verified for other in known.others)}
        if known.settled is not None or names & PAYMENT_NAMES or known.open_cases & CASES:
            return ()
        others = (
            replace(first, channel=other.channel, out_trade_no=other.out_trade_no, amount=None)
            for other in known.others
        )
        return tuple({attempt.number: attempt for attempt in (*others, *found.attempts)}.values())

    async def _hear_about(self, order: Order, attempts: Sequence[Attempt]) -> _Heard:
        """Ask each attempt at its channel, and then each number at every other channel, too.

        A silent channel of its own keeps an order from being denied; what has one payment may have a second elsewhere.
        """
        heard, is_silent, is_open = _Heard(Word.DENIES), False, False
        for attempt in attempts:
            reply = await self._ask(*attempt.number, is_own_channel=True)
            heard = self._with(heard, order, attempt, reply, is_own_channel=True)
            is_silent |= reply is None or word_of(reply, is_own_channel=True) is Word.SAYS_NOTHING
            is_open |= reply is not None and isinstance(reply.answer, Unpaid | NotCreated)
        is_silent |= not all(self._is_well(attempt.channel) for attempt in attempts)
        if heard.word is Word.CONFIRMS:
            heard = replace(heard, may_be_paid_yet=(is_silent or is_open) and len(attempts) > 1)
        elif is_silent:
            return replace(heard, word=Word.SAYS_NOTHING)
        return await self._hear_elsewhere(order, attempts, heard)

    async def _hear_elsewhere(self, order: Order, attempts: Sequence[Attempt], heard: _Heard) -> _Heard:
        """Ask every other channel about the numbers; whether the shop's channel column is right is not known."""
        own = {attempt.number for attempt in attempts}
        numbers = dict.fromkeys(attempt.out_trade_no for attempt in attempts)
        for name, number in ((name, number) for number in numbers for name in self._channels):
            if (name, number) in own:
                continue
            reply = await self._ask(name, number, is_own_channel=False)
            is_said = reply is not None and word_of(reply, is_own_channel=False) is not Word.SAYS_NOTHING
            if heard.word is Word.DENIES and not (is_said and self._is_well(name)):
                return replace(heard, word=Word.SAYS_NOTHING, asked=heard.asked + (reply is not None))
            there = replace(attempts[0], channel=name, out_trade_no=number, amount=None)
            heard = self._with(heard, order, there, reply, is_own_channel=False)
        return heard

    def _with(
        self, heard: _Heard, order: Order, attempt: Attempt, reply: Reply | None, *, is_own_channel: bool
    ) -> _Heard:
        """Add what one reply says. One that confirms is not taken back by others that deny."""
        if reply is None:
            return heard
        heard = replace(heard, asked=heard.asked + 1)
        match word_of(reply, is_own_channel=is_own_channel):
            case Word.CONFIRMS:
                payments = ((attempt, reply),) if isinstance(reply.answer, Paid) else ()
                return replace(heard, word=Word.CONFIRMS, payments=(*heard.payments, *payments))
            case Word.DENIES:
                name, number = attempt.number
                fact = denial(reply.answer, number=number, channel=name, order=order)
                return replace(heard, denials=(*heard.denials, fact), first=heard.first or reply)
            case Word.SAYS_NOTHING:
                return heard
            case never:
                assert_never(never)

    async def _ask(self, name: ChannelName, number: str, *, is_own_channel: bool) -> Reply | None:
        """Ask one channel about one number; None where a denial of its would prove nothing now.

        Another channel's refusals say nothing about how that channel is: it is not told of them.
        """
        if not self._is_well(name):
            return None
        channel = self._channels[name]
        (reply,) = await channel.gateway.ask([number])
        if is_own_channel:
            async with self._context.applying:
                await channel.hear(self._context, [number], [reply])
        return reply

    def _is_well(self, name: ChannelName) -> bool:
        channel = self._channels.get(name)
        if channel is None or channel.in_doubt or channel.paused_since or channel.reach.away_since:
            return False
        return channel.room(self._context.clock.now()) > 0

    async def _confirmed(self, order: Order, heard: _Heard) -> None:
        """Let an order be that has its payment, once nothing more can be paid for it; a second payment is a case."""
        now = self._context.clock.now()
        report = second_payment(order, heard.payments, self._context.policy, now)
        if report is not None:
            async with self._context.applying:
                fresh = (await self._context.shop.read([order.key])).get(order.key)
                if isinstance(fresh, Order) and fresh.state is OrderState.PAID:
                    announce(self._context, (report,), await self._context.ledger.record(Batch(cases=(report,)), now))
        if heard.may_be_paid_yet and report is None:
            await self._suspects.drop(order.key)  # and met again by the next walk
        else:
            await self._drop(order.key)

    # --------------------------------------------------------------------------------------------------- the suspects

    async def _denied(self, suspect: Suspect | None, order: Order, attempt: Attempt, heard: _Heard) -> None:
        """Count a denial; the last one that is needed is a case, if the row says paid to this moment."""
        now = self._context.clock.now()
        earlier = suspect.denied_at if suspect is not None else ()
        suspect = Suspect(order.key, order.order_no, (*earlier, now)[-DENIALS_NEEDED:], now + DENIED_EVERY)
        if not suspect.is_enough():
            await self._suspects.keep(suspect)
            return
        async with self._context.applying:
            fresh = (await self._context.shop.read([order.key])).get(order.key)
            if isinstance(fresh, Order) and fresh.state is OrderState.PAID:
                await self._open_case(suspect, attempt, heard, fresh.amount)
        await self._drop(suspect.key)

    async def _open_case(self, suspect: Suspect, attempt: Attempt, heard: _Heard, amount: Money) -> None:
        now = self._context.clock.now()
        times = f"{DENIALS_NEEDED} times over {(now - suspect.denied_at[0]) // timedelta(minutes=1)} minutes"
        report = CaseReport(
            kind=CaseKind.PAID_WITHOUT_PAYMENT,
            order_key=suspect.key,
            order_no=suspect.order_no,
            channel=attempt.channel,
            out_trade_no=attempt.out_trade_no,
            why=f"the shop calls it paid, and no gateway knows of a payment: asked {times}",
            facts=heard.denials,
            evidence=heard.first.evidence if heard.first else None,
            key=heard.first.key if heard.first else None,
            amount=amount,
        )
        announce(self._context, (report,), await self._context.ledger.record(Batch(cases=(report,)), now))

    async def _put_off(self, suspect: Suspect) -> None:
        await self._suspects.keep(replace(suspect, next_at=self._context.clock.now() + NOTHING_SAID_WAIT))

    async def _drop(self, key: OrderKey) -> None:
        """Look at an order no more: it is paid as it should be, not paid any more, or a case."""
        self._clear[key] = None
        if len(self._clear) > CLEAR_MAX:
            del self._clear[next(iter(self._clear))]
        await self._suspects.drop(key)
