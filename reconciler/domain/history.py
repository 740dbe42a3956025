"""What the ledger knows of an order when one of its attempts is decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from reconciler.domain.case import CaseKind
from reconciler.domain.order import ChannelName, OrderKey


@dataclass(frozen=True, slots=True)
class KnownAttempt:
    """Another attempt of the same order, and the last verified thing its gateway said."""

    channel: ChannelName
    out_trade_no: str
    last_verified: str | None = None
    """The answer's name: `Closed`, `Paid`; None where nothing verified yet."""
    transaction_id: str | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """A payment that moved this order, by us or by the shop's own callback while we were about to."""

    channel: ChannelName
    out_trade_no: str
    transaction_id: str
    at: datetime | None = field(default=None, compare=False)
    """When that was written down."""


@dataclass(frozen=True, slots=True)
class History:
    """Everything decide() may know beside the order, the answer, the policy and the time."""

    others: tuple[KnownAttempt, ...] = ()
    settled: Settlement | None = None
    transaction_moved: OrderKey | None = None
    """The order that this answer's transaction has moved already, where it is another than this one."""
    was_paid: bool = False
    """Whether we ever saw this order paid: in the ledger, or in its row."""
    untrusted_run: int = 0
    """Untrusted answers in a row for this attempt, the present one included."""
    resolved_for_good: bool = False
    """A person resolved a case of this order with `--final`: it is not to be moved."""
    open_cases: frozenset[CaseKind] = frozenset()
    """The questions about this order that nobody has answered yet, and that a payment may answer (not `APART`)."""
    last_verified: str | None = None
    """The last verified thing that this very attempt's gateway said: the answer's name."""
    close_begun: bool = False
    """The ledger says that the gateway was to close this very attempt's trade; what came of it may be lost."""
    close_outcome: str = ""
    """What the gateway said to that, in words; empty where it said nothing yet: then it is safe to repeat."""
    close_refused: bool = False
    """It refused: paid, closed or finished already, or not allowed to us. A payment may be under way."""
    resolved: frozenset[str] = frozenset()
    """Digests (`digest_of`) of the questions about this order that a person has resolved: answered, whatever comes."""
    approved: frozenset[str] = frozenset()
    """Digests of the open questions about this attempt that a person has waved through; they wave nothing through but
    in the ask that he asked for, or in what a crash left of it: there they are `waived`."""
    waived: frozenset[str] = frozenset()
    """Digests (`digest_of`) of the questions that a person waved through in the ask that is being decided: what was
    not shown to him is not waived."""
    channel_in_doubt: bool = False
    """Every one of the channel's last asks came back NotCreated: such answers end no watch."""

    @property
    def is_only_attempt(self) -> bool:
        """Whether the order has no other attempt that we know of."""
        return not self.others
