"""All figures in one registry, and what writes them out."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from reconciler.domain.order import ChannelName
from reconciler.events import Event
from reconciler.ops.metrics.channels import ChannelFigures
from reconciler.ops.metrics.daemon import DaemonFigures
from reconciler.ops.metrics.ledger import LedgerFigures
from reconciler.ops.metrics.orders import OrderFigures
from reconciler.ops.metrics.settling import SettlingFigures


class Metrics:
    """The figures by what they are about. Implements `reconciler.ports.Events`: what events tell is counted."""

    def __init__(self, *, version: str, mode: str, channels: Iterable[ChannelName] = ()) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # theirs is untyped
        self.registry = registry = CollectorRegistry()
        self.daemon = DaemonFigures(registry)
        self.orders = OrderFigures(registry)
        self.channels = ChannelFigures(registry)
        self.settling = SettlingFigures(registry)
        self.ledger = LedgerFigures(registry)
        ProcessCollector(registry=registry)
        self.configured(version, mode, channels)

    def configured(self, version: str, mode: str, channels: Iterable[ChannelName]) -> None:
        """Say what runs, from a start or a reload on: its series begin at zero, and gauges of other channels end.

        Counters of channels that are no longer configured stay as they are, as counters do.
        """
        names = tuple(channels)
        self.daemon.runs(version, mode)
        self.orders.start(names)
        self.channels.start(names)

    def emit(self, event: Event) -> None:
        """Count the event, and what it says was done."""
        self.daemon.emit(event)
        self.orders.emit(event)

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """Write all figures as the scraper's Accept header wants them; give body and Content-Type."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self.registry), content_type
