"""Each channel, by signed queries: for a number that cannot exist, and for orders that the shop calls paid.

The first alone is answered alike with a wrong app_id, merchant or token: a gateway knows no number of a stranger's.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, assert_never

from reconciler.doctor import clock
from reconciler.doctor.remark import Remark, fault, warning, well
from reconciler.domain.answer import (
    Answer,
    Closed,
    Misconfigured,
    NotCreated,
    Paid,
    Refunded,
    Rejected,
    Reply,
    Throttled,
    Trade,
    Unavailable,
    Unpaid,
    Unrecognised,
    Untrusted,
    name_of,
    reason_of,
)
from reconciler.domain.facts import compare
from reconciler.domain.order import Attempt, ChannelName, Order, OrderKey, OrderState
from reconciler.domain.policy import Policy
from reconciler.ports import Found, Gateway
from reconciler.shops.sql.bound import BoundShop
from reconciler.shops.sql.inspection import Inspection
from reconciler.shops.sql.inspection.access import Sample

SUBJECT = "channel"
TRIED_MAX: Final = 3
"""Paid orders that a channel is asked about."""
CANDIDATES_MAX: Final = 300
FEN_IN_YUAN: Final = 100


@dataclass(frozen=True, slots=True)
class Tried:
    """An order that the shop calls paid, and the attempt to ask about."""

    order: Order
    attempt: Attempt
    number_key: str = "shop.orders.out_trade_no"
    """Where the configuration names the number's column."""
    is_only: bool = True
    """False: the order has other attempts, and one of those may be the paid one."""


async def paid_orders(
    inspection: Inspection, shop: BoundShop, sample: Sample
) -> Mapping[ChannelName, tuple[Tried, ...]]:
    """Choose the newest paid orders of each channel, by what the shop itself recorded. Raises ShopUnavailable.

    Those with one attempt come first: of several, nobody but the gateways knows which was paid.
    """
    keys = [row.row.key for row in sample.rows if row.row.state is OrderState.PAID][:CANDIDATES_MAX]
    recorded = {row.row.key: shop.channel_of.get(row.channel_value or "") for row in sample.rows}
    chosen: dict[ChannelName, list[Tried]] = {}
    for found in await inspection.with_attempts(shop, keys):
        for tried in _of(found, recorded, shop):
            chosen.setdefault(tried.attempt.channel, []).append(tried)
    return {
        channel: tuple(sorted(mine, key=lambda tried: not tried.is_only)[:TRIED_MAX])
        for channel, mine in chosen.items()
    }


def _of(found: Found, recorded: Mapping[OrderKey, ChannelName | None], shop: BoundShop) -> Iterator[Tried]:
    order = found.row
    if not isinstance(order, Order):
        return
    own = recorded.get(order.key)
    by_all = shop.asks_all_channels and own is not None
    attempts = [attempt for attempt in found.attempts if not by_all or attempt.channel == own]
    number_key = "shop.orders.out_trade_no" if shop.attempts is None else "shop.attempts.out_trade_no"
    is_only = len(attempts) == 1 and not found.unwatched
    for attempt in attempts:
        yield Tried(order, attempt, number_key, is_only=is_only)


async def look(
    gateway: Gateway, tried: Sequence[Tried], policy: Policy, now: datetime, *, is_shop_known: bool
) -> list[Remark]:
    """Ask, and judge the answers."""
    number = f"doctor-{secrets.token_hex(8)}"
    (reply,) = await gateway.ask([number])
    name = f"{SUBJECT} {gateway.channel}"
    first = _signed(name, reply.answer)
    remarks = [first] if first.remedy else []
    if reply.clock_off is not None:
        remarks.append(clock.look(f"the gateway of {gateway.channel}", reply.clock_off, policy.clock_tolerance))
    if first.remedy:
        return remarks
    if not tried:
        why = "the shop has no recently paid order of it to try" if is_shop_known else "the shop could not be read"
        tell = "until one is, a wrong app_id, mchid or token looks as well as this"
        said = f"signed queries are answered; {why}; {tell}"
        return [*remarks, warning(name, said, "run this again after the first paid order")]
    replies = await gateway.ask([each.attempt.out_trade_no for each in tried])
    return [*remarks, *_known(name, tried, replies, policy, now)]


def _signed(name: str, answer: Answer) -> Remark:
    """Judge the answer about a number that cannot exist."""
    match answer:
        case NotCreated() | Rejected():
            return well(name, "signed queries are answered")
        case Misconfigured(reason):
            return fault(
                name, f"the gateway refuses every query: {reason}", "correct the channel's ids, keys and token"
            )
        case Untrusted():
            said = f"the answer's signature does not verify: {reason_of(answer)}"
            return fault(name, said, "copy the gateway's own public key or certificate again; is the endpoint its own?")
        case Unavailable(reason):
            return fault(
                name, f"the gateway cannot be asked: {reason}", "look at the endpoint, the network and the proxy"
            )
        case Throttled():
            remedy = "lower the channel's rate, and run this again"
            return warning(name, "the gateway asks us to be slower: it could not be tried", remedy)
        case Paid() | Refunded() | Unpaid() | Closed() | Unrecognised():
            said = f"the gateway answers {name_of(answer)} about a number that cannot exist"
            return fault(name, said, "look at the endpoint: it is no gateway of this kind")
        case _:
            assert_never(answer)


