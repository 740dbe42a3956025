"""Everything that is ever logged: the catalogue, and the typed way to emit it."""

from reconciler.events import orders, running, trouble
from reconciler.events.event import CATALOGUE, Event, Severity, event

__all__ = ["CATALOGUE", "Event", "Severity", "event", "orders", "running", "trouble"]
