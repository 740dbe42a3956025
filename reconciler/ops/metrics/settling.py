"""Settling as a whole: whether it stands still, and how far it is from the brake."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Gauge

PausedBy = Literal["hand", "brake", "locked"]
"""Why settling stands still: a person, the brake, or rows of the shop's that another session keeps locked."""


@dataclass(frozen=True, slots=True)
class Braking:
    """What was settled in the time that the brake looks at, and what it allows."""

    orders: int
    orders_max: int
    fen: int
    fen_max: int


class SettlingFigures:
    """Figures of the leader's settling."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._paused = Gauge(
            "reconciler_settling_paused",
            "1 while settling stands still: by a person's hand, by the brake, or since the shop's rows are locked.",
            ["reason"],
            registry=registry,
        )
        self._orders = Gauge(
            "reconciler_brake_settled_orders", "Orders that the brake counts as settled now.", registry=registry
        )
        self._orders_max = Gauge("reconciler_brake_limit_orders", "settle.brake_per_hour.", registry=registry)
        self._fen = Gauge(
            "reconciler_brake_settled_fen", "Fen (hundredths) that the brake counts as settled now.", registry=registry
        )
        self._fen_max = Gauge(
            "reconciler_brake_limit_fen", "settle.brake_yuan_per_hour, in fen (hundredths).", registry=registry
        )
        self.paused(())

    def paused(self, reasons: Collection[PausedBy]) -> None:
        """Take why settling stands still now; none where it does not, or another leads."""
        for reason in get_args(PausedBy):
            self._paused.labels(reason).set(reason in reasons)

    def brake(self, braking: Braking) -> None:
        """Take how near the brake is."""
        self._orders.set(braking.orders)
        self._orders_max.set(braking.orders_max)
        self._fen.set(braking.fen)
        self._fen_max.set(braking.fen_max)
