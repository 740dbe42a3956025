"""The shop's columns: what each holds, and how values go in and out.

Statements are built over untyped columns, so that no type processor of SQLAlchemy's stands between us and what the
driver gives: its processors for SQLite raise on, or round, what real shops store. What is read raw is bound raw.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, ColumnElement, bindparam, types
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.sql.type_api import TypeEngine

BITS_DEFAULT = 64
_TEXT_SHOWN_LENGTH_MAX = 64


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


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A reflected column of the shop's."""

    name: str
    sql: ColumnElement[object]
    kind: Kind
    dialect: str
    declared: str
    """Its type as the database calls it, for people."""
    length: int | None = None
    members: tuple[str, ...] = ()
    """The values of an enum type."""
    bits: int = BITS_DEFAULT
    is_padded: bool = False
    has_offset: bool = False
    is_utc: bool = False

    def text(self, raw: object) -> str | None:
        """Read a value as text, so that `1`, `'1'`, `true` and b'1' are the same; None for NULL."""
        if self.kind is Kind.BITS and isinstance(raw, bytes):
            return str(int.from_bytes(raw, "big"))
        text = text_of(raw)
        return text.rstrip(" ") if text is not None and self.is_padded else text

    def forms(self, value: str | float) -> tuple[object, ...]:
        """Give the value in every form that this column may hold it in. Raises ValueError where it can hold none."""
        text = text_of(value) or ""
        match self.kind:
            case Kind.INTEGER | Kind.BITS:
                return (self._integer(text),)
            case Kind.BOOLEAN:
                return (self._boolean(text),)
            case Kind.NUMBER:
                return (self._number(text),)
            case Kind.UUID:
                return (str(UUID(text)),)
            case Kind.OTHER if self.dialect == "sqlite":
                return (text, int(text)) if is_canonical_integer(text) else (text,)
            case _:
                return (self._text(text),)

    def lookup(self, text: str) -> tuple[object, ...]:
        """Give the forms of a text that came from elsewhere; none where no row of this column can hold it."""
        if "\0" in text or not text.isprintable():
            return ()
        if self.kind is Kind.INTEGER and not is_canonical_integer(text):
            return (text,) if self.dialect == "sqlite" else ()  # SQLite keeps text in an integer column
        try:
            return self.forms(text)
        except ValueError:
            return ()

    def guard(self, raw: object) -> ColumnElement[bool]:
        """Compare with the value as it was read; NULL is equal to NULL."""
        if raw is None:
            return self.sql.is_(None)
        if self.kind is Kind.BITS and isinstance(raw, bytes):
            raw = int.from_bytes(raw, "big")
        return self.sql == bound(raw)

    def is_one_of(self, values: Iterable[object]) -> ColumnElement[bool]:
        """Compare with any of these values (at least one), bound."""
        return self.sql.in_(bindparam(None, list(values), type_=types.NULLTYPE, unique=True, expanding=True))

    def _integer(self, text: str) -> int:
        try:
            number = int(text) if text.strip() == text and text.isascii() and "_" not in text else None
        except ValueError:
            number = None
        if number is None:
            raise ValueError(f"{shown(text)} can never be in an integer column")
        top = 1 << (self.bits if self.kind is Kind.BITS or self.dialect == "mysql" else self.bits - 1)
        if not -top <= number < top:
            raise ValueError(f"{number} does not fit its column")
        return number

    def _boolean(self, text: str) -> bool | int:
        known = {"1": True, "true": True, "0": False, "false": False}
        if text.lower() not in known:
            raise ValueError(f"{shown(text)} is neither true nor false")
        value = known[text.lower()]
        return value if self.dialect == "postgresql" else int(value)

    def _number(self, text: str) -> Decimal | int | str:
        try:
            number = Decimal(text)
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite():
            raise ValueError(f"{shown(text)} is not a number")
        if self.dialect != "sqlite":
            return number
        return int(number) if number == int(number) and abs(number) < 1 << 63 else text

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
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) < 20 and str(int(text)) == text  # noqa: PLR2004 # 64 bits


_KINDS: tuple[tuple[type[TypeEngine[Any]], Kind], ...] = (
    (types.Boolean, Kind.BOOLEAN),
    (types.Integer, Kind.INTEGER),
    (types.Float, Kind.FLOAT),  # in SQLAlchemy 2.0 a Numeric too
    (types.Numeric, Kind.NUMBER),
    (types.DateTime, Kind.MOMENT),
    (types.Date, Kind.DATE),
    (mysql.BIT, Kind.BITS),
    (types.String, Kind.TEXT),
    (types.Uuid, Kind.UUID),
    (types.LargeBinary, Kind.BINARY),
    (types.BINARY, Kind.BINARY),
    (types.VARBINARY, Kind.BINARY),
)


def kind_of(type_: TypeEngine[Any], dialect: str) -> Kind:
    """Say what a reflected type holds."""
    # SQLite's BLOB holds whatever it is given
    kind = next((kind for known, kind in _KINDS if isinstance(type_, known)), Kind.OTHER)
    return Kind.OTHER if kind is Kind.BINARY and dialect == "sqlite" else kind


def bits_of(type_: TypeEngine[Any]) -> int:
    """Say how wide an integer column is."""
    match type_:
        case mysql.BIT():
            return type_.length or 1
        case types.SmallInteger():
            return 16
        case types.BigInteger():
            return 64
        case _:
            return 32


def column_of(name: str, sql: ColumnElement[object], type_: TypeEngine[Any], dialect: str) -> Column:
    """Describe a reflected column."""
    kind = kind_of(type_, dialect)
    return Column(
        name=name,
        sql=sql,
        kind=kind,
        dialect=dialect,
        declared=type(type_).__name__.upper() if isinstance(type_, types.NullType) else str(type_),
        length=getattr(type_, "length", None) if kind is Kind.TEXT else None,
        members=tuple(type_.enums) if isinstance(type_, types.Enum) else (),
        bits=bits_of(type_) if dialect == "postgresql" or kind is Kind.BITS else BITS_DEFAULT,
        is_padded=dialect == "postgresql" and isinstance(type_, types.CHAR),
        has_offset=isinstance(type_, postgresql.TIMESTAMP) and type_.timezone,
        is_utc=isinstance(type_, mysql.TIMESTAMP),
    )
