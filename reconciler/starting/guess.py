"""From what was seen to a proposal: a shop that is known, or columns by their names, types and values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from reconciler.settings import preset
from reconciler.settings.channel import text_of_shop_value
from reconciler.settings.columns import ShopValue
from reconciler.shops.sql.columns import Column, Kind
from reconciler.starting.attempts import Attempts, attempts_beside
from reconciler.starting.survey import Survey, Surveyed
from reconciler.starting.words import (
    CHANNELS,
    DELETED_AT,
    IS_DELETED,
    JUST_PAID,
    NOT_TABLES,
    ROLES,
    STATES,
    TABLES,
    commented,
    meaning,
    rank,
)

NEEDED: Final = ("order_no", "amount", "status", "created_at")
VALUES_MAX: Final = 30
"""A column with more different values is no status, and no channel."""
FILLED_SHARE: Final = 0.5
EMPTY: Final = (None, "", "0", "0000-00-00 00:00:00")


class NotGuessed(Exception):
    """No table looks like one of orders; the text says what was looked at."""


@dataclass(frozen=True, slots=True)
class Guess:
    """A value of the configuration, and what it rests on."""

    value: ShopValue | tuple[ShopValue, ...] | None
    """None: it cannot be told from outside, and is left out until somebody who knows has written it."""
    because: str


@dataclass(slots=True)
class Proposal:
    """What the configuration is written from."""

    table: str
    preset: str = ""
    because: str = ""
    """Why this table, or this preset."""
    orders: dict[str, Guess] = field(default_factory=dict)
    """Keys of `[shop.orders]`."""
    states: dict[str, Guess] = field(default_factory=dict)
    channels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Gateway to the values of the channel column, as far as they were recognised."""
    strangers: tuple[str, ...] = ()
    """Values of the channel column that were not."""
    asks_all: bool = False
    attempts: Attempts | None = None
    """A second table that may have the numbers; only shown."""


def propose(survey: Survey) -> Proposal:
    """Recognise a shop, or guess. Raises NotGuessed."""
    known = _recognised(survey)
    if known is not None:
        return known
    scored = [(score, table) for table in survey.tables if (score := _score(table)) is not None]
    if not scored:
        looked = ", ".join(table.name for table in survey.tables) or "no table at all"
        raise NotGuessed(f"none of the tables looks like one of orders; looked at: {looked}{_nearest(survey)}")
    _, table = max(scored, key=lambda each: each[0])
    return _guessed(table, survey)


def _recognised(survey: Survey) -> Proposal | None:
    """Find a shipped preset all of whose tables and columns are there; a table may have another prefix."""
    for name in preset.names():
        shop = preset.preset(name)["shop"]
        assert isinstance(shop, Mapping)  # noqa: S101 # ours
        orders, attempts = shop["orders"], shop.get("attempts")
        wanted = _columns_of(orders)
        for table in survey.tables:
            bare = str(orders["table"]).partition("_")[2] if name == "acg-faka" else ""
            is_named = table.name == orders["table"] or (bare and table.name.endswith(f"_{bare}"))
            if not is_named or not wanted <= table.columns.keys():
                continue
            if attempts is not None and attempts["table"] not in survey.names:
                continue
            because = f"table {table.name} has all {len(wanted)} columns that the preset maps"
            found = Proposal(table.name, preset=name, because=because)
            if table.name != orders["table"]:
                found.orders["table"] = Guess(table.name, "the preset's table with another prefix")
            _unmapped_states(found, table, orders)
            column = str(orders["channel"]) if "channel" in orders else None
            _channels(found, table, column, survey)
            if column is None:
                _without_channel_column(found, preset.text_of(name))
            return found
    return None


def _columns_of(orders: Mapping[str, object]) -> set[str]:
    roles = (
        "key",
        "order_no",
        "out_trade_no",
        "amount",
        "status",
        "created_at",
        "channel",
        "transaction_id",
        "paid_at",
    )
    touch = orders.get("touch", ())
    names = {str(orders[role]) for role in roles if role in orders}
    return names | {str(name) for name in touch} if isinstance(touch, list) else names


