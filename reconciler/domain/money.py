"""Money: whole fen with a currency. Never a float."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

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
            raise AmountError(f"fen must be a whole number, not {self.fen!r}")
        if not 0 <= self.fen <= FEN_MAX:
            raise AmountError(f"{self.fen} fen is outside 0 to {FEN_MAX}")

    @classmethod
    def from_yuan(cls, yuan: str | int | Decimal, currency: str = "CNY") -> Money:
        """Take yuan as text, integer or Decimal; refuse anything finer than a fen.

        Raises AmountError for exponents, signs, blanks, NaN and fractions of a fen.
        """
        if isinstance(yuan, str) and not _is_plain_number(yuan):
            raise AmountError(f"{yuan[:40]!r} is not an amount in yuan")
        try:
            fen = Decimal(yuan) * FEN_PER_YUAN
            whole = int(fen)
        except (InvalidOperation, ValueError, OverflowError) as error:
            raise AmountError(f"{str(yuan)[:40]!r} is not an amount in yuan") from error
        if fen != whole:
            raise AmountError(f"{yuan} yuan is finer than a fen")
        return cls(whole, currency)

    @property
    def yuan(self) -> Decimal:
        """The amount in yuan, with two decimals."""
        return Decimal(self.fen).scaleb(-2)

    def __str__(self) -> str:
        return f"{self.currency} {self.fen // FEN_PER_YUAN}.{self.fen % FEN_PER_YUAN:02d}"


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
