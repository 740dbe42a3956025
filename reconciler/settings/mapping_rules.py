"""The second pass over the shop's mapping: columns that must differ, states that must not overlap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.settings.channel import text_of_shop_value
from reconciler.settings.columns import ShopValue
from reconciler.settings.draft import Draft
from reconciler.settings.mapping import AttemptsMapping, OrdersMapping, StatesMapping
from reconciler.settings.problems import Problem, dotted, key_text

_ORDERS = ("shop", "orders")
_NUMBERS = ("key", "order_no", "out_trade_no")
"""Columns that may be one and the same."""


def mapping_problems(draft: Draft) -> Iterator[Problem]:
    """Apply the rules of `[shop.orders]` and `[shop.attempts]`."""
    states = draft.table(StatesMapping, *_ORDERS, "states")
    orders = draft.table(OrdersMapping, *_ORDERS)
    attempts = draft.table(AttemptsMapping, "shop", "attempts")
    if states is not None:
        yield from _states(states, is_clean=draft.is_clean(*_ORDERS, "states"))
        if draft.is_clean(*_ORDERS, "states"):
            yield from _limits(draft, states)
    if orders is not None:
        yield from _distinct(_columns(orders))
        if orders.out_trade_no is None and attempts is None and draft.is_clean("shop"):
            remedy = 'add it: out_trade_no = "order_sn" (only where [shop.attempts] has the numbers it may be left out)'
            yield Problem("shop.orders.out_trade_no", f"this key is missing; {remedy}")
    if attempts is not None:
        yield from _attempts(attempts, orders)


def _states(states: StatesMapping, *, is_clean: bool) -> Iterator[Problem]:
    path = (*_ORDERS, "states")
    seen: dict[str, str] = {}
    for name in ("pending", "paid", "closed", "refunded"):
        values: tuple[ShopValue, ...] = getattr(states, name)
        for text in map(text_of_shop_value, values):
            other = seen.setdefault(text, name)
            if other != name:
                yield Problem(dotted((*path, name)), f"holds a value that {other} holds too; give it to one of them")
        if len({text_of_shop_value(value) for value in values}) < len(values):
            yield Problem(dotted((*path, name)), 'holds a value twice (1 and "1" are the same); name each once')
    if not is_clean:
        return
    if not _is_one_of(states.settled_as, states.paid):
        yield Problem(dotted((*path, "settled_as")), "must be one of paid, written as it is there")
    if states.closed_as is not None and not _is_one_of(states.closed_as, states.closed):
        yield Problem(dotted((*path, "closed_as")), "must be one of closed, written as it is there")


def _limits(draft: Draft, states: StatesMapping) -> Iterator[Problem]:
    """Refuse a limit on a value that no order has: it would watch nothing, and nobody would be told."""
    every = (*states.pending, *states.paid, *states.closed, *states.refunded)
    known = dict.fromkeys(map(text_of_shop_value, every))
    limits = draft.raw.get("processing_limits")
    for status in limits if isinstance(limits, Mapping) else ():
        if status not in known:
            remedy = f"write one of {', '.join(map(key_text, known))}, or give it a state there"
            yield Problem(dotted(("processing_limits", status)), f"is no value of shop.orders.states; {remedy}")


def _is_one_of(value: ShopValue, values: tuple[ShopValue, ...]) -> bool:
    return any(type(each) is type(value) and each == value for each in values)


def _columns(orders: OrdersMapping) -> Iterator[tuple[str, str, bool]]:
    """Give key, column, and whether it may be one with the numbers' columns."""
    for key in (*_NUMBERS, "amount", "status", "created_at", "channel", "transaction_id", "paid_at"):
        column = getattr(orders, key)
        if column is not None:
            yield dotted((*_ORDERS, key)), column, key in _NUMBERS
    yield from ((dotted((*_ORDERS, "touch", place)), column, False) for place, column in enumerate(orders.touch))
    yield from ((dotted((*_ORDERS, "set", column)), column, False) for column in orders.set)


def _distinct(columns: Iterator[tuple[str, str, bool]]) -> Iterator[Problem]:
    """No column has two meanings: what we write must not be what we compare, nor be written twice."""
    seen: dict[str, tuple[str, bool]] = {}
    for path, column, is_number in columns:
        # Most databases take Status and status for one column.
        other, other_is_number = seen.setdefault(column.casefold(), (path, is_number))
        if other != path and not (is_number and other_is_number):
            yield Problem(path, f"names the same column as {other}; one column has one meaning, leave one of them out")


def _attempts(attempts: AttemptsMapping, orders: OrdersMapping | None) -> Iterator[Problem]:
    path = ("shop", "attempts")
    keys = ("key", "order", "out_trade_no", "created_at", "channel", "amount")
    columns = [(dotted((*path, key)), getattr(attempts, key), key in {"key", "out_trade_no"}) for key in keys]
    yield from _distinct(each for each in columns if each[1] is not None)
    if orders is not None and attempts.table.casefold() == orders.table.casefold():
        remedy = "leave [shop.attempts] out where each order has one number"
        yield Problem(dotted((*path, "table")), f"is the table of shop.orders; {remedy}")