def _unmapped_states(found: Proposal, table: Surveyed, orders: Mapping[str, object]) -> None:
    states = orders["states"]
    assert isinstance(states, Mapping)  # noqa: S101 # ours
    lists = [values for values in states.values() if isinstance(values, list)]
    known = {text_of_shop_value(value) for values in lists for value in values}
    strange = sorted({value for value in table.values(str(orders["status"])) if value} - known)
    if strange:
        found.because += f"; its states {', '.join(strange)} are not in the preset: a fork, or a plug-in's"


def _without_channel_column(found: Proposal, text: str) -> None:
    if "WeChat Pay only" in text:
        found.channels = {"wechat": ()}
    else:
        found.channels = {"alipay": (), "wechat": ()}
        found.asks_all = True


def _score(table: Surveyed) -> float | None:
    place = rank(TABLES, table.name)
    roles = _roles(table)
    if table.key is None or not roles.keys() >= set(NEEDED):
        return None
    score = len(roles) + (0 if place is None else 2 * (len(TABLES) - place))
    score -= 8 if re.search(NOT_TABLES, table.name, re.IGNORECASE) else 0
    return score + (1 if table.rows else 0)


def _nearest(survey: Survey) -> str:
    """Say which table has most of what is needed, and what it lacks; nothing where none has anything."""
    lacking = [([role for role in NEEDED if role not in _roles(table)], table) for table in survey.tables]
    lacks, table = min(lacking, key=lambda each: len(each[0]), default=(NEEDED, None))
    if table is None or len(lacks) == len(NEEDED):
        return ""
    if not lacks:
        return f"; {table.name} comes nearest, and has no primary key of one column"
    return f"; {table.name} comes nearest, and no column's name and type say {', '.join(lacks)}"


def _roles(table: Surveyed) -> dict[str, str]:
    """Give each role the column that fits it best; no column has two, but for the numbers."""
    given: dict[str, str] = {}
    for role, (kinds, patterns) in ROLES.items():
        ranked = []
        for place, column in enumerate(table.columns.values()):
            fits = rank(patterns, column.name)
            if fits is None or column.name in given.values() or column.name == table.key:
                continue
            if column.kind in kinds or (column.is_loose and column.kind is Kind.OTHER):
                ranked.append((not _is_plausible(role, column, table), fits, place, column.name))
        if ranked:
            given[role] = min(ranked)[3]
    if "order_no" not in given and "transaction_id" in given and _is_unique(table, given["transaction_id"]):
        given["order_no"] = given.pop("transaction_id")  # some call their own number trade_no
    if "order_no" not in given and "out_trade_no" in given:
        given["order_no"] = given["out_trade_no"]
    return given


def _is_plausible(role: str, column: Column, table: Surveyed) -> bool:
    """Whether the values speak for a column, as far as there are any."""
    values = [value for value in table.values(column.name) if value not in EMPTY]
    if role in {"order_no", "out_trade_no"}:
        return len(set(values)) == len(values)
    if role in {"status", "channel"}:
        return len(set(values)) <= VALUES_MAX
    return True


def _is_unique(table: Surveyed, name: str) -> bool:
    return name in table.table.unique


def _guessed(table: Surveyed, survey: Survey) -> Proposal:
    roles = _roles(table)
    found = Proposal(table.name, because=f"of {len(survey.names)} tables it looks most like one of orders")
    assert table.key is not None  # noqa: S101 # _score saw to it
    found.orders["table"] = Guess(table.name, found.because)
    found.orders["key"] = Guess(table.key, f"the primary key, {table.columns[table.key].declared}")
    for role in ("order_no", "out_trade_no", "amount", "status", "created_at", "channel", "transaction_id", "paid_at"):
        name = roles.get(role) or (roles["order_no"] if role == "out_trade_no" else None)
        if name is not None:
            found.orders[role] = Guess(name, _because(role, table, name, roles))
    found.orders["amount_unit"] = _unit(table, roles["amount"])
    if "touch" in roles:
        touched = "its name: other code may lock by it, or sort by it"
        found.orders["touch"] = Guess((roles["touch"],), touched)
    where = _where(table)
    if where is not None:
        found.orders["where"] = where
    _states(found, table, roles)
    _channels(found, table, roles.get("channel"), survey)
    if not found.channels:
        _no_channel_recognised(found, roles)
    found.attempts = attempts_beside(table, survey)
    return found


