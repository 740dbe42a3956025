"""What the libraries below us have to say."""

from __future__ import annotations

from reconciler.events.event import Event, Severity, event


@event(
    "library.warning",
    Severity.WARNING,
    meaning="A library that Reconciler uses, or Python itself, gave a warning or reported an error.",
    advice="Nothing, while no other line complains. Where it repeats, report it with this line.",
)
class LibraryWarning(Event):
    """A line that is not ours."""

    logger: str
    """The library's own name for where it comes from, `asyncio`."""
    message: str
    """One line, shortened where it is long."""
    suppressed: int | None = None
    """How many of the same were left out since the last one."""
