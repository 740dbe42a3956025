"""What must hold: looked at whenever something moves, is said or is written, and once more at the end.

Not asked for, since design.md does not promise it: that a payment is noticed which a gateway takes after the last age,
or takes back after it said `Paid` (an old answer said again cannot be told); that goods are not sent twice which staff
sent by hand without touching the row, or the shop's own unguarded callback sends again after us; that a person who
approves is right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from reconciler.domain.answer import Answer
from reconciler.domain.case import CaseKind
from reconciler.domain.order import ChannelName, OrderKey, OrderState
from reconciler.domain.policy import LatePayment
from reconciler.domain.schedule import PROBE_EVERY, jittered, later_ages
from reconciler.domain.trust import FRESH_WITHIN
from reconciler.events import Event
from reconciler.events.orders import CaseApproved, CaseOpened, CaseResolved, OrderSettled
from reconciler.events.running import TurnFailed
from reconciler.events.settling import SettleBraked, SettlePaused, SettleResumed
from reconciler.flow.doubt import BEGUN_MARK
from reconciler.ports import Move, Outcome
from reconciler.testing.clock import START
from reconciler.testing.shelf import MOVED, Intended, chained
from reconciler.testing.shop import MemoryOrder
from tests.simulation.plan import ALIPAY, CLOCK_FAR_S, HOUR, MERCHANTS, MINUTE
from tests.simulation.trades import TradeRecord
from tests.simulation.world import World

if TYPE_CHECKING:
    from tests.simulation.process import Process

FRESH_S = FRESH_WITHIN.total_seconds()
SLACK_S = 10.0
"""What a call of a port may take on its way."""
CLOCKS_S = 500.0
"""How far two hosts' clocks may be apart."""
PROMPT_S = 30 * MINUTE
"""How long a paid order may wait after its age has come, not counting times of trouble."""
AFTERMATH_S = 15 * MINUTE
"""How long a trouble may be felt: back-off, probes, leases, a take-over."""
WITHOUT_EVIDENCE = {CaseKind.UNREADABLE_ORDER, CaseKind.UNANSWERED}
"""Kinds of case that may be opened where no bytes arrived."""


# ------------------------------------------------------------------------------------------------------------- a move


def before_move(world: World, process: Process, move: Move) -> None:
    """Remember the rows as they are before a move is tried."""
    world.before = {order.key: world.table.rows.get(order.key) for order in move.orders}
    world.mover = process.name
    world.moves_enforced = process.enforcing


def after_move(world: World, move: Move, by: str) -> None:
    """Look at a move that was committed: that it was proven, fresh, exact, the first, and out of the right state."""
    now, key = world.now(), move.orders[0].key
    record = world.trades.records.get((move.channel, move.out_trade_no))
    for order in move.orders:
        world.tell(order.key, world.mover, f"moved by {by}, for {move.transaction_id}")
    if not world.moves_enforced:
        world.breaks(key, "moved in mode observe")
    _proven(world, move, record)
    _begun(world, move)
    payment = (move.channel, move.transaction_id)
    if payment in world.spent:
        world.breaks(key, f"{move.transaction_id} has moved order {world.spent[payment]} before")
    world.spent[payment] = key
    for order in move.orders:
        row = world.before.get(order.key)
        if row is None:
            world.breaks(order.key, "moved, and it was not in the table")
        elif not {member.key for member in move.orders} & world.approved:
            _first(world, order.key, row)
        world.deliver(order.key, "us", move.transaction_id)
    world.moved_at.append(now)
    limit = 2 * world.plan.limits.per_minute  # two hosts' clocks may be a minute apart
    if not world.ledger_lost and len([at for at in world.moved_at if at > now - MINUTE]) > limit:
        world.breaks(key, f"more than {limit} moves in a minute")


