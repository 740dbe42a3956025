"""A second table that looks like attempts: an order's numbers at the gateways, where it may have several."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from reconciler.starting.survey import Survey, Surveyed
from reconciler.starting.words import ROLES, rank

NAMES: Final = r"pay|try|tries|attempt|trade|transaction|支付|付款"
NOT_NAMES: Final = r"refund|notify|callback|item|detail|goods|log|history|config|channel|method|type|退款|日志|明细"
NUMBERS: Final = (*ROLES["out_trade_no"][1], r"(pay|trade|try|attempt|trans)\w*_?(no|sn|number)", r"no|sn|number")


@dataclass(frozen=True, slots=True)
class Attempts:
    """What `[shop.attempts]` could be: the table's own names."""

    table: str
    key: str
    order: str
    out_trade_no: str
    channel: str | None = None


def attempts_beside(orders: Surveyed, survey: Survey) -> Attempts | None:
    """Find a table about payments that refers to the orders and has numbers of its own."""
    for table in survey.tables:
        is_named = re.search(NAMES, table.name, re.IGNORECASE) and not re.search(NOT_NAMES, table.name, re.IGNORECASE)
        if table.name == orders.name or not is_named or table.key is None:
            continue
        order, number = _order(table, orders), _best(table, NUMBERS)
        if order is not None and number is not None:
            return Attempts(table.name, table.key, order, number, _best(table, ROLES["channel"][1]))
    return None


def _order(table: Surveyed, orders: Surveyed) -> str | None:
    own = re.escape(orders.name)
    singular = re.escape(orders.name.removesuffix("s"))
    pattern = rf"({own}|{singular}|orders?|订单)_?(id|{re.escape(orders.key or 'id')})"
    return _best(table, (pattern, r"\w*order_?id"))


def _best(table: Surveyed, patterns: tuple[str, ...]) -> str | None:
    """Give the column whose name fits the earliest pattern."""
    ranked = [(place, name) for name in table.columns if (place := rank(patterns, name)) is not None]
    ranked = [each for each in ranked if each[1] != table.key]
    return min(ranked)[1] if ranked else None
