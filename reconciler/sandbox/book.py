"""The trades of both gateways, in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import islice

from reconciler.sandbox.errors import BookFull
from reconciler.sandbox.trade import GatewayKind, Trade

TRADES_MAX = 100_000


class Book:
    """Every trade by gateway and number, and how often each was asked about."""

    def __init__(self) -> None:
        self._trades: dict[tuple[GatewayKind, str], Trade] = {}
        self._asks: Counter[tuple[GatewayKind, str]] = Counter()
        self.asks_total = 0
        """Queries that passed the gateways' checks, also those about numbers nobody knows."""
        self.closes_total = 0
        """Closes that passed the gateways' checks, likewise."""

    def put(self, trade: Trade) -> None:
        """Add a trade, or replace the one with its number, whose asks are then counted anew. Raises BookFull."""
        place = (trade.gateway, trade.out_trade_no)
        if place not in self._trades and len(self._trades) >= TRADES_MAX:
            raise BookFull(f"the sandbox holds {TRADES_MAX} trades at most; start it anew")
        self._trades[place] = trade
        self._asks.pop(place, None)

    def get(self, gateway: GatewayKind, out_trade_no: str) -> Trade | None:
        """Give a trade, without counting it as asked."""
        return self._trades.get((gateway, out_trade_no))

    def by_transaction(self, gateway: GatewayKind, transaction_id: str) -> Trade | None:
        """Give a trade by the gateway's own number."""
        mine = (trade for trade in self._trades.values() if trade.gateway is gateway)
        return next((trade for trade in mine if trade.transaction_id == transaction_id), None)

    def ask(self, gateway: GatewayKind, out_trade_no: str) -> tuple[Trade | None, int]:
        """Give a trade and how often it has been asked about, this time included."""
        self.asks_total += 1
        trade = self.get(gateway, out_trade_no)
        if trade is None:
            return None, 0
        self._asks[gateway, out_trade_no] += 1
        return trade, self._asks[gateway, out_trade_no]

    def meet(self, gateway: GatewayKind, out_trade_no: str) -> tuple[Trade | None, int]:
        """Give a trade and the number that its next ask will have, without counting one."""
        trade = self.get(gateway, out_trade_no)
        return (trade, self.asks(trade) + 1) if trade else (None, 0)

    def meet_to_close(self, gateway: GatewayKind, out_trade_no: str) -> tuple[Trade | None, int]:
        """Do as `meet`, and count the close."""
        self.closes_total += 1
        return self.meet(gateway, out_trade_no)

    def close(self, trade: Trade, now: datetime) -> None:
        """Close an unpaid trade, as the merchant asked; its asks go on being counted."""
        self._trades[trade.gateway, trade.out_trade_no] = trade.closed(now)

    def asks(self, trade: Trade) -> int:
        """Say how often a trade was asked about since it was put here."""
        return self._asks[trade.gateway, trade.out_trade_no]

    def trades(self, limit: int = TRADES_MAX) -> Sequence[Trade]:
        """List the trades, newest last, the last `limit` of them."""
        return list(islice(self._trades.values(), max(0, len(self._trades) - limit), None))
