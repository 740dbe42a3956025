"""One buyer's visit to the shop, from the order to whatever becomes of it."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.sandbox.trade import SLOW_SECONDS, GatewayKind, Trouble, Twist

STRANGE_CHANNEL = "paypal"
"""A value of the channel column that the written configuration does not know."""


@dataclass(frozen=True, slots=True)
class Visit:
    """Who orders what, when, and what happens then. Seconds after the order, unless said otherwise; None: never."""

    kind: str
    """What it is an example of, for people: `callback lost`."""
    order_no: str
    pay_channel: str
    """What the shop writes into its channel column."""
    amount_fen: int | None
    """What the shop writes down; None leaves the amount NULL."""
    at_s: float = 0.0
    """Of the order, from the start of the play."""
    opens_s: float | None = 0.0
    pays_s: float | None = None
    charged_fen: int | None = None
    """What the gateway charges, where that is something else."""
    callback_s: float | None = None
    """After the payment; None: the callback is lost."""
    expires_s: float | None = None
    """The shop closes it, if it still waits."""
    deletes_s: float | None = None
    refunds_s: float | None = None
    closes_s: float | None = None
    """The gateway closes it."""
    twist: Twist | None = None
    trouble: Trouble | None = None
    trouble_asks: int = 0
    slow_s: float = SLOW_SECONDS

    @property
    def gateway(self) -> GatewayKind | None:
        """Who keeps the trade; None for a channel that is nobody's."""
        return None if self.pay_channel == STRANGE_CHANNEL else GatewayKind(self.pay_channel)

    @property
    def charge_fen(self) -> int:
        """What the gateway charges."""
        return self.charged_fen if self.charged_fen is not None else self.amount_fen or 0
