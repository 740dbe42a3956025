"""What the operator says about the shop's tables, as plain values. Names are those of the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from zoneinfo import ZoneInfo

from reconciler.databases import Access
from reconciler.domain.order import ChannelName
from reconciler.ports import Clock

StateValue = int | str | bool
"""A value of the status column as the configuration writes it; compared as the column's type wants it."""


class MappingError(ValueError):
    """The mapping does not fit the shop's database: every misfit, one line each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class States:
    """`[shop.orders.states]`."""

    pending: tuple[StateValue, ...]
    paid: tuple[StateValue, ...]
    settled_as: StateValue
    closed: tuple[StateValue, ...] = ()
    refunded: tuple[StateValue, ...] = ()
    closed_as: StateValue | None = None


@dataclass(frozen=True, slots=True)
class OrdersMapping:
    """`[shop.orders]`."""

    table: str
    key: str
    order_no: str
    amount: str
    status: str
    created_at: str
    states: States
    out_trade_no: str | None = None
    """None only where `[shop.attempts]` has it."""
    shared_payment: bool = False
    amount_unit: Literal["yuan", "fen"] = "yuan"
    currency: str = "CNY"
    channel: str | None = None
    transaction_id: str | None = None
    paid_at: str | None = None
    touch: tuple[str, ...] = ()
    where: str | None = None
    read_from: str | None = None
    set: Mapping[str, StateValue] = field(default_factory=dict)
    """Column to constant, `"{out_trade_no}"` or `"{transaction_id}"`."""


@dataclass(frozen=True, slots=True)
class AttemptsMapping:
    """`[shop.attempts]`."""

    table: str
    key: str
    order: str
    out_trade_no: str
    created_at: str | None = None
    channel: str | None = None
    amount: str | None = None
    where: str | None = None


@dataclass(frozen=True, slots=True)
class ShopMapping:
    """`[shop]`, and what it needs to know of the channels."""

    url: str
    orders: OrdersMapping
    channels: Mapping[ChannelName, tuple[str, ...]]
    """Every channel's `shop_values`, as text."""
    clock: Clock = field(repr=False)
    time_zone: ZoneInfo
    session_time_zone: ZoneInfo | None = None
    """Of the shop's own connections, where that is another than the shop's."""
    attempts: AttemptsMapping | None = None
    password: bytes | None = field(default=None, repr=False)
    ask_all_channels: bool = False
    """`ask.channels = "all"`."""
    ignore_channels: tuple[str, ...] = ()
    read_url: str | None = None
    """A replica for the walk; everything else reads the primary."""
    tls: Literal["verify", "off"] | None = None
    """None: verify for other hosts, off for a loopback address or a socket."""
    tls_ca: bytes | None = field(default=None, repr=False)
    """PEM; None means the system's authorities."""

    def access(self, url: str, setting: str) -> Access:
        """Say how one of its databases is reached; its sessions keep the zone that the shop's own connections do."""
        shows = self.time_zone if self.session_time_zone is not None else None
        zone = self.session_time_zone or self.time_zone
        now = self.clock.now()
        return Access(url, self.password, self.tls, self.tls_ca, setting, zone=zone, shows=shows, now=now)