def _because(role: str, table: Surveyed, name: str, roles: Mapping[str, str]) -> str:
    column = table.columns[name]
    values = [value for value in table.values(name) if value not in EMPTY]
    said = f"its name and type ({column.declared})"
    if role in {"order_no", "out_trade_no"}:
        unique = " and it is unique" if _is_unique(table, name) else ", NOT unique by an index"
        said += unique
    if role == "out_trade_no" and "out_trade_no" not in roles:
        said = "no column of its own was seen: most shops send order_no. Look one up in the merchant's console"
    if values and role in {"order_no", "out_trade_no"}:
        said += f"; like {values[0][:40]}"
    if role in {"transaction_id", "paid_at"} and table.rows:
        said += f"; filled in {len(values)} of the newest {len(table.rows)} orders"
    return said


def _unit(table: Surveyed, name: str) -> Guess:
    column = table.columns[name]
    if re.search(r"fen|cent|分", name, re.IGNORECASE):
        return Guess("fen", "the column's name")
    if column.kind is Kind.INTEGER and not column.declared.upper().startswith("DECIMAL"):
        values = [value for value in table.values(name) if value not in EMPTY]
        said = f"a whole number (like {values[0]})" if values else "a whole number"
        return Guess("fen", f"{said}. A wrong unit shows as amount_mismatch; compare one order with the console")
    return Guess("yuan", f"{column.declared} has decimals")


def _where(table: Surveyed) -> Guess | None:
    for name, column in table.columns.items():
        if re.fullmatch(DELETED_AT, name, re.IGNORECASE) and column.kind is Kind.MOMENT:
            return Guess(f"{name} IS NULL", "soft deletes, by the column's name")
        if re.fullmatch(IS_DELETED, name, re.IGNORECASE) and column.kind in {Kind.INTEGER, Kind.BOOLEAN, Kind.BITS}:
            empty = {Kind.BOOLEAN: f"NOT {name}", Kind.BITS: f"{name} = b'0'"}.get(column.kind, f"{name} = 0")
            return Guess(empty, "soft deletes, by the column's name")
    return None


def _states(found: Proposal, table: Surveyed, roles: Mapping[str, str]) -> None:
    """Say what each value of the status column means: by its comment, its own name, or what rows with it have."""
    name = roles["status"]
    column = table.columns[name]
    counts = Counter(value for value in table.values(name) if value is not None)
    said = commented(table.comments.get(name, ""))
    values = list(dict.fromkeys([*counts, *column.members, *said]))
    meanings: dict[str, tuple[str, str]] = {}
    for value in values:
        if value in said and (known := meaning(STATES, said[value])):
            meanings[value] = (known, f"the column's comment says {said[value]}")
        elif not re.fullmatch(r"-?\d+", value) and (known := meaning(STATES, value)):
            meanings[value] = (known, "its name")
    _by_rows(meanings, table, roles, counts)
    _at_least(meanings, column)
    for state in ("pending", "paid", "closed", "refunded"):
        mine = [value for value, (known, _) in meanings.items() if known == state]
        if mine:
            why = "; ".join(f"{value}: {meanings[value][1]} ({counts[value]} seen)" for value in mine)
            found.states[state] = Guess(tuple(_as_value(column, value) for value in sorted(mine, key=_order)), why)
        elif state in {"pending", "paid"}:
            left = ", ".join(value for value in column.members if value not in meanings) or "none of its values is left"
            why = f"no order was seen in such a state, and no value's name says which it is ({left})"
            found.states[state] = Guess(None, f"{why}: ask whoever knows the shop")
    paid = found.states["paid"].value
    if isinstance(paid, tuple):
        found.states["settled_as"] = _settled_as(paid, said)
    else:
        found.states["settled_as"] = Guess(None, "one of paid: what does your callback's code set?")


def _settled_as(paid: tuple[ShopValue, ...], said: Mapping[str, str]) -> Guess:
    """Choose what the callback's code sets: by a name that says so, or the lowest number. A wrong one ships nothing."""
    asked = "what does your callback's code set?"
    for value in paid:
        name = said.get(str(value), str(value))
        if re.search(JUST_PAID, name, re.IGNORECASE):
            return Guess(value, f"{name} says so; {asked}")
    numbers: list[ShopValue] = [value for value in paid if not isinstance(value, str) and value >= 0]
    if len(paid) == 1 or numbers:
        return Guess(next(iter(numbers), paid[0]), f"the first of paid; {asked}")
    return Guess(None, f"one of {', '.join(map(str, paid))}, and no name says which: {asked}")