def _proven(world: World, move: Move, record: TradeRecord | None) -> None:
    now, key = world.now(), move.orders[0].key
    if record is None or record.paid_at is None or record.paid_at > now:
        world.breaks(key, "moved, and nobody has paid")
        return
    tellable = record.in_full or record.channel != ALIPAY  # Alipay goes on to say `Paid` of what was refunded in part
    if tellable and record.refunded_at is not None and record.refunded_at < now - FRESH_S - SLACK_S:
        world.breaks(key, f"moved, and the payment was refunded {now - record.refunded_at:.0f} s before")
    rows = [row for order in move.orders if (row := world.before.get(order.key)) is not None]
    due = sum(row.amount.fen for row in rows if row.amount is not None)
    if due != record.amount.fen:
        world.breaks(key, f"moved for {record.amount}, and {due} fen were due")
    if record.merchant != MERCHANTS[move.channel]:
        world.breaks(key, "moved, and the money went to another merchant")
    holders = {row.key for row in world.table.rows.values() if _carries(world, row, move.out_trade_no)}
    if holders - {order.key for order in move.orders}:
        world.breaks(key, f"moved alone, and {sorted(holders)} carry the number")
    if {order.key for order in move.orders} & world.approved:
        return
    policy = world.plan.policy
    if record.flags:
        world.breaks(key, f"moved, and {record.flags} wants a person's look")
    if policy.review_over is not None and record.amount.fen > policy.review_over.fen:
        world.breaks(key, f"moved, and {record.amount} wants a person's look")
    if now - record.paid_at > policy.review_after.total_seconds() + FRESH_S + CLOCKS_S:
        world.breaks(key, "moved, and so old a payment wants a person's look")


def _carries(world: World, row: MemoryOrder, number: str) -> bool:
    if row.key not in world.extra_numbers:
        return number == row.out_trade_no
    return number in {row.out_trade_no, *(extra for _, extra in world.extra_numbers[row.key])}


def _begun(world: World, move: Move) -> None:
    """See that the ledger knew of it before."""
    keys = {order.key for order in move.orders}
    payment = (move.channel, move.transaction_id)
    begun = [
        item
        for item in world.shelf.contents.intentions.values()
        if item.outcome is None and item.payment == payment and set(item.keys) == keys
    ]
    if not begun:
        world.breaks(move.orders[0].key, "moved, and no intention was written before")


def _first(world: World, key: OrderKey, row: MemoryOrder) -> None:
    if world.delivered[key]:
        first = world.delivered[key][0]
        world.breaks(key, f"moved, and {first.by} had delivered it {world.now() - first.at:.0f} s before")
    was_closed = row.state is OrderState.CLOSED
    if was_closed and world.plan.webhook and world.now() - world.touched_at[key] < SLACK_S:
        was_closed = False  # while the message was on its way: the shop's own code was told of a pending order
    if was_closed and world.plan.policy.late_payment is not LatePayment.REVIVE:
        world.breaks(key, "moved out of closed, and nothing allows that")
    if row.state not in {OrderState.PENDING, OrderState.CLOSED}:
        world.breaks(key, f"moved out of {row.state.value}")
    if key in world.resolved_for_good:
        world.breaks(key, "moved, and a person had resolved it for good")


def before_message(world: World, process: Process, move: Move) -> None:
    """Look at a message to the shop's own code: the row was read just before it."""
    (order,) = move.orders
    row, now = world.table.rows.get(order.key), world.now()
    if row is None or row.state is not OrderState.PAID or now - process.thawed_at < MINUTE:
        return
    if now - world.paid_seen_from(order.key) > SLACK_S:
        world.breaks(order.key, "the shop's own code is told of an order whose row was paid long before")


# --------------------------------------------------------------------------------------------- the ledger, and the log


def of_written(world: World, process: Process) -> None:
    """See that nobody writes but who took the pen last."""
    if world.pen != process.name:
        world.breaks("", f"{process.name} has written the ledger, and {world.pen} leads")


def of_lead(world: World, process: Process) -> None:
    """See that nobody takes the pen who was not given the lock."""
    world.pen = process.name
    if not process.has_taken:
        world.breaks("", f"{process.name} leads without the lock")


def of_answer(world: World, channel: ChannelName, number: str, answer: Answer, *, verified: bool) -> None:
    """Remember what was said of a number, for its order's story."""
    key = OrderKey(number.removeprefix("N").removesuffix("x"))
    world.tell(key, channel, f"says {type(answer).__name__}{'' if verified else ', unsigned'} of {number}")


