"""Events of what fails and comes back: shop, ledger, channels."""

from __future__ import annotations

from datetime import datetime, timedelta

from reconciler.events.event import Event, Severity, event


@event(
    "shop.unavailable",
    Severity.ERROR,
    meaning="The shop's database cannot be reached or asked. It is tried again with back-off; no order is lost.",
    advice="Look at the database and the network to it. Orders wait; each is asked once when it is back.",
)
class ShopIsUnavailable(Event):
    """The shop is away."""

    why: str


@event(
    "shop.available",
    Severity.NOTICE,
    meaning="The shop's database answers again.",
    advice="Nothing.",
)
class ShopIsAvailable(Event):
    """The shop is back."""

    after: timedelta


@event(
    "ledger.unavailable",
    Severity.CRITICAL,
    meaning="The ledger cannot be written: disk full, locked, or gone. Nothing is settled meanwhile.",
    advice="Make room, or repair what the line names. The daemon goes on by itself.",
)
class LedgerIsUnavailable(Event):
    """The ledger is away."""

    why: str


@event(
    "ledger.available",
    Severity.NOTICE,
    meaning="The ledger can be written again.",
    advice="Nothing.",
)
class LedgerIsAvailable(Event):
    """The ledger is back."""

    after: timedelta


@event(
    "ledger.head",
    Severity.INFO,
    meaning="The ledger's last entry and its hash. Kept outside the ledger, it proves later that none was cut off.",
    advice="Nothing. `reconciler ledger verify` compares.",
)
class LedgerHead(Event):
    """The chain's head."""

    entry: int
    hash: str


@event(
    "ledger.pruned",
    Severity.INFO,
    meaning="Evidence older than ledger.keep was deleted. The chain still verifies.",
    advice="Nothing.",
)
class LedgerPruned(Event):
    """Housekeeping."""

    rows: int
    before: datetime


@event(
    "channel.paused",
    Severity.ERROR,
    meaning="No query of this channel can work, or its answers prove nothing. It is only probed now and then.",
    advice="Correct what the line names: key, serial, app_id, permission, clock. A probe that succeeds resumes it.",
)
class ChannelPaused(Event):
    """Not asked for now."""

    channel: str
    why: str


@event(
    "channel.resumed",
    Severity.NOTICE,
    meaning="The channel works again. What is overdue is asked once.",
    advice="Nothing.",
)
class ChannelResumed(Event):
    """Asked again."""

    channel: str
    after: timedelta


@event(
    "channel.unavailable",
    Severity.WARNING,
    meaning="The gateway could not be asked several times in a row. Asking goes on with back-off; no age is used up.",
    advice="Look at the network to the gateway, and at its status page.",
)
class ChannelUnavailable(Event):
    """The gateway is away."""

    channel: str
    why: str


@event(
    "channel.available",
    Severity.NOTICE,
    meaning="The gateway answers again.",
    advice="Nothing.",
)
class ChannelAvailable(Event):
    """The gateway is back."""

    channel: str
    after: timedelta


@event(
    "channel.in_doubt",
    Severity.ERROR,
    meaning="Every one of the channel's last asks came back NotCreated. A wrong app_id or token looks just like that.",
    advice="Compare app_id, mchid and token with what the shop pays with. No watch of this channel ends until then.",
)
class ChannelInDoubt(Event):
    """Too many unknown numbers."""

    channel: str
    asks: int


@event(
    "channel.unconfigured",
    Severity.WARNING,
    meaning="Orders carry a channel value that no channel's shop_values name. They are not watched.",
    advice="Add the value to a channel's shop_values, or to shop.ignore_channels. Said once per value.",
)
class ChannelUnconfigured(Event):
    """A channel nobody configured."""

    shop_value: str
    orders: int
    why: str


@event(
    "http.unavailable",
    Severity.WARNING,
    meaning="The address of /healthz, /readyz and /metrics is taken or not ours. Orders are looked after all the same.",
    advice="Give each daemon of a machine its own http.listen, or switch it off. It is tried again.",
)
class HttpUnavailable(Event):
    """The figures cannot be had."""

    address: str
    why: str


@event(
    "control.unavailable",
    Severity.WARNING,
    meaning="The control socket cannot be made, so that commands do not reach this daemon. Orders are looked after.",
    advice="Look at the path that the line names; control.socket sets another. It is tried again.",
)
class ControlUnavailable(Event):
    """Commands cannot get through."""

    path: str
    why: str
