"""Events of unusual hours: a figure that leaves its usual range, and comes back."""

from __future__ import annotations

from datetime import timedelta

from reconciler.events.event import Alert, Event, Severity, event


@event(
    "channel.unusual",
    Severity.WARNING,
    meaning=(
        "A channel's share of lost callbacks, or of payments that do not agree with their orders, is beyond what the "
        "last days make usual, and chance hardly explains it. `why` has the figures."
    ),
    advice=(
        "Callbacks lost: look at the shop's notify URL, its certificate, its log and firewall; orders are settled by "
        "asking meanwhile. Mismatches: look at prices and discounts that changed, and at `reconciler cases`."
    ),
    alert=Alert(ends=("channel.usual",), subject=("channel", "what"), patience=timedelta(0), shared=True),
)
class ChannelUnusual(Event):
    """A share beyond its range."""

    channel: str
    what: str
    """`callbacks lost`, or `mismatches`."""
    why: str


@event(
    "channel.usual",
    Severity.NOTICE,
    meaning="The share is well within its usual range again, or was as it is for so long that this is usual now.",
    advice="Nothing.",
)
class ChannelUsual(Event):
    """Back."""

    channel: str
    what: str
    after: timedelta
    why: str


@event(
    "orders.unusual",
    Severity.WARNING,
    meaning=(
        "More orders are stuck than the last days make usual: paid and not moved yet, or a case that nobody has dealt "
        "with. `why` has the figures."
    ),
    advice="`reconciler status` says what stands still, `reconciler cases` what waits for a person.",
    alert=Alert(ends=("orders.usual",), patience=timedelta(0), shared=True),
)
class OrdersUnusual(Event):
    """A number beyond its range."""

    stuck: int
    why: str


@event(
    "orders.usual",
    Severity.NOTICE,
    meaning="As many orders are stuck as usual, or fewer.",
    advice="Nothing.",
)
class OrdersUsual(Event):
    """Back."""

    stuck: int
    after: timedelta
    why: str
