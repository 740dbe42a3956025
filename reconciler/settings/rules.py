"""The second pass: what holds between keys and between tables.

A rule that complains of something absent asks first whether its table is clean: a key with a fault is not missing.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.settings.alerts import AlertsSettings
from reconciler.settings.draft import Draft
from reconciler.settings.mapping import AttemptsMapping, OrdersMapping, ShopSettings
from reconciler.settings.mapping_rules import mapping_problems
from reconciler.settings.model import AskSettings, FindSettings, LedgerSettings, SettleSettings
from reconciler.settings.problems import Problem, dotted, key_text
from reconciler.settings.types import format_duration
from reconciler.settings.urls import same_database, sqlite_path


def rule_problems(draft: Draft) -> Iterator[Problem]:
    """Apply every rule whose tables could be understood."""
    yield from _databases(draft)
    yield from _times(draft)
    yield from mapping_problems(draft)
    yield from _settling(draft)
    yield from _alerts(draft)
    yield from _columns_of_channels(draft)
    yield from _values_of_channels(draft)
    yield from _accounts(draft)


def _databases(draft: Draft) -> Iterator[Problem]:
    ledger = draft.table(LedgerSettings, "ledger")
    shop = draft.table(ShopSettings, "shop")
    if ledger is not None and sqlite_path(ledger.url) and ledger.password is not None:
        yield Problem("ledger.password", "an SQLite file has no password; leave it out")
    if ledger is not None and ledger.tls == "off" and ledger.tls_ca is not None:
        yield Problem("ledger.tls_ca", 'is of no use with tls = "off"; leave one of them out')
    if shop is None:
        return
    if sqlite_path(shop.url) and shop.password is not None:
        yield Problem("shop.password", "an SQLite file has no password; leave it out")
    if sqlite_path(shop.url) and shop.session_time_zone is not None:
        yield Problem("shop.session_time_zone", "an SQLite file has no sessions; leave it out")
    if shop.read_url is not None and shop.read_url.partition(":")[0] != shop.url.partition(":")[0]:
        yield Problem("shop.read_url", "is another kind of database than shop.url; a replica is of the same kind")
    if shop.tls == "off" and shop.tls_ca is not None:
        yield Problem("shop.tls_ca", 'is of no use with tls = "off"; leave one of them out')
    if ledger is not None and same_database(ledger.url, shop.url):
        yield Problem("ledger.url", "is the shop's own database; give the ledger one of its own, like its default")


def _times(draft: Draft) -> Iterator[Problem]:
    ask, find = draft.table(AskSettings, "ask"), draft.table(FindSettings, "find")
    ledger = draft.table(LedgerSettings, "ledger")
    if ask is None or find is None or not draft.is_clean("ask"):
        return
    last = ask.ages[-1]
    if "window" in find.model_fields_set and find.window < last:
        yield Problem("find.window", f'must reach the last of ask.ages, "{format_duration(last)}", at least')
    longest = max(find.window, last)
    if ledger is not None and draft.is_clean("find") and draft.is_clean("ledger") and ledger.keep < longest:
        yield Problem(
            "ledger.keep", f'must be "{format_duration(longest)}" at least: orders of that age are asked about'
        )


def _settling(draft: Draft) -> Iterator[Problem]:
    settle, orders = draft.table(SettleSettings, "settle"), draft.table(OrdersMapping, "shop", "orders")
    if settle is None:
        return
    by_webhook = settle.by == "webhook"
    if by_webhook and settle.webhook is None and draft.is_clean("settle"):
        yield Problem("settle.webhook", 'is missing, and settle.by = "webhook" needs it; add [settle.webhook] with url')
    if by_webhook and settle.close:
        yield Problem("settle.close", 'needs by = "update": coupons and stock live in the shop\'s code')
    if orders is None or not draft.is_clean("shop", "orders"):
        return
    if by_webhook and orders.shared_payment:
        yield Problem("shop.orders.shared_payment", 'needs settle.by = "update": a webhook settles one order at a time')
    if settle.close and orders.states.closed_as is None:
        yield Problem("settle.close", "needs shop.orders.states.closed_as; name the status to write, one of closed")


def _alerts(draft: Draft) -> Iterator[Problem]:
    alerts = draft.table(AlertsSettings, "alerts")
    if alerts is not None and alerts.also and not alerts.targets and draft.is_clean("alerts"):
        text = (
            "is told of some things only, and nobody of the rest; name somebody in alerts.targets, who is told of all"
        )
        yield Problem("alerts.also", text)


def _columns_of_channels(draft: Draft) -> Iterator[Problem]:
    """Whether orders can be told apart by channel, as far as that is needed."""
    orders, ask = draft.table(OrdersMapping, "shop", "orders"), draft.table(AskSettings, "ask")
    attempts, shop = draft.table(AttemptsMapping, "shop", "attempts"), draft.table(ShopSettings, "shop")
    if orders is None or ask is None or not (draft.is_clean("shop") and draft.is_clean("ask")):
        return
    channels = draft.channels()
    count = draft.channel_count()
    mapped = orders.channel or (attempts and attempts.channel)
    either = "shop.orders.channel" if attempts is None else "shop.orders.channel or shop.attempts.channel"
    if count > 1 and not mapped and ask.channels == "recorded":
        where = " (here, or in [shop.attempts])" if attempts is not None else ""
        remedy = f'name the column{where}, like channel = "pay_id", or ask every channel: ask.channels = "all"'
        yield Problem("shop.orders.channel", f"is missing, and there are {count} channels; {remedy}")
    for name, channel in channels.items():
        path = dotted(("channels", name, "shop_values"))
        if not mapped and channel.shop_values and count > 1:
            yield Problem(path, f"has no column to be compared with; map {either}, or leave it out")
        if mapped and not channel.shop_values and count > 1 and ask.channels == "recorded":
            clean = draft.is_clean("channels", name)
            if clean:
                yield Problem(path, f"is missing; say what the shop's column {key_text(str(mapped))} holds, like [3]")
    if shop is not None and shop.ignore_channels and not mapped:
        yield Problem("shop.ignore_channels", f"has no column to be compared with; map {either}")


def _values_of_channels(draft: Draft) -> Iterator[Problem]:
    shop = draft.table(ShopSettings, "shop")
    owners: dict[str, str] = {}
    for name, channel in draft.channels().items():
        for value in channel.shop_values:
            owner = owners.setdefault(value, name)
            path = dotted(("channels", name, "shop_values"))
            if owner != name:
                yield Problem(
                    path, f"claims a value that is {dotted(('channels', owner))}'s too; give it to one of them"
                )
            if shop is not None and value in shop.ignore_channels:
                yield Problem(path, "claims a value that shop.ignore_channels leaves out; take it from one of them")


def _accounts(draft: Draft) -> Iterator[Problem]:
    """One account under two names could move two orders with one payment."""
    owners: dict[tuple[object, ...], str] = {}
    for name, channel in draft.channels().items():
        account = (channel.endpoint, *channel.account())
        owner = owners.setdefault((channel.gateway, *account), name) if channel.account() else name
        if owner != name and draft.is_clean("channels", name):
            first = dotted(("channels", owner))
            yield Problem(dotted(("channels", name)), f"is the same account as {first}; put both shop_values into one")
