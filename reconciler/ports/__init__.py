"""The seams: what the flow needs from a shop, a gateway, a ledger, a clock, and whoever listens.

Every port takes batches. A double of each is in `reconciler.testing`, beside the conformance suite that both pass.
Expected outcomes are return values; the exceptions (`errors`) are what should not happen.
"""

from reconciler.ports.errors import (
    LedgerUnavailable,
    LockLost,
    Overtaken,
    PortError,
    ShopUnavailable,
)
from reconciler.ports.gateway import (
    Gateway,
    Pacer,
)
from reconciler.ports.ledger import Ledger
from reconciler.ports.records import (
    Ask,
    Batch,
    Begun,
    Case,
    CaseId,
    CaseOutcome,
    CaseReport,
    EndCases,
    Entry,
    Intention,
    IntentionId,
    NewWatch,
    OpenIntention,
    Outcome,
    Question,
    Reported,
    Story,
    StoryEntry,
    Taken,
    Watch,
    WatchCounts,
    WatchId,
    WatchUpdate,
)
from reconciler.ports.shop import (
    Found,
    Move,
    Moved,
    NotMoved,
    Page,
    Position,
    Shop,
)
from reconciler.ports.time import (
    Clock,
    Events,
)

__all__ = [
    "Ask",
    "Batch",
    "Begun",
    "Case",
    "CaseId",
    "CaseOutcome",
    "CaseReport",
    "Clock",
    "EndCases",
    "Entry",
    "Events",
    "Found",
    "Gateway",
    "Intention",
    "IntentionId",
    "Ledger",
    "LedgerUnavailable",
    "LockLost",
    "Move",
    "Moved",
    "NewWatch",
    "NotMoved",
    "OpenIntention",
    "Outcome",
    "Overtaken",
    "Pacer",
    "Page",
    "PortError",
    "Position",
    "Question",
    "Reported",
    "Shop",
    "ShopUnavailable",
    "Story",
    "StoryEntry",
    "Taken",
    "Watch",
    "WatchCounts",
    "WatchId",
    "WatchUpdate",
]
