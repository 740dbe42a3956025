"""Everything that is ever logged: the catalogue, and the typed way to emit it."""

from reconciler.events import library, orders, running, settling, trouble
from reconciler.events.event import CATALOGUE, Event, Severity, event

__all__ = ["CATALOGUE", "Event", "Severity", "event", "library", "orders", "running", "settling", "trouble"]
