"""Events of what fails and comes back: shop, ledger, channels."""

from __future__ import annotations

from datetime import datetime, timedelta

from reconciler.events.event import Alert, Event, Severity, event


@event(
    "shop.unavailable",
    Severity.ERROR,
    meaning="The shop's database cannot be reached or asked. It is tried again with back-off; no order is lost.",
    advice="Look at the database and the network to it. Orders wait; each is asked once when it is back.",
    alert=Alert(ends=("shop.available",), shared=True),
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
    "replica.unavailable",
    Severity.ERROR,
    meaning=(
        "The replica that finding reads (shop.read_url) cannot be reached or asked. New orders are not found "
        "meanwhile; those that are watched are asked about and settled on the primary."
    ),
    advice="Look at the replica and the network to it. Leave shop.read_url out, and finding reads the primary.",
    alert=Alert(ends=("replica.available",), shared=True),
)
class ReplicaIsUnavailable(Event):
    """Finding waits."""

    why: str


@event(
    "replica.available",
    Severity.NOTICE,
    meaning="The replica that finding reads answers again. What was missed meanwhile is found now.",
    advice="Nothing.",
)
class ReplicaIsAvailable(Event):
    """Finding goes on."""

    after: timedelta


@event(
    "ledger.unavailable",
    Severity.CRITICAL,
    meaning="The ledger cannot be written: disk full, locked, or gone. Nothing is settled meanwhile.",
    advice="Make room, or repair what the line names. The daemon goes on by itself.",
    alert=Alert(ends=("ledger.available",), shared=True),
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
    advice=(
        "Correct what the line names: key, serial, app_id, permission, clock. A probe that succeeds resumes it. "
        "`orders_waiting` wait meanwhile, and whatever comes due."
    ),
    alert=Alert(ends=("channel.resumed",), subject=("channel",)),
)
class ChannelPaused(Event):
    """Not asked for now."""

    channel: str
    why: str
    orders_waiting: int | None


@event(
    "channel.resumed",
    Severity.NOTICE,
    meaning="The channel works again. What is overdue is asked once.",
    advice="Nothing. `orders_held_up` are asked now; none of them has waited for more than `longest`.",
)
class ChannelResumed(Event):
    """Asked again."""

    channel: str
    after: timedelta
    orders_held_up: int | None
    longest: timedelta | None


@event(
    "channel.unavailable",
    Severity.WARNING,
    meaning="The gateway could not be asked several times in a row. Asking goes on with back-off; no age is used up.",
    advice="Look at the network to the gateway, and at its status page. `orders_waiting` wait for it so far.",
    alert=Alert(ends=("channel.available",), subject=("channel",), patience=timedelta(minutes=5)),
)
class ChannelUnavailable(Event):
    """The gateway is away."""

    channel: str
    why: str
    orders_waiting: int | None


@event(
    "channel.available",
    Severity.NOTICE,
    meaning="The gateway answers again. What is overdue is asked once.",
    advice="Nothing. `orders_held_up` are asked now; none of them has waited for more than `longest`.",
)
class ChannelAvailable(Event):
    """The gateway is back."""

    channel: str
    after: timedelta
    orders_held_up: int | None
    longest: timedelta | None


@event(
    "channel.throttled",
    Severity.WARNING,
    meaning="The gateway says that we ask too fast. The channel's rate was halved, and grows back; no age is used up.",
    advice="If it comes often, set the channel's `rate` below what the gateway grants this merchant.",
)
class ChannelThrottled(Event):
    """Asked too fast."""

    channel: str
    orders_waiting: int | None


@event(
    "channel.at_full_rate",
    Severity.NOTICE,
    meaning="The gateway has throttled no ask for two minutes, and answers.",
    advice="Nothing. `orders_held_up` were throttled meanwhile, none of them for more than `longest`.",
)
class ChannelAtFullRate(Event):
    """Asked as fast as configured."""

    channel: str
    after: timedelta
    orders_held_up: int
    longest: timedelta


@event(
    "channel.clock_off",
    Severity.WARNING,
    meaning="The gateway's clock and this machine's differ by more than a minute. From four minutes on nothing works.",
    advice="Set this machine's clock: `timedatectl` shows it, chrony or systemd-timesyncd keeps it right.",
    alert=Alert(ends=("channel.clock_right",), subject=("channel",)),
)
class ChannelClockOff(Event):
    """Two clocks, and one is wrong."""

    channel: str
    off_by: timedelta
    ahead: str
    """Whose clock is ahead: `gateway` or `this machine`."""


@event(
    "clock.set_back",
    Severity.WARNING,
    meaning=(
        "This machine's clock was ahead, and was set back. What was planned meanwhile lay that much too far in the "
        "future: every open attempt is asked about once more, now."
    ),
    advice="Look why the clock was wrong (`timedatectl`). No order is lost by it; there are more asks for a while.",
    alert=Alert(),
)
class ClockSetBack(Event):
    """Time has been there before."""

    by: timedelta
    orders: int
    """The attempts that were woken."""


@event(
    "channel.clock_right",
    Severity.NOTICE,
    meaning="The gateway's clock and this machine's agree again.",
    advice="Nothing.",
)
class ChannelClockRight(Event):
    """Within a minute."""

    channel: str
    off_by: timedelta


@event(
    "channel.in_doubt",
    Severity.ERROR,
    meaning=(
        "Fifty of the channel's asks in a row, and each for an hour since, came back NotCreated. A wrong app_id or "
        "token looks just like that; so do pages that nobody opened."
    ),
    advice=(
        "Compare app_id, mchid and token with what the shop pays with; `reconciler ask ORDER` about one that is surely "
        "paid ends it. No watch of this channel ends on NotCreated until then."
    ),
    alert=Alert(ends=("channel.beyond_doubt",), subject=("channel",)),
)
class ChannelInDoubt(Event):
    """Too many unknown numbers."""

    channel: str
    asks: int
    """So many in a row that this process has seen."""
    why: str


@event(
    "channel.beyond_doubt",
    Severity.NOTICE,
    meaning="The gateway knows one of our numbers, and has signed it: app_id, mchid and token are the shop's.",
    advice="Nothing.",
)
class ChannelBeyondDoubt(Event):
    """One of our numbers is known."""

    channel: str
    after: timedelta
    why: str


@event(
    "channel.unconfigured",
    Severity.WARNING,
    meaning="Orders carry a channel value that no channel's shop_values name. They are not watched.",
    advice="Add the value to a channel's shop_values, or to shop.ignore_channels. Said once per value.",
    alert=Alert(),
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
    alert=Alert(),
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
    alert=Alert(),
)
class ControlUnavailable(Event):
    """Commands cannot get through."""

    path: str
    why: str
