"""Channels: what they were asked and answered, how fast, and what is the matter with them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from reconciler.domain.answer import Answer, name_of
from reconciler.domain.order import ChannelName
from reconciler.domain.standing import Standing

ASK_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class ChannelFigures:
    """Figures by channel."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._asks = Counter("reconciler_asks", "Asks by channel and answer.", ["channel", "answer"], registry=registry)
        self._ask_seconds = Histogram(
            "reconciler_ask_duration_seconds",
            "From asking to answer.",
            ["channel"],
            registry=registry,
            buckets=ASK_SECONDS,
        )
        self._of_ask: dict[tuple[str, str], tuple[Counter, Histogram]] = {}
        self._states = Gauge(
            "reconciler_channel_state",
            "1 for each thing that is the matter with a channel now; only the leader knows.",
            ["channel", "state"],
            registry=registry,
        )
        self._oldest_due = Gauge(
            "reconciler_channel_oldest_due_timestamp_seconds",
            "When the channel's oldest due ask should have been; 0 where none is due.",
            ["channel"],
            registry=registry,
        )

    def start(self, channels: Iterable[ChannelName]) -> None:
        """Start the series of these channels at zero, and forget what was the matter with any other."""
        self._states.clear()
        self._oldest_due.clear()
        for channel in channels:
            for answer in get_args(Answer):
                self._asks.labels(channel, answer.__name__)
            self._ask_seconds.labels(channel)
            self.stands(channel, (), None)

    def asked(self, channel: ChannelName, answer: Answer, duration_s: float) -> None:
        """Count one ask."""
        named = (channel, name_of(answer))
        figures = self._of_ask.get(named)
        if figures is None:  # looked up once: prometheus_client takes its time for it
            figures = self._of_ask[named] = (self._asks.labels(*named), self._ask_seconds.labels(channel))
        count, seconds = figures
        count.inc()
        seconds.observe(duration_s)

    def stands(self, channel: ChannelName, standings: Collection[Standing], oldest_due_at: datetime | None) -> None:
        """Take what is the matter with a channel now, and since when its oldest due ask waits."""
        for standing in Standing:
            self._states.labels(channel, standing.value).set(standing in standings)
        self._oldest_due.labels(channel).set(0 if oldest_due_at is None else oldest_due_at.timestamp())
