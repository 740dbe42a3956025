"""Money: whole fen with a currency. Never a float."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

FEN_PER_YUAN = 100
FEN_MAX = 10**15
"""Ten trillion yuan. An amount above it is a mistake, not a payment."""

TEXT_LENGTH_MAX = 32


class AmountError(ValueError):
    """A text or number that is no amount of money; the message says why."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in fen (hundredths of the currency's unit) and its ISO 4217 code."""

    fen: int
    currency: str = "CNY"

    def __post_init__(self) -> None:
        if isinstance(self.fen, bool) or not isinstance(self.fen, int):
            raise AmountError(f"fen must be a whole number, not a {type(self.fen).__name__}")
        if not 0 <= self.fen <= FEN_MAX:
            raise AmountError("less than nothing" if self.fen < 0 else f"more than {FEN_MAX} fen")

    @classmethod
    def from_yuan(cls, yuan: str | int | Decimal, currency: str = "CNY") -> Money:
        """Take yuan as text, integer or Decimal; refuse anything finer than a fen.

        Raises AmountError for floats, exponents, signs, blanks, NaN and fractions of a fen.
        """
        if isinstance(yuan, int) and not isinstance(yuan, bool):
            return cls(yuan * FEN_PER_YUAN, currency)
        if isinstance(yuan, Decimal):
            yuan = _plain(yuan)
        if not isinstance(yuan, str) or not _is_plain_number(yuan):
            raise AmountError(f"{str(yuan)[:TEXT_LENGTH_MAX]!r} is not an amount in yuan")
        whole, _, fraction = yuan.partition(".")
        if fraction[2:].strip("0"):
            raise AmountError(f"{yuan} yuan is finer than a fen")
        return cls(int(whole) * FEN_PER_YUAN + int(fraction[:2].ljust(2, "0")), currency)

    @property
    def yuan(self) -> Decimal:
        """The amount in yuan, with two decimals."""
        return Decimal(self.fen).scaleb(-2)

    def __str__(self) -> str:
        return f"{self.currency} {self.fen // FEN_PER_YUAN}.{self.fen % FEN_PER_YUAN:02d}"


def _plain(number: Decimal) -> str:
    """Write a Decimal as a database gives it; raise AmountError for one with an exponent, or that is not finite."""
    _, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int) or not -TEXT_LENGTH_MAX <= exponent <= 0 or len(digits) > TEXT_LENGTH_MAX:
        raise AmountError("not an amount in yuan: an exponent, or not a number")
    return f"{number:f}"


def _is_plain_number(text: str) -> bool:
    whole, point, fraction = text.partition(".")
    digits = whole + fraction
    return (
        digits.isascii()
        and digits.isdigit()
        and bool(whole)
        and (not point or bool(fraction))
        and len(text) <= TEXT_LENGTH_MAX
    )