def _by_rows(
    meanings: dict[str, tuple[str, str]], table: Surveyed, roles: Mapping[str, str], counts: Mapping[str, int]
) -> None:
    proofs = [roles[role] for role in ("paid_at", "transaction_id") if role in roles]
    statuses = table.values(roles["status"])
    filled = Counter[str]()
    for status, row in zip(statuses, table.rows, strict=True):
        if status is not None and any(table.columns[proof].text(row[proof]) not in EMPTY for proof in proofs):
            filled[status] += 1
    unknown = [value for value in counts if value not in meanings]
    for value in unknown:
        if proofs and filled[value] >= counts[value] * FILLED_SHARE:
            meanings[value] = ("paid", f"{' or '.join(proofs)} is filled")
    rest = sorted((value for value in unknown if value not in meanings and proofs), key=_order)
    has_pending = any(state == "pending" for state, _ in meanings.values())
    for value in rest:
        if not has_pending and not value.startswith("-"):
            meanings[value] = ("pending", f"the lowest whose {' and '.join(proofs)} are empty")
            has_pending = True
        else:
            meanings[value] = ("closed", f"{' and '.join(proofs)} are empty, and it is not the lowest")


def _at_least(meanings: dict[str, tuple[str, str]], column: Column) -> None:
    """Give pending and paid a value each, where one can be made up: a configuration without them is none.

    Of an enumeration none is: what it is given would be one of its own, and of another meaning.
    """
    if column.members:
        return
    words = ("PENDING", "PAID") if column.kind is Kind.TEXT else ("0", "1")
    for state, value in zip(("pending", "paid"), words, strict=True):
        if not any(known == state for known, _ in meanings.values()):
            free = next((each for each in (value, "1", "2", "3", "4") if each not in meanings), "99")
            meanings[free] = (state, "NOTHING: no order was seen in such a state; ask whoever knows the shop")


def _as_value(column: Column, text: str) -> ShopValue:
    if column.kind is Kind.BOOLEAN:
        return text in {"1", "true"}
    return int(text) if re.fullmatch(r"-?\d{1,18}", text) and column.kind is not Kind.TEXT else text


def _order(value: str) -> tuple[bool, int, str]:
    is_number = re.fullmatch(r"-?\d{1,18}", value) is not None
    return (not is_number, int(value) if is_number else 0, value)


def _channels(found: Proposal, table: Surveyed, name: str | None, survey: Survey) -> None:
    """Say whose each value of the channel column is: by its name, the comment, or a table of payment ways."""
    if name is None:
        return
    said = commented(table.comments.get(name, ""))
    named = _named_elsewhere(table, survey)
    values = dict.fromkeys(value for value in [*table.values(name), *said] if value is not None)
    recognised: dict[str, list[str]] = {}
    strangers = []
    for value in values:
        known = meaning(CHANNELS, " ".join((value, said.get(value, ""), named.get(value, ""))))
        if known is None:
            strangers.append(value)
        else:
            recognised.setdefault(known, []).append(value)
    found.channels = {gateway: tuple(sorted(mine, key=_order)) for gateway, mine in sorted(recognised.items())}
    found.strangers = tuple(sorted(strangers, key=_order))
    if not found.channels:
        found.channels, found.asks_all = {"alipay": (), "wechat": ()}, True


def _named_elsewhere(table: Surveyed, survey: Survey) -> dict[str, str]:
    """Read the ways of payment from a small table with "pay" in its name: by its key, all its texts."""
    for other in survey.tables:
        is_one = "pay" in other.name.lower() and "order" not in other.name.lower() and other.name != table.name
        if is_one and other.key is not None and 0 < len(other.rows) <= 200:  # noqa: PLR2004 # ways to pay
            key = other.columns[other.key]
            texts = [each for each in other.columns.values() if each.kind is Kind.TEXT and (each.length or 0) <= 255]  # noqa: PLR2004 # a name's
            return {
                key.text(row[key.name]) or "": " ".join(str(row[each.name] or "") for each in texts)
                for row in other.rows
            }
    return {}


def _no_channel_recognised(found: Proposal, roles: Mapping[str, str]) -> None:
    del roles
    found.channels = {"alipay": ()}
