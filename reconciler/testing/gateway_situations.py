"""What a gateway is brought to say, what is to be made of it, and who brings it about."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from typing import Final, Protocol

from reconciler.domain.answer import (
    Answer,
    Closed,
    Misconfigured,
    Paid,
    Refunded,
    Rejected,
    Reply,
    Throttled,
    Unavailable,
    Unpaid,
    Unrecognised,
    Untrusted,
)
from reconciler.domain.closing import CloseReply, NoSuchTrade, NotClosed, TradeClosed
from reconciler.domain.money import Money
from reconciler.ports import Gateway, Memory
from reconciler.testing.memory import KeptInMind

AMOUNT: Final = Money(9900)
"""What every arranged trade is about."""
AHEAD: Final = timedelta(minutes=10)
"""How wrong the gateway's clock is in CLOCK_AHEAD."""


class Situation(Enum):
    """What a gateway is brought to say about a number."""

    PAID = "paid"
    """CNY 99.00, by transaction `T-` and the number, within the last minutes."""
    REFUNDED = "refunded"
    UNPAID = "unpaid"
    CLOSABLE = "unpaid, and closed when we have it closed"
    NOT_CREATED = "not created"
    CLOSED = "closed"
    NEW_STATE = "a state that nobody knows, signed"
    FORGED = "paid, with a signature by somebody else's key"
    UNSIGNED = "paid, without a signature"
    ALTERED = "paid, another amount than was signed"
    STRANGER = "paid, signed, about another number"
    STALE = "paid, signed an hour ago"
    """Absent where the gateway signs no time: then nothing that may change is concluded from an old answer."""
    ODD_AMOUNT = "paid, signed, its amount written as this gateway never writes one"
    GARBLED = "a success whose body nobody can read"
    DOWN = "the connection breaks"
    FALTERING = "the connection breaks once; then paid"
    BROKEN = "HTTP 502 with a page in HTML"
    THROTTLED = "too fast"
    REVOKED_KEY = "our key or identity is refused"
    BAD_NUMBER = "the number is refused"
    CLOCK_AHEAD = "paid, by a Date header ten minutes ahead"


MAY_BE_ABSENT: Final = frozenset(
    {
        Situation.REFUNDED,
        Situation.CLOSED,
        Situation.CLOSABLE,
        Situation.STALE,
        Situation.THROTTLED,
        Situation.BAD_NUMBER,
        Situation.FALTERING,
        Situation.CLOCK_AHEAD,
    }
)
"""What a bench may declare that its gateway does not know. The rest is what an answer's trust is made of."""

EXPECTED: Final[dict[Situation, tuple[type[Answer], bool]]] = {
    Situation.PAID: (Paid, True),
    Situation.REFUNDED: (Refunded, True),
    Situation.UNPAID: (Unpaid, True),
    Situation.CLOSABLE: (Unpaid, True),
    Situation.CLOSED: (Closed, True),
    Situation.NEW_STATE: (Unrecognised, True),
    Situation.FORGED: (Untrusted, False),
    Situation.UNSIGNED: (Untrusted, False),
    Situation.ALTERED: (Untrusted, False),
    Situation.STRANGER: (Untrusted, False),
    Situation.STALE: (Untrusted, False),
    Situation.ODD_AMOUNT: (Paid, True),
    Situation.DOWN: (Unavailable, False),
    Situation.FALTERING: (Paid, True),
    Situation.BROKEN: (Unavailable, False),
    Situation.THROTTLED: (Throttled, False),
    Situation.REVOKED_KEY: (Misconfigured, False),
    Situation.BAD_NUMBER: (Rejected, False),
    Situation.CLOCK_AHEAD: (Paid, True),
}
"""The answer's type, and whether it is verified. NOT_CREATED is signed by some gateways and not by others."""

CLOSING: Final[dict[Situation, type[CloseReply]]] = {
    Situation.CLOSABLE: TradeClosed,
    Situation.NOT_CREATED: NoSuchTrade,
    Situation.PAID: NotClosed,
    Situation.FORGED: NotClosed,
    Situation.UNSIGNED: NotClosed,
    Situation.REVOKED_KEY: NotClosed,
    Situation.DOWN: Unavailable,
    Situation.BROKEN: Unavailable,
    Situation.THROTTLED: Throttled,
}
"""What comes of closing. FORGED and UNSIGNED are here a success that does not verify."""


class GatewayBench(Protocol):
    """A gateway under test, and a hold on what it will be answered."""

    @property
    def gateway(self) -> Gateway:
        """The gateway."""
        ...

    @property
    def without(self) -> frozenset[Situation]:
        """What this gateway does not know, of MAY_BE_ABSENT: each of its tests is skipped, and says so."""
        ...

    @property
    def memory(self) -> KeptInMind:
        """What the gateway was given to keep things in."""
        ...

    @property
    def in_flight_max(self) -> int:
        """How many queries were under way at once, at the most."""
        ...

    def arrange(self, out_trade_no: str, situation: Situation) -> None:
        """Bring about a situation for a number. What nobody arranged is NOT_CREATED."""
        ...

    def arrivals(self) -> int:
        """How many requests about numbers reached the other side."""
        ...

    def fault_of(self, reply: Reply) -> str | None:
        """Check the reply's evidence with its key, as `ledger verify` would; None where it verifies."""
        ...

    def reopen(self, memory: Memory) -> Gateway:
        """Open the same channel's gateway anew, as after a restart, over this memory."""
        ...
