"""The whole visit, subject by subject, each remark as soon as it is known."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from reconciler.doctor import alerts, channels, configuration, credentials, ledger, orders, shop
from reconciler.doctor.channels import Tried
from reconciler.doctor.ledger import Free, free_bytes
from reconciler.doctor.remark import Remark, apart, fault, well
from reconciler.domain.order import ChannelName
from reconciler.gateways import KINDS
from reconciler.gateways.line import Way
from reconciler.pace import Pace
from reconciler.ports import Clock, ShopUnavailable
from reconciler.settings.model import Settings
from reconciler.shops.sql.inspection import inspecting
from reconciler.shops.sql.mapping import MappingError, ShopMapping
from reconciler.transport import Proxies, Transport
from reconciler.wiring import policy_of, shop_mapping

PRIMARY = "shop.url"
REPLICA = "shop.read_url"


class Forgetful:
    """A gateway's memory that keeps nothing: a doctor leaves no trace."""

    async def recall(self, name: str) -> str | None:
        """Give nothing."""
        del name
        return None

    async def remember(self, name: str, text: str) -> None:
        """Keep nothing."""
        del name, text


async def visit(
    path: Path, clock: Clock, free: Free = free_bytes, *, read: Callable[[Settings], None] = lambda _settings: None
) -> AsyncIterator[Remark]:
    """Look at everything that a daemon with this configuration would work with; `read` hears of it first."""
    settings, remarks = configuration.look(path)
    for remark in remarks:
        yield remark
    if settings is None:
        return
    read(settings)
    remarks = (*credentials.look(settings, clock.now()), *alerts.look(settings))
    for remark in (*remarks, *await ledger.look(settings, free)):
        yield remark
    tried: dict[ChannelName, Sequence[Tried]] | None = {}
    async for found in _shop(settings, clock):
        if isinstance(found, Remark):
            yield found
        else:
            tried = found
    async for remark in _channels(settings, clock, tried):
        yield remark


Paid = dict[ChannelName, Sequence[Tried]] | None


async def _shop(settings: Settings, clock: Clock) -> AsyncIterator[Remark | Paid]:
    """Look at the shop, and choose the paid orders to try the channels with; None where it could not be read."""
    mapping = shop_mapping(settings, clock)
    try:
        async with inspecting(mapping.access(mapping.url, PRIMARY)) as inspection:
            bound, remarks = await shop.look(inspection, mapping, settings, clock)
            for remark in remarks:
                yield remark
            if bound is None:
                yield None
            else:
                sample, remarks = await orders.look(inspection, bound, settings, clock.now())
                for remark in remarks:
                    yield remark
                yield dict(await channels.paid_orders(inspection, bound, sample))
    except MappingError as error:
        for problem in error.problems:
            text, remedy = apart(problem, "correct it in the configuration")
            yield fault(shop.SUBJECT, f"At {text}", remedy)
        yield None
    except ShopUnavailable as error:
        yield _away(error, mapping, settings)
        yield None
    if mapping.read_url is not None:
        yield await _replica(mapping)


def _away(error: ShopUnavailable, mapping: ShopMapping, settings: Settings) -> Remark:
    otherwise = f"look at {PRIMARY}, at the password, and whether the server runs and lets us in"
    if "do that" in str(error):  # a role may hide which table it is
        otherwise = "correct the table's name, or GRANT SELECT on it to this user"
    elif "not into the database" in str(error):
        otherwise = shop.not_let_in(mapping, settings)
    text, remedy = apart(str(error), otherwise)
    return fault(shop.SUBJECT, text, remedy)


async def _replica(mapping: ShopMapping) -> Remark:
    assert mapping.read_url is not None  # noqa: S101 # the caller saw to it
    try:
        async with inspecting(mapping.access(mapping.read_url, REPLICA)) as inspection:
            await inspection.bind(mapping)
    except (ShopUnavailable, MappingError) as error:
        return fault("replica", f"{REPLICA}: {error}", "finding waits for it; correct it, or leave it out")
    return well("replica", "answers, and has the same tables")


async def _channels(settings: Settings, clock: Clock, tried: Paid) -> AsyncIterator[Remark]:
    try:
        proxies = Proxies.from_environment(os.environ)
    except ValueError as error:
        yield fault("proxy", f"the environment names one that cannot be used: {error}", "correct HTTPS_PROXY")
        return
    transport = Transport(proxies)
    try:
        for name, channel in settings.channels.items():
            pace = Pace(clock, channel.rate, channel.concurrency)
            way = Way(transport, pace, clock, settings.ask.timeout, Forgetful())
            gateway = KINDS[channel.gateway].open(ChannelName(name), channel, way)
            known = (tried or {}).get(ChannelName(name), ())
            policy = policy_of(settings, [gateway])
            for remark in await channels.look(gateway, known, policy, clock.now(), is_shop_known=tried is not None):
                yield remark
            await gateway.close()
    finally:
        await transport.close()
