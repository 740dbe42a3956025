"""The composition root: builds everything from the settings."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PurePath

from sqlalchemy import make_url

from reconciler.domain.order import ChannelName
from reconciler.domain.policy import LatePayment, Policy
from reconciler.domain.stay import StayPolicy
from reconciler.flow.brake import Limits
from reconciler.flow.channel import Channel
from reconciler.flow.context import Context, Tally
from reconciler.flow.find import FindPolicy
from reconciler.flow.inquiry import Inquiry
from reconciler.flow.rounds import SHOP_MARK, Rounds
from reconciler.flow.switch import Switch
from reconciler.gateways import KINDS
from reconciler.gateways.line import Way
from reconciler.ledger import LedgerMemory, SqlLedger, open_ledger
from reconciler.pace import Pace
from reconciler.ports import Clock, Events, Gateway
from reconciler.settings.channel import text_of_shop_value
from reconciler.settings.model import LearnedAges, Settings
from reconciler.settings.secret import Secret
from reconciler.shops.sql import SqlShop, open_shop
from reconciler.shops.sql.mapping import AttemptsMapping, OrdersMapping, ShopMapping, States
from reconciler.shops.webhook.receiver import ANSWER_BYTES_MAX, WebhookReceiver
from reconciler.shops.webhook.signing import SecretUnusable, SigningKey, signing_key
from reconciler.transport import Proxies, Transport

Measure = Callable[[Gateway], Gateway]
"""Stands something before a gateway that counts its asks."""


class EnvironmentUnusable(Exception):
    """What the program was given stands in the way of starting; the text says what, where, and the remedy."""


@dataclass(frozen=True, slots=True)
class Assembly:
    """Everything one run works with, from one reading of the configuration."""

    settings: Settings
    rounds: Rounds
    inquiry: Inquiry
    switch: Switch
    ledger: SqlLedger
    shop: SqlShop
    gateways: tuple[Gateway, ...]
    transport: Transport

    async def close(self) -> None:
        """Give back lock, files and connections."""
        await self.rounds.context.deliveries.drop()
        if self.rounds.context.receiver is not None:
            await self.rounds.context.receiver.close()
        await self.shop.release()
        for gateway in self.gateways:
            await gateway.close()
        await self.transport.close()
        await self.ledger.close()


async def assemble(
    settings: Settings,
    clock: Clock,
    events: Events,
    *,
    since: datetime | None = None,
    measure: Measure = lambda gateway: gateway,
) -> Assembly:
    """Open shop, ledger and gateways.

    Raises MappingError, ShopUnavailable, LedgerUnavailable and EnvironmentUnusable.
    """
    try:
        proxies = Proxies.from_environment(os.environ)
    except ValueError as error:
        raise EnvironmentUnusable(f"the environment names a proxy that cannot be used: {error}") from error
    key = _webhook_key(settings)
    store = settings.ledger
    ledger = await open_ledger(store.url, _revealed(store.password), tls=store.tls, tls_ca=_revealed(store.tls_ca))
    try:
        whose = await owner_of(ledger, settings)
        shop = await open_shop(shop_mapping(settings, clock))
    except BaseException:
        await ledger.close()
        raise
    transport = Transport(proxies)
    channels = tuple(_channels(settings, transport, ledger, clock, measure))
    gateways = tuple(channel.gateway for channel in channels)
    context = Context(
        shop=shop,
        ledger=ledger,
        clock=clock,
        events=events,
        policy=policy_of(settings, gateways),
        enforcing=settings.mode == "enforce",
        tally=Tally(since=clock.now()),
        receiver=_receiver(settings, proxies, key, whose, clock),
        confirm_within=settings.settle.webhook.confirm_within if settings.settle.webhook else timedelta(0),
        limits=limits_of(settings),
    )
    find = FindPolicy(
        every=settings.find.every,
        full_every=settings.find.full_every,
        window=settings.find.window,
        overlap=settings.find.overlap,
        since=since,
    )
    return Assembly(
        settings=settings,
        rounds=Rounds(context, channels, find, who=f"{socket.gethostname()}:{os.getpid()}", whose=whose),
        inquiry=Inquiry(context, channels),
        switch=Switch(context, channels),
        ledger=ledger,
        shop=shop,
        gateways=gateways,
        transport=transport,
    )


def _webhook_key(settings: Settings) -> SigningKey | None:
    """Read the secret that the shop's own code shares with us, where that settles."""
    webhook = settings.settle.webhook
    if settings.settle.by != "webhook" or webhook is None:
        return None
    try:
        return signing_key(webhook.secret.reveal())
    except SecretUnusable as error:
        raise EnvironmentUnusable(f"At settle.webhook.secret: {webhook.secret} {error}") from error


