"""What to do about one attempt: a small closed set."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from reconciler.domain.answer import Trade
from reconciler.domain.case import AttemptNumber, CaseKind, Fact, digest_of


class Pace(Enum):
    """How a watch goes on."""

    AGES = "ages"
    """At its next age; at the last one its watch ends."""
    LATER_AGES = "later ages"
    """The same, at the later ages only."""
    SOON = "soon"
    """With back-off, and no age is used up: we could not ask."""
    PROBE = "probe"
    """At its next age, and after the last one once a day: a person has been told, and nothing is given up meanwhile."""


@dataclass(frozen=True, slots=True)
class Settle:
    """Move the order (or the declared group of orders) forward."""

    trade: Trade
    revives: bool = False
    """The order was closed in the shop."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class AskAgain:
    """Nothing to do yet."""

    why: str
    pace: Pace = Pace.AGES


@dataclass(frozen=True, slots=True)
class AskAt:
    """Nothing to do before this moment."""

    at: datetime
    why: str


@dataclass(frozen=True, slots=True)
class OpenCase:
    """A person is needed. A case keeps the watch: a later full agreement settles the order and ends it by itself."""

    kind: CaseKind
    why: str
    facts: tuple[Fact, ...] = ()
    pace: Pace = Pace.PROBE

    def digest(self, about: AttemptNumber) -> str:
        """Tell this very question about an attempt from any other (`digest_of`)."""
        return digest_of(self.kind, self.facts, about)


@dataclass(frozen=True, slots=True)
class Stop:
    """End the watch, noted in the ledger: nothing more can come of this attempt, or its last age has been answered."""

    why: str


@dataclass(frozen=True, slots=True)
class Done:
    """End the watch: the shop has the order where it belongs."""

    why: str


@dataclass(frozen=True, slots=True)
class CloseOrder:
    """Mark the order closed in the shop: every attempt of it is closed unpaid, verified."""

    why: str


@dataclass(frozen=True, slots=True)
class CloseTrade:
    """Have the gateway close this attempt's trade, which nobody has paid, and ask once more what became of it."""

    why: str


@dataclass(frozen=True, slots=True)
class PauseChannel:
    """No query of this channel can work: stop asking it, alert once, probe until it works again."""

    why: str


Decision = Settle | AskAgain | AskAt | OpenCase | Stop | Done | CloseOrder | CloseTrade | PauseChannel


def name_of(decision: Decision) -> str:
    """Give the decision's name as ledger and log write it: `ask_again`, `amount_mismatch`."""
    if isinstance(decision, OpenCase):
        return decision.kind.value
    return _NAMES[type(decision)]


_NAMES: dict[type[Decision], str] = {
    Settle: "settle",
    AskAgain: "ask_again",
    AskAt: "ask_at",
    Stop: "stop",
    Done: "done",
    CloseOrder: "close_order",
    CloseTrade: "close_trade",
    PauseChannel: "pause_channel",
}
