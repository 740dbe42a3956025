"""What the ledger holds: watches, cases, and its size. A leader and its standbys read the same."""

from __future__ import annotations

import math
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Gauge

from reconciler.domain.case import CaseKind
from reconciler.ports import OpenCases, WatchCounts


class LedgerFigures:
    """Figures read from the ledger."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._watches = Gauge("reconciler_watches", "Watches by state.", ["state"], registry=registry)
        self._oldest_due = Gauge(
            "reconciler_oldest_due_timestamp_seconds",
            "When the oldest due ask should have been, of whatever channel; 0 where none is due.",
            registry=registry,
        )
        self._cases = Gauge("reconciler_cases_open", "Open cases by kind.", ["kind"], registry=registry)
        self._oldest_case = Gauge(
            "reconciler_cases_oldest_timestamp_seconds",
            "When the oldest open case of a kind was opened; 0 where none is open.",
            ["kind"],
            registry=registry,
        )
        self._entries = Gauge(
            "reconciler_ledger_entries", "Entries in the ledger's chain; NaN before the first look.", registry=registry
        )
        self._bytes = Gauge(
            "reconciler_ledger_bytes",
            "The ledger's size; NaN where it is not known (yet). Read once a minute.",
            registry=registry,
        )
        self._free = Gauge(
            "reconciler_ledger_disk_free_bytes",
            "Room left on the ledger's disk; NaN for a ledger on a server, and before the first look.",
            registry=registry,
        )
        for state in ("open", "due", "ended"):
            self._watches.labels(state)
        self.cases({})
        self._entries.set(math.nan)
        self.sized(None, None)

    def watches(self, counts: WatchCounts) -> None:
        """Take the count of watches."""
        for state, count in (("open", counts.open), ("due", counts.due), ("ended", counts.ended)):
            self._watches.labels(state).set(count)
        self._oldest_due.set(0 if counts.oldest_due_at is None else counts.oldest_due_at.timestamp())

    def cases(self, cases: Mapping[CaseKind, OpenCases]) -> None:
        """Take the open cases; a kind that is left out has none."""
        for kind in CaseKind:
            found = cases.get(kind)
            self._cases.labels(kind.value).set(found.count if found else 0)
            self._oldest_case.labels(kind.value).set(found.oldest_at.timestamp() if found else 0)

    def entries(self, number: int) -> None:
        """Take the number of the last entry: they are numbered without a gap."""
        self._entries.set(number)

    def sized(self, size_bytes: int | None, free_bytes: int | None) -> None:
        """Take the ledger's size, and what its disk has left; None where that is not known."""
        self._bytes.set(math.nan if size_bytes is None else size_bytes)
        self._free.set(math.nan if free_bytes is None else free_bytes)
