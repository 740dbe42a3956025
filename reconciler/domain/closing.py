"""What came of having a gateway close a trade: a small closed set. None of it proves anything about the trade."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.domain.answer import Throttled, Unavailable


@dataclass(frozen=True, slots=True)
class TradeClosed:
    """The gateway says that it closed the trade. Only the next answer to a query proves it."""


@dataclass(frozen=True, slots=True)
class NoSuchTrade:
    """There is no trade to close: the buyer never opened the payment page, and could still do so and pay."""


@dataclass(frozen=True, slots=True)
class NotClosed:
    """The gateway refuses: already paid, finished or closed, or not allowed to us. The next query tells."""

    reason: str


CloseReply = TradeClosed | NoSuchTrade | NotClosed | Unavailable | Throttled


def say(reply: CloseReply) -> str:
    """Say in a few words what came of it."""
    match reply:
        case TradeClosed():
            return "closed at the gateway"
        case NoSuchTrade():
            return "cannot be closed: the gateway knows no such trade, so a payment page still open could be paid"
        case NotClosed(reason):
            return f"not closed at the gateway: {reason}"
        case Unavailable(reason):
            return f"could not be closed at the gateway: {reason}"
        case Throttled():
            return "could not be closed at the gateway: too fast"
