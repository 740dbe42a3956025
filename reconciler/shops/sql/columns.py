"""The shop's columns: what each holds, and how values go in and out.

Statements are built over untyped columns, so that no type processor of SQLAlchemy's stands between us and what the
driver gives: its processors for SQLite raise on, or round, what real shops store. What is read raw is bound raw.
What one kind of database has of its own is in `dialects`, as a kind of column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, ColumnElement, and_, bindparam, types
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.sql.type_api import TypeEngine

_TEXT_SHOWN_LENGTH_MAX = 64
_INTEGERS_64 = (-(1 << 63), (1 << 63) - 1)


class Kind(Enum):
    """What a column holds, as far as binding values is concerned."""

    INTEGER = "integer"
    BOOLEAN = "boolean"
    BITS = "bits"
    NUMBER = "exact number"
    FLOAT = "floating-point number"
    TEXT = "text"
    MOMENT = "date-time"
    DATE = "date"
    UUID = "uuid"
    BINARY = "binary"
    OTHER = "other"


_NO_NAMES = frozenset({Kind.FLOAT, Kind.BOOLEAN, Kind.BITS, Kind.MOMENT, Kind.DATE})


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A reflected column of the shop's."""

    name: str
    sql: ColumnElement[object]
    kind: Kind
    declared: str
    """Its type as the database calls it, for people."""
    length: int | None = None
    members: tuple[str, ...] = ()
    """The values of an enum type."""
    integers: tuple[int, int] = _INTEGERS_64
    """The least and the greatest that it holds."""
    has_offset: bool = False
    zone: tzinfo | None = None
    """The session's, where the database shows its times in that; None: they are the shop's own."""
    is_loose: bool = False
    """It may hold anything, whatever it is declared as."""

    @property
    def holds_names(self) -> bool:
        """Whether it can hold what orders and payments are called: keys, numbers."""
        return self.is_loose or self.kind not in _NO_NAMES

    def readable(self) -> tuple[ColumnElement[bool], ...]:
        """Keep the values that can be read at all, where the database knows others; as ranges, for the index."""
        return ()

    def text(self, raw: object) -> str | None:
        """Read a value as text, so that `1`, `'1'`, `true` and b'1' are the same; None for NULL."""
        if self.kind is Kind.BITS and isinstance(raw, bytes):
            return str(int.from_bytes(raw, "big"))
        return text_of(raw)

    def forms(self, value: str | float) -> tuple[object, ...]:
        """Give the value in every form that this column may hold it in. Raises ValueError where it can hold none."""
        text = text_of(value) or ""
        match self.kind:
            case Kind.INTEGER:
                return (self._integer(text),)
            case Kind.BITS:
                return (self._bits(self._integer(_as_bit(text))),)
            case Kind.BOOLEAN:
                return (self._boolean(text),)
            case Kind.NUMBER:
                return (self._number(text),)
            case Kind.UUID:
                return (str(UUID(text)),)
            case _:
                return (self._text(text),)

    def lookup(self, text: str) -> tuple[object, ...]:
        """Give the forms of a text that came from elsewhere; none where no row of this column can hold it."""
        if "\0" in text or not text.isprintable():
            return ()
        if self.kind in {Kind.INTEGER, Kind.NUMBER} and not _is_canonical(text):
            return ()
        try:
            return self.forms(text)
        except ValueError:
            return ()

    def guard(self, raw: object) -> ColumnElement[bool]:
        """Compare with the value as it was read, to the letter; NULL is equal to NULL."""
        if raw is None:
            return self.sql.is_(None)
        if self.kind is Kind.BITS and isinstance(raw, bytes):
            raw = int.from_bytes(raw, "big")
        exactly = self._exactly(raw) if isinstance(raw, str) else None
        same = self.sql == bound(raw)
        return same if exactly is None else and_(same, exactly)

    def is_one_of(self, values: Iterable[object]) -> ColumnElement[bool]:
        """Compare with any of these values (at least one), bound. A collation may let through more: see `among`."""
        return self.sql.in_(bindparam(None, list(values), type_=types.NULLTYPE, unique=True, expanding=True))

    def among(self, values: Iterable[object]) -> Callable[[object], bool]:
        """Tell a value that came back from one that was not asked for: `a1` is found for `A1`, and is not it."""
        asked = {self.text(value) for value in values}
        return lambda raw: self.text(raw) in asked

    def _exactly(self, raw: str) -> ColumnElement[bool] | None:
        """Compare a text letter by letter, where `=` goes by a collation; no index serves it."""
        del raw
        return None

    def _integer(self, text: str) -> int:
        try:
            number = int(text) if text.strip() == text and text.isascii() and "_" not in text else None
        except ValueError:
            number = None
        if number is None:
            raise ValueError(f"{shown(text)} can never be in an integer column")
        if not self.integers[0] <= number <= self.integers[1]:
            raise ValueError(f"{number} does not fit its column")
        return number

    def _bits(self, number: int) -> object:
        return number

    def _boolean(self, text: str) -> bool | int:
        known = {"1": 1, "true": 1, "0": 0, "false": 0}
        if text.lower() not in known:
            raise ValueError(f"{shown(text)} is neither true nor false")
        return known[text.lower()]

    def _number(self, text: str) -> Decimal | int | str:
        try:
            number = Decimal(text)
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite():
            raise ValueError(f"{shown(text)} is not a number")
        return number

    def _text(self, text: str) -> str:
        if self.members and text not in self.members:
            raise ValueError(f"{shown(text)} is not one of {', '.join(self.members)}")
        if self.length is not None and len(text) > self.length:
            raise ValueError(f"{shown(text)} is longer than the {self.length} characters of its column")
        return text


