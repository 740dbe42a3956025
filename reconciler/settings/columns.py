"""Names and values of the shop's own columns, as an operator writes them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import PlainValidator

NAME_LENGTH_MAX = 128
TEXT_LENGTH_MAX = 255
CONDITION_LENGTH_MAX = 2000
INTEGER_MAX = 2**63 - 1

ShopValue = int | str | bool
"""A value of the shop's, as written: the shop's adapter binds it as the column's type wants it."""


def _name(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= NAME_LENGTH_MAX or not value.isprintable():
        raise ValueError('is not a name of the shop\'s database; write it in quotes, like "order_sn"')
    if value != value.strip() or any(character in "\"'`;\\[]" for character in value):
        raise ValueError('must be the bare name, without quotes or blanks around it, like "order_sn"')
    return value


def _shop_value(value: object) -> ShopValue:
    if isinstance(value, bool | int) and abs(value) <= INTEGER_MAX:
        return value
    if isinstance(value, str) and len(value) <= TEXT_LENGTH_MAX and value.isprintable():
        return value
    raise ValueError('is not a value of a column; write a whole number, true, false or short text, like 2 or "paid"')


def _condition(value: object) -> str:
    example = 'like "deleted_at IS NULL"'
    if (
        not isinstance(value, str)
        or not value.strip()
        or len(value) > CONDITION_LENGTH_MAX
        or "\x00" in value
        or "\\" in value
    ):
        raise ValueError(f"is not a condition; write SQL, {example}, or leave it out")
    # It stands in brackets beside our own guard: what closes them, or comments them away, would undo the guard.
    bare = re.sub(r"'(?:[^']|'')*'|\"[^\"]*\"|`[^`]*`", "''", value)
    depth = 0
    for character in bare:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            break
    if depth or any(token in bare.replace("''", "") for token in (";", "--", "/*", "'", '"', "`")):
        raise ValueError(
            f"must be one condition, brackets and quotes in pairs, without comments or semicolons, {example}"
        )
    return value


Name = Annotated[str, PlainValidator(_name)]
Condition = Annotated[str, PlainValidator(_condition)]
Value = Annotated[ShopValue, PlainValidator(_shop_value)]
