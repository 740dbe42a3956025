"""Everything that is ever logged: the catalogue, and the typed way to emit it."""

from reconciler.events import library, orders, running, settling, stays, telling, trouble, unusual
from reconciler.events.event import CATALOGUE, Alert, Event, Severity, event

__all__ = [
    "CATALOGUE",
    "Alert",
    "Event",
    "Severity",
    "event",
    "library",
    "orders",
    "running",
    "settling",
    "stays",
    "telling",
    "trouble",
    "unusual",
]
