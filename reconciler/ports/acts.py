"""What a person does with a case, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from reconciler.ports.records import CaseId


@dataclass(frozen=True, slots=True)
class Approve:
    """Wave the question through, as it stands. By itself it moves nothing: it is asked and decided anew."""

    case: CaseId
    by: str
    shown: str = ""
    """The digest of the question that the person saw (`Case.digest`); empty: whatever it is now."""


@dataclass(frozen=True, slots=True)
class Resolve:
    """End a case: it was dealt with. The same facts stay silent from then on."""

    case: CaseId
    by: str
    note: str
    final: bool = False
    """The order is not to be moved any more. May be added to a case that was resolved without."""
    shown: str = ""
    """As with `Approve`."""


@dataclass(frozen=True, slots=True)
class Reopen:
    """Open a case again: its facts are not silent any more, its `final` and its snooze are taken back."""

    case: CaseId
    by: str


@dataclass(frozen=True, slots=True)
class Snooze:
    """Be reminded of an open case no more until then. New facts end it."""

    case: CaseId
    by: str
    until: datetime


CaseAct = Approve | Resolve | Reopen | Snooze


class Acted(Enum):
    """What became of an act."""

    DONE = "done"
    ALREADY = "already"
    """It was so before; nothing was written."""
    UNKNOWN = "unknown"
    """There is no such case."""
    ENDED = "ended"
    """The case has ended, and only open ones can be approved, resolved or snoozed."""
    CHANGED = "changed"
    """The question is not the one that was shown any more."""
    RIVAL = "rival"
    """The order has another open case of this kind: that one is the question now."""