def of_event(world: World, process: Process, event: Event) -> None:
    """Look at a line of the log when it is said."""
    key = OrderKey(str(getattr(event, "order_no", "")).removeprefix("A"))
    match event:
        case TurnFailed(order_nos=order_nos, traceback=traceback):
            key = OrderKey(order_nos.removeprefix("A"))
            if key not in world.poisoned:
                world.breaks(key, f"a fault of ours: {traceback.strip().splitlines()[-1]}\n{traceback}")
        case OrderSettled(transaction_id=transaction_id):
            _said_rightly(world, key, transaction_id)
        case CaseOpened():
            world.case_at.setdefault(key, world.now())
        case CaseApproved():
            world.approved.add(key)
        case CaseResolved(final=True):
            world.resolved_for_good.add(key)
        case SettleBraked() | SettlePaused() | SettleResumed():
            _settling_stands_or_goes_on(world, stands=not isinstance(event, SettleResumed))
        case _:
            pass
    if key:
        world.tell(key, process.name, f"{event.name}: {getattr(event, 'why', '')}")


def _said_rightly(world: World, key: OrderKey, transaction_id: str) -> None:
    told = {transaction_id, None} if world.plan.webhook else {transaction_id}  # a row may name no payment
    if not any(one.transaction_id in told for one in world.delivered[key]):
        world.breaks(key, f"it says that it settled it by {transaction_id}, and nobody did")
    if (key, transaction_id) in world.settled_said:
        world.breaks(key, "it says twice that it settled it")
    world.settled_said.add((key, transaction_id))


def _settling_stands_or_goes_on(world: World, *, stands: bool) -> None:
    if stands:
        world.braked_at = world.now() if world.braked_at is None else world.braked_at
    elif world.braked_at is not None:
        world.trouble(world.braked_at, world.now())
        world.braked_at = None


# ------------------------------------------------------------------------------------------------------------- the end


def at_the_end(world: World) -> None:
    """See that nothing was lost, nothing is left half done, and the books are in order."""
    contents = world.shelf.contents
    if world.braked_at is not None:
        world.trouble(world.braked_at, world.plan.end)
    for record in world.trades.records.values():
        if record.paid_at is not None:
            _not_lost(world, record)
    _left_over(world)
    before = "0" * 64
    for number, line in enumerate(contents.entries, 1):
        if (line.id, line.hash) != (number, chained(before, number, line.at, line.entry)):
            world.breaks("", f"the ledger's chain breaks at entry {line.id}")
        before = line.hash
    if not world.plan.prunes:
        opened = {line.entry.body["case"]: line.entry for line in contents.entries if line.entry.kind == "case_opened"}
        for case in contents.cases.values():
            if opened[case.id].evidence is None and case.kind not in WITHOUT_EVIDENCE:
                world.breaks(case.order_key, f"case {case.kind.value} without evidence")
    if not world.ledger_lost:
        _books_and_moves_agree(world, contents.intentions.values())


def _books_and_moves_agree(world: World, intentions: Iterable[Intended]) -> None:
    done = {item.payment: item.outcome for item in intentions if item.outcome in MOVED or item.outcome is None}
    for payment, key in world.spent.items():
        if key not in world.poisoned and done.get(payment) not in MOVED:
            world.breaks(key, f"moved by us for {payment[1]}, and the ledger does not say so")
    for item in intentions:
        if item.outcome is Outcome.SETTLED and not any(world.delivered[key] for key in item.keys):
            world.breaks(item.keys[0], "the ledger says that it settled it, and nobody did")


def _not_lost(world: World, record: TradeRecord) -> None:
    key = OrderKey(record.number.removeprefix("N").removesuffix("x"))
    if key in world.poisoned or key not in world.committed_at:
        return
    paid_at = record.paid_at
    assert paid_at is not None
    until = _looked_after_at(world, key, record)
    due = _asked_by(world, key, record, paid_at)
    waited = quiet_seconds(world, due, world.plan.end if until is None else until)
    if waited > PROMPT_S + 2 * world.plan.find.every.total_seconds():
        how = "lost" if until is None else f"looked after only {waited / MINUTE:.0f} min after it was due"
        world.breaks(key, f"paid for {record.number}, and {how}; it was to be asked about at {due:.0f}")


