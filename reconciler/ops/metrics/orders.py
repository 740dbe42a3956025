"""What became of orders: moved by us, by the shop itself, and how long they had been stuck."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from reconciler.domain.order import ChannelName
from reconciler.events import Event
from reconciler.events.orders import OrderCallbackWon, OrderSettled, OrderWouldSettle, SettleRecovered
from reconciler.ports import Outcome

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
STUCK_SECONDS = (
    *(30, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 20 * _MINUTE),
    *(_HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY, 3 * _DAY, 7 * _DAY),
)


class OrderFigures:
    """Counters by channel: callback loss is a quotient of two of them, for whoever asks to form over his own time."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._settled = Counter(
            "reconciler_settled", "Orders that we moved: each is a callback that was lost, or late.", ["channel"],
            registry=registry,
        )  # fmt: skip
        self._would_settle = Counter(
            "reconciler_would_settle", "Orders that mode observe would have moved.", ["channel"], registry=registry
        )
        self._paid_by_shop = Counter(
            "reconciler_paid_by_shop",
            "Watched orders that the shop itself moved: their callback came.",
            ["channel"],
            registry=registry,
        )
        self._callback_won = Counter(
            "reconciler_callback_won",
            "Those of reconciler_paid_by_shop that it moved while we were about to.",
            ["channel"],
            registry=registry,
        )
        self._stuck = Histogram(
            "reconciler_stuck_duration_seconds",
            "How long an order that we moved had been stuck, from its payment on.",
            ["channel"],
            registry=registry,
            buckets=STUCK_SECONDS,
        )
        self._stalled = Gauge(
            "reconciler_stalled_orders",
            "Orders that have been in a status of the shop's own for longer than processing_limits allows.",
            ["status"],
            registry=registry,
        )

    def start(self, channels: Iterable[ChannelName]) -> None:
        """Start the series of these channels at zero."""
        for channel in channels:
            for counter in (self._settled, self._would_settle, self._paid_by_shop, self._callback_won):
                counter.labels(channel)
            self._stuck.labels(channel)

    def emit(self, event: Event) -> None:
        """Count what an event says was done."""
        match event:
            case OrderSettled():
                self._settled.labels(event.channel).inc()
                self._stuck.labels(event.channel).observe(event.stuck_for.total_seconds())
            case SettleRecovered() if event.outcome.startswith(f"{Outcome.SETTLED.value}: "):
                self._settled.labels(event.channel).inc()  # by us, before a crash could let us say so
            case OrderWouldSettle():
                self._would_settle.labels(event.channel).inc()
            case OrderCallbackWon():
                self._callback_won.labels(event.channel).inc()
            case _:
                pass

    def paid_by_shop(self, channel: ChannelName, orders: int) -> None:
        """Count so many more orders that the shop itself moved."""
        self._paid_by_shop.labels(channel).inc(orders)

    def stalled(self, orders: Mapping[str, int]) -> None:
        """Take how many orders are over the limit of each limited status; other statuses have no series."""
        self._stalled.clear()
        for status, count in orders.items():
            self._stalled.labels(status).set(count)
