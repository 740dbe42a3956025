"""The whole configuration, as typed models: an attribute is named as its key."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    ValidatorFunctionWrapHandler,
    WrapSerializer,
    WrapValidator,
)

from reconciler.domain.money import Money
from reconciler.domain.policy import DEFAULT_AGES
from reconciler.settings.alerts import AlertsSettings
from reconciler.settings.channel import ChannelSettings
from reconciler.settings.mapping import ShopSettings
from reconciler.settings.secret import Secret
from reconciler.settings.types import Duration, SocketPath, Strict, Yuan, between
from reconciler.settings.urls import Address, DatabaseUrl, Listen, WebUrl

AGES_MAX = 64
LEARNED = "learned"
PER_ORDER_MAX = 20.0
STATUSES_MAX = 100
COUNT_MAX = 1_000_000
RUN_MAX = 1000

_MOMENT, _SECOND, _MINUTE, _HOUR = (
    timedelta(milliseconds=10),
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
)
_NONE, _DAY = timedelta(0), timedelta(days=1)
_DECADE = timedelta(days=3650)

Mode = Literal["observe", "enforce"]
Count = Annotated[int, Field(ge=1, le=COUNT_MAX)]
Age = Annotated[Duration, between(_MOMENT, _DECADE)]


def _ascending(ages: tuple[timedelta, ...]) -> tuple[timedelta, ...]:
    if any(later <= earlier for earlier, later in pairwise(ages)):
        raise ValueError('must grow from each age to the next, like ["30s", "1m", "2m"]')
    return ages


class LearnedAges(tuple[timedelta, ...]):
    """`ask.ages = "learned"`: the ages that hold until enough payments have been seen."""

    __slots__ = ()


def _or_learned(value: object, listed: ValidatorFunctionWrapHandler) -> tuple[timedelta, ...]:
    if value == LEARNED:
        return LearnedAges(DEFAULT_AGES)
    ages: tuple[timedelta, ...] = listed(value)
    return ages


def _as_written(ages: tuple[timedelta, ...], listed: SerializerFunctionWrapHandler) -> object:
    return LEARNED if isinstance(ages, LearnedAges) else listed(ages)


class LedgerSettings(Strict):
    """`[ledger]`: our own store."""

    url: DatabaseUrl = "sqlite:////var/lib/reconciler/ledger.db"
    password: Annotated[Secret | None, Field(examples=['"credential:ledger-password"'])] = None
    tls: Literal["verify", "off"] | None = None
    """None: verify for other hosts, off for a loopback address or a socket."""
    tls_ca: Annotated[Secret | None, Field(examples=['"credential:ledger-ca"'])] = None
    keep: Annotated[Duration, between(_DAY, _DECADE)] = timedelta(days=400)
    """How long evidence is kept."""


class FindSettings(Strict):
    """`[find]`: looking for orders in the shop."""

    every: Annotated[Duration, between(_MOMENT, _HOUR)] = timedelta(seconds=15)
    full_every: Annotated[Duration, between(_MOMENT, timedelta(days=7))] = _HOUR
    window: Annotated[Duration, between(_MINUTE, _DECADE)] = timedelta(days=7)
    """How far back the full walk goes. Without it: a week, or a day past the last age if that is more."""
    overlap: Annotated[Duration, between(_NONE, _DAY)] = timedelta(minutes=2)
    """How far the quick selector steps back each time, for transactions that commit late."""


class AskSettings(Strict):
    """`[ask]`: when and how gateways are asked."""

    ages: Annotated[
        tuple[Age, ...],
        Field(min_length=1, max_length=AGES_MAX),
        AfterValidator(_ascending),
        WrapValidator(_or_learned),
        WrapSerializer(_as_written),
    ] = DEFAULT_AGES
    per_order: Annotated[float, Field(ge=0.5, le=PER_ORDER_MAX)] = 4.0
    late_from: Annotated[Duration, between(_NONE, _DECADE)] = _HOUR
    channels: Literal["recorded", "all"] = "recorded"
    timeout: Annotated[Duration, between(_MOMENT, _MINUTE)] = timedelta(seconds=5)
    clock_tolerance: Annotated[Duration, between(_NONE, _DAY)] = timedelta(minutes=10)
    untrusted_limit: Annotated[int, Field(ge=1, le=RUN_MAX)] = 5


class WebhookSettings(Strict):
    """`[settle.webhook]`: the shop's own code, which settles where `settle.by = "webhook"`."""

    url: Annotated[WebUrl, Field(examples=['"https://shop.example/internal/payment-confirmed"'])]
    secret: Annotated[Secret, Field(examples=['"credential:webhook-secret"'])]
    confirm_within: Annotated[Duration, between(_SECOND, _HOUR)] = timedelta(seconds=30)


class SettleSettings(Strict):
    """`[settle]`: moving confirmed orders forward."""

    by: Literal["update", "webhook"] = "update"
    grace: Annotated[Duration, between(_NONE, _DAY)] = timedelta(seconds=10)
    late_payment: Literal["case", "revive"] = "case"
    revive_within: Annotated[Duration, between(_SECOND, _DECADE)] = _DAY
    review_over: Annotated[Yuan | None, Field(examples=['"5000.00"'])] = None
    review_after: Annotated[Duration, between(_SECOND, _DECADE)] = timedelta(hours=12)
    close: bool = False
    close_at_gateway: bool = False
    max_per_minute: Count = 120
    brake_per_hour: Count = 1000
    brake_yuan_per_hour: Yuan = Money(20_000_000)
    webhook: WebhookSettings | None = None


class AuditSettings(Strict):
    """`[audit]`: asking about orders that the shop calls paid."""

    rate: Annotated[float, Field(ge=0, le=RUN_MAX, allow_inf_nan=False)] = 1.0
    """Queries a second; 0 switches it off."""
    window: Annotated[Duration, between(_MINUTE, _DECADE)] = _DAY


class HttpSettings(Strict):
    """`[http]`: /healthz /readyz /metrics."""

    listen: Listen = Address("127.0.0.1", 9470)
    """None where the file says "off" (or "")."""


class LogSettings(Strict):
    """`[log]`: how lines look; auto is journald under systemd, console on a terminal, else json."""

    format: Literal["auto", "journald", "console", "json"] = "auto"


class ControlSettings(Strict):
    """`[control]`: the socket by which commands reach the leader."""

    socket: SocketPath | None = None
    """None: `control.sock` in the runtime directory."""


class Settings(Strict):
    """The effective configuration."""

    mode: Mode = "observe"
    ledger: LedgerSettings = LedgerSettings()
    shop: ShopSettings
    channels: Annotated[Mapping[str, SerializeAsAny[ChannelSettings]], Field(min_length=1)]
    find: FindSettings = FindSettings()
    ask: AskSettings = AskSettings()
    settle: SettleSettings = SettleSettings()
    audit: AuditSettings = AuditSettings()
    processing_limits: Annotated[Mapping[str, Age], Field(max_length=STATUSES_MAX)] = Field(default_factory=dict)
    """How long an order may stay in a status of the shop's own: one that `[shop.orders.states]` names."""
    http: HttpSettings = HttpSettings()
    alerts: AlertsSettings = AlertsSettings()
    log: LogSettings = LogSettings()
    control: ControlSettings = ControlSettings()