def _looked_after_at(world: World, key: OrderKey, record: TradeRecord) -> float | None:
    """Say when a payment came to its end: moved, refunded, a case; None: it has not."""
    row = world.table.rows.get(key)
    moments = [one.at for one in world.delivered[key] if one.transaction_id in {None, record.transaction_id}]
    if key in world.case_at:
        moments.append(world.case_at[key])
    moments += [
        (case.opened_at - START).total_seconds()
        for case in world.shelf.contents.cases.values()
        if case.order_key == key
    ]
    if record.refunded_at is not None:
        moments.append(record.refunded_at)
    if row is not None and row.state is OrderState.REFUNDED:
        moments.append(world.touched_at[key])
    if row is not None and row.state is OrderState.PAID and row.transaction_id is None:
        moments.append(world.touched_at[key])  # winner unknown
    watched = world.shelf.contents.watched(key)
    is_known = any(item.watch.attempt.number == (record.channel, record.number) for item in watched)
    paid_otherwise = row is not None and row.state in {OrderState.PAID, OrderState.REFUNDED}
    if not is_known and (row is None or paid_otherwise):
        # Gone, or paid by another payment, before it could be found (again): nobody looks at such a row.
        moments += [one.at for one in world.delivered[key]] or [world.touched_at[key]]
    if world.ledger_lost and paid_otherwise:
        moments.append(world.touched_at[key])
    return min(moments, default=None)


def _asked_by(world: World, key: OrderKey, record: TradeRecord, paid_at: float) -> float:
    """Say when a payment is due to be asked about: at its next age, or the next later one where only those count."""
    policy = world.plan.policy
    row = world.table.rows.get(key) or world.removed.get(key)
    assert row is not None
    created = (row.created_at - START).total_seconds()
    misled_at = world.misled_at.get((record.channel, record.number), 0.0)
    unlocked_at = world.unlocked_at.get(key, 0.0)
    walked_at = world.came_back_at[key] + HOUR if key in world.came_back_at else world.committed_at[key]
    from_ = max(paid_at + policy.grace.total_seconds(), walked_at, misled_at, unlocked_at)
    only_later = world.plan.habits.expires_after is not None or bool(world.extra_numbers.get(key))
    ages: Sequence[timedelta] = later_ages(policy.ages, policy.late_from) if only_later else policy.ages
    dues = (created + age.total_seconds() for age in jittered(ages, record.number, policy.ages[0]))
    return next((due for due in dues if due >= from_ + CLOCK_FAR_S), from_)  # whose clock is ahead asks too early


def _left_over(world: World) -> None:
    contents = world.shelf.contents
    for item in contents.intentions.values():
        if item.outcome is None and not set(item.keys) & world.poisoned and world.braked_at is None:
            world.breaks(item.keys[0], "an intention is left open")
    yesterday = START + timedelta(seconds=world.now() - CLOCKS_S - AFTERMATH_S) - PROBE_EVERY
    asked_about = {case.order_key for case in contents.cases.values() if not case.ended_at or case.ended_at > yesterday}
    in_doubt = {name for name in MERCHANTS if contents.marks.get(f"{BEGUN_MARK}{name}")}
    for watched in contents.watches.values():
        attempt = watched.watch.attempt
        excused = attempt.order_key in asked_about | world.poisoned or attempt.channel in in_doubt
        held = world.braked_at is not None and watched.watch.last_decision == "would_settle"
        parked = world.plan.observes_until > 0  # observing ends none: it is looked at again a day later
        if watched.watch.ended_at is None and not excused and not held and not parked:
            why = watched.watch.why
            world.breaks(attempt.order_key, f"the watch of {attempt.out_trade_no} is open for no reason: {why}")


def quiet_seconds(world: World, begin: float, end: float) -> float:
    """Give the seconds between two moments in which everything was well, and had been for a while."""
    spells = [(one.begin, one.end + AFTERMATH_S) for each in world.plan.spells.values() for one in each]
    spells += [(one, two + AFTERMATH_S) for one, two in world.troubles]
    quiet, at = 0.0, begin
    for one, two in sorted(spells):
        if one >= end:
            break
        if two > at:
            quiet += max(0.0, one - at)
            at = max(at, two)
    return quiet + max(0.0, end - at)


def deliveries_by(world: World) -> dict[str, int]:
    """Count who delivered how many orders."""
    count: dict[str, int] = defaultdict(int)
    for deliveries in world.delivered.values():
        for one in deliveries[:1]:
            count[one.by] += 1
    return dict(count)