def _receiver(
    settings: Settings, proxies: Proxies, key: SigningKey | None, whose: str, clock: Clock
) -> WebhookReceiver | None:
    webhook = settings.settle.webhook
    if key is None or webhook is None:
        return None
    sender = Transport(proxies, body_bytes_max=ANSWER_BYTES_MAX)
    return WebhookReceiver(sender, webhook.url, key, whose, clock)


def limits_of(settings: Settings) -> Limits:
    """Take from the configuration what the brake needs."""
    settle = settings.settle
    return Limits(settle.max_per_minute, settle.brake_per_hour, settle.brake_yuan_per_hour.fen)


def stay_policy_of(settings: Settings) -> StayPolicy:
    """Take from the configuration how long orders may stay in a status."""
    states = settings.shop.orders.states
    return StayPolicy(
        limits=settings.processing_limits,
        settled_status=text_of_shop_value(states.settled_as),
        first_status=text_of_shop_value(states.pending[0]) if len(states.pending) == 1 else "",
        clock_tolerance=settings.ask.clock_tolerance,
    )


async def owner_of(ledger: SqlLedger, settings: Settings) -> str:
    """Name the shop, and make sure that the ledger is not another's: keys of one shop mean nothing in the next."""
    database = make_url(settings.shop.url).database or ""
    whose = f"{PurePath(database).name} {settings.shop.orders.table}"
    kept = await ledger.mark(SHOP_MARK)
    if kept and kept != whose:
        raise EnvironmentUnusable(
            f"At ledger.url: this ledger belongs to another shop ({kept!r}, not {whose!r}); give each shop its own. "
            f"If the shop has only been renamed, set the mark `{SHOP_MARK}` in the ledger's table marks to {whose!r}"
        )
    return whose


def _channels(
    settings: Settings, transport: Transport, ledger: SqlLedger, clock: Clock, measure: Measure
) -> Iterable[Channel]:
    for name, channel in settings.channels.items():
        pace = Pace(clock, channel.rate, channel.concurrency)
        way = Way(transport, pace, clock, settings.ask.timeout, LedgerMemory(ledger, ChannelName(name)))
        yield Channel(measure(KINDS[channel.gateway].open(ChannelName(name), channel, way)), pace)


def policy_of(settings: Settings, gateways: Iterable[Gateway]) -> Policy:
    """Take from the configuration what deciding needs."""
    ask, settle, orders = settings.ask, settings.settle, settings.shop.orders
    return Policy(
        ages=ask.ages,
        per_order=ask.per_order if isinstance(ask.ages, LearnedAges) else None,
        late_from=ask.late_from,
        clock_tolerance=ask.clock_tolerance,
        untrusted_limit=ask.untrusted_limit,
        grace=settle.grace,
        late_payment=LatePayment(settle.late_payment),
        revive_within=settle.revive_within,
        review_over=settle.review_over,
        review_after=settle.review_after,
        closes_orders=settle.close and settle.by == "update",
        closes_at_gateway=settle.close_at_gateway and settings.mode == "enforce",
        shared_payment=orders.shared_payment,
        keeps_transaction_id=orders.transaction_id is not None,
        keeps_paid_at=orders.paid_at is not None,
        merchants={gateway.channel: gateway.merchant for gateway in gateways},
    )


def shop_mapping(settings: Settings, clock: Clock) -> ShopMapping:
    """Hand the shop's adapter its part of the configuration as plain values."""
    shop = settings.shop
    orders, attempts = shop.orders, shop.attempts
    return ShopMapping(
        url=shop.url,
        password=_revealed(shop.password),
        time_zone=shop.time_zone,
        session_time_zone=shop.session_time_zone,
        read_url=shop.read_url,
        tls=shop.tls,
        tls_ca=_revealed(shop.tls_ca),
        clock=clock,
        channels={ChannelName(name): channel.shop_values for name, channel in settings.channels.items()},
        ask_all_channels=settings.ask.channels == "all",
        ignore_channels=shop.ignore_channels,
        orders=OrdersMapping(
            **orders.model_dump(exclude={"states", "set"}),
            set=dict(orders.set),
            states=States(**orders.states.model_dump()),
        ),
        attempts=AttemptsMapping(**attempts.model_dump()) if attempts else None,
    )


def _revealed(secret: Secret | None) -> bytes | None:
    return secret.reveal() if secret else None