def _known(
    name: str, tried: Sequence[Tried], replies: Sequence[Reply], policy: Policy, now: datetime
) -> Iterator[Remark]:
    """Judge the answers about paid orders: one that the gateway knows proves ids, keys, token and number column."""
    paid = [
        (each, reply.answer.trade)
        for each, reply in zip(tried, replies, strict=True)
        if isinstance(reply.answer, Paid | Refunded) and reply.verified
    ]
    if not paid:
        only = [(each, reply) for each, reply in zip(tried, replies, strict=True) if each.is_only]
        yield _unknown(name, only) if only else _beside(name, tried, replies)
        return
    remarks = [remark for each, trade in paid for remark in _disagreements(name, each, trade, policy, now)]
    yield from {remark.text.partition(":")[0]: remark for remark in reversed(remarks)}.values()
    if not remarks:
        numbers = ", ".join(each.attempt.out_trade_no for each, _ in paid)
        yield well(name, f"knows {numbers}, which the shop calls paid, and every fact agrees")


def _unknown(name: str, asked: Sequence[tuple[Tried, Reply]]) -> Remark:
    numbers = ", ".join(each.attempt.out_trade_no for each, _ in asked)
    if trouble := _trouble(name, numbers, [reply for _, reply in asked]):
        return trouble
    answers = ", ".join(sorted({name_of(reply.answer) for _, reply in asked}))
    said = f"the shop calls {numbers} paid, and the gateway answers {answers}"
    remedy = (
        "look for one of them in the merchant's console: if it is there, app_id, mchid or app_auth_token is another "
        f"merchant's; if not, {asked[0][0].number_key} is not the number that went to the gateway, or the "
        "channel's shop_values are another's"
    )
    return fault(name, said, remedy)


def _beside(name: str, tried: Sequence[Tried], replies: Sequence[Reply]) -> Remark:
    """Judge attempts of which none need be the paid one: unpaid is no fault, and that one is known proves the ids."""
    numbers = ", ".join(each.attempt.out_trade_no for each in tried)
    if trouble := _trouble(name, numbers, replies):
        return trouble
    known = [
        f"{each.attempt.out_trade_no} ({name_of(reply.answer)})"
        for each, reply in zip(tried, replies, strict=True)
        if isinstance(reply.answer, Unpaid | Closed) and reply.verified
    ]
    if known:
        return well(name, f"knows {', '.join(known)}; no facts to compare: the orders were not paid by these")
    answers = ", ".join(sorted({name_of(reply.answer) for reply in replies}))
    said = (
        f"signed queries are answered; of {numbers} the gateway says {answers}, but their orders have other attempts "
        "that may be the paid ones: a wrong app_id, mchid or token looks as well as this"
    )
    return warning(name, said, "run this again after an order was paid by this channel at the first attempt")


def _trouble(name: str, numbers: str, replies: Sequence[Reply]) -> Remark | None:
    troubles = [reply.answer for reply in replies if isinstance(reply.answer, Unavailable | Throttled | Untrusted)]
    if not troubles:
        return None
    said = f"asked about {numbers}, it did not answer: {reason_of(troubles[0]) or name_of(troubles[0])}"
    return warning(name, said, "run this again")


def _disagreements(name: str, tried: Tried, trade: Trade, policy: Policy, now: datetime) -> Iterator[Remark]:
    number = tried.attempt.out_trade_no
    for fact in compare(tried.attempt, [tried.order], trade, policy, now):
        if fact.agrees or (fact.name == "amount" and policy.shared_payment):
            continue
        said = f"{fact.name} of {number}: {fact.theirs} at the gateway, {fact.ours} in the shop"
        yield fault(name, said, _remedy(fact.name, tried, trade))
    own = tried.order.transaction_id
    if own and trade.transaction_id and own != trade.transaction_id:
        said = f"transaction_id of {number}: {trade.transaction_id} at the gateway, {own} in the shop"
        remedy = "is shop.orders.transaction_id the gateway's number? If so, this order was paid twice"
        yield fault(name, said, remedy)
    yield from _paid_at(name, tried, trade, policy)


def _paid_at(name: str, tried: Tried, trade: Trade, policy: Policy) -> Iterator[Remark]:
    """Compare the paid times, where the shop has one: whole hours between them are a matter of zones."""
    if tried.order.paid_at is None or trade.paid_at is None:
        return
    off = tried.order.paid_at - trade.paid_at
    halves = round(off / timedelta(minutes=30))
    if halves and abs(off - halves * timedelta(minutes=30)) <= min(policy.clock_tolerance, timedelta(minutes=3)):
        said = f"paid_at of {tried.attempt.out_trade_no}: {off / timedelta(hours=1):+.1f} h from the gateway's"
        yield warning(name, said, "is shop.time_zone the zone of that column? Or was the callback so late?")


def _remedy(fact: str, tried: Tried, trade: Trade) -> str:
    if fact == "amount" and trade.amount is not None:
        ours, theirs = tried.order.amount.fen, trade.amount.fen
        if ours == theirs * FEN_IN_YUAN:
            return 'the column holds fen: set shop.orders.amount_unit = "fen"'
        if theirs == ours * FEN_IN_YUAN:
            return 'the column holds yuan: set shop.orders.amount_unit = "yuan"'
        return "is shop.orders.amount what the gateway was told to collect, after coupons, with shipping?"
    if fact.startswith("merchant"):
        return "correct the channel's mchid, appid and sub_ ids, or the shop_values"
    if fact == "paid_at":
        return "is shop.time_zone the zone of shop.orders.created_at?"
    if fact == "currency":
        return "correct shop.orders.currency"
    return "look the number up in the merchant's console, and compare"
