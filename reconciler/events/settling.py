"""Events of settling as a whole: its queue, its brake, the shop's own code, and what a person switches."""

from __future__ import annotations

from datetime import timedelta

from reconciler.domain.money import Money
from reconciler.events.event import Alert, Event, Severity, event


@event(
    "settle.queued",
    Severity.NOTICE,
    meaning="More orders are to be settled than settle.max_per_minute: from now on each waits its turn. None is lost.",
    advice="Nothing, after an outage. Raise settle.max_per_minute if the shop can take more.",
)
class SettleQueued(Event):
    """The queue begins."""

    max_per_minute: int


@event(
    "settle.queue_over",
    Severity.NOTICE,
    meaning="Every order that waited its turn has had it.",
    advice="Nothing.",
)
class SettleQueueOver(Event):
    """The queue has ended."""

    orders: int
    after: timedelta


@event(
    "settle.blocked",
    Severity.ERROR,
    meaning=(
        "Nothing can be written to the shop's table: the rows of three different orders in a row are locked by another "
        "session, or our user lacks the right, or the server takes no writes. Also said at start. Settling waits and "
        "tries again, at most five minutes apart. Asking goes on; no order counts it."
    ),
    advice=(
        "Where a right is missing, run the statement that the line gives. Else look for what holds the table: a "
        "backup that locks it, an ALTER TABLE, a transaction that was left open."
    ),
    alert=Alert(ends=("settle.unblocked",)),
)
class SettleBlocked(Event):
    """Nothing can be written."""

    why: str


@event(
    "settle.unblocked",
    Severity.NOTICE,
    meaning="Rows of the shop's table can be written again. What waited is asked about again and settled.",
    advice="Nothing.",
)
class SettleUnblocked(Event):
    """Written again."""

    after: timedelta


@event(
    "settle.braked",
    Severity.CRITICAL,
    meaning=(
        "The next settlement would go over settle.brake_per_hour or settle.brake_yuan_per_hour: settling has stopped. "
        "Asking goes on, and what is to be settled is kept."
    ),
    advice=(
        "Look at what was settled in the last hour (`settled`, `amount`). If it is right, `reconciler resume "
        "--settling`; if not, leave it stopped, and look at shop and mapping."
    ),
    alert=Alert(ends=("settle.resumed",), patience=timedelta(0)),
)
class SettleBraked(Event):
    """The brake."""

    settled: int
    amount: Money
    brake_per_hour: int
    brake_yuan_per_hour: Money
    order_no: str
    """The order that would have been next."""
    next_amount: Money


@event(
    "settle.paused",
    Severity.WARNING,
    meaning="Settling is switched off, by the brake or by hand; said when it happens by hand, and at each start.",
    advice="Asking goes on, and what is to be settled is kept. `reconciler resume --settling` when it may go on.",
    alert=Alert(ends=("settle.resumed",)),
)
class SettlePaused(Event):
    """Nothing is settled."""

    by: str
    why: str


@event(
    "settle.resumed",
    Severity.NOTICE,
    meaning="Settling goes on. What was kept is asked about again and settled on the new answer.",
    advice="Nothing.",
)
class SettleResumed(Event):
    """Settled again."""

    by: str
    after: timedelta


@event(
    "channel.paused_by_hand",
    Severity.WARNING,
    meaning="A person has switched a channel off: it is not asked, not even probed. Said at each start, too.",
    advice="Its orders wait. `reconciler resume --channel NAME` when it may be asked again.",
    alert=Alert(ends=("channel.resumed_by_hand",), subject=("channel",)),
)
class ChannelPausedByHand(Event):
    """Not asked until somebody says so."""

    channel: str
    by: str


@event(
    "channel.resumed_by_hand",
    Severity.NOTICE,
    meaning="A channel that a person had switched off is asked again. What is overdue is asked once.",
    advice="Nothing.",
)
class ChannelResumedByHand(Event):
    """Asked again."""

    channel: str
    by: str
    after: timedelta


@event(
    "webhook.unavailable",
    Severity.ERROR,
    meaning=(
        "The shop's own code (settle.webhook.url) could not be reached several times in a row, or said that it could "
        "not now. Each order is told of again with back-off, after asking and deciding anew; none is lost."
    ),
    advice="Look at the shop's web server and its error log. Paid orders wait meanwhile.",
    alert=Alert(ends=("webhook.available",)),
)
class WebhookUnavailable(Event):
    """The receiver is away."""

    why: str


@event(
    "webhook.available",
    Severity.NOTICE,
    meaning="The shop's own code answers again.",
    advice="Nothing. The orders that wait are told of again, each within five minutes.",
)
class WebhookAvailable(Event):
    """The receiver is back."""

    after: timedelta