def bound(value: object) -> BindParameter[object]:
    """Bind a value as it is: the driver and the database see to its type."""
    return bindparam(None, value, type_=types.NULLTYPE, unique=True)


def text_of(raw: object) -> str | None:
    """Read what a driver gave as text."""
    match raw:
        case None | str():
            return raw
        case bool():
            return "1" if raw else "0"
        case bytes():
            return raw.decode(errors="replace")  # U+FFFD: never taken for a number that can be asked
        case float() | Decimal() if Decimal(raw).is_finite() and raw == int(raw):
            return str(int(raw))
        case _:
            return str(raw)


def shown(text: str) -> str:
    """Quote a value for people: nothing unprintable, and not too long."""
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:_TEXT_SHOWN_LENGTH_MAX])
    return f"'{safe}{'…' if len(text) > _TEXT_SHOWN_LENGTH_MAX else ''}'"


def is_canonical_integer(text: str) -> bool:
    """Whether an integer column would give exactly this text back."""
    return len(text.removeprefix("-")) < 20 and _is_canonical(text)  # noqa: PLR2004 # 64 bits


def _is_canonical(text: str) -> bool:
    """Whether a column of numbers would give exactly this text back: neither `007` nor `1.0` nor `1abc`."""
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and (text == "0" or not digits.startswith("0"))


def _as_bit(text: str) -> str:
    return {"true": "1", "false": "0"}.get(text.lower(), text)


_KINDS: tuple[tuple[type[TypeEngine[Any]], Kind], ...] = (
    (types.Boolean, Kind.BOOLEAN),
    (types.Integer, Kind.INTEGER),
    (types.Float, Kind.FLOAT),  # in SQLAlchemy 2.0 a Numeric too
    (types.Numeric, Kind.NUMBER),
    (types.DateTime, Kind.MOMENT),
    (types.Date, Kind.DATE),
    (mysql.BIT, Kind.BITS),
    (postgresql.BIT, Kind.BITS),
    (types.String, Kind.TEXT),
    (types.Uuid, Kind.UUID),
    (types.LargeBinary, Kind.BINARY),
    (types.BINARY, Kind.BINARY),
    (types.VARBINARY, Kind.BINARY),
)


def kind_of(type_: TypeEngine[Any]) -> Kind:
    """Say what a reflected type holds."""
    return next((kind for known, kind in _KINDS if isinstance(type_, known)), Kind.OTHER)


def declared_as(type_: TypeEngine[Any]) -> str:
    """Name a type as its database does."""
    return type(type_).__name__.upper() if isinstance(type_, types.NullType) else str(type_)


def length_of(type_: TypeEngine[Any]) -> int | None:
    """Give how many characters a text column takes, where that is limited."""
    return getattr(type_, "length", None) if isinstance(type_, types.String) else None


def members_of(type_: TypeEngine[Any]) -> tuple[str, ...]:
    """Give the values of an enum type."""
    return tuple(type_.enums) if isinstance(type_, types.Enum) else ()
