"""The daemon itself: what runs, whether it leads and does its work, and what it logged."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final, Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge

from reconciler.events import CATALOGUE, Event

Loop = Literal["find", "walk", "ask", "audit", "prune"]
LOOPS: Final[tuple[Loop, ...]] = get_args(Loop)
Part = Literal["shop", "replica", "ledger", "webhook"]
"""What the work needs beside the gateways."""


class DaemonFigures:
    """Figures of this process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._info = Gauge("reconciler_info", "The program.", ["version", "mode"], registry=registry)
        self._started = Gauge(
            "reconciler_start_timestamp_seconds", "When this process began; 0 until it says so.", registry=registry
        )
        self._leader = Gauge("reconciler_leader", "1 while this daemon leads, 0 as a standby.", registry=registry)
        self._ready = Gauge("reconciler_ready", "1 while /readyz says ready.", registry=registry)
        self._unavailable = Gauge(
            "reconciler_unavailable",
            "1 while a part that the work needs cannot be reached.",
            ["part"],
            registry=registry,
        )
        self._last_success = Gauge(
            "reconciler_last_success_timestamp_seconds",
            "When a loop last came through without a failure; 0 where it has not, in this process.",
            ["loop"],
            registry=registry,
        )
        self._events = Counter("reconciler_events", "Lines of the log.", ["event", "severity"], registry=registry)
        self.unavailable(())
        for loop in LOOPS:
            self._last_success.labels(loop)
        for kind in CATALOGUE.values():
            self._events.labels(kind.name, kind.severity.name.lower())

    def runs(self, version: str, mode: str) -> None:
        """Say what runs: after a reload, the new mode alone."""
        self._info.clear()
        self._info.labels(version, mode).set(1)

    def started(self, at: datetime) -> None:
        """Say when this process began."""
        self._started.set(at.timestamp())

    def stands(self, *, leads: bool, ready: bool) -> None:
        """Say whether this daemon leads, and whether it does its work, be that to wait."""
        self._leader.set(leads)
        self._ready.set(ready)

    def unavailable(self, parts: Collection[Part]) -> None:
        """Take what cannot be reached now."""
        for part in get_args(Part):
            self._unavailable.labels(part).set(part in parts)

    def succeeded(self, loop: Loop, at: datetime) -> None:
        """Say that a loop came through."""
        self._last_success.labels(loop).set(at.timestamp())

    def emit(self, event: Event) -> None:
        """Count a line of the log."""
        self._events.labels(event.name, event.severity.name.lower()).inc()
