"""The figures for Prometheus. No personal data, and labels only of closed sets: channels, answers, kinds, reasons."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from reconciler.domain.answer import Answer, name_of
from reconciler.domain.case import CaseKind
from reconciler.domain.order import ChannelName
from reconciler.events import Event
from reconciler.events.orders import OrderCallbackWon, OrderSettled
from reconciler.ports import WatchCounts

LOOPS = ("find", "ask")
PausedBy = Literal["hand", "brake", "locked"]
"""Why settling stands still: a person, the brake, or rows of the shop's that another session keeps locked."""
ASK_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Metrics:
    """The figures, in a registry of their own. Implements `reconciler.ports.Events`: what events tell is counted there.

    Every series is there from the start, at zero, so that an alert rule never waits for a first time.
    """

    def __init__(self, *, version: str, mode: str, channels: Iterable[ChannelName] = ()) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # theirs is untyped
        self.registry = CollectorRegistry()
        registry = self.registry
        self._info = Gauge("reconciler_info", "The program.", ["version", "mode"], registry=registry)
        self._leader = Gauge("reconciler_leader", "1 while this daemon leads, 0 as a standby.", registry=registry)
        self._watches = Gauge("reconciler_watches", "Watches by state.", ["state"], registry=registry)
        self._oldest_due = Gauge(
            "reconciler_oldest_due_timestamp_seconds",
            "When the oldest due ask should have been; 0 where none is due.",
            registry=registry,
        )
        self._asks = Counter("reconciler_asks", "Asks by channel and answer.", ["channel", "answer"], registry=registry)
        self._ask_seconds = Histogram(
            "reconciler_ask_duration_seconds",
            "From asking to answer.",
            ["channel"],
            registry=registry,
            buckets=ASK_SECONDS,
        )
        self._settled = Counter("reconciler_settled", "Orders that we moved.", ["channel"], registry=registry)
        self._callback_won = Counter(
            "reconciler_callback_won",
            "Orders that the shop's own callback moved while we were about to.",
            ["channel"],
            registry=registry,
        )
        self._cases = Gauge("reconciler_cases_open", "Open cases by kind.", ["kind"], registry=registry)
        self._settling_paused = Gauge(
            "reconciler_settling_paused",
            "1 while settling stands still: by a person's hand, by the brake, or since the shop's rows are locked.",
            ["reason"],
            registry=registry,
        )
        self._last_success = Gauge(
            "reconciler_last_success_timestamp_seconds",
            "When a loop last came through without a failure.",
            ["loop"],
            registry=registry,
        )
        self._events = Counter("reconciler_events", "Lines of the log.", ["event", "severity"], registry=registry)
        self.mode(version, mode)
        self.channels(channels)
        self.open_cases({})
        self.settling_paused(())
        for state in ("open", "due", "ended"):
            self._watches.labels(state)
        for loop in LOOPS:
            self._last_success.labels(loop)

    def channels(self, channels: Iterable[ChannelName]) -> None:
        """Start the series of these channels at zero; those of others stay, as counters do."""
        for channel in channels:
            for answer in get_args(Answer):
                self._asks.labels(channel, answer.__name__)
            self._ask_seconds.labels(channel)
            self._settled.labels(channel)
            self._callback_won.labels(channel)

    def mode(self, version: str, mode: str) -> None:
        """Say what runs: after a reload, the new mode alone."""
        self._info.clear()
        self._info.labels(version, mode).set(1)

    def lead(self, *, leads: bool) -> None:
        """Say whether this daemon leads."""
        self._leader.set(leads)

    def watches(self, counts: WatchCounts) -> None:
        """Take the ledger's count of watches."""
        for state, count in (("open", counts.open), ("due", counts.due), ("ended", counts.ended)):
            self._watches.labels(state).set(count)
        self._oldest_due.set(0 if counts.oldest_due_at is None else counts.oldest_due_at.timestamp())

    def asked(self, channel: ChannelName, answer: Answer, duration_s: float) -> None:
        """Count one ask."""
        self._asks.labels(channel, name_of(answer)).inc()
        self._ask_seconds.labels(channel).observe(duration_s)

    def open_cases(self, counts: Mapping[CaseKind, int]) -> None:
        """Take the number of open cases; a kind that is left out has none."""
        for kind in CaseKind:
            self._cases.labels(kind.value).set(counts.get(kind, 0))

    def settling_paused(self, reasons: Collection[PausedBy]) -> None:
        """Take why settling stands still now; none where it does not, or another leads."""
        for reason in get_args(PausedBy):
            self._settling_paused.labels(reason).set(reason in reasons)

    def succeeded(self, loop: str, at: datetime) -> None:
        """Say that a loop, `find` or `ask`, came through."""
        self._last_success.labels(loop).set(at.timestamp())

    def emit(self, event: Event) -> None:
        """Count the event, and what it says was done."""
        self._events.labels(event.name, event.severity.name.lower()).inc()
        if isinstance(event, OrderSettled):
            self._settled.labels(event.channel).inc()
        elif isinstance(event, OrderCallbackWon):
            self._callback_won.labels(event.channel).inc()

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """Write all figures as the scraper's Accept header wants them; give body and Content-Type."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self.registry), content_type
