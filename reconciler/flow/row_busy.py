"""A row that another session keeps locked: nothing moved, nothing is used up, and it is tried again soon.

How often in a row is read off the watch's own asks, so that a restart forgets none. A row that stays locked goes to a
person, and is still tried, less often.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

from reconciler.domain.answer import Throttled, Unavailable
from reconciler.domain.case import CaseKind, Fact
from reconciler.domain.decision import AskAt, OpenCase
from reconciler.domain.order import Order
from reconciler.domain.schedule import retry_after
from reconciler.events.orders import OrderRowBusy
from reconciler.flow.context import Context
from reconciler.flow.judged import WAITS, Judged
from reconciler.ports import RowBusy, Watch

BUSY: Final = "another session keeps the order's row locked"
"""In the words of every ask that met it: a run is counted by them."""
TRIES_MAX: Final = 8
"""Some ten minutes with the back-off; then a person is told."""
TOLD_AGAIN: Final = timedelta(minutes=30)
"""How often it is tried once a person was told."""
_SAYS_NOTHING: Final = frozenset({Unavailable.__name__, Throttled.__name__})


def meet(context: Context, item: Judged, busy: RowBusy) -> int:
    """Hear that the row is locked; give the number of tries in a row. Said once in a run."""
    attempt = item.watch.attempt
    tries = tries_of(item.watch) + 1
    if tries == 1:
        context.events.emit(OrderRowBusy(order_no=attempt.order_no, channel=attempt.channel, why=str(busy)))
    return tries


def tries_of(watch: Watch) -> int:
    """Count the tries in a row that met the row locked, passing over asks that say nothing of it."""
    tries = 0
    for ask in reversed(watch.asks):
        if BUSY in ask.decision:
            tries += 1
        elif not (ask.decision.startswith(WAITS) or ask.answer in _SAYS_NOTHING):
            break
    return tries


def again_after(tries: int, number: str) -> timedelta:
    """Say how long to wait after so many tries."""
    return retry_after(tries, number) if tries < TRIES_MAX else TOLD_AGAIN


def stays_locked(item: Judged) -> OpenCase:
    """Ask a person who locks the row. The facts are the same each time, so that he is asked once."""
    row = item.subject.row
    ours = f"status {row.status}, locked" if isinstance(row, Order) else "locked"
    why = f"paid, and {BUSY}: tried {TRIES_MAX} times and more"
    return OpenCase(CaseKind.SETTLE_REFUSED, why, (Fact("row", "paid", ours),))


def close_later(context: Context, item: Judged, busy: RowBusy) -> Judged:
    """Put off closing an order in the shop; nothing hangs on it but tidiness, and no case is made of it."""
    attempt = item.watch.attempt
    context.block.busy(attempt.order_key, str(busy))
    wait = again_after(meet(context, item, busy), attempt.out_trade_no)
    return _close_at(context, item, wait, f"closed at the gateway, unpaid; {BUSY}: {busy}")


def close_blocked(context: Context, item: Judged, wait: timedelta) -> Judged:
    """Put off closing an order while no row is tried."""
    return _close_at(context, item, wait, f"closed at the gateway, unpaid; {'; '.join(context.block.told())}")


def _close_at(context: Context, item: Judged, wait: timedelta, why: str) -> Judged:
    context.tally.not_applied += 1
    return replace(item, decision=AskAt(context.clock.now() + wait, why))
